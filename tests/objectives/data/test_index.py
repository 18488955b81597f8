from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import orjson
import pyarrow
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from objectives.data.index import LARGE_BYTES, FileIndex, make_indexes
from objectives.data.reader import Reader
from objectives.data.rows import (
    MAX_LINE_BYTES,
    Format,
    Message,
    Parsed,
    Problem,
    ProblemKind,
    Role,
    Row,
    dump,
    parse,
    refusal,
)
from objectives.errors import DataError
from tests.objectives.data.rows import strategies

GOOD = b'{"instruction": "x", "output": "y"}'
BAD = {
    b"no JSON": ProblemKind.NOT_JSON,
    b'{"instruction": "\xff"}': ProblemKind.NOT_UTF8,
    b'{"instruction": "x"}': ProblemKind.NOT_A_ROW,
    b'{"instruction": "x", "output": " "}': ProblemKind.EMPTY_OUTPUT,
}
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}

in_one_folder = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where indexes are kept; the folder is not there yet."""
    monkeypatch.setenv("RATIO_SEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk, and not everywhere")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def write(path: Path, *found: bytes) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in found))
    return path


def numbered(count: int, size: int = 0) -> list[bytes]:
    """Lines with rows of some size that are all different."""
    filler = "x" * size
    return [f'{{"instruction": "{number} {filler}", "output": "y"}}'.encode() for number in range(count)]


def lines(index: FileIndex) -> list[bytes]:
    with Reader(index) as reader:
        return reader.lines(np.arange(len(index)))


def row_of(line: bytes) -> Row:
    parsed = parse(line)
    assert isinstance(parsed, Parsed)
    return parsed.row


def entries(cache: Path) -> list[str]:
    """What is in the folder of indexes, but for locks and notes."""
    return sorted(path.name for path in (cache / "index-1").iterdir() if path.suffix not in (".lock", ".json"))


def fill(disk: Path, free: int) -> None:
    """Leaves some bytes free on a disk."""
    (disk / "filler").unlink(missing_ok=True)
    status = os.statvfs(disk)
    (disk / "filler").write_bytes(bytes(max(0, status.f_bavail * status.f_frsize - free)))


class Characters:
    """Counts a row's characters, and how often it is asked."""

    about = "by characters"

    def __init__(self, name: str = "characters") -> None:
        self.name = name
        self.counted = 0

    def count(self, rows: Sequence[Row]) -> list[int]:
        self.counted += len(rows)
        return [len(row.text) for row in rows]


