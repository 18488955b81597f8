from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from ratio_search.model.inputs import Inputs
from ratio_search.model.kernel import Kernel
from ratio_search.model.measurements import Array
from ratio_search.model.prior import Prior

SEEDS = st.integers(0, 2**32 - 1)
PRIORS = [Prior(), Prior(spread=None)]
INPUTS = [Inputs(shares=3), Inputs(shares=3, own=1), Inputs(shares=2, settings=1, own=1)]


def drawn(prior: Prior, inputs: Inputs, seed: int) -> tuple[Array, Array, Array]:
    """Hyperparameters and two sets of points."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-1.5, 1.5, len(prior.start(inputs))), rng.random((6, 3)), rng.random((4, 3))


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("inputs", INPUTS, ids=str)
@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_it_is_a_sum_of_a_constant_and_matern_kernels(prior: Prior, inputs: Inputs, seed: int) -> None:
    theta, a, b = drawn(prior, inputs, seed)
    kernel = Kernel.of(theta, prior, inputs)
    q, own = prior.lengths(inputs), inputs.own
    lengths = np.exp(theta[:q])
    if prior.spread is None:
        lengths = np.concatenate([np.repeat(lengths[0], inputs.shares), lengths[1:]])
    expected = (ConstantKernel(1.0) + ConstantKernel(np.exp(theta[q])) * Matern(lengths, nu=2.5))(a, b)
    if own is not None:
        alone = ConstantKernel(np.exp(theta[q + 2])) * Matern(np.exp(theta[q + 3]), nu=2.5)
        expected += alone(a[:, [own]], b[:, [own]])
    assert kernel.between(a, b) == pytest.approx(expected)
    assert kernel.between(a, a).diagonal() == pytest.approx(np.full(6, kernel.variance), abs=1e-6)
    assert kernel.noise == pytest.approx(np.exp(theta[q + 1]))


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("inputs", INPUTS, ids=str)
@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_slopes_are_those_of_what_pulls_at_the_covariances(prior: Prior, inputs: Inputs, seed: int) -> None:
    theta, x, _ = drawn(prior, inputs, seed)
    pull = np.random.default_rng(seed).standard_normal((6, 6))
    pull += pull.T
    kernel = Kernel.of(theta, prior, inputs)
    found, slopes = kernel.with_slopes(x)
    assert found == pytest.approx(kernel.between(x, x))
    together = inputs.shares if prior.spread is None else 0
    step, numeric = 1e-5, []
    for moved in np.eye(len(theta)) * step:
        up, down = (Kernel.of(theta + by, prior, inputs) for by in (moved, -moved))
        covariances = up.between(x, x) - down.between(x, x) + (up.noise - down.noise) * np.eye(6)
        numeric.append((pull * covariances).sum() / (2 * step))
    assert slopes.along(pull, kernel.noise, together=together) == pytest.approx(numeric, rel=1e-4, abs=1e-4)
