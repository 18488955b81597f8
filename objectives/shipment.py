"""What a worker needs that has no disk in common with the driver: files, known by their content, and what is built."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from objectives.backends import Blueprint
from objectives.data.identity import Identity, Memory
from objectives.data.index import index_folder
from objectives.errors import DataError
from objectives.place import below, plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A file of a shipment.

    Attributes:
        path: where the driver has it, absolute and without `..`.
        sha256: of its content.
        size: bytes.
        runs: whether it is a program.
        identity: the file's, when it was hashed.
    """

    path: Path
    sha256: str
    size: int
    runs: bool
    identity: Identity

    @classmethod
    def of(cls, path: Path) -> Self:
        """Hashes a file, unless that is known of a file of this identity.

        Raises:
            DataError: it cannot be read.
        """
        try:
            identity = Identity.of(path.stat())
            sha256 = Memory(cache=index_folder(), path=path).sha256(identity)
        except OSError as error:
            raise DataError(
                f"{path}: cannot be read ({error.strerror or error}), and a worker elsewhere needs it; expected a file"
            ) from error
        return cls(path=path, sha256=sha256, size=identity.size, runs=os.access(path, os.X_OK), identity=identity)

    def piece(self, offset: int, size: int) -> bytes:
        """A part of the file, as long as it is the file that was hashed.

        Raises:
            DataError: it is another one by now, or cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                data = file.read(size)
                now = Identity.of(os.fstat(file.fileno()))
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read any more ({error.strerror or error})") from error
        # Other links to it, or another owner, do not make it another file.
        if now != self.identity and Memory(cache=index_folder(), path=self.path).sha256(now) != self.sha256:
            raise DataError(f"{self.path}: {CHANGED}")
        return data


CHANGED = (
    "was changed since the study was started; expected the same content for all trials: put the file back and resume "
    "the study, or begin another one"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """A blueprint, and all the files that it needs.

    Attributes:
        items: the files, each once.
        blueprint: for the machine that has the files, or for the one that they are sent to.
        folder: where that one has all of them, each at its own path from there on; None where nothing is sent.
    """

    items: tuple[Item, ...]
    blueprint: Blueprint
    folder: Path | None = None

    @classmethod
    def of(cls, blueprint: Blueprint) -> Self:
        """Finds and hashes the files.

        Raises:
            DataError, OptionsError: one is not there, or cannot be read.
        """
        paths = dict.fromkeys(plain(path) for path in blueprint.files())
        return cls(items=tuple(Item.of(path) for path in paths), blueprint=blueprint)

    def bound_for(self, depot: Path) -> Self:
        """The shipment for a machine whose depot is in a folder there; made where the files are.

        Args:
            depot: absolute.
        """
        known = sorted((str(item.path), item.sha256, item.runs) for item in self.items)
        digest = hashlib.sha256(repr((str(self.blueprint.root), known)).encode()).hexdigest()[:32]
        folder = depot / f"study-{digest}"
        blueprint = self.blueprint.moved(lambda path: below(folder, plain(path)))
        return replace(self, blueprint=blueprint, folder=folder)
