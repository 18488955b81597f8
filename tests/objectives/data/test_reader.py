from __future__ import annotations

import fcntl
import gzip
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from objectives.data.index import FileIndex
from objectives.data.reader import Reader
from objectives.errors import DataError

LINES = [b'{"instruction": "%d", "output": "%s"}' % (i, b"y" * i) for i in range(1, 400)]

leases = pytest.mark.skipif(not hasattr(fcntl, "F_SETLEASE"), reason="this system has no leases on files")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATIO_SEARCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def index(tmp_path: Path) -> FileIndex:
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(LINES))
    return FileIndex.open(tmp_path / "rows.jsonl")


@pytest.fixture
def mapped(index: FileIndex) -> Iterator[Reader]:
    """A reader with a lease on its file."""
    with Reader(index) as reader:
        if reader.view is None:
            pytest.skip("this file system grants no leases")
        yield reader


def every(reader: Reader) -> list[bytes]:
    return reader.lines(np.arange(len(LINES)))


def writer(path: Path, work: str) -> subprocess.Popen[bytes]:
    """Another process that changes the file."""
    return subprocess.Popen([sys.executable, "-c", f"import os\npath = {str(path)!r}\n{work}"])


def wait_until_asked_for(reader: Reader) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            reader.check()
        except DataError:
            return
        time.sleep(0.01)
    pytest.fail("nobody asked for the file")


def test_gives_lines_in_any_order(index: FileIndex) -> None:
    order = np.random.default_rng(0).permutation(len(LINES))
    with Reader(index) as reader:
        assert reader.lines(order) == [LINES[i] for i in order]
        assert reader.read(0, 5) == LINES[0][:5]


def test_a_file_that_someone_writes_is_read_without_a_map(index: FileIndex) -> None:
    with index.path.open("r+b"), Reader(index) as reader:
        assert reader.view is None
        assert every(reader) == LINES


@leases
@pytest.mark.parametrize("work", ["os.truncate(path, 10)", "open(path, 'ab').write(b'x')", "open(path, 'wb')"])
def test_who_wants_to_change_a_mapped_file_waits_until_it_is_let_go(
    index: FileIndex, mapped: Reader, work: str
) -> None:
    before = index.path.read_bytes()
    with writer(index.path, work) as other:
        wait_until_asked_for(mapped)
        assert mapped.view is not None
        assert bytes(mapped.view) == before  # all of it can still be touched
        with pytest.raises(DataError, match=r"rows\.jsonl: changed since it was indexed"):
            every(mapped)
        assert other.poll() is None
        mapped.__exit__(None, None, None)
        assert other.wait(60) == 0
    assert index.path.read_bytes() != before


@leases
def test_readers_do_not_wait_for_each_other(index: FileIndex, mapped: Reader) -> None:
    with Reader(index) as second:
        assert second.view is not None
        assert every(second) == every(mapped) == LINES


@leases
def test_what_is_still_held_does_not_keep_it_from_closing(index: FileIndex, mapped: Reader) -> None:
    assert mapped.view is not None
    held = mapped.view[:5]
    mapped.__exit__(None, None, None)
    assert bytes(held) == LINES[0][:5]
    index.path.write_bytes(b"")  # nobody waits


def test_the_copy_of_a_packed_file_is_mapped_without_a_lease(tmp_path: Path) -> None:
    packed = tmp_path / "rows.jsonl.gz"
    packed.write_bytes(gzip.compress(b"\n".join(LINES)))
    index = FileIndex.open(packed)
    with index.content.open("r+b"), Reader(index) as reader:
        assert reader.view is not None
        packed.write_bytes(b"")
        assert every(reader) == LINES


@pytest.mark.parametrize("size", [0, 100, 10**6])
def test_a_file_of_another_size_is_noticed_before_it_is_touched(index: FileIndex, size: int) -> None:
    os.truncate(index.path, size)
    with Reader(index) as reader, pytest.raises(DataError, match=r"rows\.jsonl: changed since it was indexed"):
        every(reader)


def test_a_file_without_rows_can_be_opened(tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").write_bytes(b"")
    with Reader(FileIndex.open(tmp_path / "none.jsonl")) as reader:
        assert reader.lines(np.arange(0)) == []
