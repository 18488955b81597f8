"""Draws from a space with groups and a limit of domains: inside, and uniform."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from objectives.mixture import Mixture
from ratio_search.space import Group, SimplexSpace
from tests.ratio_search.asked import Asked, asked

SEEDS = st.integers(0, 2**32 - 1)
FREE = dict.fromkeys("abcde", (0.0, 1.0))


class TestSample:
    @settings(max_examples=40, deadline=None)
    @given(asked(grids=(None,)), SEEDS)
    def test_every_draw_is_inside(self, wanted: Asked, seed: int) -> None:
        space = wanted.space
        for shares in space.sample(20, np.random.default_rng(seed)):
            drawn = Mixture.of(dict(zip(space.names, np.clip(shares, 0, None).tolist(), strict=True)))
            assert drawn in space and not wanted.wrong(drawn)

    @pytest.mark.parametrize(
        "groups",
        [
            [("g", ["a", "b"], (0.1, 0.3))],
            [("g", ["a", "b"], (0.3, 0.6)), ("h", ["c", "d"], (0.2, 0.25))],
            [("g", ["a", "b", "c", "d"], (0.5, 0.9))],
        ],
        ids=["one", "two", "most"],
    )
    def test_draws_are_uniform(self, groups: list[Any]) -> None:
        """Against draws from the flat Dirichlet distribution, of which those outside are thrown away."""
        rng = np.random.default_rng(1)
        bounds = {**FREE, "a": (0.0, 0.5), "c": (0.02, 1.0)}
        space = SimplexSpace.of(bounds, groups=[Group.of(*group) for group in groups])
        drawn, wanted = space.sample(3000, rng), _rejected(bounds, groups, 3000, rng)
        for projection in (*np.eye(5), np.array([1.0, 1, 0, 0, 0]), rng.normal(size=5)):
            assert stats.ks_2samp(drawn @ projection, wanted @ projection).pvalue > 1e-3
        assert stats.ks_2samp((drawn**2).sum(axis=1), (wanted**2).sum(axis=1)).pvalue > 1e-3

    def test_a_group_of_many_narrow_domains_moves_as_a_whole(self) -> None:
        """Inside, its domains are nearly free of each other, so that its sum varies as theirs does."""
        names, cap = [f"d{i}" for i in range(20)], 0.01
        bounds = {**dict.fromkeys(names, (0.0, cap)), "wide": (0.0, 1.0), "other": (0.0, 0.001)}
        space = SimplexSpace.of(bounds, groups=[Group.of("g", names, (0.05, 1.0))])
        sums = space.sample(5000, np.random.default_rng(3))[:, :20].sum(axis=1)
        assert sums.mean() == pytest.approx(20 * cap / 2, rel=0.01)
        assert sums.var() == pytest.approx(20 * cap**2 / 12, rel=0.08)

    def test_settled_proportions_count_as_one_part(self) -> None:
        pair = Group.of("pair", ["a", "b"], proportions={"a": 3, "b": 1})
        shares = SimplexSpace.of(FREE, groups=[pair]).sample(4000, np.random.default_rng(2))
        assert shares[:, 0] == pytest.approx(3 * shares[:, 1])
        assert stats.kstest(shares[:, 0] + shares[:, 1], stats.beta(1, 3).cdf).pvalue > 1e-3

    def test_of_some_domains_each_set_is_as_likely_and_uniform(self) -> None:
        shares = SimplexSpace.of(FREE, at_most=3).sample(4000, np.random.default_rng(2))
        assert np.all((shares > 0).sum(axis=1) == 3)
        sets, counts = np.unique(shares > 0, axis=0, return_counts=True)
        assert len(sets) == 10 and stats.chisquare(counts).pvalue > 1e-3
        assert stats.kstest(shares[shares[:, 0] > 0, 0], stats.beta(1, 2).cdf).pvalue > 1e-3

    def test_sets_of_domains_that_are_too_small_are_not_drawn(self) -> None:
        wanted = Asked(bounds={f"d{i}": (0.0, 0.6 if i < 2 else 0.05) for i in range(12)}, at_most=3)
        shares = wanted.space.sample(500, np.random.default_rng(2))
        assert np.all(shares[:, :2] > 0.3) and np.all((shares > 0).sum(axis=1) == 3)
        assert np.all((shares > 0).any(axis=0))

    @settings(max_examples=30)
    @given(asked(), SEEDS)
    def test_the_same_generator_gives_the_same_draws(self, wanted: Asked, seed: int) -> None:
        first, second = (wanted.space.sample(5, np.random.default_rng(seed)) for _ in range(2))
        assert np.array_equal(first, second)
        assert wanted.space.sample(0, np.random.default_rng(seed)).shape == (0, len(wanted.bounds))


def _rejected(
    bounds: dict[str, tuple[float, float]], groups: list[Any], n: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    low, high = np.array(list(bounds.values())).T
    drawn = low + (1 - low.sum()) * rng.dirichlet(np.ones(len(low)), 400_000)
    kept = np.all(drawn <= high, axis=1)
    for _, members, (least, most) in groups:
        sums = drawn[:, [list(bounds).index(name) for name in members]].sum(axis=1)
        kept &= (sums >= least) & (sums <= most)
    found: NDArray[np.float64] = drawn[kept][:n]
    assert len(found) == n
    return found
