from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ratio_search.interval import CREDIBLE, NORMAL, Interval, Mean

VALUES = np.array([0.3, 0.5, 0.1, 0.6])


def test_a_mean_has_students_interval() -> None:
    found = Mean.paired(VALUES, 0.0)
    low, high = stats.t.interval(CREDIBLE, 3, VALUES.mean(), stats.sem(VALUES))
    assert (found.interval.low, found.interval.high) == (pytest.approx(low), pytest.approx(high))
    assert found.above(0.2) == pytest.approx(stats.t.sf((0.2 - VALUES.mean()) / stats.sem(VALUES), 3))


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=6), st.floats(0, 9))
def test_what_is_likely_counts_as_one_more_observation_where_it_is_larger(values: list[int], likely: float) -> None:
    n, found = len(values), Mean.paired(np.array(values, dtype=float), likely)
    own = float(np.var(values, ddof=1)) if n > 1 else 0.0
    assert found.value == pytest.approx(np.mean(values))
    if n == 1 and likely == 0:
        assert (found.stderr, found.interval.low, found.above(0)) == (None, None, None)
    else:
        pooled = (likely**2 + (n - 1) * own) / n
        assert found.stderr == pytest.approx(math.sqrt(max(own, pooled) / n))


def test_more_replicates_do_not_make_the_rows_more() -> None:
    many = Mean.alone(np.tile(VALUES, 100), 0.2)
    assert many.stderr == pytest.approx(0.2, rel=0.01)
    assert many.freedom > 1000
    assert Mean.alone(VALUES, None).stderr == pytest.approx(stats.sem(VALUES))
    assert Mean.alone(VALUES[:1], 0.2).freedom == 1
    assert Mean.alone(np.full(3, 0.5), 0.2).freedom == NORMAL


@pytest.mark.parametrize(("limit", "chance"), [(0.4, 1.0), (0.5, 0.5), (0.6, 0.0)])
def test_what_does_not_vary_is_certain(limit: float, chance: float) -> None:
    assert Mean.alone(np.full(3, 0.5), None).above(limit) == chance


def test_an_interval_is_told_and_knows_its_deviation() -> None:
    reach = float(stats.norm.ppf((1 + CREDIBLE) / 2))
    found = Interval(value=0.5, low=0.5 - reach, high=0.5 + reach)
    assert found.sd == pytest.approx(1, abs=1e-4)
    assert str(found) == "+0.5000 (90% between -1.1449 and +2.1449)"
    unknown = Interval(value=0.5, low=None, high=None)
    assert (unknown.sd, str(unknown)) == (None, "+0.5000")
