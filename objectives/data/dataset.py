"""The rows of a domain's files as one sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from objectives.data.blend import Lengths
from objectives.data.index import FileIndex
from objectives.data.reader import Reader
from objectives.data.rows import Format, Row, refusal
from objectives.data.tokens import BYTES_PER_TOKEN, TokenCounter
from objectives.errors import DataError

READ_ROWS = 4096
"""Rows that are read at a time where all are."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """The rows of one or more files, in order, but for those that are left out. None of them is kept in memory.

    Attributes:
        files: the indexed files.
        kept: numbers of the rows that count, over all files, sorted; None for all.
    """

    files: tuple[FileIndex, ...]
    kept: NDArray[np.int64] | None = None

    @classmethod
    def open(cls, paths: Iterable[Path], cache: Path | None = None) -> Self:
        """All rows of some files, indexed first where they are not yet.

        Raises:
            DataError: a file cannot be read or indexed.
        """
        return cls(files=tuple(FileIndex.open(path, cache) for path in paths))

    def __len__(self) -> int:
        return sum(map(len, self.files)) if self.kept is None else len(self.kept)

    def without(self, dropped: NDArray[np.int64]) -> Self:
        """This data set without some of its rows.

        Args:
            dropped: their numbers.
        """
        if not len(dropped):
            return self
        stays = np.ones(len(self), dtype=np.bool_)
        stays[dropped] = False
        kept = np.flatnonzero(stays)
        return replace(self, kept=kept if self.kept is None else self.kept[kept])

    def place(self, row: int) -> str:
        """Where a row stands, as file:line."""
        [(index, _, [local])] = self._by_file(np.array([row]))
        return f"{index.path}:{index.line(int(local))}"

    def column(self, value: Callable[[FileIndex], NDArray[Any]]) -> NDArray[Any]:
        """What is known of every row, (n_rows,).

        Args:
            value: gives it for all rows of a file.
        """
        parts = [value(index) for index in self.files]
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return whole if self.kept is None else whole[self.kept]

    def lengths(self, counter: TokenCounter | None) -> Lengths:
        """Tokens of rows, by their numbers.

        Args:
            counter: counts them; None for the estimate.
        """
        counts = {id(index): None if counter is None else index.tokens(counter) for index in self.files}

        def of(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
            found = np.empty(len(numbers), dtype=np.int64)
            for index, here, local in self._by_file(numbers):
                known = counts[id(index)]
                found[here] = (
                    -(-index.text[local].astype(np.int64) // BYTES_PER_TOKEN) if known is None else known[local]
                )
            return np.maximum(found, 1)

        return of

    def sizes(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Bytes of the lines of some rows, as they stand in the files."""
        found = np.empty(len(numbers), dtype=np.int64)
        for index, here, local in self._by_file(numbers):
            found[here] = index.length[local]
        return found

    def labels(self) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """The labels in order of their first use, and the number of each row's, -1 without one, (n_rows,)."""
        names: dict[str, int] = {}
        parts = []
        for index in self.files:
            renamed = np.array([*(names.setdefault(name, len(names)) for name in index.labels), -1], dtype=np.int64)
            parts.append(renamed[index.label])
        numbers = np.concatenate(parts)
        return tuple(names), numbers if self.kept is None else numbers[self.kept]

    @property
    def labelled(self) -> bool:
        """Whether every row has a label."""
        return bool((self.labels()[1] >= 0).all())

    def rows(self, numbers: NDArray[np.int64] | None = None) -> list[Row]:
        """Some rows, or all.

        Raises:
            DataError: a file has changed since it was indexed.
        """
        wanted = np.arange(len(self)) if numbers is None else numbers
        found: list[Row | None] = [None] * len(wanted)
        for index, here, local in self._by_file(wanted):
            with Reader(index) as reader:
                for place, row in zip(here.tolist(), reader.rows(local), strict=True):
                    found[place] = row
        return [row for row in found if row is not None]

    def __iter__(self) -> Iterator[Row]:
        for start in range(0, len(self), READ_ROWS):
            yield from self.rows(np.arange(start, min(len(self), start + READ_ROWS)))

    def check_holds(self, format_: Format, files: str, setting: str) -> None:
        """Checks that a format can hold every row.

        Args:
            format_: the format.
            files: what to call these rows in an error.
            setting: what to change.

        Raises:
            DataError: it cannot; the message counts the rows and says why the first one does not fit.
        """
        beyond = np.flatnonzero(~self.column(lambda index: index.holds(format_)))
        if len(beyond):
            [row] = self.rows(beyond[:1])
            raise DataError(
                f"{files}: {len(beyond):,} rows do not fit in the {format_} format, the first at "
                f"{self.place(int(beyond[0]))}: {refusal(row, format_)}; choose another {setting}"
            )

    def located(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The number of each row's file, and its number in that file, (n,) each."""
        rows = numbers if self.kept is None else self.kept[numbers]
        starts = np.cumsum([0, *map(len, self.files)])
        which = np.searchsorted(starts, rows, side="right") - 1
        return which, rows - starts[which]

    def _by_file(self, numbers: NDArray[np.int64]) -> Iterator[tuple[FileIndex, NDArray[np.int64], NDArray[np.int64]]]:
        """Rows by the files that they stand in: the file, their places among the numbers, their numbers in the file."""
        which, local = self.located(numbers)
        for number in np.unique(which).tolist():
            here = np.flatnonzero(which == number)
            yield self.files[number], here, local[here]
