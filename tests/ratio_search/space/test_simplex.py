from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from objectives.mixture import SUM_TOLERANCE, Mixture
from ratio_search.errors import SpaceError
from ratio_search.space import SimplexSpace

Bounds = dict[str, tuple[float, float]]


@st.composite
def spaces(draw: st.DrawFn, most: int = 8) -> SimplexSpace:
    """Any space with room: bounds round a mixture that keeps them, some of them tight, some fixed."""
    weights = draw(st.lists(st.floats(0.01, 1), min_size=2, max_size=most))
    bounds: Bounds = {}
    for i, weight in enumerate(weights):
        share = weight / sum(weights)
        below, above = (draw(st.sampled_from([0.0, 0.001, 0.2, 1.0])) for _ in "ab")
        bounds[f"d{i}"] = (share * (1 - below), min(1.0, share + above * (1 - share)))
    try:
        return SimplexSpace.of(bounds)
    except SpaceError:
        assume(False)
        raise


@st.composite
def mixtures(draw: st.DrawFn, names: tuple[str, ...]) -> Mixture:
    weights = draw(st.lists(st.floats(0, 1), min_size=len(names), max_size=len(names)).filter(any))
    assume(sum(weights) > 1e-9)
    return Mixture.from_weights(dict(zip(names, weights, strict=True)))


class TestBounds:
    def test_stated_ones_stay_where_the_others_leave_room(self) -> None:
        space = SimplexSpace.of({"a": (0.1, 0.5), "b": (0.0, 0.9), "c": (0.0, 0.9)})
        assert (space.lower, space.upper) == ((0.1, 0.0, 0.0), (0.5, 0.9, 0.9))

    def test_they_are_tightened_to_what_the_others_leave_possible(self) -> None:
        space = SimplexSpace.of({"a": (0.4, 1.0), "b": (0.0, 0.2), "c": (0.1, 0.3)})
        assert space.lower == pytest.approx((0.5, 0.0, 0.1))
        assert space.upper == pytest.approx((0.9, 0.2, 0.3))

    @given(spaces())
    def test_each_end_of_each_share_is_reached_by_some_mixture(self, space: SimplexSpace) -> None:
        for i, name in enumerate(space.names):
            for end in (space.lower[i], space.upper[i]):
                # The nearest mixture to "all of it" or "none of it" has as much, or as little, as there can be.
                pull = 10.0 if end == space.upper[i] else -10.0
                shares = np.array(space.lower) + np.where(np.arange(len(space.names)) == i, pull, 0.0)
                found = space.mixture(_projected(space, shares))
                assert found[name] == pytest.approx(end, abs=1e-9)

    @pytest.mark.parametrize(
        ("bounds", "message"),
        [
            (
                {"a": (0.7, 1), "b": (0.6, 1)},
                r"lowest shares sum to 1\.3 \(a 0\.7, b 0\.6\), expected at most 1; lower",
            ),
            (
                {"a": (0, 0.3), "b": (0, 0.3)},
                r"highest shares sum to 0\.6 \(a 0\.3, b 0\.3\), expected at least 1; rai",
            ),
            ({"a": (0.5, 0.5), "b": (0.5, 0.5)}, r"one mixture only \(a 0\.5, b 0\.5\).*nothing to search"),
            ({"a": (0.5, 0.5), "b": (0, 1)}, r"one mixture only \(a 0\.5, b 0\.5\)"),
            ({"a": (0, 0.4), "b": (0, 0.6)}, r"one mixture only \(a 0\.4, b 0\.6\)"),
        ],
    )
    def test_bounds_without_room_are_refused(self, bounds: Bounds, message: str) -> None:
        with pytest.raises(SpaceError, match=message):
            SimplexSpace.of(bounds)

    def test_a_sum_that_is_1_but_for_rounding_is_1(self) -> None:
        assert sum((0.3, 0.6, 0.1)) < 1
        with pytest.raises(SpaceError, match=r"one mixture only \(a 0\.3, b 0\.6, c 0\.1\)"):
            SimplexSpace.of({"a": (0.0, 0.3), "b": (0.0, 0.6), "c": (0.0, 0.1)})


class TestMixture:
    @given(spaces(), st.data())
    def test_it_keeps_the_bounds_and_sums_to_exactly_1(self, space: SimplexSpace, data: st.DataObject) -> None:
        rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
        [shares] = space.sample(1, rng)
        mixture = space.mixture(shares * (1 + 1e-13))
        assert math.fsum(mixture.shares) == 1.0
        assert mixture in space

    def test_what_breaks_a_bound_is_outside(self) -> None:
        space = SimplexSpace.of({"a": (0.2, 0.6), "b": (0.0, 1.0)})
        assert Mixture.of({"a": 0.2, "b": 0.8}) in space
        assert Mixture.of({"a": 0.2 - 2e-9, "b": 0.8 + 2e-9}) not in space
        assert Mixture.of({"a": 0.7, "b": 0.3}) not in space


class TestProjection:
    @given(st.data())
    def test_what_is_inside_stays(self, data: st.DataObject) -> None:
        space = data.draw(spaces())
        [shares] = space.sample(1, np.random.default_rng(data.draw(st.integers(0, 2**32))))
        inside = space.mixture(shares)
        assert space.project(inside).shares == pytest.approx(inside.shares, abs=1e-12)

    @given(st.data())
    def test_it_is_inside_and_nothing_inside_is_nearer(self, data: st.DataObject) -> None:
        space = data.draw(spaces())
        outside = data.draw(mixtures(space.names))
        found = space.project(outside)
        assert found in space
        assert math.fsum(found.shares) == 1.0
        nearest = np.linalg.norm(np.array(found.shares) - outside.shares)
        others = space.sample(200, np.random.default_rng(0))
        assert nearest <= np.linalg.norm(others - outside.shares, axis=1).min() + 1e-9

    def test_a_known_case(self) -> None:
        space = SimplexSpace.of({"a": (0.0, 0.5), "b": (0.0, 1.0), "c": (0.0, 1.0)})
        assert space.project(Mixture.of({"a": 0.8, "b": 0.2, "c": 0.0})).shares == pytest.approx((0.5, 0.35, 0.15))

    def test_the_domains_may_come_in_any_order(self) -> None:
        space = SimplexSpace.of({"a": (0.0, 0.5), "b": (0.0, 1.0)})
        assert space.project(Mixture.of({"b": 0.1, "a": 0.9})) == Mixture.of({"a": 0.5, "b": 0.5})


