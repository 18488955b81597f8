from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.metrics import rate
from tests.objectives.metrics.spread import SAMPLES, error_over_spread


@given(st.lists(st.booleans(), min_size=1, max_size=50))
def test_is_the_share_of_hits(hits: list[bool]) -> None:
    estimate = rate(hits)
    assert estimate.value == pytest.approx(sum(hits) / len(hits))
    assert estimate.rows == len(hits)


def test_its_standard_error_is_the_spread_of_test_sets() -> None:
    draws = np.random.default_rng(0).random((SAMPLES, 250)) < 0.3
    assert error_over_spread(map(rate, draws)) == pytest.approx(1, rel=0.15)


def test_few_rows_are_never_certain() -> None:
    assert rate([True]).stderr == pytest.approx(math.sqrt(1 / 18))
    assert 0 < (rate([True] * 500).stderr or 0) < 0.003


@given(st.lists(st.booleans(), min_size=1, max_size=50))
def test_of_rows_that_are_right_or_wrong_the_error_is_a_betas(hits: list[bool]) -> None:
    alpha, beta = sum(hits) + 1, len(hits) - sum(hits) + 1
    expected = math.sqrt(alpha * beta / ((alpha + beta) ** 2 * (alpha + beta + 1)))
    assert rate(hits).stderr == pytest.approx(expected)


def test_of_rows_that_are_partly_right_it_is_the_spread_of_test_sets() -> None:
    draws = np.random.default_rng(4).beta(0.6, 1.2, size=(SAMPLES, 250))
    assert error_over_spread(map(rate, draws)) == pytest.approx(1, rel=0.15)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_lies_between_none_and_all_and_is_never_certain(worth: list[float]) -> None:
    estimate = rate(worth)
    assert min(worth) - 1e-9 <= estimate.value <= max(worth) + 1e-9
    assert estimate.stderr is not None and 0 < estimate.stderr < 0.5
