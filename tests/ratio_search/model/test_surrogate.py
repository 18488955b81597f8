from __future__ import annotations

import numpy as np
import pytest

from ratio_search.model.measurements import Array
from ratio_search.model.surrogate import COMMON, EXPERTS, Surrogate, _normal


def mixtures(n: int, domains: int, seed: int = 0) -> Array:
    found: Array = np.random.default_rng(seed).dirichlet(np.ones(domains), n)
    return found


def law(x: Array) -> Array:
    """Two metrics, each of one domain."""
    return np.sqrt(x[:, :2])


class TestNormal:
    """The numbers that draws are made of: of few dimensions, and of more than any table has."""

    @pytest.mark.parametrize(("points", "n"), [(3, 4096), (8000, 64)])
    def test_they_are_standard_normal_and_go_together_over_the_metrics(self, points: int, n: int) -> None:
        found = _normal(n, points, 2, np.random.default_rng(0))
        assert found.shape == (2, points, n)
        assert np.all(np.isfinite(found))
        assert found.mean() == pytest.approx(0, abs=0.01)
        assert found.std() == pytest.approx(1, abs=0.02)
        assert np.corrcoef(found.reshape(2, -1))[0, 1] == pytest.approx(COMMON, abs=0.03)
        assert np.corrcoef(found[0, :3])[0, 1] == pytest.approx(0, abs=0.3)


