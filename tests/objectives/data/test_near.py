from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.data.dataset import Dataset
from objectives.data.near import near_rows, shingles
from objectives.errors import DataError

Words = Sequence[str]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RATIO_SEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def texts(count: int, words: int = 30, seed: int = 0) -> list[Words]:
    rng = random.Random(seed)
    return [[f"word{rng.randrange(5_000)}" for _ in range(words)] for _ in range(count)]


def data(path: Path, found: Sequence[Words]) -> Dataset:
    """Rows whose first half of words asks and whose second one answers."""
    rows = [{"instruction": " ".join(one[: len(one) // 2]), "output": " ".join(one[len(one) // 2 :])} for one in found]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return Dataset.open([path])


def changed(text: Words, place: int, word: str = "another") -> Words:
    return [*text[:place], word, *text[place + 1 :]]


def similarity(one: Words, other: Words) -> float:
    a, b = shingles(" ".join(one)), shingles(" ".join(other))
    return len(a & b) / len(a | b)


class TestShingles:
    def test_are_all_runs_of_three_words(self) -> None:
        assert shingles("a b c d\ne") == {b"a b c", b"b c d", b"c d e"}
        assert shingles("a b a b a b a") == {b"a b a", b"b a b"}

    @pytest.mark.parametrize("text", ["", "one", "one two", "one two three"])
    def test_of_a_short_text_are_the_whole(self, text: str) -> None:
        assert shingles(text) == {text.encode()}

    def test_look_neither_at_case_nor_at_space_nor_at_the_form_of_letters(self) -> None:
        assert shingles("Straße  im\t\uff37ald ﬁnden\n") == shingles("STRASSE im wald finden")

    @given(st.text())
    def test_are_never_none(self, text: str) -> None:
        assert len(shingles(text)) >= 1


class TestNearRows:
    def test_finds_a_row_with_one_word_changed_in_thirty(self, tmp_path: Path) -> None:
        judged = texts(40)
        near = [changed(text, number % 30) for number, text in enumerate(judged)]
        rows = [row for pair in zip(near, texts(40, seed=1), strict=True) for row in pair]
        found = near_rows(data(tmp_path / "train", rows), [data(tmp_path / "test", judged)], 0.7)
        assert found.dtype == np.int64
        assert found.tolist() == list(range(0, 80, 2))

    @pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9])
    def test_finds_almost_all_that_reach_the_threshold_and_no_other(self, tmp_path: Path, threshold: float) -> None:
        judged = texts(300)
        near = [changed(text, 15) for text in judged]  # 25 of 31 runs are the same
        edge = [changed(text, 0) for text in judged]  # 27 of 29
        rows = [*near, *edge, *texts(100, seed=1)]
        found = near_rows(data(tmp_path / "train", rows), [data(tmp_path / "test", judged)], threshold)
        alike = [max(similarity(row, text) for text in judged[i % 300 : i % 300 + 1]) for i, row in enumerate(rows)]
        expected = {row for row, value in enumerate(alike) if value >= threshold}
        assert set(found.tolist()) <= expected
        assert len(found) >= 0.95 * len(expected)
        assert found.tolist() == sorted(set(found.tolist()))

    def test_finds_nothing_where_one_word_in_four_is_another(self, tmp_path: Path) -> None:
        judged = texts(40)
        rows = [[f"other{i}" if i % 4 == 0 else word for i, word in enumerate(text)] for text in judged]
        assert near_rows(data(tmp_path / "train", rows), [data(tmp_path / "test", judged)], 0.5).tolist() == []

    def test_compares_with_all_judged_sets(self, tmp_path: Path) -> None:
        first, second, third = texts(3)
        judged = [data(tmp_path / "a", [first]), data(tmp_path / "b", [second])]
        rows = [third, changed(second, 0), changed(first, 0)]
        assert near_rows(data(tmp_path / "train", rows), judged, 0.8).tolist() == [1, 2]

    def test_numbers_rows_as_the_data_set_does(self, tmp_path: Path) -> None:
        first, second, third = texts(3)
        train = data(tmp_path / "train", [first, second, third]).without(np.array([0]))
        assert near_rows(train, [data(tmp_path / "test", [third])], 0.8).tolist() == [1]

    @pytest.mark.parametrize("threshold", [0.01, 0.5, 0.99, 0.999])
    def test_takes_any_threshold(self, tmp_path: Path, threshold: float) -> None:
        judged = texts(2)
        train = data(tmp_path / "train", [*judged, *texts(1, seed=1)])
        assert near_rows(train, [data(tmp_path / "test", judged)], threshold).tolist() == [0, 1]

    def test_of_nothing_are_none(self, tmp_path: Path) -> None:
        empty, some = data(tmp_path / "empty", []), data(tmp_path / "some", texts(2))
        assert near_rows(some, [], 0.8).tolist() == []
        assert near_rows(some, [empty], 0.8).tolist() == []
        assert near_rows(empty, [some], 0.8).tolist() == []


class TestRemembering:
    def test_what_was_found_is_not_looked_for_again(self, tmp_path: Path) -> None:
        judged = texts(3)
        train, test = data(tmp_path / "train", judged), data(tmp_path / "test", judged)
        assert near_rows(train, [test], 0.8).tolist() == [0, 1, 2]
        (tmp_path / "train").unlink()  # so that it cannot be read again
        assert near_rows(train, [test], 0.8).tolist() == [0, 1, 2]
        with pytest.raises(DataError, match="train: cannot be read"):
            near_rows(train, [test], 0.7)

    def test_holds_for_the_same_rows_only(self, tmp_path: Path) -> None:
        judged = texts(3)
        train, test = data(tmp_path / "train", judged), data(tmp_path / "test", judged[:1])
        assert near_rows(train, [test], 0.8).tolist() == [0]
        assert near_rows(train.without(np.array([0])), [test], 0.8).tolist() == []
        assert near_rows(train, [data(tmp_path / "other", judged[1:])], 0.8).tolist() == [1, 2]
        assert near_rows(data(tmp_path / "less", judged[1:]), [test], 0.8).tolist() == []

    @pytest.mark.parametrize("torn", [b"", b"garbage", slice(10), slice(-1), b"PK\x03\x04 no archive"])
    def test_what_is_not_whole_is_found_anew(self, tmp_path: Path, cache: Path, torn: bytes | slice) -> None:
        judged = texts(3)
        train, test = data(tmp_path / "train", judged), data(tmp_path / "test", judged)
        near_rows(train, [test], 0.8)
        [kept] = (cache / "near").iterdir()
        whole = kept.read_bytes()
        kept.write_bytes(torn if isinstance(torn, bytes) else whole[torn])
        assert near_rows(train, [test], 0.8).tolist() == [0, 1, 2]
        assert kept.read_bytes() == whole

    def test_a_cache_that_cannot_keep_it_does_no_harm(self, tmp_path: Path, cache: Path) -> None:
        judged = texts(3)
        train, test = data(tmp_path / "train", judged), data(tmp_path / "test", judged)
        (cache / "near").touch()
        assert near_rows(train, [test], 0.8).tolist() == [0, 1, 2]

    def test_every_process_finds_the_same(self, tmp_path: Path) -> None:
        judged = texts(200)
        rows = [changed(text, number % 30) for number, text in enumerate(judged)]
        expected = near_rows(data(tmp_path / "train", rows), [data(tmp_path / "test", judged)], 0.8).tolist()
        assert 150 < len(expected) <= 200
        program = """
import sys; from pathlib import Path
from objectives.data.dataset import Dataset
from objectives.data.near import near_rows
train, test = (Dataset.open([Path(path)]) for path in sys.argv[1:])
print(near_rows(train, [test], 0.8).tolist())
"""
        for seed in ("1", "2"):
            environment = {**os.environ, "PYTHONHASHSEED": seed, "RATIO_SEARCH_CACHE": str(tmp_path / f"cache-{seed}")}
            command = [sys.executable, "-W", "error", "-c", program, str(tmp_path / "train"), str(tmp_path / "test")]
            printed = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
            assert json.loads(printed) == expected
