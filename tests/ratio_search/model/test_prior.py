from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, minimize_scalar

from ratio_search.model.inputs import Inputs
from ratio_search.model.measurements import Array
from ratio_search.model.prior import Normal, Prior

PRIORS = [Prior(), Prior(spread=None)]
INPUTS = [
    Inputs(shares=4),
    Inputs(shares=4, own=2),
    Inputs(shares=3, settings=2),
    Inputs(shares=3, settings=1, own=2),
]
SEEDS = st.integers(0, 2**32 - 1)


def away(value: float, believed: Normal) -> float:
    """The surprise of one logarithm."""
    return float(0.5 * ((value - believed[0]) / believed[1]) ** 2)


def of_lengths(lengths: Array, prior: Prior) -> float:
    """The surprise of length scales round a common mean, at the common mean that makes it least."""
    assert prior.spread is not None
    spread = prior.spread
    found = minimize_scalar(
        lambda common: away(common, prior.length) + sum(away(length, (common, spread)) for length in lengths)
    )
    return float(found.fun)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("inputs", INPUTS, ids=str)
@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_the_surprise_is_that_of_normal_logarithms(prior: Prior, inputs: Inputs, seed: int) -> None:
    theta = np.random.default_rng(seed).uniform(-2, 2, len(prior.start(inputs)))
    q, own = prior.lengths(inputs), inputs.own
    shares = q - inputs.settings
    expected = away(theta[q], prior.signal) + away(theta[q + 1], prior.noise)
    if own is not None:
        expected += away(theta[q + 2], prior.alone) + away(theta[q + 3], prior.alone_length)
    if prior.spread is None:
        expected += away(theta[0], prior.length)
    elif own is None:
        expected += of_lengths(theta[:shares], prior)
    else:
        expected += of_lengths(np.delete(theta[:shares], own), prior) + away(theta[own], prior.own_length)
    expected += sum(away(length, prior.setting) for length in theta[shares:q])
    believed = prior.believed(inputs)
    value, gradient = believed.surprise(theta)
    assert value == pytest.approx(expected, rel=1e-6)
    assert gradient == pytest.approx(approx_fprime(theta, lambda at: believed.surprise(at)[0]), abs=1e-4)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("inputs", INPUTS, ids=str)
def test_a_search_starts_within_the_bounds(prior: Prior, inputs: Inputs) -> None:
    start, bounds = prior.start(inputs), np.array(prior.bounds(inputs))
    assert len(start) == len(bounds) == prior.lengths(inputs) + 2 + 2 * (inputs.own is not None)
    assert np.all((bounds[:, 0] < start) & (start < bounds[:, 1]))
