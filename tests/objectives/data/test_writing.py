from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from objectives.data import writing
from objectives.data.blend import Blend, Weigh
from objectives.data.dataset import Dataset
from objectives.data.gathering import Gathering
from objectives.data.rows import Format, Row, dump, parse
from objectives.data.writing import Written, blended, write
from objectives.errors import DataError
from objectives.mixture import Mixture

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys
from pathlib import Path
from tests.objectives.data.test_writing import opened, run_of, write, Format
folder, rows, out = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
data = opened(folder)
print("begins", flush=True)
written, _ = write(run_of(data, rows), data, Format.INSTRUCTION, [out])
print(written[0].sha256)
"""
FROZEN = {
    Format.INSTRUCTION: "6ce56fb5b9cb7c55c6ca052e077e27cc9eb4c640ca46d730b789cf017025c516",
    Format.MESSAGES: "0e38d42524fc80e22aa5ea6ffaf8e1892c3a11d82372a65dd04b633891ee5d5a",
    Format.CONVERSE: "9d32cbcbc379dba5506036c2a5ce95130c216962abd582555d26350b19d287d6",
    Format.CONTENTS: "63123311027d75c049f539b4b6d7dead6537b60ee9e71f512a03c97e26c1fab2",
}
"""Of 3,000 rows in each format."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where indexes are kept."""
    monkeypatch.setenv("RATIO_SEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def line(name: str, number: int, size: int) -> dict[str, Any]:
    return {"instruction": f"{name} {number} {'x' * (number * 7 % 50 + size)}", "output": "yes ☂"}


def make(folder: Path, size: int = 0) -> dict[str, Dataset]:
    """Three domains, written in three ways."""
    folder.mkdir()
    support = [json.dumps(line("support", number, size)) for number in range(40)]
    legal = [
        json.dumps({"completion": row["output"], "prompt": row["instruction"]})
        for row in (line("legal", number, size) for number in range(25))
    ]
    manuals = [
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": row["instruction"]},
                    {"role": "assistant", "content": row["output"]},
                ]
            }
        )
        for row in (line("manuals", number, size) for number in range(10))
    ]
    (folder / "support.jsonl").write_text("".join(f"{text}\n" for text in support[:30]))
    (folder / "support-2.jsonl").write_text("".join(f"\n{text}\n" for text in support[30:]))
    (folder / "legal.jsonl").write_text("".join(f"{text}\n" for text in legal))
    (folder / "manuals.jsonl.gz").write_bytes(gzip.compress("".join(f"{text}\n" for text in manuals).encode()))
    return opened(folder)


def opened(folder: Path) -> dict[str, Dataset]:
    return {
        "support": Dataset.open([folder / "support.jsonl", folder / "support-2.jsonl"]),
        "legal": Dataset.open([folder / "legal.jsonl"]),
        "manuals": Dataset.open([folder / "manuals.jsonl.gz"]),
    }


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Dataset]:
    return make(tmp_path / "data")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An empty folder."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


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


def run_of(data: Mapping[str, Dataset], rows: int, seed: int = 0) -> Blend:
    return Blend(
        mixture=Mixture.of({"support": 0.5, "legal": 0.3, "manuals": 0.2}),
        sizes={name: len(own) for name, own in data.items()},
        seed=seed,
        rows=rows,
        lengths={name: own.lengths(None) for name, own in data.items()},
    )


def content(data: Mapping[str, Dataset], run: Blend, path: Path, format_: Format = Format.INSTRUCTION) -> bytes:
    write(run, data, format_, [path])
    return path.read_bytes()


