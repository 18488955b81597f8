"""Reads the rows of several data sets as lines of one format, in any order."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from objectives.data.dataset import Dataset
from objectives.data.reader import Reader
from objectives.data.rows import Format, FormatError, Problem, dump, parse
from objectives.errors import DataError

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Places:
    """Where some rows stand: the file of each among all, and its line in it."""

    files: Numbers
    rows: Numbers
    starts: Numbers
    ends: Numbers
    verbatim: NDArray[np.bool_]


class Gathering:
    """Opens the files of some data sets, for as long as its context lasts."""

    def __init__(self, data: Sequence[Dataset], format_: Format) -> None:
        """Opens nothing yet.

        Args:
            data: the data sets, which are meant by their numbers from 0.
            format_: of the lines.
        """
        self._data = data
        self._format = format_
        self._firsts = np.cumsum([0, *(len(one.files) for one in data)])
        self._indexes = [index for one in data for index in one.files]

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._readers = [stack.enter_context(Reader(index)) for index in self._indexes]
            self._opened = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def lines(self, which: Numbers, numbers: Numbers) -> list[bytes]:
        """Some rows as lines without line ends.

        Args:
            which: the data set of each, (n,).
            numbers: the number of each in its data set, (n,).

        Raises:
            DataError: the format cannot hold a row, or a file has changed since it was indexed.
        """
        return [bytes(line) for line in self._pieces(which, numbers)]

    def text(self, which: Numbers, numbers: Numbers) -> bytes:
        """Some rows as a part of a file, with line ends; takes and raises what `lines` does."""
        return b"\n".join([*self._pieces(which, numbers), b""])

    def _pieces(self, which: Numbers, numbers: Numbers) -> list[bytes | memoryview]:
        """Lines, copied where they can stay as they are and written anew elsewhere."""
        places = self._places(which, numbers)
        used = [self._readers[number] for number in np.unique(places.files).tolist()]
        spans = zip(places.files.tolist(), places.starts.tolist(), places.ends.tolist(), strict=True)
        for reader in used:
            reader.check()  # before it is touched, as what is mapped may be shorter than what was indexed
        views = [reader.view for reader in self._readers]
        pieces: list[bytes | memoryview]
        if all(reader.view is not None for reader in used):
            pieces = [views[file][start:end] for file, start, end in spans]
        else:
            pieces = [self._readers[file].read(start, end) for file, start, end in spans]
        copied = {place: bytes(pieces[place]) for place in np.flatnonzero(~places.verbatim).tolist()}
        for reader in used:
            reader.check()  # before what was read is made sense of: it may be of a file that changed under it
        for place, line in copied.items():
            pieces[place] = self._converted(line, int(places.files[place]), int(places.rows[place]))
        return pieces

    def _places(self, which: Numbers, numbers: Numbers) -> _Places:
        files, rows, starts, ends = (np.empty(len(numbers), dtype=np.int64) for _ in range(4))
        verbatim = np.empty(len(numbers), dtype=np.bool_)
        for number in np.unique(which).tolist():
            here = np.flatnonzero(which == number)
            own, rows[here] = self._data[number].located(numbers[here])
            files[here] = own + self._firsts[number]
        for number in np.unique(files).tolist():
            here, index = np.flatnonzero(files == number), self._indexes[number]
            starts[here] = index.offset[rows[here]]
            ends[here] = starts[here] + index.length[rows[here]]
            verbatim[here] = index.verbatim(self._format, rows[here])
        return _Places(files, rows, starts, ends, verbatim)

    def _converted(self, line: bytes, file: int, row: int) -> bytes:
        parsed = parse(line)
        index = self._indexes[file]
        assert not isinstance(parsed, Problem), (index.path, parsed)
        try:
            return dump(parsed.row, self._format)
        except FormatError as error:
            raise DataError(f"{index.path}:{index.line(row)}: {error}") from error
