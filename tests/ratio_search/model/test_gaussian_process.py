from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from ratio_search.model.gaussian_process import FIT_AT_MOST, JITTER, Array, GaussianProcess, Prior, _surprise

SEEDS = st.integers(0, 2**32 - 1)
PRIORS = [Prior(), Prior(spread=None), Prior(slope=(-1.0, 1.0)), Prior(spread=None, slope=(0.0, 1.0))]


def length_of(prior: Prior, inputs: int) -> int:
    """How many hyperparameters a process has."""
    return (1 if prior.spread is None else inputs) + 2 + (prior.slope is not None)


def smooth(x: Array) -> Array:
    found: Array = np.sin(2 * x[:, 0]) + 0.5 * np.square(x[:, 1])
    return found


def explained(process: GaussianProcess) -> float:
    return float(1 - np.square(process.residuals).sum() / np.square(process.naive).sum())


@pytest.mark.parametrize("prior", PRIORS)
@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_the_gradient_is_that_of_the_surprise(prior: Prior, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y, variance = rng.random((8, 3)), rng.standard_normal(8), rng.choice([0.0, 0.1, 1.0], 8)
    theta = rng.uniform(-1.5, 1.5, length_of(prior, 3))
    shift = np.linspace(-1, 1, x.shape[1])
    _, gradient = _surprise(theta, x, y, variance, prior, shift)
    numeric = approx_fprime(theta, lambda at: _surprise(at, x, y, variance, prior, shift)[0], 1e-6)
    assert gradient == pytest.approx(numeric, rel=1e-3, abs=1e-3)


class TestPosterior:
    """With hyperparameters that are given."""

    def test_it_is_that_of_a_matern_kernel_and_a_constant(self) -> None:
        rng = np.random.default_rng(0)
        x, y, variance, at = rng.random((9, 3)), rng.standard_normal(9), rng.random(9) / 10, rng.random((5, 3))
        lengths, signal, noise, mean, spread = np.array([0.3, 0.7, 2.0]), 1.7, 0.05, 0.4, 3.0
        theta = np.log([*lengths, signal, noise])
        process = GaussianProcess(x, y, variance, Prior(), theta, (mean, spread))
        other = GaussianProcessRegressor(
            ConstantKernel(1.0) + ConstantKernel(signal) * Matern(lengths, nu=2.5),
            alpha=variance / spread**2 + noise + JITTER,
            optimizer=None,
        ).fit(x, (y - mean) / spread)
        expected, covariance = other.predict(at, return_cov=True)
        found = process.moments(at)
        assert found.mean == pytest.approx(expected * spread + mean, abs=1e-6)
        assert process.mean(at) == pytest.approx(found.mean)
        assert found.variance == pytest.approx(covariance.diagonal() * spread**2, abs=1e-6)
        assert process.covariance((at, found), (at, found)) == pytest.approx(covariance * spread**2, abs=1e-6)
        assert process.lengths == pytest.approx(lengths)
        assert process.noise == pytest.approx(noise * spread**2)

    def test_the_linear_part_goes_on_outside(self) -> None:
        x = np.linspace(-1, 1, 9)[:, None]
        theta = np.array([0.0, -6.0, -12.0, 2.0])
        process = GaussianProcess(x, 3 * x[:, 0], np.zeros(9), Prior(slope=(0.0, 1.0)), theta, (0.0, 1.0))
        found = process.moments(np.array([[3.0], [4.0]]))
        assert found.mean == pytest.approx([9, 12], abs=0.1)
        assert process.mean(np.array([[3.0], [4.0]])) == pytest.approx(found.mean)
        both = process.covariance((np.array([[3.0], [4.0]]), found), (np.array([[3.0], [4.0]]), found))
        assert both.diagonal() == pytest.approx(found.variance)

    @pytest.mark.parametrize("prior", PRIORS[:2])
    @settings(max_examples=10, deadline=None)
    @given(SEEDS, st.integers(2, 9))
    def test_residuals_are_what_the_others_do_not_predict(self, prior: Prior, seed: int, n: int) -> None:
        rng = np.random.default_rng(seed)
        x, y, variance = rng.random((n, 2)), rng.standard_normal(n), rng.choice([0.0, 0.1, 1.0], n)
        theta, scale = rng.uniform(-2, 1, length_of(prior, 2)), (0.3, 1.5)
        process = GaussianProcess(x, y, variance, prior, theta, scale)
        for i in range(n):
            rest = np.arange(n) != i
            without = GaussianProcess(x[rest], y[rest], variance[rest], prior, theta, scale)
            assert process.residuals[i] == pytest.approx(y[i] - without.mean(x[[i]])[0], abs=1e-6)

    def test_the_yardstick_is_the_mean_of_the_others(self) -> None:
        y = np.array([1.0, 4.0, 7.0])
        process = GaussianProcess.fit(np.eye(3), y, np.zeros(3), Prior())
        assert process.naive == pytest.approx([1 - 5.5, 0.0, 7 - 2.5])


class TestFit:
    @pytest.mark.parametrize("prior", PRIORS)
    @pytest.mark.parametrize("seed", range(3))
    def test_a_smooth_function_of_two_inputs_of_six_is_found_with_30_measurements(
        self, prior: Prior, seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        x, at = rng.random((30, 6)), rng.random((200, 6))
        process = GaussianProcess.fit(x, smooth(x), np.zeros(30), prior)
        # One length scale for all inputs must learn what does not matter, too.
        assert explained(process) > (0.9 if prior.spread is not None else 0.4)
        wrong = smooth(at) - process.mean(at)
        assert wrong.std() < (0.3 if prior.spread is not None else 0.7) * smooth(at).std()

    def test_what_is_expected_of_an_input_counts_until_it_is_known_better(self) -> None:
        few, many = (np.random.default_rng(0).random((n, 2)) for n in (3, 40))
        expected = np.array([0.0, 1.5])
        for x, shorter in ((few, 1), (many, 0)):
            y = np.sin(4 * x[:, 0])
            lengths = GaussianProcess.fit(x, y, np.zeros(len(x)), Prior(), expected).lengths
            assert lengths.argmin() == shorter

    def test_inputs_that_do_not_matter_get_long_length_scales(self) -> None:
        x = np.random.default_rng(0).random((30, 6))
        lengths = GaussianProcess.fit(x, smooth(x), np.zeros(30), Prior()).lengths
        assert lengths[:2].max() < lengths[2:].min()

    @pytest.mark.parametrize("waves", [3, 9])
    def test_a_clear_signal_in_10_measurements_does_not_end_as_noise(self, waves: int) -> None:
        for seed in range(10):
            x = np.random.default_rng(seed).random((10, 2))
            y = np.sin(waves * x[:, 0])
            process = GaussianProcess.fit(x, y, np.zeros(10), Prior())
            assert explained(process) > 0.5, seed
            assert process.noise < 0.2 * y.var(), seed

    def test_noise_alone_is_not_explained(self) -> None:
        found = []
        for seed in range(10):
            rng = np.random.default_rng(seed)
            x, y = rng.random((60, 3)), rng.standard_normal(60)
            found.append(explained(GaussianProcess.fit(x, y, np.zeros(60), Prior())))
        assert np.mean(found) < 0.1

    @pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
    def test_repeats_tell_the_noise(self, scale: float) -> None:
        rng = np.random.default_rng(1)
        x = np.repeat(rng.random((8, 2)), 6, axis=0)
        y = scale * (smooth(x) + 0.2 * rng.standard_normal(48))
        process = GaussianProcess.fit(x, y, np.zeros(48), Prior())
        assert np.sqrt(process.noise) == pytest.approx(0.2 * scale, rel=0.4)

    def test_noise_that_is_stated_is_not_learned_again(self) -> None:
        rng = np.random.default_rng(1)
        x = np.repeat(rng.random((8, 2)), 6, axis=0)
        y = smooth(x) + 0.2 * rng.standard_normal(48)
        alone, beside = (GaussianProcess.fit(x, y, np.full(48, stated), Prior()) for stated in (0.0, 0.2**2))
        assert beside.noise < alone.noise / 2

    def test_a_measurement_that_is_said_to_be_unsure_counts_little(self) -> None:
        x = np.linspace(0, 1, 9)[:, None]
        y = np.where(np.arange(9) == 4, 5.0, x[:, 0])
        sure, unsure = (
            GaussianProcess.fit(x, y, np.where(np.arange(9) == 4, stated, 1e-6), Prior()) for stated in (1e-6, 1e4)
        )
        assert unsure.mean(x[[4]])[0] == pytest.approx(0.5, abs=0.1)
        assert sure.mean(x[[4]])[0] > 1

    @settings(max_examples=15, deadline=None)
    @given(SEEDS, st.floats(-6, 6), st.floats(-100, 100))
    def test_units_do_not_matter(self, seed: int, exponent: float, shift: float) -> None:
        rng = np.random.default_rng(seed)
        x, at, unit = rng.random((12, 2)), rng.random((5, 2)), 10**exponent
        y, variance = smooth(x) + 0.1 * rng.standard_normal(12), np.full(12, 0.01)
        own = GaussianProcess.fit(x, y, variance, Prior()).moments(at)
        process = GaussianProcess.fit(x, unit * (y + shift), unit**2 * variance, Prior())
        other = process.moments(at)
        assert other.mean / unit - shift == pytest.approx(own.mean, abs=1e-2)
        assert np.sqrt(other.variance) / unit == pytest.approx(np.sqrt(own.variance), rel=0.05, abs=1e-2)

    def test_of_very_many_measurements_all_count(self) -> None:
        rng = np.random.default_rng(0)
        n = FIT_AT_MOST + 40
        x, at = rng.random((n, 2)), rng.random((100, 2))
        process = GaussianProcess.fit(x, smooth(x), np.zeros(n), Prior())
        assert len(process.residuals) == n
        assert process.mean(at) == pytest.approx(smooth(at), abs=0.01)
        assert process.mean(x) == pytest.approx(smooth(x), abs=0.01)

    @pytest.mark.parametrize("n", [1, 2, 7, 10])
    @pytest.mark.parametrize("constant", [0.0, 0.1, 0.3, -7.77e5])
    def test_what_never_changes_is_expected_again_and_explains_nothing(self, n: int, constant: float) -> None:
        x = np.random.default_rng(n).random((n, 3))
        process = GaussianProcess.fit(x, np.full(n, constant), np.zeros(n), Prior())
        found = process.moments(np.ones((1, 3)))
        assert found.mean == pytest.approx([constant], rel=1e-9, abs=1e-9)
        assert np.isfinite(found.variance) and found.variance > 0
        assert not np.any(process.naive)

    def test_repeats_of_one_point_only_leave_the_rest_unknown(self) -> None:
        x = np.tile([[0.2, 0.8]], (6, 1))
        process = GaussianProcess.fit(x, np.array([1.0, 1.1, 0.9, 1.0, 1.2, 0.8]), np.zeros(6), Prior())
        here, there = process.moments(np.array([[0.2, 0.8], [0.8, 0.2]])).variance
        assert here < there / 3
