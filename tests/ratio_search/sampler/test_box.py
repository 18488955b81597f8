from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from objectives.mixture import Mixture
from ratio_search.sampler.box import Box, ExponentialBox, StickBreakingBox
from ratio_search.space import Group, SimplexSpace
from tests.ratio_search.space.test_simplex import mixtures, spaces

BOXES = [ExponentialBox, StickBreakingBox]
BOUNDS = {"a": (0.0, 0.5), "b": (0.1, 0.1), "c": (0.2, 1.0), "d": (0.0, 1.0)}

every_box = pytest.mark.parametrize("make", BOXES)
seeds = st.integers(0, 2**32 - 1)


def free(n: int) -> SimplexSpace:
    return SimplexSpace.of({f"d{i}": (0.0, 1.0) for i in range(n)})


def drawn(box: Box, n: int, seed: int) -> np.ndarray:
    """Shares of uniform points of the box, (n, n_domains)."""
    points = np.random.default_rng(seed).random((n, box.dimensions))
    return np.array([box.mixture(point).shares for point in points])


@every_box
@settings(max_examples=40)
@given(spaces(), seeds)
def test_every_mixture_of_the_space_has_a_point_that_stands_for_it(
    make: type[ExponentialBox | StickBreakingBox], space: SimplexSpace, seed: int
) -> None:
    box, rng = make(space), np.random.default_rng(seed)
    [shares] = space.sample(1, rng)
    mixture = space.mixture(shares)
    point = box.point(mixture, rng)
    assert point.shape == (box.dimensions,)
    assert point.min() >= 0 and point.max() <= 1
    assert box.mixture(point).shares == pytest.approx(mixture.shares, abs=1e-9)


@every_box
@settings(max_examples=40)
@given(spaces(), st.data())
def test_every_point_stands_for_a_mixture_of_the_space(
    make: type[ExponentialBox | StickBreakingBox], space: SimplexSpace, data: st.DataObject
) -> None:
    box = make(space)
    coordinates = st.lists(st.floats(0, 1), min_size=box.dimensions, max_size=box.dimensions)
    assert box.mixture(data.draw(coordinates)) in space


@every_box
@settings(max_examples=40)
@given(spaces(), st.data())
def test_a_mixture_outside_the_bounds_has_a_point_too(
    make: type[ExponentialBox | StickBreakingBox], space: SimplexSpace, data: st.DataObject
) -> None:
    box = make(space)
    point = box.point(data.draw(mixtures(space.names)), np.random.default_rng(0))
    assert box.mixture(point) in space


@every_box
@pytest.mark.parametrize("n", [3, 12])
def test_uniform_points_are_uniform_mixtures(make: type[ExponentialBox | StickBreakingBox], n: int) -> None:
    shares = drawn(make(free(n)), 2000, seed=1)
    for i in (0, 1, n - 1):
        assert stats.kstest(shares[:, i], stats.beta(1, n - 1).cdf).pvalue > 1e-3
    squares = (free(n).sample(2000, np.random.default_rng(2)) ** 2).sum(axis=1)
    assert stats.ks_2samp((shares**2).sum(axis=1), squares).pvalue > 1e-3


@every_box
def test_uniform_points_are_uniform_mixtures_above_lower_bounds(make: type[ExponentialBox | StickBreakingBox]) -> None:
    space = SimplexSpace.of({"a": (0.1, 1.0), "b": (0.0, 1.0), "c": (0.2, 0.2), "d": (0.3, 1.0)})
    shares = drawn(make(space), 2000, seed=3)
    for i, lower in ((0, 0.1), (1, 0.0), (3, 0.3)):
        assert stats.kstest((shares[:, i] - lower) / 0.4, stats.beta(1, 2).cdf).pvalue > 1e-3


