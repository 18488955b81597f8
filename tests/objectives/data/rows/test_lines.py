from __future__ import annotations

import builtins
import gzip
import os
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from objectives.data.rows import MAX_LINE_BYTES, BadLine, Line, ProblemKind, is_plain, lines
from objectives.data.rows import streams as streams_module
from objectives.errors import DataError


def zstd(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


def frames(content: bytes) -> bytes:
    """Several frames: one empty, one to skip, and one of unknown size."""
    half = len(content) // 2
    skipped = (0x184D2A50).to_bytes(4, "little") + (3).to_bytes(4, "little") + b"abc"
    streamed = zstandard.ZstdCompressor().compressobj()
    rest = streamed.compress(content[half:]) + streamed.flush()
    return zstd(b"") + zstd(content[:half]) + skipped + rest


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "gzip of two members": lambda content: gzip.compress(content[:7]) + gzip.compress(content[7:]),
    "zstd": zstd,
    "zstd of many frames": frames,
}
PACKED = {name: pack for name, pack in PACKINGS.items() if name != "plain"}


def reference(content: bytes) -> list[Line]:
    """The lines of a content, found one byte after the other's neighbour."""
    found, offset = [], 0
    for number, raw in enumerate(content.split(b"\n"), start=1):
        mark = b"\xef\xbb\xbf" if number == 1 and raw.startswith(b"\xef\xbb\xbf") else b""
        text = raw[len(mark) :]
        if text.strip():
            found.append(Line(number, offset + len(mark) + len(text) - len(text.lstrip()), text.strip()))
        offset += len(raw) + 1
    return found


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


pieces = st.sampled_from(
    [b"\n", b"\r\n", b"a", b"bc", b" ", b"\t", b"\xef\xbb\xbf", b"{}", b"\x0b\x85", b"\xe2\x80\xa8"]
)


class TestPlain:
    @settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(pieces, max_size=30).map(b"".join), st.integers(1, 9))
    def test_any_content_in_blocks_of_any_size(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, block: int
    ) -> None:
        monkeypatch.setattr(streams_module, "BLOCK_BYTES", block)
        file = write(tmp_path / "a", content)
        found = list(lines(file))
        assert found == reference(content)
        for line in found:
            assert isinstance(line, Line)
            assert file.read_bytes()[line.offset :].startswith(line.data)

    def test_the_mark_line_ends_and_space_are_stripped_and_counted(self, tmp_path: Path) -> None:
        file = write(tmp_path / "a", b"\xef\xbb\xbf x\r\n\r\n \t\r\n  y z\r\nlast")
        assert list(lines(file)) == [Line(1, 4, b"x"), Line(4, 15, b"y z"), Line(5, 20, b"last")]

    def test_the_mark_alone_is_blank_and_later_ones_stay(self, tmp_path: Path) -> None:
        assert list(lines(write(tmp_path / "a", b"\xef\xbb\xbf\n\xef\xbb\xbfx"))) == [Line(2, 4, b"\xef\xbb\xbfx")]

    @pytest.mark.parametrize("content", [b"", b"\n", b" \r\n\t\n"])
    def test_nothing(self, content: bytes, tmp_path: Path) -> None:
        assert list(lines(write(tmp_path / "a", content))) == []

    def test_many_blocks(self, tmp_path: Path) -> None:
        content = b"".join(b"%d%s\n" % (i, b"x" * (i % 977)) for i in range(9000))
        assert len(content) > 4 * streams_module.BLOCK_BYTES
        assert list(lines(write(tmp_path / "a", content))) == reference(content)


class TestLongLines:
    @pytest.mark.parametrize("packing", ["plain", "gzip", "zstd"])
    def test_one_is_reported_and_not_held(self, packing: str, tmp_path: Path) -> None:
        long = 50 * 2**20
        content = b"first\n" + b"x" * long + b"\nlast"
        file = write(tmp_path / "a", PACKINGS[packing](content))
        del content
        tracemalloc.start()
        try:
            first, bad, last = lines(file)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert (first, last) == (Line(1, 0, b"first"), Line(3, 6 + long + 1, b"last"))
        assert isinstance(bad, BadLine)
        assert (bad.number, bad.offset, bad.problem.kind) == (2, 6, ProblemKind.TOO_LONG)
        assert "more than 16777216 bytes" in bad.problem.message
        assert peak < MAX_LINE_BYTES + 8 * 2**20

    @pytest.mark.parametrize("before", [b"", b"a\n"])
    @pytest.mark.parametrize("after", [b"", b"\n", b"\nb"])
    @pytest.mark.parametrize("excess", [0, 1])
    def test_the_longest(self, before: bytes, after: bytes, excess: int, tmp_path: Path) -> None:
        file = write(tmp_path / "a", before + b"x" * (MAX_LINE_BYTES + excess) + after)
        found = list(lines(file))
        assert len(found) == bool(before) + 1 + (after == b"\nb")
        assert isinstance(found[bool(before)], BadLine) is bool(excess)
        assert [line.number for line in found] == list(range(1, len(found) + 1))
        assert found[-1].offset == (len(before) + MAX_LINE_BYTES + excess + 1 if after == b"\nb" else len(before))

    def test_one_without_an_end_is_reported(self, tmp_path: Path) -> None:
        (bad,) = lines(write(tmp_path / "a", b"x" * (3 * MAX_LINE_BYTES)))
        assert isinstance(bad, BadLine) and bad.number == 1


