from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratio_search.model.prior import Prior
from ratio_search.model.trend import NARROWEST, Trend

SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_it_is_a_line_along_the_own_input_with_a_normal_slope(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, a, b = rng.random((9, 3)), rng.standard_normal((6, 3)), rng.standard_normal((4, 3))
    trend = Trend.of(x, Prior(slope=(0.5, 0.2)), own=1)
    slopes = 0.5 + 0.2 * np.array([-1.0, 1.0])
    lines = [np.multiply.outer(slopes / x[:, 1].std(), points[:, 1]) for points in (a, b)]
    assert trend.mean(a) == pytest.approx(lines[0].mean(axis=0))
    # Two slopes, one deviation to either side of their mean, have the variance of all.
    assert trend.variance(a) == pytest.approx(lines[0].var(axis=0))
    apart = [line - line.mean(axis=0) for line in lines]
    assert trend.between(a, b) == pytest.approx(apart[0].T @ apart[1] / 2)


def test_an_input_that_hardly_varies_says_nothing_of_how_steep_a_line_is() -> None:
    x = np.full((5, 2), 0.3)
    slope, sd = Prior().slope
    for nearly in (0.0, 1e-12, 1e-3):
        x[0, 0] = 0.3 + nearly
        trend = Trend.of(x, Prior(), own=0)
        assert (trend.slope, trend.sd) == pytest.approx((slope / NARROWEST, sd / NARROWEST))


def test_a_quantity_without_an_input_of_its_own_has_none() -> None:
    x = np.random.default_rng(0).random((5, 2))
    trend = Trend.of(x, Prior(), own=None)
    assert not np.any(trend.mean(x))
    assert not np.any(trend.variance(x))
    assert not np.any(trend.between(x, x[:2]))
    assert trend.between(x, x[:2]).shape == (5, 2)
