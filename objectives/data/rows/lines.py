"""Lines of a file of rows, whatever it is packed in."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from objectives.data.rows.parquet import records
from objectives.data.rows.problem import Problem, ProblemKind
from objectives.data.rows.streams import Container, Torn, blocks, container_of, unreadable
from objectives.errors import DataError

MAX_LINE_BYTES = 16 * 2**20
"""The longest line that is read, its end not counted. A longer one is no row but a file without line ends."""


class Line(NamedTuple):
    """A line that is not blank.

    Attributes:
        number: counted from 1, blank lines included; of Parquet, the record's.
        offset: bytes of the unpacked stream before `data`.
        data: the line without the mark of UTF-8, its end, and the white space around it.
    """

    number: int
    offset: int
    data: bytes


class BadLine(NamedTuple):
    """A line that is not given out.

    Attributes:
        number: counted as for `Line`.
        offset: bytes of the unpacked stream before the line.
        problem: why.
    """

    number: int
    offset: int
    problem: Problem


def lines(path: Path) -> Iterator[Line | BadLine]:
    """The lines of the file that are not blank, in order.

    The file may be plain, or packed as gzip, zstd or Parquet, which shows in its first bytes. A record of Parquet
    is one line of compact JSON without the columns that are null in it. The file is closed when the generator is.

    Raises:
        DataError: the file cannot be read, is damaged or ends too early, or is Parquet and pyarrow is missing.
    """
    number = 0
    try:
        with path.open("rb") as file:
            container = container_of(file)
            found = _numbered(records(file)) if container is Container.PARQUET else _split(blocks(file, container))
            for line in found:
                number = line[0]
                yield line
    except Torn as error:
        after = f"after line {number}" if number else "before its first line"
        raise DataError(f"{path}: found {error}, {after}; copy or write the file anew") from error
    except OSError as error:
        raise unreadable(path, error) from error


def _numbered(found: Iterable[bytes]) -> Iterator[Line | BadLine]:
    offset = 0
    for number, data in enumerate(found, start=1):
        yield _too_long(number, offset) if len(data) > MAX_LINE_BYTES else Line(number, offset, data)
        offset += len(data) + 1


def _split(stream: Iterable[bytes]) -> Iterator[Line | BadLine]:
    """Splits blocks into lines; what a block leaves unfinished is kept until the line ends or is too long."""
    number, offset = 1, 0
    make = tuple.__new__  # What `Line` itself comes down to, without a call of Python's for every line.
    kept: list[bytes] = []
    length = 0  # Bytes of the unfinished line, kept or not.
    for block in stream:
        pieces = block.split(b"\n")
        length += len(pieces[0])
        if len(pieces) == 1:
            if length <= MAX_LINE_BYTES:
                kept.append(block)
            else:
                kept.clear()
            continue
        if kept or length != len(pieces[0]):
            kept.append(pieces[0])
            yield from _line(number, offset, kept, length)
            number, offset = number + 1, offset + length + 1
            pieces = pieces[1:]
        kept = [pieces.pop()]
        length = len(kept[0])
        for piece in pieces:
            data = piece.strip()
            if data and number > 1:
                if len(data) == len(piece):
                    yield make(Line, (number, offset, data))
                else:
                    yield Line(number, offset + piece.index(data[:1]), data)
            elif data:
                yield from _line(number, offset, [piece], len(piece))
            number += 1
            offset += len(piece) + 1
    yield from _line(number, offset, kept, length)


def _line(number: int, offset: int, pieces: list[bytes], length: int) -> Iterator[Line | BadLine]:
    """The line of these pieces, if it is not blank."""
    if length > MAX_LINE_BYTES:
        yield _too_long(number, offset)
        return
    piece = b"".join(pieces)
    if number == 1 and piece.startswith(codecs.BOM_UTF8):
        piece = piece.removeprefix(codecs.BOM_UTF8)
        offset += len(codecs.BOM_UTF8)
    if data := piece.strip():
        yield Line(number, offset + len(piece) - len(piece.lstrip()), data)


def _too_long(number: int, offset: int) -> BadLine:
    message = f"the line has more than {MAX_LINE_BYTES} bytes; expected one row on each line"
    return BadLine(number, offset, Problem(kind=ProblemKind.TOO_LONG, message=message))