def domains_of(text: bytes) -> list[str]:
    return [json.loads(row)["instruction"].split()[0] for row in text.splitlines()]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def program(folder: Path, rows: int, out: Path, **environment: str) -> subprocess.Popen[str]:
    """Begins to write in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), str(rows), str(out)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )


CHAT = {"messages": [{"role": role, "content": "x"} for role in ("user", "assistant", "user", "assistant")]}


def pair(instruction: str, output: str = "y", **further: str) -> dict[str, Any]:
    return {"instruction": instruction, "output": output, **further}


def lines_of(path: Path, *lines: dict[str, Any] | bytes) -> Path:
    """Writes lines, objects as JSON and bytes as they are."""
    text = b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def gathered(data: Dataset, format_: Format, numbers: Sequence[int] | None = None) -> list[bytes]:
    """Rows as lines of a format."""
    rows = np.array(range(len(data)) if numbers is None else numbers, dtype=np.int64)
    with Gathering([data], format_) as gathering:
        return gathering.lines(np.zeros_like(rows), rows)


class TestLines:
    def test_copies_lines_that_can_stand_as_they_are(self, tmp_path: Path) -> None:
        lines = [
            b'{ "output":"\\u00fc" ,  "instruction": "x"}',
            b'{"instruction": "x", "output": "y", "system": "s", "label": "y"}',
        ]
        data = Dataset.open([lines_of(tmp_path / "one.jsonl", lines[0], b"", b"   " + lines[1] + b"\r")])
        assert gathered(data, Format.INSTRUCTION, [1, 0, 1]) == [lines[1], lines[0], lines[1]]

    @pytest.mark.parametrize(
        "line",
        [
            {"prompt": "x", "completion": "y"},
            {"question": "x", "answer": "y"},
            {"input": "x", "output": "y"},
            {"instruction": "x", "output": "y", "id": 7},
            {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]},
            {"contents": [{"role": "user", "parts": [{"text": "x"}]}, {"role": "model", "parts": [{"text": "y"}]}]},
        ],
    )
    def test_writes_others_anew(self, tmp_path: Path, line: dict[str, Any]) -> None:
        data = Dataset.open([lines_of(tmp_path / "one.jsonl", line)])
        assert gathered(data, Format.INSTRUCTION) == [b'{"instruction":"x","output":"y"}']
        for format_ in Format:
            [found] = gathered(data, format_)
            assert json.loads(found) == json.loads(dump(Row.of("x", "y"), format_))

    def test_lines_of_another_format_are_converted_and_its_own_copied(self, tmp_path: Path) -> None:
        chat = json.dumps(CHAT).encode()
        data = Dataset.open(
            [lines_of(tmp_path / "one.jsonl", pair("x"), chat), lines_of(tmp_path / "two.jsonl", pair("z"))]
        )
        converted = [dump(Row.of(ask, "y"), Format.MESSAGES) for ask in ("x", "z")]
        assert gathered(data, Format.MESSAGES, [2, 1, 0]) == [converted[1], chat, converted[0]]

    def test_a_row_that_the_format_cannot_hold_is_refused_with_its_place(self, tmp_path: Path) -> None:
        data = Dataset.open(
            [
                lines_of(tmp_path / "one.jsonl", pair("a")),
                lines_of(tmp_path / "two.jsonl", pair("b"), b"", b"no JSON", CHAT),
            ]
        )
        assert len(gathered(data, Format.INSTRUCTION, [0, 1])) == 2
        with pytest.raises(DataError, match=r"two\.jsonl:4: the format instruction cannot hold a conversation"):
            gathered(data, Format.INSTRUCTION)
        with pytest.raises(DataError, match=r"two\.jsonl:4: "):
            gathered(data.without(np.array([0])), Format.INSTRUCTION)

    def test_a_packed_file_gives_the_lines_of_the_plain_one(self, tmp_path: Path) -> None:
        lines = (b"", pair("a"), b"no JSON", CHAT, {"prompt": "x", "completion": "y"}, pair("b", "no", label="no"))
        plain = Dataset.open([lines_of(tmp_path / "one.jsonl", *lines)])
        packed = Dataset.open([lines_of(tmp_path / "one.jsonl.gz", *lines)])
        assert gathered(packed, Format.MESSAGES) == gathered(plain, Format.MESSAGES)
        assert packed.rows() == plain.rows()
        assert packed.labels()[0] == plain.labels()[0] == ("no",)
        assert (packed.lengths(None)(np.arange(4)) == plain.lengths(None)(np.arange(4))).all()
        assert packed.place(2) == f"{tmp_path / 'one.jsonl.gz'}:5"

    def test_no_line_has_a_line_end(self, tmp_path: Path) -> None:
        data = Dataset.open(
            [lines_of(tmp_path / "one.jsonl", b'{"instruction": "x",\r "output": "y\\n"}', pair("a\nb"))]
        )
        for format_ in Format:
            assert not any(end in line for line in gathered(data, format_) for end in (b"\n", b"\r"))

    def test_of_several_data_sets_are_in_the_order_asked_for(self, tmp_path: Path) -> None:
        one = Dataset.open([lines_of(tmp_path / "one.jsonl", *map(pair, "ab"))])
        two = Dataset.open([lines_of(tmp_path / f"two-{name}.jsonl", *map(pair, name)) for name in ("cd", "ef")])
        with Gathering([one, Dataset(files=()), two.without(np.array([0]))], Format.INSTRUCTION) as rows:
            found = rows.lines(np.array([2, 0, 2, 2, 0]), np.array([2, 1, 0, 1, 1]))
            assert [json.loads(line)["instruction"] for line in found] == list("fbdeb")
            assert rows.text(np.array([2, 0]), np.array([2, 1])) == found[0] + b"\n" + found[1] + b"\n"
            assert rows.text(np.array([], dtype=np.int64), np.array([], dtype=np.int64)) == b""

    def test_are_closed(self, tmp_path: Path) -> None:
        data = Dataset.open([lines_of(tmp_path / "one.jsonl", pair("a"))])
        with Gathering([data], Format.INSTRUCTION) as rows:
            assert len(rows.lines(np.array([0]), np.array([0]))) == 1
        with pytest.raises(ValueError, match="closed"):
            rows.lines(np.array([0]), np.array([0]))


class TestContent:
    def test_is_the_rows_of_the_blend_in_its_order(self, data: dict[str, Dataset], out: Path) -> None:
        run = run_of(data, 3000)
        for format_ in Format:
            lines = content(data, run, out / "mix.jsonl", format_).split(b"\n")
            assert lines.pop() == b""
            rows = [parsed.row for parsed in map(parse, lines)]
            known = {name: own.rows() for name, own in data.items()}
            assert rows == [known[name][row] for name, row in run.order()]

    def test_lines_that_fit_are_copied_byte_for_byte(self, data: dict[str, Dataset], out: Path, tmp_path: Path) -> None:
        own = (tmp_path / "data" / "support.jsonl").read_bytes().splitlines()
        lines = content(data, run_of(data, 150), out / "mix.jsonl").splitlines()
        assert set(own) < set(lines)
        assert b'{"instruction":"legal 0 ","output":"yes \xe2\x98\x82"}' in lines

    def test_is_told(self, data: dict[str, Dataset], out: Path) -> None:
        run = run_of(data, 100)
        (written,), tally = write(run, data, Format.INSTRUCTION, [out / "mix.jsonl"])
        text = (out / "mix.jsonl").read_bytes()
        assert written == Written(
            path=out / "mix.jsonl", rows=100, size=len(text), sha256=hashlib.sha256(text).hexdigest()
        )
        assert tally == run.tally()
        assert Counter(domains_of(text)) == tally.rows == {"support": 50, "legal": 30, "manuals": 20}

    def test_ends_where_the_tokens_do(self, data: dict[str, Dataset], out: Path) -> None:
        run = Blend(
            mixture=Mixture.uniform(["support", "legal"]),
            sizes={name: len(own) for name, own in data.items()},
            seed=0,
            tokens=5000,
            weigh_by=Weigh.TOKENS,
            lengths={name: own.lengths(None) for name, own in data.items()},
        )
        written, tally = write(run, data, Format.INSTRUCTION, [out / "a", out / "b"])
        assert tally == run.tally() and tally.tokens is not None
        assert 4900 < sum(tally.tokens.values()) <= 5000
        assert sum(file.rows for file in written) == sum(tally.rows.values()) == len(list(run.order()))

    def test_may_be_nothing(self, data: dict[str, Dataset], out: Path) -> None:
        assert content(data, run_of(data, 0), out / "mix.jsonl") == b""

    def test_needs_no_data_of_a_domain_without_share(self, data: dict[str, Dataset], out: Path) -> None:
        run = Blend(mixture=Mixture.of({"legal": 1.0, "other": 0.0}), sizes={"legal": 25}, seed=0, rows=50)
        assert set(domains_of(content(data, run, out / "mix.jsonl"))) == {"legal"}


class TestSameBytes:
    def test_are_written_on_every_machine_and_by_every_version(self, data: dict[str, Dataset], out: Path) -> None:
        run = run_of(data, 3000)
        found = {
            format_: hashlib.sha256(content(data, run, out / "mix.jsonl", format_)).hexdigest() for format_ in Format
        }
        assert found == FROZEN

    def test_are_written_again(self, data: dict[str, Dataset], out: Path, tmp_path: Path) -> None:
        first = content(data, run_of(data, 3000), out / "first")
        assert content(data, run_of(data, 3000), out / "second") == first
        assert content(opened(tmp_path / "data"), run_of(data, 3000), out / "third") == first
        assert content(data, run_of(data, 3000, seed=1), out / "other") != first

    def test_are_written_by_every_process(self, data: dict[str, Dataset], out: Path, tmp_path: Path) -> None:
        expected = hashlib.sha256(content(data, run_of(data, 3000), out / "here")).hexdigest()
        other_cache = {"PYTHONHASHSEED": "2", "RATIO_SEARCH_CACHE": str(tmp_path / "another-cache")}
        processes = [
            program(tmp_path / "data", 3000, out / "one", PYTHONHASHSEED="1"),
            program(tmp_path / "data", 3000, out / "two", **other_cache),
        ]
        told = [process.communicate()[0].split()[-1] for process in processes]
        assert [process.returncode for process in processes] == [0, 0]
        assert told == [expected, expected]
        assert (out / "one").read_bytes() == (out / "two").read_bytes() == (out / "here").read_bytes()

    @pytest.mark.parametrize("held", [1, 300, 10_000])
    def test_are_written_whatever_is_held_at_a_time(
        self, data: dict[str, Dataset], out: Path, monkeypatch: pytest.MonkeyPatch, held: int
    ) -> None:
        whole = content(data, run_of(data, 1500), out / "whole")
        monkeypatch.setattr(writing, "HELD_BYTES", held)
        pieces = [lines for _, lines in blended(run_of(data, 1500), data, Format.INSTRUCTION)]
        assert len(pieces) > 10
        assert all(len(lines) == 1 or sum(map(len, lines)) <= 2 * held for lines in pieces)
        assert content(data, run_of(data, 1500), out / "pieces") == whole
        shards = [out / "a", out / "b", out / "c"]
        write(run_of(data, 1500), data, Format.INSTRUCTION, shards)
        assert b"".join(shard.read_bytes() for shard in shards) == whole


class TestShards:
    @pytest.mark.parametrize("count", [1, 2, 7, 100])
    def test_together_are_the_whole(self, data: dict[str, Dataset], out: Path, count: int) -> None:
        whole = content(data, run_of(data, 2500), out / "whole")
        paths = [out / f"{number}" for number in range(count)]
        written, tally = write(run_of(data, 2500), data, Format.INSTRUCTION, paths)
        texts = [path.read_bytes() for path in paths]
        assert b"".join(texts) == whole
        assert tally == run_of(data, 2500).tally()
        assert [file.path for file in written] == paths
        assert [file.rows for file in written] == [len(text.splitlines()) for text in texts]
        assert [file.size for file in written] == list(map(len, texts))
        assert [file.sha256 for file in written] == [hashlib.sha256(text).hexdigest() for text in texts]

    @pytest.mark.parametrize("count", [2, 7, 100])
    def test_each_has_its_part_and_the_shares(self, data: dict[str, Dataset], out: Path, count: int) -> None:
        paths = [out / f"{number}" for number in range(count)]
        run = run_of(data, 2500)
        write(run, data, Format.INSTRUCTION, paths)
        for path in paths:
            found = Counter(domains_of(path.read_bytes()))
            rows = sum(found.values())
            assert abs(rows - 2500 / count) < 1
            # A beginning holds the shares within one row, and a shard is the difference of two of them.
            assert all(abs(found[name] - share * rows) < 2 for name, share in run.mixture.items())

    @pytest.mark.parametrize("rows", [0, 1, 3])
    def test_may_be_more_than_rows(self, data: dict[str, Dataset], out: Path, rows: int) -> None:
        whole = content(data, run_of(data, rows), out / "whole")
        paths = [out / f"{number}" for number in range(5)]
        written, _ = write(run_of(data, rows), data, Format.INSTRUCTION, paths)
        assert sum(file.rows for file in written) == rows
        assert max(file.rows for file in written) <= 1
        assert b"".join(path.read_bytes() for path in paths) == whole
        assert names(out) == ["0", "1", "2", "3", "4", "whole"]


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b'{"instruction": "new", "output": "y"}\n')


def rewrite(path: Path) -> None:
    """Other content of the same length, with the old time of change."""
    status, text = path.stat(), path.read_bytes()
    while path.stat().st_ctime_ns == status.st_ctime_ns:  # time goes on in steps
        path.write_bytes(text.replace(b"legal", b"LEGAL"))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size and path.stat().st_mtime_ns == status.st_mtime_ns


def replace(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copy2(path, copy)
    copy.replace(path)


CHANGES: dict[str, Callable[[Path], None]] = {
    "append": append,
    "rewrite": rewrite,
    "replace": replace,
    "truncate": lambda path: os.truncate(path, 100),
    "empty": lambda path: os.truncate(path, 0),
    "delete": Path.unlink,
}


class TestTrainingFilesThatChange:
    @pytest.mark.parametrize("change", CHANGES)
    def test_before_are_an_error_and_leave_what_was_there(
        self, data: dict[str, Dataset], out: Path, tmp_path: Path, change: str
    ) -> None:
        (out / "mix.jsonl").write_bytes(b"old\n")
        CHANGES[change](tmp_path / "data" / "legal.jsonl")
        with pytest.raises(DataError, match=r"legal\.jsonl: (changed since it was indexed|cannot be read)"):
            write(run_of(data, 100), data, Format.INSTRUCTION, [out / "mix.jsonl", out / "more.jsonl"])
        assert names(out) == ["mix.jsonl"]
        assert (out / "mix.jsonl").read_bytes() == b"old\n"

    @pytest.mark.parametrize("change", ["append", "truncate", "empty", "replace", "delete"])
    @pytest.mark.parametrize("shared", [False, True], ids=["alone", "open-elsewhere"])
    def test_meanwhile_are_an_error(self, data: dict[str, Dataset], tmp_path: Path, change: str, shared: bool) -> None:
        path = tmp_path / "data" / "legal.jsonl"
        code = (
            "import sys, pathlib; from tests.objectives.data.test_writing import CHANGES; "
            "CHANGES[sys.argv[1]](pathlib.Path(sys.argv[2]))"
        )
        # It never ends by itself: it is the change that ends it.
        pieces = blended(run_of(data, 10**12), data, Format.INSTRUCTION)
        other = path.open("r+b") if shared else None
        part, lines = next(pieces)
        assert len(part) == len(lines) > 0
        # Another process, for it may have to wait until we let go of the file.
        changing = subprocess.Popen([sys.executable, "-c", code, change, str(path)], cwd=ROOT)
        with pytest.raises(DataError, match=r"legal\.jsonl: changed since it was indexed"):
            for part, lines in pieces:
                assert len(part) == len(lines) and all(lines)
        assert changing.wait() == 0
        if other is not None:
            other.close()

    def test_of_a_domain_without_share_do_not_matter(self, data: dict[str, Dataset], out: Path, tmp_path: Path) -> None:
        (tmp_path / "data" / "support.jsonl").unlink()
        run = Blend(mixture=Mixture.of({"support": 0.0, "legal": 1.0}), sizes={"legal": 25}, seed=0, rows=10)
        assert len(content(data, run, out / "mix.jsonl").splitlines()) == 10


class TestFailure:
    def test_a_full_disk_leaves_what_was_there(self, tmp_path: Path, small_disk: Path) -> None:
        data = make(tmp_path / "data", size=5000)
        (small_disk / "mix.jsonl").write_bytes(b"old\n")
        with pytest.raises(DataError, match=r"disk/mix\.jsonl: cannot be written \(No space left on device\)"):
            write(run_of(data, 1000), data, Format.INSTRUCTION, [small_disk / "mix.jsonl"])
        assert names(small_disk) == ["mix.jsonl"]
        assert (small_disk / "mix.jsonl").read_bytes() == b"old\n"
        # There is room again: nothing holds the space.
        assert len(content(data, run_of(data, 100), small_disk / "mix.jsonl").splitlines()) == 100

    def test_a_disk_that_is_full_at_the_very_end_does_too(
        self, data: dict[str, Dataset], out: Path, small_disk: Path
    ) -> None:
        for folder in (out, small_disk):
            (folder / "mix.jsonl").write_bytes(b"old\n")
        with (small_disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
            while True:
                filler.write(bytes(4096))
        with pytest.raises(DataError, match=r"out/mix\.jsonl, .*disk/mix\.jsonl: cannot be written"):
            write(run_of(data, 10), data, Format.INSTRUCTION, [out / "mix.jsonl", small_disk / "mix.jsonl"])
        assert (names(out), names(small_disk)) == (["mix.jsonl"], ["filler", "mix.jsonl"])
        assert (out / "mix.jsonl").read_bytes() == (small_disk / "mix.jsonl").read_bytes() == b"old\n"

    def test_one_shard_on_a_full_disk_leaves_all_as_they_were(
        self, tmp_path: Path, out: Path, small_disk: Path
    ) -> None:
        data = make(tmp_path / "data", size=5000)
        (out / "a").write_bytes(b"old\n")
        with pytest.raises(DataError, match="No space left on device"):
            write(run_of(data, 1000), data, Format.INSTRUCTION, [out / "a", small_disk / "b"])
        assert (names(out), names(small_disk)) == (["a"], [])
        assert (out / "a").read_bytes() == b"old\n"

    def test_a_folder_that_is_not_there_is_an_error(self, data: dict[str, Dataset], out: Path) -> None:
        with pytest.raises(
            DataError, match=r"nowhere/mix\.jsonl: cannot be written \(No such file or directory\); .* another place"
        ):
            write(run_of(data, 10), data, Format.INSTRUCTION, [out / "a", out / "nowhere" / "mix.jsonl"])
        assert names(out) == []

    def test_a_row_that_the_format_cannot_hold_leaves_what_was_there(self, out: Path, tmp_path: Path) -> None:
        (out / "mix.jsonl").write_bytes(b"old\n")
        data = {"chat": Dataset.open([lines_of(tmp_path / "chat.jsonl", CHAT)])}
        run = Blend(mixture=Mixture.of({"chat": 1.0}), sizes={"chat": 1}, seed=0, rows=5)
        with pytest.raises(DataError, match=r"chat\.jsonl:1: the format instruction cannot hold"):
            write(run, data, Format.INSTRUCTION, [out / "mix.jsonl"])
        assert names(out) == ["mix.jsonl"]
        assert (out / "mix.jsonl").read_bytes() == b"old\n"

    def test_limits_that_end_the_run_too_early_leave_what_was_there(self, data: dict[str, Dataset], out: Path) -> None:
        (out / "mix.jsonl").write_bytes(b"old\n")
        run = Blend(
            mixture=Mixture.of({"legal": 1.0}),
            sizes={"legal": 25},
            seed=0,
            rows=5000,
            weigh_by=Weigh.TOKENS,
            lengths={"legal": data["legal"].lengths(None)},
            limits={"legal": 3000},
        )
        with pytest.raises(DataError, match="all domains together give 3,000 rows"):
            write(run, data, Format.INSTRUCTION, [out / "mix.jsonl"])
        assert names(out) == ["mix.jsonl"]
        assert (out / "mix.jsonl").read_bytes() == b"old\n"

    def test_a_killed_process_leaves_what_was_there(self, data: dict[str, Dataset], out: Path, tmp_path: Path) -> None:
        old = content(data, run_of(data, 500), out / "mix.jsonl")
        writer = program(tmp_path / "data", 10**9, out / "mix.jsonl")
        partial = out / f".mix.jsonl.{writer.pid}.partial"
        while not partial.exists() or partial.stat().st_size < 100_000:
            assert writer.poll() is None
            time.sleep(0.005)
        writer.kill()
        writer.communicate()
        assert names(out) == [partial.name, "mix.jsonl"]
        assert (out / "mix.jsonl").read_bytes() == old
        assert content(data, run_of(data, 600), out / "mix.jsonl").startswith(old)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell what memory is used")
def test_much_is_written_in_little_memory(tmp_path: Path, out: Path) -> None:
    folder = tmp_path / "data"
    make(folder, size=20_000)
    writer = program(folder, 10_000, out / "mix.jsonl")
    used = []
    while writer.poll() is None:
        status = Path(f"/proc/{writer.pid}/status").read_text()
        used += [int(found[1]) for found in [re.search(r"^RssAnon:\s+(\d+) kB$", status, re.MULTILINE)] if found]
        time.sleep(0.005)
    assert writer.communicate()[0].startswith("begins")
    assert writer.returncode == 0
    assert (out / "mix.jsonl").stat().st_size > 200_000_000
    assert len(used) > 10
    assert max(used) < 400_000
