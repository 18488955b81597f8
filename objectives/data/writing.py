"""A blend as files: streamed in little memory, and there when they are whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

import numpy as np

from objectives.data.blend import Blend, Count, Part, Tally
from objectives.data.dataset import Dataset
from objectives.data.gathering import Gathering
from objectives.data.rows import Format
from objectives.errors import DataError

HELD_BYTES = 16 * 2**20
"""At most about this much of the rows is held at a time, but at least one row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file that was written.

    Attributes:
        path: where.
        rows: how many.
        size: bytes.
        sha256: of the content.
    """

    path: Path
    rows: int
    size: int
    sha256: str


def blended(blend: Blend, data: Mapping[str, Dataset], format_: Format) -> Iterator[tuple[Part, list[bytes]]]:
    """A run's rows as lines, in training order and in pieces that fit in memory.

    Args:
        blend: which rows.
        data: training rows of the mixture's domains.
        format_: of the lines, which have no line ends.

    Raises:
        DataError: the format cannot hold a row, or a file has changed since it was indexed.
    """
    with _gathering(blend, data, format_) as rows:
        for part in _pieces(blend, data):
            yield part, rows.lines(part.domains, part.rows)


def _gathering(blend: Blend, data: Mapping[str, Dataset], format_: Format) -> Gathering:
    """Domains by their numbers in the mixture; those without a share are never asked."""
    nothing = Dataset(files=())
    return Gathering([data[name] if share else nothing for name, share in blend.mixture.items()], format_)


def _pieces(blend: Blend, data: Mapping[str, Dataset]) -> Iterator[Part]:
    """The run's parts, cut to what may be held."""
    names = blend.mixture.names
    for part in blend.parts():
        sizes = np.empty(len(part), dtype=np.int64)
        for number in np.unique(part.domains).tolist():
            here = part.domains == number
            sizes[here] = data[names[number]].sizes(part.rows[here])
        ends = np.cumsum(sizes)
        start = 0
        while start < len(part):
            held = ends[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, held + HELD_BYTES)))
            yield part[start:stop]
            start = stop


def write(
    blend: Blend, data: Mapping[str, Dataset], format_: Format, paths: Sequence[Path]
) -> tuple[tuple[Written, ...], Tally]:
    """Writes a run into one or more files, each a run of its own that follows on the one before.

    What stood in the files stays until all are whole. The same blend of the same files gives the same bytes.

    Args:
        blend: which rows.
        data: training rows of the mixture's domains.
        format_: of the rows.
        paths: the files; the rows are divided among them evenly.

    Returns:
        What was written, and what it holds.

    Raises:
        DataError: the format cannot hold a row, a training file has changed, or a file cannot be written.
    """
    total = sum(blend.tally().rows.values()) if blend.rows is None else blend.rows
    count = Count(blend)
    ends = [total * (number + 1) // len(paths) for number in range(len(paths))]
    try:
        with contextlib.ExitStack() as stack:
            shards = [stack.enter_context(_Shard(path)) for path in paths]
            # Hashing and writing go on while the next rows are read.
            writer = stack.enter_context(ThreadPoolExecutor(max_workers=1))
            pending: Future[None] | None = None
            rows = stack.enter_context(_gathering(blend, data, format_))
            for number, part in _dealt(_pieces(blend, data), ends):
                count.add(part)
                text = rows.text(part.domains, part.rows)
                if pending is not None:
                    pending.result()
                pending = writer.submit(shards[number].add, text, len(part))
            if pending is not None:
                pending.result()
            written = tuple(shard.seal() for shard in shards)
            for shard in shards:
                shard.appear()
    except OSError as error:
        raise DataError(
            f"{', '.join(map(str, paths))}: cannot be written ({error.strerror or error}); free some room, or choose "
            "another place"
        ) from error
    return written, count.tally


def _dealt(parts: Iterable[Part], ends: Sequence[int]) -> Iterator[tuple[int, Part]]:
    """Parts cut at the ends of shards, each with the number of its shard."""
    number = done = 0
    for part in parts:
        while len(part):
            while done == ends[number]:
                number += 1
            fit = min(len(part), ends[number] - done)
            yield number, part[:fit]
            part, done = part[fit:], done + fit


class _Shard:
    """A file that is written beside its place and put there when all are whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        self._digest = hashlib.sha256()
        self._rows = self._size = 0

    def __enter__(self) -> Self:
        self._file: IO[bytes] = self._partial.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # a full disk refuses what is still to be flushed
            self._file.close()
        self._partial.unlink(missing_ok=True)

    def add(self, text: bytes, rows: int) -> None:
        """Appends lines, line ends included."""
        self._file.write(text)
        self._digest.update(text)
        self._rows += rows
        self._size += len(text)

    def seal(self) -> Written:
        """Puts all of it on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return Written(path=self._path, rows=self._rows, size=self._size, sha256=self._digest.hexdigest())

    def appear(self) -> None:
        """Puts the file in its place."""
        self._partial.replace(self._path)
