"""The columns of an index, and how they are made in one pass over a file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import orjson

from objectives.data.rows import Format, Parsed, Problem, Row, is_plain, lines, parse, plain_text, refusal

COLUMNS: dict[str, np.dtype[Any]] = {
    "offset": np.dtype("<i8"),
    "length": np.dtype("<u4"),
    "text": np.dtype("<u4"),
    "hash": np.dtype("<u8"),
    "form": np.dtype("<u1"),
    "label": np.dtype("<i4"),
}
"""What is known of every row, one file each; see `objectives.data.index.FileIndex`."""

FORMATS = tuple(Format)
HOLDS = 3
"""The bit of the column `form` from which on it says which of `FORMATS` can hold a row."""

_TABLE = np.dtype([(name, "V8" if name == "hash" else kind) for name, kind in COLUMNS.items()])

FLUSH_ROWS = 16_384
"""Rows that are held before they are written."""

_SPACES = b" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f"
_LOWER = bytes(byte + 32 if 65 <= byte <= 90 else byte for byte in range(256))


def content_hash(text: str) -> bytes:
    """8 bytes that are the same for texts that differ only in case, white space and Unicode's compatible forms.

    Among a hundred million texts, the chance that any two others share them is 3 in 10,000.
    """
    if text.isascii():
        plain = text.encode().translate(_LOWER, _SPACES)
    else:
        folded = "".join(unicodedata.normalize("NFKD", text).casefold().split())
        # Again, for marks with a space between them are not put in order.
        plain = unicodedata.normalize("NFKD", folded).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(plain, digest_size=8).digest()


def build(path: Path, folder: Path, check: Callable[[], None]) -> None:
    """Makes the index of a file; the folder appears when it is whole.

    Args:
        path: the file.
        folder: where to keep its index.
        check: called before the folder appears; raises where the file is no longer the one that the folder is named by.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        with _Builder(partial, plain=is_plain(path)) as builder:
            builder.read(path)
        check()
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


class _Builder:
    """Writes the columns of an index in one pass over the file, with little in memory."""

    def __init__(self, folder: Path, *, plain: bool) -> None:
        self._folder = folder
        self._plain = plain
        self._files = contextlib.ExitStack()
        self._labels: dict[str, int] = {}
        self._problems: Counter[str] = Counter()
        self._rows = self._skipped = self._copied = 0

    def __enter__(self) -> Self:
        def opened(name: str) -> IO[bytes]:
            return self._files.enter_context((self._folder / name).open("wb"))

        self._columns = {name: opened(name) for name in COLUMNS}
        self._skips, self._problem_file = opened("skipped"), opened("problems.jsonl")
        self._copy = None if self._plain else opened("rows.jsonl")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._files.close()
        if kind is None:
            about = {
                "plain": self._plain,
                "rows": self._rows,
                "skipped": self._skipped,
                "labels": list(self._labels),
                "problems": dict(self._problems),
                "bytes": {file.name: file.stat().st_size for file in self._folder.iterdir()},
            }
            (self._folder / "about.json").write_text(json.dumps(about))

    def read(self, path: Path) -> None:
        """Reads the whole file.

        Raises:
            DataError: it cannot be read to its end.
        """
        expected = 1
        rows: list[tuple[int, int, int, bytes, int, int]] = []
        add = rows.append
        for number, offset, line in lines(path):
            if number != expected:
                self._skip(range(expected, number))
            expected = number + 1
            if isinstance(line, Problem):
                self._reject(number, line)
                continue
            try:
                texts = plain_text(orjson.loads(line))
            except orjson.JSONDecodeError:
                texts = None
            if texts is not None:
                # JSON takes a carriage return for a space, and a file of lines does not.
                text, form, label = f"{texts[0]}\n{texts[1]}", _PLAIN if b"\r" not in line else _REWRITTEN, -1
            else:
                parsed = parse(line)
                if isinstance(parsed, Problem):
                    self._reject(number, parsed)
                    continue
                text, form = parsed.row.text, _form(parsed)
                label = -1 if parsed.row.label is None else self._labels.setdefault(parsed.row.label, len(self._labels))
            if self._copy is not None:
                offset = self._copied
                self._copied += self._copy.write(line + b"\n")
            add(
                (
                    offset,
                    len(line),
                    len(text) if text.isascii() else len(text.encode()),
                    content_hash(text),
                    form,
                    label,
                )
            )
            if len(rows) == FLUSH_ROWS:
                self._flush(rows)
        self._flush(rows)

    def _skip(self, numbers: Sequence[int]) -> None:
        self._skips.write(np.array(numbers, dtype="<i8").tobytes())
        self._skipped += len(numbers)

    def _reject(self, number: int, problem: Problem) -> None:
        self._skip([number])
        self._problems[problem.kind] += 1
        self._problem_file.write(orjson.dumps([number, problem.kind, problem.message]) + b"\n")

    def _flush(self, rows: list[tuple[int, int, int, bytes, int, int]]) -> None:
        """Writes rows in the order of `COLUMNS`; not by `tofile`, which does not always tell of a full disk."""
        table = np.array(rows, dtype=_TABLE)
        for name, file in self._columns.items():
            file.write(np.ascontiguousarray(table[name]).tobytes())
        self._rows += len(rows)
        rows.clear()


def _form(parsed: Parsed) -> int:
    """See `objectives.data.index.FileIndex.form`."""
    able = FORMATS  # of a plain row, which need not be tried
    if not parsed.row.plain:
        able = tuple(format_ for format_ in FORMATS if refusal(parsed.row, format_) is None)
    holds = sum(1 << FORMATS.index(format_) for format_ in able)
    return holds << HOLDS | (FORMATS.index(parsed.format) + 1 if parsed.verbatim else 0)


_PLAIN, _REWRITTEN = (
    _form(Parsed(row=Row.of("a", "b"), format=Format.INSTRUCTION, verbatim=verbatim)) for verbatim in (True, False)
)