class TestFit:
    def test_what_is_missing_of_a_metric_is_missing_of_that_one_only(self) -> None:
        x, at = mixtures(10, 3), mixtures(4, 3, seed=5)
        gains, known = law(x), np.arange(10) % 3 > 0
        gains[~known, 1] = np.nan
        both = Surrogate.fit(x, gains, np.zeros((10, 2)), domains=3)
        first = Surrogate.fit(x, gains[:, :1], np.zeros((10, 1)), domains=3)
        second = Surrogate.fit(x[known], gains[known, 1:], np.zeros((known.sum(), 1)), domains=3)
        for k, alone in enumerate((first, second)):
            assert both.forecast(at).mean[:, k] == pytest.approx(alone.forecast(at).mean[:, 0])
            assert both.forecast(at).sd[:, k] == pytest.approx(alone.forecast(at).sd[:, 0])
            assert both.explained[k] == pytest.approx(alone.explained[0])

    @pytest.mark.parametrize("seed", range(3))
    def test_metrics_of_few_domains_are_learned_from_few_trials(self, seed: int) -> None:
        x, at = mixtures(20, 6, seed), mixtures(100, 6, seed + 10)
        surrogate = Surrogate.fit(x, law(x), np.zeros((20, 2)), domains=6)
        assert min(surrogate.explained) > 0.9
        forecast = surrogate.forecast(at)
        assert np.abs(forecast.mean - law(at)).mean() < 0.05
        assert max(surrogate.noise) < 0.1

    def test_a_clear_signal_in_10_trials_does_not_end_as_noise(self) -> None:
        for seed in range(5):
            x = mixtures(10, 3, seed)
            surrogate = Surrogate.fit(x, law(x), np.zeros((10, 2)), domains=3)
            assert min(surrogate.explained) > 0.5, seed

    def test_noise_alone_is_not_explained(self) -> None:
        found = []
        for seed in range(10):
            gains = np.random.default_rng(seed).standard_normal((40, 1))
            found.append(Surrogate.fit(mixtures(40, 3, seed), gains, np.zeros((40, 1)), domains=3).explained[0])
        assert np.mean(found) < 0.1

    def test_a_metric_that_never_changes_is_not_explained(self) -> None:
        for constant in (0.0, 0.1, 0.3, 7.77):
            surrogate = Surrogate.fit(mixtures(7, 3), np.full((7, 1), constant), np.zeros((7, 1)), domains=3)
            assert surrogate.explained == (0.0,)
            assert surrogate.forecast(mixtures(3, 3, seed=4)).mean == pytest.approx(constant)

    def test_repeats_tell_the_noise_of_each_metric(self) -> None:
        x = np.repeat(mixtures(8, 3), 5, axis=0)
        gains = law(x) + np.array([0.02, 0.2]) * np.random.default_rng(0).standard_normal((40, 2))
        surrogate = Surrogate.fit(x, gains, np.zeros((40, 2)), domains=3)
        assert surrogate.noise == pytest.approx([0.02, 0.2], rel=0.5)

    def test_stated_variances_are_believed(self) -> None:
        x = mixtures(12, 3)
        gains = law(x)
        # Several, as a single one would be doubted.
        gains[3:7] += 3
        stated = np.full((12, 2), 1e-6)
        unsure = stated.copy()
        unsure[3:7] = 1e3
        believed, doubted = (Surrogate.fit(x, gains, v, domains=3).forecast(x[[4]]).mean for v in (stated, unsure))
        assert np.all(np.abs(doubted - law(x[[4]])) < 0.2)
        assert np.all(believed > doubted + 0.5)

    @pytest.mark.parametrize("alone", [True, False])
    def test_a_cliff_where_a_domain_is_absent_is_believed_unless_others_speak_against_it(self, alone: bool) -> None:
        x = np.clip(mixtures(16, 4, seed=2), 0.03, None)
        x[0, 0] = 0
        if not alone:
            x[1:4, 0] = 0
        x /= x.sum(axis=1, keepdims=True)
        gains = 0.1 * np.sqrt(x[:, :1])
        gains[0] -= 0.7
        surrogate = Surrogate.fit(x, gains, np.full_like(gains, 1e-6), domains=4, own=[0])
        believed = surrogate.forecast(x[:1]).mean[0, 0] < -0.5
        assert believed == alone
        assert surrogate.doubted.tolist() == [not alone, *[False] * 15]

    def test_boldly_the_most_probable_alone_is_believed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        x, at = mixtures(12, 4), mixtures(40, 4, seed=9)
        gains = law(x) + 0.2 * np.random.default_rng(1).standard_normal((12, 2))
        both = Surrogate.fit(x, gains, np.zeros_like(gains), domains=4)
        careful, bold = both.forecast(at), both.bold.forecast(at)
        monkeypatch.setattr("ratio_search.model.view.WAYS", 1)
        alone = Surrogate.fit(x, gains, np.zeros_like(gains), domains=4).forecast(at)
        assert bold.mean == pytest.approx(alone.mean)
        assert bold.sd == pytest.approx(alone.sd)
        assert np.median(careful.sd / bold.sd) > 1.05

    def test_with_care_what_is_expected_leaves_the_most_probable_as_noise_grows(self) -> None:
        x, at = mixtures(16, 4), mixtures(40, 4, seed=9)
        noise = np.random.default_rng(1).standard_normal((16, law(x).shape[1]))
        apart = []
        for part in (0.001, 0.1, 1.0):
            # Stated, so that nothing else has to be learned.
            variances = np.full_like(noise, (part * law(x).std()) ** 2)
            careful = Surrogate.fit(x, law(x) + np.sqrt(variances) * noise, variances, domains=4)
            by = np.abs(careful.forecast(at).mean - careful.bold.forecast(at).mean)
            apart.append(float((by / careful.forecast(at).sd).mean()))
        assert apart[0] < 0.5 * apart[1] < 0.5 * apart[2]

    def test_with_care_noise_is_taken_less_for_what_mixtures_do(self) -> None:
        x, at = mixtures(12, 4), mixtures(200, 4, seed=9)
        noise = [np.random.default_rng(seed).standard_normal((12, 2)) for seed in range(12)]
        fits = [Surrogate.fit(x, gains, np.zeros((12, 2)), domains=4) for gains in noise]
        careful, bold = (np.mean([np.square(f.forecast(at).mean) for f in by]) for by in (fits, [f.bold for f in fits]))
        assert careful < 0.95 * bold

    def test_what_went_wrong_is_told_by_all_experts(self) -> None:
        x = mixtures(20, 3)
        gains = law(x)
        gains[5, 1] -= 9
        gains[7, 0] = np.nan
        surrogate = Surrogate.fit(x, gains, np.zeros_like(gains), domains=3)
        assert np.flatnonzero(surrogate.doubted).tolist() == [5]
        assert min(surrogate.explained) > 0.8

    def test_where_two_domains_explain_a_metric_its_own_one_is_believed(self) -> None:
        a = np.array([0.1, 0.2, 0.4, 0.6, 0.8])
        x = np.stack([a, 0.9 - a, np.full(5, 0.1)], axis=1)
        first, second = (Surrogate.fit(x, a[:, None], np.zeros((5, 1)), domains=3, own=[own]) for own in (0, 1))
        at = np.array([[0.1, 0.1, 0.8]])
        assert first.forecast(at).mean[0, 0] < second.forecast(at).mean[0, 0] - 0.05

    def test_hyperparameters_are_inputs_like_shares_but_may_be_negative(self) -> None:
        x = np.hstack([mixtures(20, 3), np.random.default_rng(3).uniform(-0.2, 1.2, (20, 1))])
        gains = np.sin(3 * x[:, 3:])
        surrogate = Surrogate.fit(x, gains, np.zeros((20, 1)), domains=3)
        at = np.hstack([mixtures(30, 3, seed=9), np.linspace(-0.2, 1.2, 30)[:, None]])
        assert surrogate.forecast(at).mean == pytest.approx(np.sin(3 * at[:, 3:]), abs=0.3)

    def test_a_hyperparameter_that_matters_alone_is_learned_from_10_trials_of_8_domains(self) -> None:
        wrong = []
        for seed in range(5):
            shares, places = mixtures(110, 8, seed), np.random.default_rng(seed).random((110, 1))
            x, gains = np.hstack([shares, places]), np.square(places - 0.6)
            surrogate = Surrogate.fit(x[:10], gains[:10], np.zeros((10, 1)), domains=8)
            wrong.append(np.std(surrogate.forecast(x[10:]).mean - gains[10:]) / gains[10:].std())
        assert np.median(wrong) < 0.25

    def test_near_0_a_step_looks_longer_to_all_experts(self) -> None:
        shares = np.array([[0.0, 0.1], [0.005, 0.095], [0.5, 0.5], [0.505, 0.495]])
        for expert in EXPERTS:
            seen = expert.see(np.hstack([shares, [[2.0]] * 4]), 2)
            assert np.linalg.norm(seen[1] - seen[0]) > 5 * np.linalg.norm(seen[3] - seen[2])
            assert np.all(seen[:, 2] == 2.0)

    def test_far_from_all_trials_it_is_less_sure(self) -> None:
        x = np.array([[0.9, 0.1, 0.0], [0.8, 0.1, 0.1], [0.7, 0.3, 0.0], [0.7, 0.2, 0.1], [0.85, 0.05, 0.1]])
        near, far = (
            Surrogate.fit(x, law(x), np.zeros((5, 2)), domains=3)
            .forecast(np.array([[0.8, 0.12, 0.08], [0.0, 0.1, 0.9]]))
            .sd
        )
        assert far[0] > 2 * near[0]


