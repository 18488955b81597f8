from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratio_search.model import Surrogate
from ratio_search.model.measurements import Array

SEEDS = st.integers(0, 2**32 - 1)
N = 2048


def mixtures(n: int, domains: int, seed: int = 0) -> Array:
    found: Array = np.random.default_rng(seed).dirichlet(np.ones(domains), n)
    return found


def law(x: Array) -> Array:
    """Two metrics, each of one domain."""
    return np.sqrt(x[:, :2])


def fitted(n: int = 8, domains: int = 3, noise: float = 0.05) -> Surrogate:
    x = mixtures(n, domains)
    gains = law(x) + noise * np.random.default_rng(1).standard_normal((n, 2))
    return Surrogate.fit(x, gains, np.zeros_like(gains), domains=domains)


def drawn(surrogate: Surrogate, base: Array, n: int = N, seed: int = 0) -> tuple[Array, Array]:
    """Draws at base points, and of further ones at the same points."""
    draws = surrogate.draws(base, n, np.random.default_rng(seed))
    return draws.base, draws.at(base)


def test_they_have_the_moments_of_the_forecast() -> None:
    surrogate, points = fitted(), mixtures(6, 3, seed=2)
    forecast = surrogate.forecast(points)
    alone = surrogate.draws(points[:0], N, np.random.default_rng(0)).at(points)
    for found in (drawn(surrogate, points)[0], alone):
        assert found.shape == (2, 6, N)
        assert found.mean(axis=2) == pytest.approx(forecast.mean.T, abs=0.01)
        assert found.std(axis=2) == pytest.approx(forecast.sd.T, rel=0.1)


def test_what_is_further_goes_with_the_base_as_the_base_does_with_itself() -> None:
    surrogate, points = fitted(), mixtures(5, 3, seed=2)
    together = drawn(surrogate, points)[0]
    draws = surrogate.draws(points[:2], N, np.random.default_rng(1))
    further = draws.at(points[2:])
    for k in range(2):
        expected = np.cov(together[k])
        scale = expected.diagonal().max()
        assert np.cov(draws.base[k]) == pytest.approx(expected[:2, :2], abs=0.1 * scale)
        for j in range(3):
            found = np.cov(np.concatenate([draws.base[k], further[k, j : j + 1]]))
            assert found[2] == pytest.approx(expected[2 + j, [0, 1, 2 + j]], abs=0.1 * scale)


def test_two_points_side_by_side_are_drawn_alike() -> None:
    surrogate, [point] = fitted(4), mixtures(1, 3, seed=3)
    near = point + np.array([1e-4, -1e-4, 0.0])
    found = drawn(surrogate, np.array([point, near, [0.0, 0.0, 1.0]]))[0]
    assert np.corrcoef(found[0])[0, 1] > 0.99 > np.corrcoef(found[0])[0, 2]


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.integers(1, 4))
def test_at_a_base_point_they_are_what_the_base_is(seed: int, n: int) -> None:
    surrogate, points = fitted(), mixtures(n, 3, seed)
    base, again = drawn(surrogate, points, n=32, seed=seed)
    assert again == pytest.approx(base, abs=0.01)


def test_points_that_are_twice_in_the_base_have_one_value() -> None:
    base, again = drawn(fitted(), np.repeat(mixtures(2, 3, seed=2), 2, axis=0), n=32)
    assert base[:, ::2] == pytest.approx(base[:, 1::2], abs=0.01)
    assert again == pytest.approx(base, abs=0.01)


def test_points_that_are_known_exactly_can_be_drawn_together() -> None:
    """What is left of their variances is lost in rounding."""
    for seed in range(5):
        near = mixtures(1, 4, seed) + 1e-4 * np.random.default_rng(seed).standard_normal((40, 4))
        x = np.concatenate([mixtures(8, 4, seed), near])
        surrogate = Surrogate.fit(x, law(x), np.zeros((len(x), 2)), domains=4)
        base, again = drawn(surrogate, x[-6:], n=32)
        assert again == pytest.approx(base, abs=0.01)
        assert base.mean(axis=2) == pytest.approx(law(x[-6:]).T, abs=0.01)


def test_each_further_point_is_alone_beside_the_base() -> None:
    surrogate, points = fitted(), mixtures(5, 3, seed=2)
    draws = surrogate.draws(points[:2], 64, np.random.default_rng(0))
    assert draws.at(points[2:]) == pytest.approx(np.hstack([draws.at(points[2:4]), draws.at(points[4:])]))


def test_the_same_generator_gives_the_same() -> None:
    surrogate, points = fitted(), mixtures(3, 3, seed=2)
    first, again, other = (drawn(surrogate, points, n=8, seed=seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_without_base_points_there_are_none() -> None:
    draws = fitted().draws(np.empty((0, 3)), 8, np.random.default_rng(0))
    assert draws.base.shape == (2, 0, 8)
    assert draws.at(np.empty((0, 3))).shape == (2, 0, 8)
