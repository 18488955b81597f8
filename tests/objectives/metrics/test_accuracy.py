from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score

from objectives.metrics import accuracy, rate

NAMES = st.sampled_from(["a", "b", "c"])


@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=40))
def test_is_scikit_learns(pairs: list[tuple[str, str]]) -> None:
    labels, predictions = [label for label, _ in pairs], [prediction for _, prediction in pairs]
    assert accuracy(labels, predictions).value == pytest.approx(accuracy_score(labels, predictions))


def test_has_a_rates_standard_error() -> None:
    assert accuracy(["a", "b", "a"], ["a", "a", "a"]) == rate([True, False, True])