def run_at_once(program: str, count: int, folder: Path, *arguments: Path) -> list[str]:
    """Starts a program several times, lets all begin at once, and returns what they print."""
    waiting = "import sys, time; from pathlib import Path\n" + program.replace(
        "WAIT", "print('ready', flush=True)\nwhile not Path(sys.argv[1]).exists(): time.sleep(0.001)"
    )
    go = folder / "go"
    command = [sys.executable, "-W", "error", "-c", waiting, str(go), *map(str, arguments)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    go.touch()
    found = [process.communicate()[0].strip() for process in started]
    assert [process.returncode for process in started] == [0] * count
    return found


def half_way(folder: Path, change: Callable[[], None]) -> threading.Thread:
    """Starts a thread that changes something while the index is made that will be this folder."""
    column = folder.with_name(f"{folder.name}.partial") / "offset"

    def wait() -> None:
        deadline = time.monotonic() + 60
        while not (column.exists() and column.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.0005)
        change()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


row_lines = st.builds(
    lambda row, format_: dump(row, format_) if refusal(row, format_) is None else GOOD,
    strategies.plain_rows | strategies.labelled_rows | strategies.conversations(),
    st.sampled_from(list(Format)),
)
any_lines = row_lines | st.sampled_from([*BAD, b"", b" \t ", b"\x0b", b"  " + GOOD + b" ", GOOD])


class TestLines:
    @in_one_folder
    @given(
        st.lists(any_lines, max_size=12),
        st.sampled_from([b"\n", b"\r\n"]),
        st.sampled_from([b"", b"\xef\xbb\xbf"]),
        st.booleans(),
        st.sampled_from(sorted(PACKED)),
    )
    def test_are_those_of_the_file_with_their_numbers(
        self, tmp_path: Path, written: list[bytes], end: bytes, mark: bytes, ended: bool, packing: str
    ) -> None:
        file = tmp_path / "rows"
        file.write_bytes(PACKED[packing](mark + end.join(written) + (end if ended else b"")))
        index = FileIndex.open(file)

        parsed = [(number, line.strip(), parse(line.strip())) for number, line in enumerate(written, start=1)]
        good = [(number, line) for number, line, found in parsed if isinstance(found, Parsed)]
        bad = [(number, found) for number, line, found in parsed if line and isinstance(found, Problem)]
        assert [(index.line(row), line) for row, line in enumerate(lines(index))] == good
        assert list(index.problems()) == bad
        assert index.problem_counts == Counter(problem.kind for _, problem in bad)
        assert index.length.tolist() == [len(line) for _, line in good]
        assert index.text.tolist() == [len(row_of(line).text.encode()) for _, line in good]

    @pytest.mark.parametrize("packing", sorted(PACKED))
    def test_can_be_read_in_any_order(self, tmp_path: Path, packing: str) -> None:
        written = numbered(100)
        file = tmp_path / "rows"
        file.write_bytes(PACKED[packing](b"\n".join(written)))
        numbers = np.random.default_rng(0).integers(0, 100, 300)
        with Reader(FileIndex.open(file)) as reader:
            assert reader.lines(numbers) == [written[number] for number in numbers]
            assert reader.rows(numbers) == [row_of(written[number]) for number in numbers]
            assert reader.lines(numbers[:0]) == []

    def test_of_parquet_are_its_records(self, tmp_path: Path) -> None:
        records = [
            {"instruction": "first", "output": "yes", "label": None},
            {"instruction": None, "output": None, "label": None},
            {"instruction": "third ☂", "output": "no, never", "label": "no"},
        ]
        parquet.write_table(pyarrow.Table.from_pylist(records), tmp_path / "rows")
        index = FileIndex.open(tmp_path / "rows")
        assert [json.loads(line) for line in lines(index)] == [
            {"instruction": "first", "output": "yes"},
            {"instruction": "third ☂", "output": "no, never", "label": "no"},
        ]
        assert [index.line(row) for row in range(2)] == [1, 3]
        assert [(number, problem.kind) for number, problem in index.problems()] == [(2, ProblemKind.NOT_A_ROW)]

    def test_are_found_beyond_what_is_written_at_once(self, tmp_path: Path) -> None:
        written = numbered(40_000)
        index = FileIndex.open(write(tmp_path / "rows", *written))
        assert lines(index) == written
        assert len(set(index.hash.tolist())) == 40_000

    def test_that_are_too_long_are_problems(self, tmp_path: Path) -> None:
        index = FileIndex.open(write(tmp_path / "rows", GOOD, b"x" * (MAX_LINE_BYTES + 1), GOOD))
        assert lines(index) == [GOOD, GOOD]
        assert [index.line(row) for row in range(2)] == [1, 3]
        assert [(number, problem.kind) for number, problem in index.problems()] == [(2, ProblemKind.TOO_LONG)]


class TestFew:
    @pytest.mark.parametrize("packing", sorted(PACKED))
    @pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf", b" \n\t\r\n"])
    def test_a_file_without_lines_has_no_rows(self, tmp_path: Path, content: bytes, packing: str) -> None:
        (tmp_path / "rows").write_bytes(PACKED[packing](content))
        for _ in range(2):
            index = FileIndex.open(tmp_path / "rows")
            assert len(index) == len(lines(index)) == 0
            assert index.problem_counts == {}
            assert index.tokens(Characters()).tolist() == []

    def test_a_file_of_bad_lines_only_has_problems_only(self, tmp_path: Path) -> None:
        write(tmp_path / "rows", *BAD, *BAD)
        for _ in range(2):
            index = FileIndex.open(tmp_path / "rows")
            assert len(index) == 0
            assert index.problem_counts == dict.fromkeys(BAD.values(), 2)
            assert [number for number, _ in index.problems()] == list(range(1, 2 * len(BAD) + 1))


class TestLabels:
    def test_are_named_once_and_numbered(self, tmp_path: Path) -> None:
        rows = [Row.of("a", f"{label}!", label) for label in ("no", "yes", "no", "maybe ☂")]
        written = [dump(row, Format.INSTRUCTION) for row in rows]
        index = FileIndex.open(write(tmp_path / "rows", written[0], GOOD, *written[1:]))
        assert index.labels == ("no", "yes", "maybe ☂")
        assert index.label.tolist() == [0, -1, 1, 0, 2]


class TestForm:
    @in_one_folder
    @given(
        st.lists(st.tuples(strategies.rows, st.sampled_from(list(Format)), st.sampled_from("-_r+")), max_size=6),
    )
    def test_says_what_parsing_and_writing_say(self, tmp_path: Path, drawn: list[tuple[Row, Format, str]]) -> None:
        written = [GOOD]
        for row, format_, spelling in drawn:
            if refusal(row, format_) is None:
                line = dump(row, format_)
                if spelling == "_":
                    line = json.dumps(orjson.loads(line)).encode()
                elif spelling == "r":  # white space to JSON, and a line end to others
                    line = b"{\r" + line[1:]
                elif spelling == "+":
                    line = line[:-1] + b',"further":1}'
                written.append(line)
        found = [parsed for line in written if isinstance(parsed := parse(line), Parsed)]
        index = FileIndex.open(write(tmp_path / "rows", *written))
        assert len(index) == len(found)
        for format_ in Format:
            assert index.holds(format_).tolist() == [refusal(one.row, format_) is None for one in found]
            verbatim = index.verbatim(format_, np.arange(len(index)))
            assert verbatim.tolist() == [one.verbatim and one.format is format_ for one in found]

    def test_tells_formats_apart(self, tmp_path: Path) -> None:
        said = [Message(role=role, text="so") for role in (Role.USER, Role.ASSISTANT) * 2]
        written = [dump(Row(messages=tuple(said)), format_) for format_ in list(Format)[1:]]
        index = FileIndex.open(write(tmp_path / "rows", GOOD, GOOD.replace(b" ", b"\r"), *written))
        verbatim = [index.verbatim(format_, np.arange(5)).tolist() for format_ in Format]
        assert verbatim == [
            [True, False, False, False, False],
            [False, False, True, False, False],
            [False, False, False, True, False],
            [False, False, False, False, True],
        ]
        assert index.holds(Format.INSTRUCTION).tolist() == [True, True, False, False, False]


class TestKeeping:
    def test_what_was_made_is_used_again(self, tmp_path: Path, cache: Path) -> None:
        file = write(tmp_path / "rows", GOOD, *BAD)
        first = FileIndex.open(file)
        made = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in first.folder.iterdir()}
        again = FileIndex.open(file)
        assert again.folder == first.folder
        assert {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in first.folder.iterdir()} == made
        assert entries(cache) == [first.sha256]
        assert lines(again) == lines(first) == [GOOD]

    def test_a_cache_can_be_named(self, tmp_path: Path, cache: Path) -> None:
        index = FileIndex.open(write(tmp_path / "rows", GOOD), tmp_path / "elsewhere")
        assert index.folder.parent == tmp_path / "elsewhere"
        assert not cache.exists()

    def test_the_same_content_has_one_index(self, tmp_path: Path, cache: Path) -> None:
        file = write(tmp_path / "rows", GOOD)
        first = FileIndex.open(file)
        made = (first.folder / "about.json").stat()
        other = Path(shutil.copy(file, tmp_path / "other"))
        file.touch()
        linked = tmp_path / "linked"
        linked.symlink_to(other)
        for path in (file, other, linked):
            index = FileIndex.open(path)
            assert (index.path, index.folder) == (path, first.folder)
            assert lines(index) == [GOOD]
        assert (first.folder / "about.json").stat() == made
        assert entries(cache) == [first.sha256]

    def test_other_content_has_another(self, tmp_path: Path, cache: Path) -> None:
        file = write(tmp_path / "rows", GOOD)
        first = FileIndex.open(file)
        other = GOOD.replace(b"y", b"z")
        second = FileIndex.open(write(file, other))
        assert lines(second) == [other]
        assert entries(cache) == sorted([first.sha256, second.sha256])

    def test_a_change_within_one_tick_of_the_clock_is_noticed(self, tmp_path: Path) -> None:
        file = tmp_path / "rows"
        file.touch()
        status = file.stat()
        for number in range(26):
            line = GOOD.replace(b"x", bytes([97 + number]))
            with file.open("r+b") as out:
                out.write(line)
            os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
            assert lines(FileIndex.open(file)) == [line]

    @pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux counts what a process reads")
    def test_a_file_that_stays_as_it_is_is_read_once(self, tmp_path: Path) -> None:
        file = write(tmp_path / "rows", *numbered(500, 2_000))
        time.sleep(2.1)  # a younger file may change without a new time stamp

        def read() -> int:
            return int(Path("/proc/self/io").read_text().split()[1])

        before = read()
        first = FileIndex.open(file)
        once = read() - before
        assert once >= 1_000_000
        second = FileIndex.open(file)
        assert read() - before - once < 100_000
        [note] = first.folder.parent.glob("*.json")
        note.write_bytes(note.read_bytes()[:20])  # half a note is none
        third = FileIndex.open(file)
        assert first.folder == second.folder == third.folder

    @pytest.mark.parametrize("packing", sorted(PACKED))
    def test_what_is_not_whole_is_made_anew(self, tmp_path: Path, packing: str) -> None:
        file = tmp_path / "rows"
        file.write_bytes(PACKED[packing](b"\n".join([*numbered(50), *BAD, b"", GOOD])))
        first = FileIndex.open(file)
        expected = {path.name: path.read_bytes() for path in first.folder.iterdir()}
        found = lines(first)
        del first
        for name, content in expected.items():
            part = next(file.parent.rglob(f"index-1/*/{name}"))
            for torn in (content[:-1], content[: len(content) // 2], b"", None):
                if torn is None:
                    part.unlink()
                else:
                    part.write_bytes(torn)
                again = FileIndex.open(file)
                assert {path.name: path.read_bytes() for path in again.folder.iterdir()} == expected
                assert lines(again) == found

    def test_what_another_left_half_done_is_replaced(self, tmp_path: Path, cache: Path) -> None:
        file = write(tmp_path / "rows", GOOD)
        first = FileIndex.open(file)
        first.folder.rename(first.folder.with_name(f"{first.sha256}.partial"))
        (first.folder.with_name(f"{first.sha256}.partial") / "left").touch()
        again = FileIndex.open(file)
        assert lines(again) == [GOOD]
        assert not (again.folder / "left").exists()
        assert entries(cache) == [first.sha256]


class TestAtOnce:
    def test_one_of_several_processes_makes_it_and_the_others_wait(self, tmp_path: Path, cache: Path) -> None:
        file = write(tmp_path / "rows", *numbered(60_000))
        program = """
from objectives.data.index import LARGE_BYTES, FileIndex, make_indexes
WAIT
index = FileIndex.open(Path(sys.argv[2]))
status = (index.folder / "about.json").stat()
print(len(index), status.st_ino, status.st_mtime_ns)
"""
        found = run_at_once(program, 3, tmp_path, file)
        index = FileIndex.open(file)
        status = (index.folder / "about.json").stat()
        assert found == [f"60000 {status.st_ino} {status.st_mtime_ns}"] * 3
        assert entries(cache) == [index.sha256]

    def test_one_that_is_killed_half_way_leaves_nothing_that_is_mistaken(self, tmp_path: Path, cache: Path) -> None:
        count = 300_000
        file = tmp_path / "rows"
        with file.open("wb") as out:
            out.writelines(line + b"\n" for line in numbered(count, 200))
        assert file.stat().st_size > 60_000_000
        program = "import sys; from objectives.data.index import *; FileIndex.open(Path(sys.argv[1]))"
        process = subprocess.Popen([sys.executable, "-c", program, str(file)])
        while not (partial := [*cache.glob("index-1/*.partial")]) or not (partial[0] / "offset").exists():
            assert process.poll() is None
            time.sleep(0.001)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert partial[0].exists()
        assert entries(cache) == [partial[0].name]

        index = FileIndex.open(file)
        assert len(index) == count
        with Reader(index) as reader:
            last = row_of(numbered(count, 200)[-1])
            assert reader.rows(np.array([count - 1])) == [last]
        assert entries(cache) == [index.sha256]

    def test_large_files_are_looked_through_side_by_side(self, tmp_path: Path, cache: Path) -> None:
        large = [write(tmp_path / name, *numbered(5, LARGE_BYTES // 5), name.encode()) for name in "abc"]
        large[2].write_bytes(gzip.compress(b"")[:10] + bytes(LARGE_BYTES))  # one that cannot be read
        make_indexes([*large, *large, write(tmp_path / "small", GOOD), tmp_path / "nowhere"])
        made = {path: path.stat().st_ino for path in cache.glob("index-1/*/about.json")}
        assert len(made) == len(entries(cache)) == 2
        assert [lines(FileIndex.open(path)) for path in large[:2]] == [numbered(5, LARGE_BYTES // 5)] * 2
        assert {path: path.stat().st_ino for path in cache.glob("index-1/*/about.json")} == made

    def test_one_large_file_is_left_to_whoever_opens_it(self, tmp_path: Path, cache: Path) -> None:
        make_indexes([write(tmp_path / "large", *numbered(5, LARGE_BYTES // 5)), write(tmp_path / "small", GOOD)])
        assert not cache.exists()


class TestFailing:
    @pytest.mark.parametrize("below", ["", "cache", "deep/cache"])
    def test_a_cache_that_is_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setenv("RATIO_SEARCH_CACHE", str(tmp_path / "file" / below))
        with pytest.raises(DataError, match=r"cannot be kept in .*file.*; free some room, or set RATIO_SEARCH_CACHE"):
            FileIndex.open(write(tmp_path / "rows", GOOD))

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_cache_that_is_not_ours(self, tmp_path: Path, cache: Path) -> None:
        cache.mkdir(mode=0o500)
        with pytest.raises(
            DataError, match=r"cannot be kept in .*cache.*\(Permission denied\).*set RATIO_SEARCH_CACHE"
        ):
            FileIndex.open(write(tmp_path / "rows", GOOD))

    def test_a_cache_on_a_disk_that_cannot_be_written_to(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_disk: Path
    ) -> None:
        monkeypatch.setenv("RATIO_SEARCH_CACHE", str(small_disk / "cache"))
        known = FileIndex.open(write(tmp_path / "known", GOOD))
        known.tokens(Characters())
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        with pytest.raises(DataError, match=r"the index of .*new cannot be kept.*set RATIO_SEARCH_CACHE"):
            FileIndex.open(write(tmp_path / "new", GOOD, GOOD))
        again = FileIndex.open(tmp_path / "known")  # what is there can be used
        assert again.tokens(Characters()).tolist() == [3]
        with pytest.raises(DataError, match=r"token counts of .*known cannot be kept.*set RATIO_SEARCH_CACHE"):
            again.tokens(Characters("others"))

    def test_a_disk_that_is_full_sooner_or_later(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_disk: Path
    ) -> None:
        cache = small_disk / "cache"
        monkeypatch.setenv("RATIO_SEARCH_CACHE", str(cache))
        written = [*numbered(2_000), *BAD]
        file = write(tmp_path / "rows", *written)
        results = []
        for free in range(0, 140_000, 4096):
            shutil.rmtree(cache, ignore_errors=True)
            fill(small_disk, free)
            try:
                found = FileIndex.open(file)
            except DataError as error:
                results.append("refused")
                assert "set RATIO_SEARCH_CACHE to a folder that can be written to" in str(error)
                assert not [*cache.glob("index-1/*.partial")]
            else:
                results.append("made")
                assert lines(found) == written[:2_000]
                del found
        assert [result for result, _ in itertools.groupby(results)] == ["refused", "made"]

    def test_room_for_the_index_but_not_for_the_token_counts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_disk: Path
    ) -> None:
        monkeypatch.setenv("RATIO_SEARCH_CACHE", str(small_disk / "cache"))
        index = FileIndex.open(write(tmp_path / "rows", *numbered(3_000)))
        results = []
        for free in range(0, 40_000, 4096):
            fill(small_disk, free)
            try:
                counts = index.tokens(Characters())
            except DataError as error:
                results.append("refused")
                assert "set RATIO_SEARCH_CACHE" in str(error)
            else:
                results.append("kept")
                assert counts.tolist() == index.text.tolist()
                del counts
                (index.folder / "tokens-characters").unlink()
        assert [result for result, _ in itertools.groupby(results)] == ["refused", "kept"]

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"nowhere: cannot be read \(No such file or directory\); expected a file"):
            FileIndex.open(tmp_path / "nowhere")

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"cannot be read \(Is a directory\); expected a file of rows"):
            FileIndex.open(tmp_path)

    @pytest.mark.parametrize("packing", ["gzip", "zstd"])
    def test_a_torn_packed_file_leaves_nothing(self, tmp_path: Path, cache: Path, packing: str) -> None:
        packed = PACKED[packing](b"\n".join(numbered(5_000)))
        (tmp_path / "rows").write_bytes(packed[: len(packed) // 2])
        for _ in range(2):
            with pytest.raises(DataError, match=rf"{packing} file"):
                FileIndex.open(tmp_path / "rows")
            assert entries(cache) == []


class TestChangesMeanwhile:
    def test_a_file_that_grows_is_refused_and_no_wrong_index_is_kept(self, tmp_path: Path, cache: Path) -> None:
        file = write(tmp_path / "rows", *numbered(120_000))
        size = file.stat().st_size
        original = Path(shutil.copy(file, tmp_path / "original"))

        def grow() -> None:
            with file.open("ab") as out:
                out.write(b"\n".join([GOOD] * 10))

        thread = half_way(cache / "index-1" / self.digest(original), grow)
        with pytest.raises(DataError, match="rows: changed while it was read; expected a file that stays as it is"):
            FileIndex.open(file)
        thread.join()
        assert file.stat().st_size > size
        assert entries(cache) == []
        assert len(FileIndex.open(original)) == 120_000
        assert len(FileIndex.open(file)) == 120_010

    def test_a_file_that_vanishes_is_refused(self, tmp_path: Path, cache: Path) -> None:
        file = write(tmp_path / "rows", *numbered(120_000))
        thread = half_way(cache / "index-1" / self.digest(file), file.unlink)
        with pytest.raises(DataError, match="rows: changed while it was read"):
            FileIndex.open(file)
        thread.join()
        assert not file.exists()
        assert entries(cache) == []

    def test_a_known_file_that_is_touched_all_the_time_is_refused(self, tmp_path: Path) -> None:
        file = write(tmp_path / "rows", *numbered(10_000))
        FileIndex.open(file)
        enough = threading.Event()

        def touch() -> None:
            while not enough.is_set():
                file.touch()

        thread = threading.Thread(target=touch)
        thread.start()
        try:
            deadline = time.monotonic() + 60
            with pytest.raises(DataError, match="rows: changed while it was read"):
                while time.monotonic() < deadline:
                    FileIndex.open(file)
        finally:
            enough.set()
            thread.join()

    @staticmethod
    def digest(file: Path) -> str:
        """A file's, as an index tells it."""
        return FileIndex.open(file, file.parent / "another cache").sha256


def append(file: Path) -> None:
    with file.open("ab") as out:
        out.write(GOOD)


def replaced(file: Path) -> None:
    other = file.with_name("new")
    other.write_bytes(file.read_bytes())
    other.replace(file)


CHANGES = {
    "append": append,
    "truncate": lambda file: os.truncate(file, 40),
    "empty": lambda file: os.truncate(file, 0),
    "overwrite": lambda file: file.write_bytes(b"x" * file.stat().st_size),
    "replace": replaced,
}


class TestReader:
    @pytest.mark.parametrize("name", sorted(CHANGES))
    def test_refuses_a_file_that_has_changed_since(self, tmp_path: Path, name: str) -> None:
        index = FileIndex.open(write(tmp_path / "rows", *numbered(1_000, 100)))
        time.sleep(0.02)  # until the clock of the file system has ticked
        CHANGES[name](index.path)
        with pytest.raises(DataError, match=r"rows: changed since it was indexed; let it stay as it is"):
            lines(index)
        with pytest.raises(DataError, match="changed since it was indexed"):
            index.tokens(Characters())

    @pytest.mark.parametrize("written", [False, True], ids=["open to us only", "open for writing"])
    @pytest.mark.parametrize("name", sorted(CHANGES))
    def test_notices_a_change_while_it_reads(self, tmp_path: Path, name: str, written: bool) -> None:
        expected = numbered(1_000, 100)
        index = FileIndex.open(write(tmp_path / "rows", *expected))
        time.sleep(0.02)
        change = threading.Thread(target=CHANGES[name], args=(index.path,))
        with contextlib.ExitStack() as stack:
            if written:  # then there is no lease to be had
                stack.enter_context(index.path.open("ab"))
            reader = stack.enter_context(Reader(index))
            assert reader.lines(np.arange(1_000)) == expected
            change.start()
            with pytest.raises(DataError, match=r"rows: changed since it was indexed; let it stay as it is"):
                while True:
                    assert reader.lines(np.arange(1_000)) == expected
        change.join()

    def test_refuses_a_file_that_is_gone(self, tmp_path: Path) -> None:
        index = FileIndex.open(write(tmp_path / "rows", GOOD))
        index.path.unlink()
        with pytest.raises(DataError, match=r"rows: cannot be read \(No such file or directory\); expected it where"):
            lines(index)

    def test_reads_a_packed_file_from_its_copy(self, tmp_path: Path) -> None:
        file = tmp_path / "rows.gz"
        file.write_bytes(gzip.compress(GOOD))
        index = FileIndex.open(file)
        file.unlink()
        assert lines(index) == [GOOD]
        index.content.unlink()
        with pytest.raises(DataError, match=r"rows.jsonl: cannot be read \(No such file"):
            lines(index)


COUNTING = """
from objectives.data.index import LARGE_BYTES, FileIndex, make_indexes

class Slow:
    name, about = "slow", "slowly"

    def count(self, rows):
        with Path(sys.argv[3]).open("a") as out:
            out.write("counted\\n")
        time.sleep(0.3)
        return [7] * len(rows)

index = FileIndex.open(Path(sys.argv[2]))
WAIT
print(index.tokens(Slow()).tolist())
"""

DYING = """
import os, signal, sys
from pathlib import Path
from objectives.data.index import LARGE_BYTES, FileIndex, make_indexes

class Dying:
    name, about = "characters", "never"

    def count(self, rows):
        if len(rows) < 16_384:
            os.kill(os.getpid(), signal.SIGKILL)
        return [1] * len(rows)

FileIndex.open(Path(sys.argv[1])).tokens(Dying())
"""


class TestTokens:
    def test_are_counted_once_for_each_name(self, tmp_path: Path) -> None:
        file = write(tmp_path / "rows", *numbered(20_000), *BAD)
        counter, other = Characters(), Characters("others")
        first = FileIndex.open(file).tokens(counter)
        assert first.tolist() == FileIndex.open(file).text.tolist()
        again = FileIndex.open(file).tokens(counter)
        assert (counter.counted, again.tolist()) == (20_000, first.tolist())
        assert FileIndex.open(file).tokens(other).tolist() == first.tolist()
        assert other.counted == 20_000

    @pytest.mark.parametrize("kept", [0, 1, 4, 11])
    def test_that_were_kept_in_part_are_counted_again(self, tmp_path: Path, kept: int) -> None:
        index = FileIndex.open(write(tmp_path / "rows", GOOD, GOOD, GOOD))
        counter = Characters()
        assert index.tokens(counter).tolist() == [3, 3, 3]
        os.truncate(index.folder / "tokens-characters", kept)
        assert index.tokens(counter).tolist() == [3, 3, 3]
        assert counter.counted == 6

    def test_are_counted_by_one_of_two_processes_that_ask_at_once(self, tmp_path: Path) -> None:
        file = write(tmp_path / "rows", GOOD, GOOD)
        found = run_at_once(COUNTING, 2, tmp_path, file, tmp_path / "log")
        assert found == ["[7, 7]"] * 2
        assert (tmp_path / "log").read_text() == "counted\n"

    def test_of_a_process_that_was_killed_half_way_are_counted_again(self, tmp_path: Path) -> None:
        file = write(tmp_path / "rows", *numbered(17_000))
        killed = subprocess.run([sys.executable, "-c", DYING, str(file)], check=False)
        assert killed.returncode == -signal.SIGKILL
        index, counter = FileIndex.open(file), Characters()
        assert index.tokens(counter).tolist() == index.text.tolist()
        assert counter.counted == 17_000
        assert not [*index.folder.glob("*.partial")]
