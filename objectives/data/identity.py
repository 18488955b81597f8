"""By what a file is known again without reading it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Self

from objectives.errors import DataError

SETTLED_NS = 2_000_000_000
"""A file that was changed less than 2 s before it was looked at may change again without a new time stamp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What the file system says of a file; it changes when the content is written."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """The identity in a file's status."""
        return cls(
            device=status.st_dev,
            inode=status.st_ino,
            size=status.st_size,
            modified_ns=status.st_mtime_ns,
            changed_ns=status.st_ctime_ns,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Remembers a file's digest by the file's identity, so that it is not read again and again.

    Attributes:
        cache: folder of the notes.
        path: the file.
    """

    cache: Path
    path: Path

    def known(self, identity: Identity) -> str | None:
        """The digest of the file's content, if it was read when the file had this identity."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            noted = json.loads(self._note.read_bytes())
            if noted["identity"] == list(astuple(identity)):
                return str(noted["sha256"])
        return None

    def sha256(self, identity: Identity) -> str:
        """The digest of the file's content, read anew if it is not known of this identity.

        Raises:
            OSError: the file cannot be read.
        """
        known = self.known(identity)
        if known is not None:
            return known
        looked_ns = time.time_ns()
        with self.path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if looked_ns - max(identity.modified_ns, identity.changed_ns) > SETTLED_NS:
            with contextlib.suppress(OSError):  # without it the next one reads the file again
                self.cache.mkdir(parents=True, exist_ok=True)
                partial = self._note.with_name(f"{self._note.name}.{os.getpid()}.partial")
                noted = {"path": str(self.path), "identity": astuple(identity), "sha256": found}
                partial.write_text(json.dumps(noted))
                partial.replace(self._note)
        return found

    @property
    def _note(self) -> Path:
        name = hashlib.sha256(str(self.path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:32]
        return self.cache / f"{name}.json"

    def check(self, identity: Identity, sha256: str | None = None) -> None:
        """Checks that the file is still what it was.

        Args:
            identity: it had.
            sha256: it had; None where the identity says enough.

        Raises:
            DataError: it is not.
        """
        with contextlib.suppress(OSError):
            if Identity.of(self.path.stat()) == identity and (sha256 is None or self.sha256(identity) == sha256):
                return
        raise DataError(f"{self.path}: changed while it was read; expected a file that stays as it is, try again")
