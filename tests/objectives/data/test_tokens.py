from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from objectives.data.dataset import Dataset
from objectives.data.tokens import BYTES_PER_TOKEN, ESTIMATE


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATIO_SEARCH_CACHE", str(tmp_path / "cache"))


def data(path: Path, *pairs: tuple[str, str]) -> Dataset:
    path.write_text("".join(json.dumps({"instruction": ask, "output": answer}) + "\n" for ask, answer in pairs))
    return Dataset.open([path])


def test_the_estimate_says_how_it_is_made() -> None:
    assert f"estimated at {BYTES_PER_TOKEN} bytes" in ESTIMATE


@pytest.mark.parametrize(
    ("ask", "answer", "tokens"),
    [
        ("", "y", 1),  # 2 bytes with the line feed between them
        ("x", "yy", 1),
        ("x", "yyy", 2),
        ("x" * 99, "y" * 300, 100),
        ("☂", "☂☂☂☂☂", 5),  # 19 bytes
        ('\\\n"', "\t\tyy", 2),  # as text, and not as it is escaped in the line
    ],
)
def test_a_row_is_estimated_by_the_bytes_of_its_text(tmp_path: Path, ask: str, answer: str, tokens: int) -> None:
    lengths = data(tmp_path / "rows", (ask, answer)).lengths(None)
    assert lengths(np.array([0, 0])).tolist() == [tokens, tokens]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_categories=("Cs",))), min_size=1, max_size=8), st.data())
def test_an_estimate_is_at_least_one_and_rounded_up(tmp_path: Path, asks: list[str], drawn: st.DataObject) -> None:
    lengths = data(tmp_path / "rows", *((ask, "y") for ask in asks)).lengths(None)
    numbers = drawn.draw(st.lists(st.integers(0, len(asks) - 1)))
    found = lengths(np.array(numbers, dtype=np.int64))
    assert found.tolist() == [max(1, -(-(len(asks[number].encode()) + 2) // BYTES_PER_TOKEN)) for number in numbers]
