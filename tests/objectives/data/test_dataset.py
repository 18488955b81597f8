from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from objectives.data import dataset
from objectives.data.dataset import Dataset
from objectives.data.rows import Format, Row
from objectives.errors import DataError

CHAT = {
    "messages": [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "Two?"},
        {"role": "assistant", "content": "No."},
    ]
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where indexes are kept."""
    monkeypatch.setenv("RATIO_SEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def pair(instruction: str, output: str = "y", **further: str) -> dict[str, Any]:
    return {"instruction": instruction, "output": output, **further}


def file(path: Path, *lines: dict[str, Any] | bytes) -> Path:
    """Writes lines, objects as JSON and bytes as they are."""
    text = b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.fixture
def three(tmp_path: Path) -> Dataset:
    """Rows a to f in three files, of which one has no row, with blank and bad lines between them."""
    return Dataset.open(
        [
            file(tmp_path / "one.jsonl", b"", pair("a"), b"no JSON", b"", pair("b"), pair("c")),
            file(tmp_path / "none.jsonl", b"", b"{}"),
            file(tmp_path / "two.jsonl", pair("d"), b"[]", pair("e"), b"  ", b"", pair("f")),
        ]
    )


def instructions(rows: Sequence[Row]) -> str:
    return "".join(row.instruction for row in rows)


class Words:
    """Counts words."""

    name = "words"
    about = "by words"

    def count(self, rows: Sequence[Row]) -> list[int]:
        return [len(row.text.split()) for row in rows]


class TestRows:
    def test_of_several_files_are_one_sequence(self, three: Dataset) -> None:
        assert len(three) == 6
        assert instructions(three.rows()) == "abcdef"
        assert instructions(three.rows(np.array([5, 0, 2, 3, 3]))) == "facdd"
        assert three.rows(np.empty(0, dtype=np.int64)) == []

    def test_iterating_gives_all(self, three: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
        assert instructions(list(three)) == "abcdef"
        monkeypatch.setattr(dataset, "READ_ROWS", 4)
        assert instructions(list(three)) == "abcdef"
        assert instructions(list(three.without(np.array([1])))) == "acdef"

    def test_each_has_a_place_in_its_file(self, three: Dataset, tmp_path: Path) -> None:
        lines = [("one", 2), ("one", 5), ("one", 6), ("two", 1), ("two", 3), ("two", 6)]
        assert [three.place(row) for row in range(6)] == [f"{tmp_path / name}.jsonl:{line}" for name, line in lines]

    def test_are_located_by_file_and_number(self, three: Dataset) -> None:
        files, rows = three.located(np.array([5, 0, 3, 2]))
        assert (files.tolist(), rows.tolist()) == ([2, 0, 2, 0], [2, 0, 0, 2])

    def test_columns_are_joined(self, three: Dataset) -> None:
        assert three.column(lambda index: index.offset).tolist() == [1, 46, 82, 0, 39, 79]
        assert three.without(np.array([0, 4])).column(lambda index: index.offset).tolist() == [46, 82, 0, 79]

    def test_sizes_are_the_bytes_of_their_lines(self, tmp_path: Path) -> None:
        lines = [b'{"instruction": "a", "output": "y"}', '{"output":"ü","instruction":"☂"}'.encode()]
        data = Dataset.open([file(tmp_path / "a.jsonl", b"", lines[0]), file(tmp_path / "b.jsonl.gz", lines[1])])
        assert data.sizes(np.array([1, 0, 1])).tolist() == [len(lines[1]), len(lines[0]), len(lines[1])]

    def test_a_file_may_be_there_twice(self, tmp_path: Path) -> None:
        one = file(tmp_path / "one.jsonl", pair("a"), pair("b"))
        assert instructions(Dataset.open([one, one]).rows()) == "abab"

    def test_of_a_file_that_has_changed_are_not_read(self, three: Dataset, tmp_path: Path) -> None:
        with (tmp_path / "two.jsonl").open("ab") as out:
            out.write(b"\n")
        assert instructions(three.rows(np.array([0, 1]))) == "ab"
        with pytest.raises(DataError, match=r"two\.jsonl: changed since it was indexed"):
            three.rows()

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"nowhere\.jsonl: cannot be read \(No such file or directory\)"):
            Dataset.open([file(tmp_path / "one.jsonl", pair("a")), tmp_path / "nowhere.jsonl"])


class TestWithout:
    def test_leaves_rows_out_of_all_that_is_told(self, three: Dataset, tmp_path: Path) -> None:
        data = three.without(np.array([4, 0]))
        assert len(data) == 4
        assert instructions(data.rows()) == instructions(list(data)) == "bcdf"
        assert instructions(data.rows(np.array([3, 0]))) == "fb"
        assert data.place(3) == f"{tmp_path / 'two.jsonl'}:6"
        assert [array.tolist() for array in data.located(np.arange(4))] == [[0, 0, 2, 2], [1, 2, 0, 2]]
        assert (data.sizes(np.arange(4)) == three.sizes(np.array([1, 2, 3, 5]))).all()
        assert len(three) == 6

    def test_numbers_of_a_second_one_are_those_of_what_is_left(self, three: Dataset) -> None:
        assert instructions(three.without(np.array([0])).without(np.array([0, 3])).rows()) == "cdf"

    def test_no_rows_changes_nothing(self, three: Dataset) -> None:
        assert three.without(np.empty(0, dtype=np.int64)) is three

    def test_all_rows_leaves_none(self, three: Dataset) -> None:
        data = three.without(np.arange(6))
        assert (len(data), data.rows(), list(data), data.labels()[1].tolist()) == (0, [], [], [])

    @given(st.data())
    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_again_and_again_is_as_leaving_items_out_of_a_list(self, three: Dataset, data: st.DataObject) -> None:
        left, expected = three, list("abcdef")
        for _ in range(data.draw(st.integers(1, 4))):
            dropped = data.draw(st.lists(st.integers(0, len(expected) - 1)) if expected else st.just([]))
            left = left.without(np.array(dropped, dtype=np.int64))
            expected = [item for number, item in enumerate(expected) if number not in dropped]
        assert list(instructions(left.rows())) == expected
        assert len({left.place(row) for row in range(len(left))}) == len(left) == len(expected)


class TestLengths:
    def test_are_estimated_by_bytes_of_text_rounded_up(self, tmp_path: Path) -> None:
        data = Dataset.open(
            [
                file(tmp_path / "one.jsonl", pair("ab", "c"), pair("abc", "d")),  # a line feed stands between
                file(tmp_path / "two.jsonl", pair("☂☂", "e"), pair("", "f"), CHAT),
            ]
        )
        assert data.lengths(None)(np.arange(5)).tolist() == [1, 2, 2, 1, -(-len("One?\nYes.\nTwo?\nNo.") // 4)]
        assert data.lengths(None)(np.array([4, 1, 1])).tolist() == [5, 2, 2]
        assert data.without(np.array([0, 2])).lengths(None)(np.arange(3)).tolist() == [2, 1, 5]

    def test_are_counted_where_there_is_a_counter(self, tmp_path: Path) -> None:
        data = Dataset.open(
            [
                file(tmp_path / "one.jsonl", pair("one two", "three"), pair("a", "b")),
                file(tmp_path / "two.jsonl.gz", pair("a b c d", "e")),
            ]
        )
        assert data.lengths(Words())(np.arange(3)).tolist() == [3, 2, 5]
        assert data.lengths(Words())(np.array([2, 0])).tolist() == [5, 3]
        assert data.without(np.array([1])).lengths(Words())(np.arange(2)).tolist() == [3, 5]

    def test_are_at_least_one(self, tmp_path: Path) -> None:
        class Nothing(Words):
            name = "nothing"

            def count(self, rows: Sequence[Row]) -> list[int]:
                return [0] * len(rows)

        data = Dataset.open([file(tmp_path / "one.jsonl", pair("a"), pair("b"))])
        assert data.lengths(Nothing())(np.arange(2)).tolist() == [1, 1]


class TestLabels:
    def test_have_one_number_in_all_files(self, tmp_path: Path) -> None:
        data = Dataset.open(
            [
                file(tmp_path / "one.jsonl", pair("a", "yes", label="yes"), pair("b", "no", label="no")),
                file(tmp_path / "two.jsonl", pair("c", "maybe", label="maybe"), pair("d", "no", label="no"), pair("e")),
                file(tmp_path / "three.jsonl", pair("f", "no", label="no"), pair("g", "yes", label="yes")),
            ]
        )
        names, numbers = data.labels()
        assert names == ("yes", "no", "maybe")
        assert numbers.tolist() == [0, 1, 2, 1, -1, 1, 0]
        assert data.without(np.array([0, 4])).labels()[1].tolist() == [1, 2, 1, 1, 0]
        assert not data.labelled
        assert data.without(np.array([4])).labelled

    def test_may_be_missing(self, three: Dataset) -> None:
        names, numbers = three.labels()
        assert (names, numbers.tolist()) == ((), [-1] * 6)
        assert not three.labelled


class TestCheckHolds:
    def test_accepts_what_the_format_can_hold(self, three: Dataset) -> None:
        for format_ in Format:
            three.check_holds(format_, "domains.a.train", "objective.format")

    def test_counts_the_rows_that_do_not_fit_and_shows_the_first(self, tmp_path: Path) -> None:
        data = Dataset.open(
            [
                file(tmp_path / "one.jsonl", pair("a"), pair("b")),
                file(tmp_path / "two.jsonl", b"", pair("c"), CHAT, b"no JSON", CHAT),
            ]
        )
        with pytest.raises(
            DataError,
            match=r"^domains\.a\.train: 2 rows do not fit in the instruction format, the first at .*two\.jsonl:3: "
            r".*a conversation of other turns.*; choose another objective\.format$",
        ):
            data.check_holds(Format.INSTRUCTION, "domains.a.train", "objective.format")
        data.check_holds(Format.MESSAGES, "domains.a.train", "objective.format")
        data.without(np.array([3, 4])).check_holds(Format.INSTRUCTION, "domains.a.train", "objective.format")
