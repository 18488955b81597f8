from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from objectives.data.rows import SHOWN_PROBLEMS, Row, read_rows
from objectives.errors import DataError

characters = st.characters(exclude_categories=("Cs",))
text = st.text(characters, max_size=20)
words = st.text(characters, min_size=1, max_size=20).filter(str.strip)
rows = st.builds(Row, text, words) | st.builds(
    lambda instruction, label, rest: Row(instruction, label + rest, label), text, words, text
)


def line(row: Row) -> str:
    data = {"instruction": row.instruction, "output": row.output}
    return json.dumps(data if row.label is None else {**data, "label": row.label})


def write(path: Path, *lines: str | bytes) -> Path:
    path.write_bytes(b"".join((text.encode() if isinstance(text, str) else text) + b"\n" for text in lines))
    return path


class TestGoodFiles:
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(rows, min_size=1, max_size=5))
    def test_what_was_written_is_read(self, tmp_path: Path, written: list[Row]) -> None:
        assert read_rows([write(tmp_path / "a", *map(line, written))]) == tuple(written)

    def test_files_are_read_in_order(self, tmp_path: Path) -> None:
        files = [write(tmp_path / name, line(Row(name, "x")), line(Row(name, "y"))) for name in "ba"]
        assert read_rows(files) == (Row("b", "x"), Row("b", "y"), Row("a", "x"), Row("a", "y"))

    def test_blank_lines_and_further_keys_do_not_matter(self, tmp_path: Path) -> None:
        file = write(tmp_path / "a", "", '{"id": 7, "output": "y", "instruction": "x", "label": null}', "  \t", "\r")
        assert read_rows([file]) == (Row("x", "y"),)

    def test_neither_line_ends_of_windows_nor_a_missing_last_one_matter(self, tmp_path: Path) -> None:
        file = tmp_path / "a"
        file.write_bytes(f"{line(Row('x', 'y'))}\r\n{line(Row('u', 'v'))}".encode())
        assert read_rows([file]) == (Row("x", "y"), Row("u", "v"))

    def test_the_mark_that_windows_puts_before_utf_8_is_no_part_of_the_text(self, tmp_path: Path) -> None:
        file = tmp_path / "a"
        file.write_bytes(b"\xef\xbb\xbf" + f"{line(Row('x', 'y'))}\n".encode())
        assert read_rows([file]) == (Row("x", "y"),)

    def test_unicode_line_separators_inside_text_do_not_end_a_line(self, tmp_path: Path) -> None:
        file = write(tmp_path / "a", '{"instruction": "a\u2028b\u0085c", "output": "d"}')
        assert read_rows([file]) == (Row("a\u2028b\u0085c", "d"),)


class TestBadLines:
    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            ("no JSON", r"not JSON \(Expecting value, column 1\), found 'no JSON'$"),
            ('{"instruction": "x"', "not JSON"),
            ("[" * 100_000, "not JSON"),
            ("1" * 10_000, "not JSON"),
            ('["x", "y"]', r"expected an object with instruction and output, found \['x', 'y'\]"),
            ('"x"', "expected an object"),
            ('{"prompt": "x", "output": "y"}', "lacks 'instruction', found the keys 'prompt', 'output'"),
            ('{"instruction": "x"}', "lacks 'output', found the keys 'instruction'"),
            ("{}", "lacks 'instruction', found the keys none"),
            ('{"instruction": 7, "output": "y"}', "'instruction' must be text, found 7"),
            ('{"instruction": "x", "output": null}', "'output' must be text, found None"),
            ('{"instruction": "x", "output": " "}', "'output' is empty"),
            ('{"instruction": "x", "output": "y", "label": 1}', "'label' must be text or absent, found 1"),
            ('{"instruction": "x", "output": "y", "label": ""}', "'label' must be text or absent, found ''"),
            ('{"instruction": "x", "output": "no", "label": "yes"}', "'output' must begin with its label 'yes'.*'no'"),
            ('{"instruction": "\\ud800", "output": "y"}', "'instruction' has half of a surrogate pair"),
            (b'{"instruction": "x\xff", "output": "y"}', r"not valid UTF-8 \(byte 19 of the line is 0xff\)"),
            ("\ufeff" + line(Row("x", "y")), "not JSON.*BOM"),
        ],
    )
    def test_says_where_and_what_was_found(self, bad: str | bytes, message: str, tmp_path: Path) -> None:
        file = write(tmp_path / "a.jsonl", line(Row("x", "y")), "", bad)
        with pytest.raises(DataError) as caught:
            read_rows([file])
        first, second = str(caught.value).split("\n")
        assert first == "1 bad line; correct or remove them:"
        assert re.search(rf"a\.jsonl:3: {message}", second)
        assert len(second) < 400

    @pytest.mark.parametrize("count", [1, SHOWN_PROBLEMS, SHOWN_PROBLEMS + 1, 137])
    def test_all_are_counted_and_the_first_ten_shown(self, count: int, tmp_path: Path) -> None:
        lines = [text for _ in range(count) for text in (line(Row("x", "y")), "bad")]
        with pytest.raises(DataError) as caught:
            read_rows([write(tmp_path / "a", *lines)])
        first, *shown = str(caught.value).split("\n")
        assert first.startswith(f"{count} bad line{'s' if count > 1 else ''};")
        numbers = [int(where.group(1)) for text in shown if (where := re.search(r"a:(\d+): not JSON", text))]
        assert numbers == [2 * i + 2 for i in range(min(count, 10))]
        assert (shown[-1] == f"  and {count - 10} more") is (count > 10)

    def test_all_files_are_read_before_the_verdict(self, tmp_path: Path) -> None:
        files = [write(tmp_path / name, "bad", line(Row("x", "y"))) for name in "ab"]
        with pytest.raises(DataError, match=r"2 bad lines;.*\n.*a:1: .*\n.*b:1: "):
            read_rows(files)


class TestBadFiles:
    def test_one_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"none\.jsonl: cannot be read \(No such file or directory\)"):
            read_rows([tmp_path / "none.jsonl"])

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="cannot be read"):
            read_rows([tmp_path])

    def test_files_without_a_row(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"no rows in .*a, .*b: expected JSON lines"):
            read_rows([write(tmp_path / "a"), write(tmp_path / "b", "", " ")])


pieces = st.one_of(
    st.binary(max_size=30),
    rows.map(lambda row: line(row).encode()),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["instruction", "output", "label", "x"]), inner, max_size=4)
        ),
        max_leaves=6,
    ).map(lambda value: json.dumps(value).encode()),
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(pieces, max_size=30))
def test_any_bytes_give_rows_or_count_their_bad_lines(tmp_path: Path, content: list[bytes]) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"\n".join(content))
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
        (row.instruction + row.output).encode("utf-8")
