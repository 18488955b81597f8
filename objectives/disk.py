"""Room on a disk: how much is left, and some that is put aside for what must not be lost."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import Self

RESERVE_BYTES = 65_536
"""Room that is put aside for a result, which is some kilobytes of JSON."""


def room(folder: Path) -> int | None:
    """Bytes that are free on the disk of a folder, or of the nearest above it that is there; None if nobody knows."""
    for path in (folder, *folder.parents):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            try:
                found = os.statvfs(path)
            except PermissionError:
                return None
            # Some network file systems have no idea of their size, and say 0.
            return found.f_bavail * found.f_frsize if found.f_blocks else None
    return None


class Reserve:
    """Holds room on a disk from `with` to its end, unless it is given up before."""

    def __init__(self, path: Path, size: int = RESERVE_BYTES) -> None:
        """Prepares a reserve.

        Args:
            path: the file that takes the room; it is removed at last.
            size: bytes.
        """
        self._path = path
        self._size = size

    def __enter__(self) -> Self:
        # It is for bad times: a disk without room for it is not yet a reason to end anything.
        with contextlib.suppress(OSError):
            self._path.write_bytes(bytes(self._size))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_up()

    def give_up(self) -> None:
        """Frees the room."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