class TestFurther:
    """More trials, with the hyperparameters of those before."""

    def test_they_are_learned_from(self) -> None:
        x, at = mixtures(24, 4), mixtures(60, 4, seed=9)
        few = Surrogate.fit(x[:12], law(x[:12]), np.zeros((12, 2)), domains=4)
        more = few.further(x, law(x), np.zeros((24, 2)))
        wrong, less = (np.abs(fit.forecast(at).mean - law(at)).mean() for fit in (few, more))
        assert less < 0.7 * wrong
        assert more.forecast(x[12:]).mean == pytest.approx(law(x[12:]), abs=0.02)
        assert more.noise != few.noise, "of likely hyperparameters, which know the further trials"
        assert more.bold.noise == few.bold.noise
        assert len(more.doubted) == 24

    def test_what_was_doubted_stays_so_and_a_metric_may_be_missing(self) -> None:
        x = mixtures(26, 3)
        gains = law(x)
        gains[5, 1] -= 9
        gains[[7, 24], 0] = np.nan
        few = Surrogate.fit(x[:20], gains[:20], np.zeros((20, 2)), domains=3)
        more = few.further(x, gains, np.zeros((26, 2)))
        assert np.flatnonzero(more.doubted).tolist() == [5]

    def test_what_is_not_at_all_as_expected_surprises(self) -> None:
        x = mixtures(24, 3)
        gains = law(x) + 0.02 * np.random.default_rng(0).standard_normal((24, 2))
        gains[21, 1] -= 1
        gains[22] = np.nan
        found = Surrogate.fit(x[:20], gains[:20], np.zeros((20, 2)), domains=3).surprises(
            x[20:], gains[20:], np.zeros((4, 2))
        )
        assert found[1] > 10 > 4 > found[[0, 3]].max() > 0
        assert found[2] == 0
        stated = np.zeros((4, 2))
        stated[1, 1] = 100.0
        again = Surrogate.fit(x[:20], gains[:20], np.zeros((20, 2)), domains=3).surprises(x[20:], gains[20:], stated)
        assert again[1] < 4
