from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from ratio_search.model.inputs import Inputs
from ratio_search.model.measurements import Array, Measurements
from ratio_search.model.posterior import JITTER, Posterior
from ratio_search.model.prior import Prior
from ratio_search.model.trend import Trend

SEEDS = st.integers(0, 2**32 - 1)
PRIORS = [Prior(), Prior(spread=None)]
INPUTS = [Inputs(shares=3), Inputs(shares=3, own=1), Inputs(shares=2, settings=1, own=1)]


def drawn(prior: Prior, inputs: Inputs, seed: int) -> tuple[Measurements, Trend, Array]:
    """Measurements, what is expected of them, and hyperparameters."""
    rng = np.random.default_rng(seed)
    x, y, variance = rng.random((8, 3)), rng.standard_normal(8), rng.choice([0.0, 0.1, 1.0], 8)
    theta = rng.uniform(-1.5, 1.5, len(prior.start(inputs)))
    return Measurements.of(x, y, variance), Trend.of(x, prior, inputs.own), theta


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("inputs", INPUTS, ids=str)
@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_the_gradient_is_that_of_the_surprise(prior: Prior, inputs: Inputs, seed: int) -> None:
    seen, trend, theta = drawn(prior, inputs, seed)
    posterior = Posterior(seen, prior, trend, inputs)
    value, gradient = posterior.surprise(theta)
    assert value == pytest.approx(posterior.surprising(theta))
    numeric = approx_fprime(theta, posterior.surprising, 1e-6)
    assert gradient == pytest.approx(numeric, rel=1e-3, abs=1e-3)


def test_it_is_the_density_of_the_measurements_times_that_of_the_prior() -> None:
    prior = Prior()
    inputs = Inputs(shares=3)
    seen, trend, first = drawn(prior, inputs, 0)
    posterior, believed = Posterior(seen, prior, trend, inputs), prior.believed(inputs)

    def surprise(theta: Array) -> float:
        kernel = ConstantKernel(1.0) + ConstantKernel(np.exp(theta[3])) * Matern(np.exp(theta[:3]), nu=2.5)
        covariances = kernel(seen.x) + np.diag(seen.variance + np.exp(theta[4]) + JITTER)
        likelihood = multivariate_normal(np.zeros(8), covariances).logpdf(seen.y)
        return float(believed.surprise(theta)[0] - likelihood)

    second = first + np.linspace(-0.5, 0.5, len(first))
    found = posterior.surprising(second) - posterior.surprising(first)
    assert found == pytest.approx(surprise(second) - surprise(first))


@pytest.mark.parametrize("inputs", INPUTS, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_nothing_near_the_most_probable_ones_is_more_probable(inputs: Inputs, seed: int) -> None:
    prior = Prior()
    seen, trend, _ = drawn(prior, inputs, seed)
    posterior = Posterior(seen, prior, trend, inputs)
    peak = posterior.most_probable()
    away = np.random.default_rng(seed).standard_normal((50, len(peak)))
    others = [posterior.surprising(peak + size * step) for step in away for size in (0.1, 0.5)]
    assert min(others) > posterior.surprising(peak) - 0.02


def test_without_measurements_that_tell_anything_likely_ones_are_those_of_the_prior() -> None:
    prior = Prior(spread=None)
    nothing = Measurements.of(np.zeros((1, 3)), np.zeros(1), np.full(1, 1e6))
    posterior = Posterior(nothing, prior, Trend.of(nothing.x, prior, None), Inputs(shares=3))
    likely = posterior.likely(posterior.most_probable(), 64)
    mean, sd = np.array([prior.length, prior.signal, prior.noise]).T
    assert (likely.mean(axis=0) - mean) / sd == pytest.approx(0, abs=0.25)
    assert likely.std(axis=0) == pytest.approx(sd, rel=0.25)
