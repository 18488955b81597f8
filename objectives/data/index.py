"""An index over a data file: where each row stands, how long it is and what it holds, without keeping the rows."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import orjson
from filelock import FileLock
from numpy.typing import NDArray

from objectives.cache import cache_folder
from objectives.data.columns import COLUMNS, FORMATS, HOLDS, build
from objectives.data.identity import Identity, Memory
from objectives.data.reader import Reader
from objectives.data.rows import Format, Problem, ProblemKind
from objectives.data.tokens import TokenCounter
from objectives.errors import DataError

VERSION = 1
"""Of what is kept on disk; indexes of another version are not looked at."""

LARGE_BYTES = 2**25
"""A file from this size on is worth a process of its own to look through it: some seconds."""

_MAKE = """
import pathlib, sys
from objectives.data.index import FileIndex
FileIndex.open(pathlib.Path(sys.argv[1]))
"""

COUNT_ROWS = 16_384
"""Rows whose tokens are counted at a time."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FileIndex:
    """The index of one file. Its arrays are memory-mapped: they take no memory that the system could not have back.

    Attributes:
        path: the file.
        identity: the file's, when it was looked at.
        sha256: of the file's content.
        content: where the rows' bytes are: the file itself, or of a compressed one and Parquet a copy beside the index.
        folder: where the index is kept.
        labels: the labels that rows have.
        problem_counts: lines that are no rows, by kind.
        offset: where each row's line begins in `content`, (n_rows,).
        length: bytes of each line, line end not counted, (n_rows,).
        text: bytes of each row's text as UTF-8, (n_rows,).
        hash: of each row's text, `content_hash`, (n_rows,).
        form: the format in which a line can be copied as it is (0 for none, else its number in `Format`, from 1), and
            from bit 3 on which formats can hold the row, (n_rows,).
        label: number of each row's label, -1 without one, (n_rows,).
        skipped: numbers of the lines that hold no row, from 1, sorted.
    """

    path: Path
    identity: Identity
    sha256: str
    content: Path
    folder: Path
    labels: tuple[str, ...]
    problem_counts: Mapping[ProblemKind, int]
    offset: NDArray[np.int64]
    length: NDArray[np.uint32]
    text: NDArray[np.uint32]
    hash: NDArray[np.uint64]
    form: NDArray[np.uint8]
    label: NDArray[np.int32]
    skipped: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offset)

    @classmethod
    def open(cls, path: Path, cache: Path | None = None) -> Self:
        """The index of a file, made first where there is none of this content yet.

        Of several processes that ask at once one makes it and the others wait; one that dies half-way leaves nothing
        that could be mistaken for an index.

        Args:
            path: the file.
            cache: folder of indexes; None for the user's.

        Raises:
            DataError: the file cannot be read, changes while it is read, or the index cannot be kept.
        """
        cache = index_folder() if cache is None else cache
        memory = Memory(cache=cache, path=path)
        try:
            before = Identity.of(path.stat())
            sha256 = memory.sha256(before)
        except OSError as error:
            reason = error.strerror or str(error)
            raise DataError(f"{path}: cannot be read ({reason}); expected a file of rows") from error
        folder = cache / sha256
        found = cls._load(path, before, sha256, folder)
        if found is None:
            try:
                with FileLock(cache / f"{sha256}.lock"):
                    if cls._load(path, before, sha256, folder) is None:
                        build(path, folder, lambda: memory.check(before, sha256))
            except OSError as error:
                raise DataError(
                    f"the index of {path} cannot be kept in {cache} ({error.strerror or error}); free some room, or "
                    "set RATIO_SEARCH_CACHE to a folder that can be written to"
                ) from error
            found = cls._load(path, before, sha256, folder)
            assert found is not None, folder
        memory.check(before)
        return found

    @classmethod
    def _load(cls, path: Path, identity: Identity, sha256: str, folder: Path) -> Self | None:
        """The index in a folder; None if there is none that is whole."""
        try:
            about = json.loads((folder / "about.json").read_bytes())
            if any((folder / name).stat().st_size != size for name, size in about["bytes"].items()):
                return None
            columns = {name: _column(folder / name, kind, about["rows"]) for name, kind in COLUMNS.items()}
            skipped = _column(folder / "skipped", np.dtype("<i8"), about["skipped"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return cls(
            path=path,
            identity=identity,
            sha256=sha256,
            content=path if about["plain"] else folder / "rows.jsonl",
            folder=folder,
            labels=tuple(about["labels"]),
            problem_counts={ProblemKind(kind): count for kind, count in about["problems"].items()},
            skipped=skipped,
            **columns,
        )

    def line(self, row: int) -> int:
        """The number of a row's line in the file, from 1."""
        before = self.skipped - np.arange(1, len(self.skipped) + 1)  # rows in front of each skipped line
        return row + 1 + int(np.searchsorted(before, row, side="right"))

    def problems(self) -> Iterator[tuple[int, Problem]]:
        """The lines that are no rows: number, from 1, and what is wrong."""
        with (self.folder / "problems.jsonl").open("rb") as file:
            for line in file:
                number, kind, message = orjson.loads(line)
                yield number, Problem(kind=ProblemKind(kind), message=message)

    def holds(self, format_: Format) -> NDArray[np.bool_]:
        """Whether a format can hold each row, (n_rows,)."""
        return np.asarray(self.form >> (HOLDS + FORMATS.index(format_)) & 1, dtype=np.bool_)

    def verbatim(self, format_: Format, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the lines of some rows can stand in a file of this format as they are."""
        return np.asarray(self.form[numbers] & (1 << HOLDS) - 1 == FORMATS.index(format_) + 1, dtype=np.bool_)

    def tokens(self, counter: TokenCounter) -> NDArray[np.uint32]:
        """Tokens of each row, (n_rows,), counted once for a counter of this name.

        Raises:
            DataError: the file has changed, or the counts cannot be kept.
        """
        file, kind = self.folder / f"tokens-{counter.name}", np.dtype("<u4")
        with contextlib.suppress(OSError, ValueError):
            return _column(file, kind, len(self))
        try:
            with FileLock(f"{file}.lock"):
                with contextlib.suppress(OSError, ValueError):
                    return _column(file, kind, len(self))
                partial = file.with_name(f"{file.name}.partial")
                try:
                    with Reader(self) as reader, partial.open("wb") as out:
                        for start in range(0, len(self), COUNT_ROWS):
                            numbers = np.arange(start, min(len(self), start + COUNT_ROWS))
                            out.write(np.array(counter.count(reader.rows(numbers)), dtype=kind).tobytes())
                    partial.replace(file)
                finally:
                    partial.unlink(missing_ok=True)
        except OSError as error:
            raise DataError(
                f"the token counts of {self.path} cannot be kept in {self.folder} ({error.strerror or error}); free "
                "some room, or set RATIO_SEARCH_CACHE to a folder that can be written to"
            ) from error
        return _column(file, kind, len(self))


def index_folder() -> Path:
    """Where the indexes of this machine's files are kept, and what their digests are."""
    return cache_folder() / f"index-{VERSION}"


def make_indexes(paths: Sequence[Path]) -> None:
    """Makes the indexes of several large files side by side, each in a process of its own.

    Only saves time: what fails here fails again when the file is opened, which says why.

    Args:
        paths: the files; those whose index is there take no time.
    """
    cache = index_folder()
    unknown = [path for path in dict.fromkeys(paths) if _large(path) and not _known(path, cache)]
    if len(unknown) < 2:
        return

    def make(path: Path) -> None:
        # Not by multiprocessing: it would run the caller's own program again.
        subprocess.run([sys.executable, "-c", _MAKE, str(path)], stderr=subprocess.DEVNULL, check=False)

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        list(pool.map(make, unknown))


def _large(path: Path) -> bool:
    try:
        return path.stat().st_size >= LARGE_BYTES
    except OSError:
        return False


def _known(path: Path, cache: Path) -> bool:
    digest = Memory(cache=cache, path=path).known(Identity.of(path.stat()))
    return digest is not None and (cache / digest / "about.json").exists()


def _column(file: Path, kind: np.dtype[Any], rows: int) -> NDArray[Any]:
    """A column of the index, checked to be whole: an interrupted machine may have kept a part only."""
    if file.stat().st_size != rows * kind.itemsize:
        raise ValueError(f"{file} is not whole")
    return np.memmap(file, dtype=kind, mode="r") if rows else np.empty(0, dtype=kind)
