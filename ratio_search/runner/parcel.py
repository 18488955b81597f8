"""Files on their way from a worker that has no disk in common with the driver."""

from __future__ import annotations

import contextlib
import enum
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from objectives.errors import ResultError

PARCEL_BYTES = 2**25
"""Most that is on its way at a time: it takes room in the object stores of both machines."""


class Box(enum.Enum):
    """What belongs together."""

    CHECKPOINT = "checkpoint.partial"
    """A checkpoint, which replaces the last one."""
    BELONGINGS = "belongings.partial"
    """What the objective left: its log, its artefacts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A part of a file.

    Attributes:
        box: what the file belongs to.
        name: the file's, with slashes, in the box.
        offset: where the part begins.
        data: the part.
    """

    box: Box
    name: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """Says that all of a box was sent.

    Attributes:
        box: which.
        sizes: bytes of each file.
    """

    box: Box
    sizes: Mapping[str, int]


def packed(box: Box, folder: Path, files: Sequence[Path]) -> Iterator[Parcel | Seal]:
    """All of a box, its seal last.

    Args:
        box: what it is.
        folder: where the files are.
        files: relative to it.
    """
    sizes: dict[str, int] = {}
    for path in files:
        name, size = path.as_posix(), 0
        with (folder / path).open("rb") as file:
            while (data := file.read(PARCEL_BYTES)) or not size:
                yield Parcel(box=box, name=name, offset=size, data=data)
                size += len(data)
                if not data:
                    break  # an empty file is a parcel, too
        sizes[name] = size
    yield Seal(box=box, sizes=sizes)


class Arrival:
    """A box that is filled beside the place where it belongs, so that it appears there whole or not at all."""

    def __init__(self, folder: Path) -> None:
        """Prepares an arrival.

        Args:
            folder: where it is filled; what is there is removed.
        """
        self._folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def take(self, parcel: Parcel) -> None:
        """Takes a part of a file.

        Raises:
            ResultError: its name leads out of the box.
        """
        path = self._folder / inside(parcel.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("r+b" if parcel.offset else "wb") as file:
            file.seek(parcel.offset)
            file.write(parcel.data)

    def whole(self, seal: Seal) -> Path:
        """The folder, with all that was sent.

        Raises:
            ResultError: something is missing.
        """
        for name, size in seal.sizes.items():
            with contextlib.suppress(OSError):
                if (self._folder / inside(name)).stat().st_size == size:
                    continue
            raise ResultError(f"{self._folder}: {name!r} has not come as it was sent")
        return self._folder


def inside(name: str) -> PurePosixPath:
    """The path that a name stands for.

    Raises:
        ResultError: it leads out of the folder that it is relative to.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise ResultError(f"a worker named a file {name!r}; expected one inside of the attempt's folder")
    return path