def test_the_points_of_uniform_mixtures_are_uniform() -> None:
    """So that a history looks to a sampler as if it had been drawn from the box."""
    space, rng = free(4), np.random.default_rng(4)
    for box in (ExponentialBox(space), StickBreakingBox(space)):
        points = np.array([box.point(space.mixture(shares), rng) for shares in space.sample(2000, rng)])
        for column in points.T:
            assert stats.kstest(column, "uniform").pvalue > 1e-3
        correlations = np.corrcoef(points, rowvar=False) - np.eye(box.dimensions)
        assert np.abs(correlations).max() < 0.1


@given(st.integers(2, 6), st.data())
def test_breaking_the_stick_gives_each_mixture_one_point(n: int, data: st.DataObject) -> None:
    box = StickBreakingBox(free(n))
    point = data.draw(st.lists(st.floats(0.01, 0.99), min_size=n - 1, max_size=n - 1))
    assert box.point(box.mixture(point), np.random.default_rng(0)) == pytest.approx(point, abs=1e-6)


def test_the_faq_gives_each_mixture_a_ray_of_points() -> None:
    box = ExponentialBox(free(3))
    point = np.array([0.2, 0.5, 0.9])
    assert box.mixture(point**2.5).shares == pytest.approx(box.mixture(point).shares)
    assert box.mixture(point).shares == pytest.approx(np.log(point) / np.log(point).sum())


@every_box
@pytest.mark.parametrize("n", [2, 30])
def test_a_single_domain_can_be_reached(make: type[ExponentialBox | StickBreakingBox], n: int) -> None:
    box = make(free(n))
    for i in (0, n // 2, n - 1):
        only = Mixture.of({f"d{j}": float(i == j) for j in range(n)})
        nearly = Mixture.from_weights({f"d{j}": 1.0 if i == j else 1e-5 for j in range(n)})
        for mixture in (only, nearly):
            assert box.mixture(box.point(mixture, np.random.default_rng(0))).distance(mixture) < 1e-9


def test_fixed_shares_take_no_part() -> None:
    space = SimplexSpace.of(BOUNDS)
    exponential, stick = ExponentialBox(space), StickBreakingBox(space)
    assert (exponential.dimensions, stick.dimensions) == (3, 2)
    assert exponential.mixture([0.3, 0.4, 0.5])["b"] == pytest.approx(0.1)
    assert stick.mixture([0.3, 0.4])["b"] == pytest.approx(0.1)


def test_the_ends_of_a_broken_stick_are_the_ends_of_the_bounds() -> None:
    box = StickBreakingBox(SimplexSpace.of(BOUNDS))
    assert [box.mixture(point).shares for point in ([0.0, 0.0], [1.0, 1.0], [1.0, 0.0])] == [
        pytest.approx(shares) for shares in ((0.5, 0.1, 0.4, 0.0), (0.0, 0.1, 0.2, 0.7), (0.0, 0.1, 0.9, 0.0))
    ]


@every_box
@pytest.mark.parametrize(
    "asked",
    [
        {"groups": [Group.of("ab", ["a", "b"], (0.3, 0.4))]},
        {"groups": [Group.of("ab", ["a", "b"], proportions={"a": 1, "b": 3})]},
        {"grid": 0.05},
        {"at_most": 2},
    ],
    ids=["group", "proportions", "grid", "at most"],
)
def test_what_else_a_space_demands_is_kept(
    make: type[ExponentialBox | StickBreakingBox], asked: dict[str, Any]
) -> None:
    space, rng = SimplexSpace.of(dict.fromkeys("abcd", (0.0, 0.9)), **asked), np.random.default_rng(5)
    box = make(space)
    for point in rng.random((50, box.dimensions)):
        mixture = box.mixture(point)
        assert mixture in space
        assert box.mixture(box.point(mixture, rng)).shares == pytest.approx(mixture.shares, abs=1e-9)


def test_points_without_any_weight_stand_for_equal_parts() -> None:
    assert ExponentialBox(free(4)).mixture([1, 1, 1, 1]).shares == pytest.approx([0.25] * 4)
