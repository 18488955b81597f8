"""A CSV file as a table: what stands where, and what is wrong with it, each problem with its line and column."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from objectives.errors import DataError

MOST_PROBLEMS = 20
"""Problems of one file that are told at a time."""

_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")


class Problems:
    """What is wrong with a file, collected so that all of it can be repaired at once."""

    def __init__(self, path: Path) -> None:
        """Begins with none.

        Args:
            path: the file.
        """
        self._path = path
        self._found: list[str] = []

    def add(self, message: str, *, line: int | None = None, column: str | None = None) -> None:
        """Notes one.

        Args:
            message: what was found, and what was expected.
            line: where, from 1; None where it is the file as a whole.
            column: in which column.
        """
        at = str(self._path) if line is None else f"{self._path}:{line}"
        self._found.append(f"{at}: {message}" if column is None else f"{at}: {column}: {message}")

    def __len__(self) -> int:
        return len(self._found)

    def check(self) -> None:
        """Ends here if there are any.

        Raises:
            DataError: there are; it lists the first `MOST_PROBLEMS`.
        """
        if self._found:
            more = len(self._found) - MOST_PROBLEMS
            raise DataError("\n".join([*self._found[:MOST_PROBLEMS], *([f"and {more:,} more"] if more > 0 else [])]))


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One row.

    Attributes:
        line: where it begins in the file, from 1.
        cells: column to text, without spaces round it.
    """

    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        """What stands in a column; empty where there is nothing."""
        return self.cells.get(column, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A CSV file whose first line names the columns.

    Attributes:
        path: the file.
        columns: their names, in order; all different. Those without a name are not among them.
        rows: those in which anything stands, in order.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads a file: UTF-8, with or without a byte order mark, cells separated by commas, lines ended in any way.

        Raises:
            DataError: it cannot be read, or is no such table; the message says where.
        """
        problems = Problems(path)
        records = list(_records(path, _text(path)))
        if not records:
            raise DataError(f"{path}: is empty; expected a CSV file whose first line names the columns")
        (first, header), *others = records
        names = [cell.strip() for cell in header]
        for separator in (";", "\t"):
            if len(names) == 1 and separator in names[0]:
                raise DataError(
                    f"{path}:{first}: found columns separated by {separator!r}; expected commas, and points in "
                    "numbers; save it as CSV with commas"
                )
        for name in sorted({name for name in names if name and names.count(name) > 1}):
            problems.add("this column is there twice; remove one", line=first, column=name)
        rows = []
        for line, record in others:
            if len(record) != len(names):
                if any(cell.strip() for cell in record):
                    problems.add(f"expected {len(names)} cells, as in the first line, found {len(record)}", line=line)
                continue
            # Whoever writes a table of numbered rows leaves the column of the numbers without a name.
            cells = {name: cell.strip() for name, cell in zip(names, record, strict=True) if name}
            if any(cells.values()):  # spreadsheets leave empty rows behind
                rows.append(TableRow(line=line, cells=cells))
        problems.check()
        return cls(path=path, columns=tuple(filter(None, names)), rows=tuple(rows))


def number(cell: str) -> float | None:
    """The finite number that a cell holds; None where it holds anything else."""
    if not _NUMBER.fullmatch(cell):
        return None
    found = float(cell)
    return found if math.isfinite(found) else None


def shown(cell: str) -> str:
    """A cell as an error shows it."""
    return "nothing" if not cell else repr(cell if len(cell) <= 40 else f"{cell[:37]}...")


def _text(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not valid UTF-8 (byte {error.start + 1} is 0x{error.object[error.start]:02x}); save it as CSV "
            "in UTF-8"
        ) from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read ({why}); expected a CSV file") from error
    if "\0" in text:
        raise DataError(f"{path}: holds a zero byte; expected a CSV file, which is text")
    return text


def _records(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not blank, with the line that it begins in."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for record in reader:
            if record:
                yield line, record
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}:{line}: not CSV ({error}); is the file whole, and is every quote closed?") from error
