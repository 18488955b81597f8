from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import orjson
import pyarrow
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from objectives.data.rows import MAX_LINE_BYTES, SHOWN_PROBLEMS, Format, Row, dump, read_rows, refusal
from objectives.data.rows.linking import linked
from objectives.errors import DataError
from tests.objectives.data.rows.strategies import labelled_rows, plain_rows, rows


def line(row: Row) -> bytes:
    return dump(row, Format.INSTRUCTION)


def write(path: Path, *found: bytes) -> Path:
    path.write_bytes(b"".join(text + b"\n" for text in found))
    return path


class TestGoodFiles:
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(plain_rows | labelled_rows, min_size=1, max_size=5))
    def test_what_was_written_is_read(self, tmp_path: Path, written: list[Row]) -> None:
        assert read_rows([write(tmp_path / "a", *map(line, written))]) == tuple(written)

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.tuples(rows, st.sampled_from([Format.MESSAGES, Format.CONVERSE, Format.CONTENTS])), min_size=1))
    def test_formats_may_be_mixed(self, tmp_path: Path, drawn: list[tuple[Row, Format]]) -> None:
        written = [Row.of("x", "y")]
        content = [b'{"prompt": "x", "completion": "y"}']
        for row, format in drawn:
            if refusal(row, format) is None and not any(message.data is not None for message in row.messages):
                written.append(Row(messages=linked(row).messages, tools=linked(row).tools))
                content.append(dump(row, format))
        assert read_rows([write(tmp_path / "a", *content)]) == tuple(written)

    def test_files_are_read_in_order(self, tmp_path: Path) -> None:
        files = [write(tmp_path / name, line(Row.of(name, "x")), line(Row.of(name, "y"))) for name in "ba"]
        assert read_rows(files) == (Row.of("b", "x"), Row.of("b", "y"), Row.of("a", "x"), Row.of("a", "y"))

    def test_blank_lines_and_further_keys_do_not_matter(self, tmp_path: Path) -> None:
        file = write(
            tmp_path / "a", b"", b'{"id": 7, "output": "y", "instruction": "x", "label": null}', b"  \t", b"\r"
        )
        assert read_rows([file]) == (Row.of("x", "y"),)

    def test_neither_line_ends_of_windows_nor_a_missing_last_one_matter(self, tmp_path: Path) -> None:
        file = tmp_path / "a"
        file.write_bytes(line(Row.of("x", "y")) + b"\r\n" + line(Row.of("u", "v")))
        assert read_rows([file]) == (Row.of("x", "y"), Row.of("u", "v"))

    def test_the_mark_that_windows_puts_before_utf_8_is_no_part_of_the_text(self, tmp_path: Path) -> None:
        assert read_rows([write(tmp_path / "a", b"\xef\xbb\xbf" + line(Row.of("x", "y")))]) == (Row.of("x", "y"),)

    def test_unicode_line_separators_inside_text_do_not_end_a_line(self, tmp_path: Path) -> None:
        file = write(tmp_path / "a", '{"instruction": "a\u2028b\u0085c", "output": "d"}'.encode())
        assert read_rows([file]) == (Row.of("a\u2028b\u0085c", "d"),)

    def test_packed_files_equal_plain_ones(self, tmp_path: Path, conversation: dict[str, Any]) -> None:
        written = [orjson.dumps(conversation[format]) for format in (Format.MESSAGES, Format.CONVERSE, Format.CONTENTS)]
        plain = write(tmp_path / "plain", *written, line(Row.of("x", "y", "y", "s")))
        packed = [write(tmp_path / "gzip"), write(tmp_path / "zstd"), tmp_path / "parquet"]
        packed[0].write_bytes(gzip.compress(plain.read_bytes()))
        packed[1].write_bytes(zstandard.ZstdCompressor().compress(plain.read_bytes()))
        table = [{"instruction": "x", "output": "y", "label": "y", "system": "s"}, {"messages": conversation_of_text()}]
        parquet.write_table(pyarrow.Table.from_pylist([{"messages": None, **table[0]}, table[1]]), packed[2])
        expected = read_rows([plain])
        assert expected == (*[conversation["row"]] * 3, Row.of("x", "y", "y", "s"))
        assert read_rows(packed[:1]) == read_rows(packed[1:2]) == expected
        assert read_rows(packed[2:]) == (Row.of("x", "y", "y", "s"), Row.of("u", "v"))