class TestPacked:
    @pytest.mark.parametrize("packing", PACKINGS)
    def test_equals_plain_whatever_the_name(self, packing: str, tmp_path: Path) -> None:
        content = b"\xef\xbb\xbf{}\r\n\n" + b"".join(b"line %d\n" % i for i in range(50_000)) + b"end"
        file = write(tmp_path / "a.jsonl", PACKINGS[packing](content))
        assert list(lines(file)) == reference(content)
        assert is_plain(file) is (packing == "plain")

    @pytest.mark.parametrize("packing", PACKED)
    @pytest.mark.parametrize("cut", [1, 3, 9, 500, 0.5])
    def test_one_that_ends_too_early(self, packing: str, cut: float, tmp_path: Path) -> None:
        content = b"".join(b"%s\n" % os.urandom(50).hex().encode() for _ in range(20_000))
        packed = PACKED[packing](content)
        kept = len(packed) - cut if isinstance(cut, int) else int(len(packed) * cut)
        file = write(tmp_path / "a", packed[: int(kept)])
        read = 0
        with pytest.raises(DataError) as caught:
            for line in lines(file):
                read = line.number
        where = f"after line {read}" if read else "before its first line"
        kind = packing.split()[0]
        assert (
            str(caught.value)
            == f"{file}: found a {kind} file that ends too early, {where}; copy or write the file anew"
        )

    @pytest.mark.parametrize("packing", PACKED)
    def test_one_that_is_damaged(self, packing: str, tmp_path: Path) -> None:
        packed = bytearray(PACKED[packing](b"".join(b"%s\n" % os.urandom(50).hex().encode() for _ in range(20_000))))
        packed[5000:5100] = bytes(100)
        file = write(tmp_path / "a", bytes(packed))
        with pytest.raises(
            DataError, match=r"a: found a damaged (gzip|zstd) file \(.+\), (after|before).*write the file"
        ):
            list(lines(file))

    @pytest.mark.parametrize("packing", PACKED)
    def test_one_with_something_else_behind(self, packing: str, tmp_path: Path) -> None:
        file = write(tmp_path / "a", PACKED[packing](b"x\n") + b"something else")
        with pytest.raises(DataError, match="found a damaged"):
            list(lines(file))

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.integers(0, 3), st.data())
    def test_a_zstd_file_torn_anywhere_is_found_out(self, tmp_path: Path, kind: int, data: st.DataObject) -> None:
        content = [b"x\n" * 400, bytes(300_000), os.urandom(3000), b"" if kind else b"y"][kind] + b"\nend\n"
        packed = frames(content)
        whole = [len(zstd(b"")), len(zstd(b"") + zstd(content[: len(content) // 2]))]
        whole.append(whole[-1] + 11)
        end = data.draw(st.integers(5, len(packed) - 1))
        if end not in whole:
            with pytest.raises(DataError, match=r"ends too early|damaged"):
                list(lines(write(tmp_path / "a", packed[:end])))
        assert list(lines(write(tmp_path / "a", packed))) == reference(content)


class TestParquet:
    def write(self, path: Path, records: list[dict[str, Any]], **options: Any) -> Path:
        parquet.write_table(pyarrow.Table.from_pylist(records), path, **options)
        return path

    def test_each_record_is_a_line_without_its_nulls(self, tmp_path: Path) -> None:
        said = [{"role": "user", "content": "x"}, {"role": "assistant", "content": None}]
        records = [
            {"instruction": "é\u2028", "output": "y\n", "messages": None},
            {"instruction": None, "output": None, "messages": said},
        ]
        file = self.write(tmp_path / "a.jsonl", records)
        first = '{"instruction":"é\u2028","output":"y\\n"}'.encode()
        assert list(lines(file)) == [
            Line(1, 0, first),
            Line(2, len(first) + 1, orjson.dumps({"messages": said})),
        ]
        assert not is_plain(file)

    def test_many_groups_and_values_that_json_lacks(self, tmp_path: Path) -> None:
        records = [{"number": i, "raw": b"\xff", "real": float("nan")} for i in range(3000)]
        found = list(lines(self.write(tmp_path / "a", records, row_group_size=700)))
        assert [line.number for line in found] == list(range(1, 3001))
        assert found[2999][2] == b'{"number":2999,"raw":"b\'\\\\xff\'","real":null}'

    def test_a_long_record(self, tmp_path: Path) -> None:
        bad, good = lines(self.write(tmp_path / "a", [{"x": "y" * MAX_LINE_BYTES}, {"x": "y"}]))
        assert isinstance(bad, BadLine) and bad.problem.kind is ProblemKind.TOO_LONG
        assert good == Line(2, MAX_LINE_BYTES + len(b'{"x":""}') + 1, b'{"x":"y"}')

    @pytest.mark.parametrize("keep", [4, 100, 0.5, 0.999])
    def test_one_that_ends_too_early(self, keep: float, tmp_path: Path) -> None:
        whole = self.write(tmp_path / "a", [{"x": str(i)} for i in range(5000)]).read_bytes()
        file = write(tmp_path / "b", whole[: keep if isinstance(keep, int) else int(keep * len(whole))])
        with pytest.raises(
            DataError, match=r"b: found a damaged Parquet file, or one that ends too early \(.+\), before"
        ):
            list(lines(file))

    def test_one_that_is_damaged_within(self, tmp_path: Path) -> None:
        file = self.write(tmp_path / "a", [{"x": str(i) * 9} for i in range(5000)], row_group_size=2500)
        content = bytearray(file.read_bytes())
        place = parquet.ParquetFile(file).metadata.row_group(1).column(0).data_page_offset
        content[place : place + 3000] = b"\xff" * 3000
        with pytest.raises(DataError, match=r"found a damaged Parquet file, .* after line 2\d\d\d; copy or write"):
            list(lines(write(file, bytes(content))))

    def test_says_what_to_install(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = self.write(tmp_path / "a", [{"x": 1}])
        real = builtins.__import__

        def without(name: str, *rest: Any, **further: Any) -> Any:
            if name == "pyarrow":
                raise ImportError(name)
            return real(name, *rest, **further)

        monkeypatch.setattr(builtins, "__import__", without)
        with pytest.raises(DataError, match=r"a: found a Parquet file, .* pip install 'ratio-search\[parquet\]'"):
            list(lines(file))


class TestFiles:
    def test_one_that_is_not_there(self, tmp_path: Path) -> None:
        for read in (is_plain, lambda path: list(lines(path))):
            with pytest.raises(DataError, match=r"none\.jsonl: cannot be read \(No such file or directory\)"):
                read(tmp_path / "none.jsonl")

    def test_a_folder(self, tmp_path: Path) -> None:
        for read in (is_plain, lambda path: list(lines(path))):
            with pytest.raises(DataError, match="cannot be read"):
                read(tmp_path)

    @pytest.mark.parametrize("packing", [*PACKINGS, "parquet"])
    def test_closing_the_generator_closes_the_file(self, packing: str, tmp_path: Path) -> None:
        file = tmp_path / "a"
        if packing == "parquet":
            parquet.write_table(pyarrow.table({"x": [1, 2]}), file)
        else:
            file.write_bytes(PACKINGS[packing](b"x\ny\n"))
        found = lines(file)
        next(found)
        assert str(file) in opened()
        assert isinstance(found, Iterator)
        found.close()  # type: ignore[attr-defined]
        assert str(file) not in opened()

    def test_a_pipe_is_read_like_a_file(self, tmp_path: Path) -> None:
        source, sink = os.pipe()
        os.write(sink, gzip.compress(b"x\ny"))
        os.close(sink)
        try:
            assert [line[2] for line in lines(Path(f"/dev/fd/{source}"))] == [b"x", b"y"]
        finally:
            os.close(source)


def opened() -> list[str]:
    """The files that this process has open."""
    found = []
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208 - the listing's own entry goes away while it is looked at
        try:
            found.append(str(Path(f"/proc/self/fd/{number}").readlink()))
        except OSError:
            continue
    return found
