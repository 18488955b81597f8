from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from ratio_search.model.gaussian_process import FIT_AT_MOST, KEEP_AT_MOST, GaussianProcess
from ratio_search.model.inputs import Inputs
from ratio_search.model.measurements import Array, Measurements
from ratio_search.model.posterior import JITTER
from ratio_search.model.prior import Prior

SEEDS = st.integers(0, 2**32 - 1)
PRIORS = [Prior(), Prior(spread=None)]
OWN = [None, 1]


def smooth(x: Array) -> Array:
    found: Array = np.sin(2 * x[:, 0]) + 0.5 * np.square(x[:, 1])
    return found


def fitted(measured: Measurements, prior: Prior | None = None, own: int | None = None) -> GaussianProcess:
    """A process of shares alone, fitted."""
    return GaussianProcess.fit(measured, prior or Prior(), Inputs(shares=measured.x.shape[1], own=own))


def explained(process: GaussianProcess) -> float:
    return float(1 - np.square(process.residuals).sum() / np.square(process.naive).sum())


class TestPosterior:
    """With hyperparameters that are given."""

    def test_it_is_that_of_a_matern_kernel_and_a_constant(self) -> None:
        rng = np.random.default_rng(0)
        x, y, variance, at = rng.random((9, 3)), rng.standard_normal(9), rng.random(9) / 10, rng.random((5, 3))
        lengths, signal, noise, mean, spread = np.array([0.3, 0.7, 2.0]), 1.7, 0.05, 0.4, 3.0
        theta, doubt = np.log([*lengths, signal, noise]), np.eye(9)[2]
        process = GaussianProcess(
            Measurements.of(x, y, variance), Prior(), Inputs(shares=3), theta, (mean, spread), doubt
        )
        other = GaussianProcessRegressor(
            ConstantKernel(1.0) + ConstantKernel(signal) * Matern(lengths, nu=2.5),
            alpha=(variance + doubt) / spread**2 + noise + JITTER,
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

    def test_a_curve_and_a_line_along_one_input_add_to_it(self) -> None:
        rng = np.random.default_rng(0)
        x, y, at = rng.random((9, 3)), rng.standard_normal(9), rng.random((5, 3))
        theta = np.log([0.3, 0.7, 2.0, 1.7, 0.05, 0.8, 0.4])
        process = GaussianProcess(Measurements.of(x, y), Prior(), Inputs(shares=3, own=2), theta, (0.0, 1.0))
        slope, sd = np.array(Prior().slope) / x[:, 2].std()
        curves = (
            ConstantKernel(1.0)
            + ConstantKernel(1.7) * Matern([0.3, 0.7, 2.0], nu=2.5)
            # A length scale beyond all distances is how an input is told not to matter.
            + ConstantKernel(0.8) * Matern([1e9, 1e9, 0.4], nu=2.5)
        )
        both = np.vstack([x, at])
        own = both[:, 2] - x[:, 2].mean()
        prior = curves(both) + np.outer(sd * own, sd * own)
        pull = prior[9:, :9] @ np.linalg.inv(prior[:9, :9] + (0.05 + JITTER) * np.eye(9))
        found = process.moments(at)
        covariance = prior[9:, 9:] - pull @ prior[:9, 9:]
        assert found.mean == pytest.approx(slope * own[9:] + pull @ (y - slope * own[:9]), abs=1e-6)
        assert process.mean(at) == pytest.approx(found.mean)
        assert found.variance == pytest.approx(covariance.diagonal(), abs=1e-6)
        assert process.covariance((at, found), (at, found)) == pytest.approx(covariance, abs=1e-6)

    @pytest.mark.parametrize("prior", PRIORS)
    @settings(max_examples=10, deadline=None)
    @given(SEEDS, st.integers(2, 9))
    def test_residuals_are_what_the_others_do_not_predict(self, prior: Prior, seed: int, n: int) -> None:
        rng = np.random.default_rng(seed)
        x, y, variance = rng.random((n, 2)), rng.standard_normal(n), rng.choice([0.0, 0.1, 1.0], n)
        inputs = Inputs(shares=2)
        theta, scale = rng.uniform(-2, 1, len(prior.start(inputs))), (0.3, 1.5)
        process = GaussianProcess(Measurements.of(x, y, variance), prior, inputs, theta, scale)
        for i in range(n):
            rest = np.arange(n) != i
            without = GaussianProcess(Measurements.of(x[rest], y[rest], variance[rest]), prior, inputs, theta, scale)
            assert process.residuals[i] == pytest.approx(y[i] - without.mean(x[[i]])[0], abs=1e-6)

    def test_the_yardstick_is_the_mean_of_the_others(self) -> None:
        y = np.array([1.0, 4.0, 7.0])
        process = fitted(Measurements.of(np.eye(3), y))
        assert process.naive == pytest.approx([1 - 5.5, 0.0, 7 - 2.5])


class TestFit:
    @pytest.mark.parametrize("prior", PRIORS)
    @pytest.mark.parametrize("seed", range(3))
    def test_a_smooth_function_of_two_inputs_of_six_is_found_with_30_measurements(
        self, prior: Prior, seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        x, at = rng.random((30, 6)), rng.random((200, 6))
        process = fitted(Measurements.of(x, smooth(x)), prior)
        # One length scale for all inputs must learn what does not matter, too.
        assert explained(process) > (0.9 if prior.spread is not None else 0.4)
        wrong = smooth(at) - process.mean(at)
        assert wrong.std() < (0.3 if prior.spread is not None else 0.7) * smooth(at).std()

    @pytest.mark.parametrize("n", [3, 4, 5])
    def test_few_measurements_that_two_inputs_explain_are_told_by_the_own_one(self, n: int) -> None:
        a = np.linspace(0, 1, n)
        x = np.stack([a, 1 - a], axis=1)
        at = np.array([[0.2, 0.2], [0.9, 0.9]])
        first, second = (fitted(Measurements.of(x, a), own=own) for own in (0, 1))
        assert np.diff(first.mean(at))[0] > 0.3
        assert np.diff(second.mean(at))[0] < -0.3

    def test_many_measurements_tell_better_than_what_was_expected(self) -> None:
        x, at = np.random.default_rng(0).random((40, 2)), np.random.default_rng(1).random((50, 2))
        process = fitted(Measurements.of(x, np.sin(4 * x[:, 0])), own=1)
        assert process.lengths.argmin() == 0
        assert process.mean(at) == pytest.approx(np.sin(4 * at[:, 0]), abs=0.1)

    def test_a_hyperparameter_that_matters_alone_does_not_make_all_shares_matter(self) -> None:
        wrong = []
        for seed in range(5):
            rng = np.random.default_rng(seed)
            x, at = rng.random((10, 9)), rng.random((100, 9))
            measured = Measurements.of(x, np.square(x[:, 8] - 0.6))
            for inputs in (Inputs(shares=8, settings=1), Inputs(shares=9)):
                process = GaussianProcess.fit(measured, Prior(), inputs)
                wrong.append(np.std(process.mean(at) - np.square(at[:, 8] - 0.6)))
        assert np.mean(wrong[::2]) < 0.7 * np.mean(wrong[1::2])

    def test_an_own_input_is_expected_to_raise_the_quantity_until_measurements_say_otherwise(self) -> None:
        ends = np.full((2, 6), 0.5)
        ends[:, 1] = 0.1, 0.9
        prior, rises = Prior(slope=(0.6, 0.4)), []
        for seed in range(10):
            rng = np.random.default_rng(seed)
            x, noise = rng.random((40, 6)), rng.standard_normal(40)
            measured = [(4, noise), (40, noise / 10 - 3 * x[:, 1])]
            fits = [fitted(Measurements.of(x[:n], y[:n]), prior, own=1) for n, y in measured]
            rises.append([float(np.diff(process.mean(ends))[0]) for process in fits])
        of_noise, falling = np.mean(rises, axis=0)
        assert of_noise > 0.3
        assert falling == pytest.approx(-2.4, rel=0.05)

    def test_inputs_that_do_not_matter_get_long_length_scales(self) -> None:
        x = np.random.default_rng(0).random((30, 6))
        lengths = fitted(Measurements.of(x, smooth(x))).lengths
        assert lengths[:2].max() < lengths[2:].min()

    @pytest.mark.parametrize("waves", [3, 9])
    def test_a_clear_signal_in_10_measurements_does_not_end_as_noise(self, waves: int) -> None:
        for seed in range(10):
            x = np.random.default_rng(seed).random((10, 2))
            y = np.sin(waves * x[:, 0])
            process = fitted(Measurements.of(x, y))
            assert explained(process) > 0.5, seed
            assert process.noise < 0.2 * y.var(), seed

    def test_noise_alone_is_not_explained(self) -> None:
        found = []
        for seed in range(10):
            rng = np.random.default_rng(seed)
            x, y = rng.random((60, 3)), rng.standard_normal(60)
            found.append(explained(fitted(Measurements.of(x, y))))
        assert np.mean(found) < 0.1

    @pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
    def test_repeats_tell_the_noise(self, scale: float) -> None:
        rng = np.random.default_rng(1)
        x = np.repeat(rng.random((8, 2)), 6, axis=0)
        y = scale * (smooth(x) + 0.2 * rng.standard_normal(48))
        process = fitted(Measurements.of(x, y))
        assert np.sqrt(process.noise) == pytest.approx(0.2 * scale, rel=0.4)

    def test_noise_that_is_stated_is_not_learned_again(self) -> None:
        rng = np.random.default_rng(1)
        x = np.repeat(rng.random((8, 2)), 6, axis=0)
        y = smooth(x) + 0.2 * rng.standard_normal(48)
        alone, beside = (fitted(Measurements.of(x, y, np.full(48, stated))) for stated in (0.0, 0.2**2))
        assert beside.noise < alone.noise / 2

    def test_a_measurement_that_is_said_to_be_unsure_counts_little(self) -> None:
        x = np.linspace(0, 1, 9)[:, None]
        # Three of them, as one alone would be doubted.
        some = abs(np.arange(9) - 4) <= 1
        y = np.where(some, 5.0, x[:, 0])
        sure, unsure = (fitted(Measurements.of(x, y, np.where(some, stated, 1e-6))) for stated in (1e-6, 1e4))
        assert unsure.mean(x[[4]])[0] == pytest.approx(0.5, abs=0.1)
        assert sure.mean(x[[4]])[0] > 1

    @settings(max_examples=15, deadline=None)
    @given(SEEDS, st.floats(-6, 6), st.floats(-100, 100))
    def test_units_do_not_matter(self, seed: int, exponent: float, shift: float) -> None:
        rng = np.random.default_rng(seed)
        x, at, unit = rng.random((12, 2)), rng.random((5, 2)), 10**exponent
        y, variance = smooth(x) + 0.1 * rng.standard_normal(12), np.full(12, 0.01)
        own = fitted(Measurements.of(x, y, variance)).moments(at)
        process = fitted(Measurements.of(x, unit * (y + shift), unit**2 * variance))
        other = process.moments(at)
        assert other.mean / unit - shift == pytest.approx(own.mean, abs=1e-2)
        assert np.sqrt(other.variance) / unit == pytest.approx(np.sqrt(own.variance), rel=0.05, abs=1e-2)

    def test_of_very_many_measurements_all_count(self) -> None:
        rng = np.random.default_rng(0)
        n = FIT_AT_MOST + 40
        x, at = rng.random((n, 2)), rng.random((100, 2))
        process = fitted(Measurements.of(x, smooth(x)))
        assert len(process.residuals) == n
        assert process.mean(at) == pytest.approx(smooth(at), abs=0.01)
        assert process.mean(x) == pytest.approx(smooth(x), abs=0.01)

    @pytest.mark.parametrize("n", [1, 2, 7, 10])
    @pytest.mark.parametrize("constant", [0.0, 0.1, 0.3, -7.77e5])
    def test_what_never_changes_is_expected_again_and_explains_nothing(self, n: int, constant: float) -> None:
        x = np.random.default_rng(n).random((n, 3))
        process = fitted(Measurements.of(x, np.full(n, constant)))
        found = process.moments(np.ones((1, 3)))
        assert found.mean == pytest.approx([constant], rel=1e-9, abs=1e-9)
        assert np.isfinite(found.variance) and found.variance > 0
        assert not np.any(process.naive)

    def test_repeats_of_one_point_only_leave_the_rest_unknown(self) -> None:
        x = np.tile([[0.2, 0.8]], (6, 1))
        process = fitted(Measurements.of(x, np.array([1.0, 1.1, 0.9, 1.0, 1.2, 0.8])))
        here, there = process.moments(np.array([[0.2, 0.8], [0.8, 0.2]])).variance
        assert here < there / 2


class TestDoubt:
    """Fine-tunes that went wrong."""

    @staticmethod
    def gone_wrong(n: int, wrong: int, seed: int) -> tuple[Measurements, Array]:
        """Measurements of a smooth function, some of them far off, and whether each is."""
        rng = np.random.default_rng(seed)
        x, off = rng.dirichlet(np.ones(4), n), np.arange(n) % (n // wrong) == 1 if wrong else np.zeros(n, dtype=bool)
        return Measurements.of(x, smooth(x) + 0.05 * rng.standard_normal(n) - 8 * off), off

    @pytest.mark.parametrize(("n", "wrong"), [(10, 1), (15, 1), (30, 2), (100, 1), (100, 3)])
    def test_they_do_not_ruin_what_the_others_say(self, n: int, wrong: int) -> None:
        for seed in range(5):
            measured, off = self.gone_wrong(n, wrong, seed)
            process = fitted(measured)
            doubted = process.doubt > 0
            assert np.all(doubted[off])
            assert doubted.sum() <= off.sum() + 1
            at = np.random.default_rng(9).dirichlet(np.ones(4), 200)
            alone = fitted(measured[~off])
            assert process.mean(at) == pytest.approx(alone.mean(at), abs=0.15)

    def test_ordinary_noise_is_not_doubted(self) -> None:
        for n in (6, 10, 20, 40, 100):
            for seed in range(10):
                rng = np.random.default_rng(seed)
                x = rng.random((n, 3))
                y = smooth(x) + 0.3 * rng.standard_normal(n)
                assert not np.any(fitted(Measurements.of(x, y)).doubt), (n, seed)

    @pytest.mark.parametrize("n", [20, 100])
    def test_late_in_a_search_the_early_ones_far_from_the_best_are_believed(self, n: int) -> None:
        # Most trials lie near the best, where all are alike; those elsewhere are worse by many times their spread.
        rng = np.random.default_rng(n)
        far, near = rng.dirichlet(np.ones(4), 10), rng.dirichlet([80, 60, 40, 20], n - 10)
        x = np.vstack([far, near])
        y = -20 * np.square(x - [0.4, 0.3, 0.2, 0.1]).sum(axis=1) + 0.02 * rng.standard_normal(n)
        assert (y[:10].mean() - y[10:].mean()) / y[10:].std() < -10
        process = fitted(Measurements.of(x, y))
        assert not np.any(process.doubt)

    def test_what_happens_again_nearby_is_believed(self) -> None:
        rng = np.random.default_rng(0)
        x = np.vstack([rng.dirichlet(np.ones(4), 20), rng.dirichlet([1, 1, 1, 300], 4)])
        y = smooth(x) + 0.02 * rng.standard_normal(24) - 8 * (x[:, 3] > 0.9)
        process = fitted(Measurements.of(x, y))
        assert process.mean(np.array([[0.02, 0.01, 0.01, 0.96]]))[0] < -6


class TestFurther:
    def test_it_has_the_same_hyperparameters_and_knows_more(self) -> None:
        rng = np.random.default_rng(0)
        x, at = rng.random((30, 2)), rng.random((50, 2))
        measured = Measurements.of(x, smooth(x) + 0.01 * rng.standard_normal(30))
        few = fitted(measured[np.arange(12)])
        more = few.further(measured)
        assert more.noise == few.noise and np.array_equal(more.lengths, few.lengths)
        assert np.abs(more.mean(at) - smooth(at)).mean() < 0.5 * np.abs(few.mean(at) - smooth(at)).mean()
        assert len(more.residuals) == len(more.doubt) == 30

    def test_doubts_stay_and_none_is_added(self) -> None:
        measured, off = TestDoubt.gone_wrong(30, 2, seed=0)
        few = fitted(measured[np.arange(12)])
        assert np.flatnonzero(few.doubt).tolist() == np.flatnonzero(off[:12]).tolist()
        assert np.array_equal(few.further(measured).doubt > 0, off & (np.arange(30) < 12))

    def test_surprises_are_differences_in_standard_deviations_of_measurements(self) -> None:
        rng = np.random.default_rng(0)
        x = rng.random((200, 2))
        measured = Measurements.of(x, smooth(x) + 0.2 * rng.standard_normal(200))
        found = fitted(measured[np.arange(80)]).surprises(measured[np.arange(80, 200)])
        assert np.sqrt(np.square(found).mean()) == pytest.approx(1.0, abs=0.2)
        stated = Measurements.of(x, measured.y, np.full(200, 100 * 0.2**2))
        unsure = fitted(measured[np.arange(80)]).surprises(stated[np.arange(80, 200)])
        assert unsure == pytest.approx(found / np.sqrt(101), rel=0.2)

    def test_of_very_many_measurements_doubts_are_told_by_their_places(self) -> None:
        rng = np.random.default_rng(0)
        n = KEEP_AT_MOST + 100
        x = rng.random((n, 2))
        y = smooth(x) + 0.05 * rng.standard_normal(n)
        y[-3] -= 9
        process = fitted(Measurements.of(x, y))
        assert len(process.residuals) == len(process.kept) == KEEP_AT_MOST
        assert np.flatnonzero(process.doubt).tolist() == [n - 3]


class TestLikely:
    def test_one_is_the_most_probable_itself_and_more_are_the_same_each_time(self) -> None:
        x = np.random.default_rng(0).random((15, 3))
        process = fitted(Measurements.of(x, smooth(x)))
        assert process.likely(1) == [process]
        first, second = process.likely(4), process.likely(4)
        assert len(first) == 4
        assert [p.lengths.tolist() for p in first] == [p.lengths.tolist() for p in second]
        assert len({tuple(p.lengths.tolist()) for p in first}) > 1

    def test_they_lie_round_the_most_probable_and_near_to_it_where_much_is_known(self) -> None:
        rng = np.random.default_rng(0)
        apart = []
        for n in (8, 150):
            x = rng.random((n, 2))
            process = fitted(Measurements.of(x, smooth(x) + 0.3 * rng.standard_normal(n)))
            noises = np.log([p.noise for p in process.likely(32)])
            assert noises.min() < np.log(process.noise) < noises.max()
            apart.append(noises.std())
        assert apart[1] < 0.3 < apart[0]

    def test_together_they_are_as_sure_as_they_are_right(self) -> None:
        # As noisy as the quantity varies: alone, the most probable ones often take all for noise, and a mean for known.
        alone, together = [], []
        for seed in range(60):
            rng = np.random.default_rng(seed)
            x, at = rng.random((20, 3)), rng.random((20, 3))
            truth = np.sin(3 * at @ [1.0, 1.0, 0.3])
            y = np.sin(3 * x @ [1.0, 1.0, 0.3])
            process = fitted(Measurements.of(x, y + y.std() * rng.standard_normal(20)))
            for processes, found in ((process.likely(1), alone), (process.likely(8), together)):
                moments = [p.moments(at) for p in processes]
                means = np.array([m.mean for m in moments])
                sd = np.sqrt(np.mean([m.variance for m in moments], axis=0) + means.var(axis=0))
                found.append(np.mean(np.abs(truth - means.mean(axis=0)) < 1.645 * sd))
        assert np.mean(alone) < np.mean(together)
        assert 0.82 < np.mean(together) < 0.97