class TestSample:
    @settings(max_examples=50)
    @given(spaces(), st.integers(0, 2**32))
    def test_every_draw_is_inside(self, space: SimplexSpace, seed: int) -> None:
        shares = space.sample(50, np.random.default_rng(seed))
        assert np.abs(shares.sum(axis=1) - 1).max() < SUM_TOLERANCE
        assert np.all(shares >= np.array(space.lower) - SUM_TOLERANCE)
        assert np.all(shares <= np.array(space.upper) + SUM_TOLERANCE)

    @pytest.mark.parametrize(
        "bounds",
        [
            dict.fromkeys("abcd", (0.0, 1.0)),
            {"a": (0.0, 0.3), "b": (0.1, 0.4), "c": (0.0, 0.9), "d": (0.05, 0.2), "e": (0.0, 0.35)},
            {"a": (0.0, 0.35), "b": (0.0, 0.35), "c": (0.0, 0.35), "d": (0.0, 0.05)},
            {"a": (0.0, 1.0), "b": (0.25, 0.25), "c": (0.0, 0.01)},
        ],
        ids=["free", "mixed", "tight", "fixed"],
    )
    def test_draws_are_uniform(self, bounds: Bounds) -> None:
        """Against draws from the flat Dirichlet distribution, of which those outside the bounds are thrown away."""
        rng = np.random.default_rng(1)
        drawn, wanted = SimplexSpace.of(bounds).sample(4000, rng), _rejected(bounds, 4000, rng)
        for projection in (*np.eye(len(bounds)), rng.normal(size=len(bounds))):
            if np.ptp(wanted @ projection) > 1e-9:
                assert stats.ks_2samp(drawn @ projection, wanted @ projection).pvalue > 1e-3
        assert stats.ks_2samp((drawn**2).sum(axis=1), (wanted**2).sum(axis=1)).pvalue > 1e-3

    def test_thirty_domains_are_uniform_too(self) -> None:
        space = SimplexSpace.of({f"d{i}": (0.0, 1.0) for i in range(30)})
        shares = space.sample(4000, np.random.default_rng(2))
        for i in range(30):
            assert stats.kstest(shares[:, i], stats.beta(1, 29).cdf).pvalue > 1e-4

    def test_one_wide_domain_among_narrow_ones(self) -> None:
        """Then the narrow ones are free of each other: their sum varies as the sum of independent uniform draws."""
        cap, narrow = 0.01, 29
        space = SimplexSpace.of({**{f"d{i}": (0.0, cap) for i in range(narrow)}, "wide": (0.0, 1.0)})
        sums = space.sample(10_000, np.random.default_rng(3))[:, :narrow].sum(axis=1)
        assert sums.mean() == pytest.approx(narrow * cap / 2, rel=0.01)
        assert sums.var() == pytest.approx(narrow * cap**2 / 12, rel=0.05)

    @pytest.mark.parametrize("cap", [0.034, 0.04, 0.1])
    def test_tight_caps_on_thirty_domains_take_no_more_draws(self, cap: float) -> None:
        """Of the flat Dirichlet's draws hardly any keeps such caps. All domains are alike, and so are their shares."""
        space = SimplexSpace.of({f"d{i}": (0.0, cap) for i in range(30)})
        shares = space.sample(2000, np.random.default_rng(4))
        assert shares.max() <= cap + SUM_TOLERANCE
        assert shares.mean(axis=0) == pytest.approx(np.full(30, 1 / 30), abs=5 * shares.std() / math.sqrt(2000))

    def test_the_same_generator_gives_the_same_draws(self) -> None:
        space = SimplexSpace.of(dict.fromkeys("abc", (0.0, 1.0)))
        first, second = (space.sample(5, np.random.default_rng(7)) for _ in range(2))
        assert np.array_equal(first, second)
        assert not np.array_equal(first, space.sample(5, np.random.default_rng(8)))

    def test_no_draws(self) -> None:
        space = SimplexSpace.of(dict.fromkeys("abc", (0.0, 1.0)))
        assert space.sample(0, np.random.default_rng(0)).shape == (0, 3)


def _projected(space: SimplexSpace, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest point of the space to any point of the plane, by bisection."""
    low, high = -100.0, 100.0
    for _ in range(200):
        amount = (low + high) / 2
        if np.clip(shares - amount, space.lower, space.upper).sum() > 1:
            low = amount
        else:
            high = amount
    found: NDArray[np.float64] = np.clip(shares - low, space.lower, space.upper)
    return found


def _rejected(bounds: Bounds, n: int, rng: np.random.Generator) -> Any:
    low, high = np.array(list(bounds.values())).T
    free = high > low
    kept: list[NDArray[np.float64]] = []
    while sum(map(len, kept)) < n:
        drawn = np.tile(low, (200_000, 1))
        drawn[:, free] += (1 - low.sum()) * rng.dirichlet(np.ones(free.sum()), 200_000)
        kept.append(drawn[np.all(drawn <= high, axis=1)])
    return np.concatenate(kept)[:n]