def conversation_of_text() -> list[dict[str, str]]:
    return [{"role": "user", "content": "u"}, {"role": "assistant", "content": "v"}]


class TestBadLines:
    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            (b"no JSON", r"not JSON \(.*, column 1\), found 'no JSON'$"),
            (b'{"instruction": "x"}', "fits no format, found the keys 'instruction'; expected instruction and output"),
            (b'{"instruction": "x", "output": " "}', "'output' is empty"),
            (b'{"instruction": "x\xff", "output": "y"}', r"not valid UTF-8 \(byte 19 of the line is 0xff\)"),
            (b"x" * (MAX_LINE_BYTES + 1), "the line has more than 16777216 bytes; expected one row on each line"),
        ],
    )
    def test_says_where_and_what_was_found(self, bad: bytes, message: str, tmp_path: Path) -> None:
        file = write(tmp_path / "a.jsonl", line(Row.of("x", "y")), b"", bad)
        with pytest.raises(DataError) as caught:
            read_rows([file])
        first, second = str(caught.value).split("\n")
        assert first == "1 bad line; correct or remove them:"
        assert re.search(rf"a\.jsonl:3: {message}", second)

    @pytest.mark.parametrize("count", [1, SHOWN_PROBLEMS, SHOWN_PROBLEMS + 1, 137])
    def test_all_are_counted_and_the_first_ten_shown(self, count: int, tmp_path: Path) -> None:
        content = [text for _ in range(count) for text in (line(Row.of("x", "y")), b"bad")]
        with pytest.raises(DataError) as caught:
            read_rows([write(tmp_path / "a", *content)])
        first, *shown = str(caught.value).split("\n")
        assert first.startswith(f"{count} bad line{'s' if count > 1 else ''};")
        numbers = [int(where.group(1)) for text in shown if (where := re.search(r"a:(\d+): not JSON", text))]
        assert numbers == [2 * i + 2 for i in range(min(count, 10))]
        assert (shown[-1] == f"  and {count - 10} more") is (count > 10)

    def test_all_files_are_read_before_the_verdict(self, tmp_path: Path) -> None:
        files = [write(tmp_path / name, b"bad", line(Row.of("x", "y"))) for name in "ab"]
        with pytest.raises(DataError, match=r"2 bad lines;.*\n.*a:1: .*\n.*b:1: "):
            read_rows(files)


class TestBadFiles:
    def test_one_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"none\.jsonl: cannot be read \(No such file or directory\)"):
            read_rows([tmp_path / "none.jsonl"])

    def test_files_without_a_row(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"no rows in .*a, .*b: expected JSON lines with instruction and output"):
            read_rows([write(tmp_path / "a"), write(tmp_path / "b", b"", b" ")])


pieces = st.one_of(
    st.binary(max_size=30),
    (plain_rows | labelled_rows).map(line),
    st.dictionaries(st.sampled_from(["instruction", "output", "label", "x"]), st.none() | st.text(max_size=5)).map(
        lambda value: json.dumps(value).encode()
    ),
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(pieces, max_size=20))
def test_any_bytes_give_rows_or_count_their_bad_lines(tmp_path: Path, content: list[bytes]) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"\n".join([b"", *content]))
    filled = [text for text in file.read_bytes().split(b"\n") if text.strip()]
    try:
        read = read_rows([file])
    except DataError as error:
        str(error).encode("utf-8")
        first, *shown = str(error).split("\n")
        if not filled:
            assert first.startswith("no rows in")
            return
        bad = int(first.split()[0])
        assert 1 <= bad <= len(filled)
        assert len(shown) == min(bad, SHOWN_PROBLEMS) + (bad > SHOWN_PROBLEMS)
        return
    assert len(read) == len(filled)
    for row in read:
        assert row.output.strip() and row.output.startswith(row.label or "")
        row.text.encode("utf-8")
