"""What a machine was sent: each file once, under the digest of its content, for all workers and studies there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock

from objectives.cache import cache_folder
from objectives.errors import DataError
from objectives.place import below
from objectives.shipment import CHANGED, Item, Shipment


class Depot:
    """A folder of files that were sent. All in it can be sent again."""

    def __init__(self, cache: Path | None = None) -> None:
        """Takes a folder, which need not be there.

        Args:
            cache: where it is; None for the user's cache.
        """
        self._folder = (cache or cache_folder()).absolute() / "shipped"

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self._folder

    def has(self, item: Item) -> bool:
        """Whether a file is there, whole."""
        try:
            return self._place(item).stat().st_size == item.size
        except OSError:
            return False

    def lock(self, item: Item) -> FileLock:
        """What a worker holds while it has a file sent, so that no other one does."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return FileLock(f"{self._place(item)}.lock")

    @contextlib.contextmanager
    def arriving(self, item: Item) -> Iterator[Arriving]:
        """Takes a file as it comes; it is there, whole, when this is left without an error, and else not at all.

        Raises:
            DataError: what came is not what was announced.
        """
        place = self._place(item)
        partial = place.with_name(f"{place.name}.partial")
        try:
            with partial.open("wb") as file:
                arriving = Arriving(file)
                yield arriving
            if arriving.sha256 != item.sha256:
                raise DataError(f"{item.path}: {CHANGED}")
            partial.chmod(0o555 if item.runs else 0o444)
            partial.replace(place)
        finally:
            partial.unlink(missing_ok=True)

    def lay_out(self, shipment: Shipment) -> None:
        """Makes the shipment's folder, where its files are links with the names that the driver has them by.

        All of them must be there.

        Args:
            shipment: bound for this depot.
        """
        folder = shipment.folder
        assert folder is not None
        links = [below(folder, item.path) for item in shipment.items]
        with FileLock(f"{folder}.lock"):
            if folder.is_dir() and all(link.is_file() for link in links):
                return
            shutil.rmtree(folder, ignore_errors=True)
            partial = folder.with_name(f"{folder.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            (partial / shipment.blueprint.root.relative_to(folder)).mkdir(parents=True)
            for item in shipment.items:
                link = below(partial, item.path)
                link.parent.mkdir(parents=True, exist_ok=True)
                # No symbolic link: Python would look for a program's other modules where that leads.
                try:
                    os.link(self._place(item), link)
                except OSError:  # not every file system has links, or as many
                    shutil.copy2(self._place(item), link)
            partial.rename(folder)

    def _place(self, item: Item) -> Path:
        return self._folder / (f"{item.sha256}-program" if item.runs else item.sha256)


class Arriving:
    """A file on its way.

    Attributes:
        size: bytes that have come.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.size = 0
        self._file = file
        self._digest = hashlib.sha256()

    def add(self, data: bytes) -> None:
        """Takes the next part."""
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)

    @property
    def sha256(self) -> str:
        """The digest of what has come."""
        return self._digest.hexdigest()
