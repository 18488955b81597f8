from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratio_search.model.measurements import Array
from ratio_search.model.surrogate import BOLD_WAYS, COMMON, EXPERTS, Surrogate, _normal

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


class TestDraws:
    def test_they_have_the_moments_of_the_forecast(self) -> None:
        surrogate, points = fitted(), mixtures(6, 3, seed=2)
        forecast = surrogate.forecast(points)
        alone = surrogate.draws(points[:0], N, np.random.default_rng(0)).at(points)
        for found in (drawn(surrogate, points)[0], alone):
            assert found.shape == (2, 6, N)
            assert found.mean(axis=2) == pytest.approx(forecast.mean.T, abs=0.01)
            assert found.std(axis=2) == pytest.approx(forecast.sd.T, rel=0.1)

    def test_what_is_further_goes_with_the_base_as_the_base_does_with_itself(self) -> None:
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

    def test_two_points_side_by_side_are_drawn_alike(self) -> None:
        surrogate, [point] = fitted(4), mixtures(1, 3, seed=3)
        near = point + np.array([1e-4, -1e-4, 0.0])
        found = drawn(surrogate, np.array([point, near, [0.0, 0.0, 1.0]]))[0]
        assert np.corrcoef(found[0])[0, 1] > 0.99 > np.corrcoef(found[0])[0, 2]

    @settings(max_examples=10, deadline=None)
    @given(SEEDS, st.integers(1, 4))
    def test_at_a_base_point_they_are_what_the_base_is(self, seed: int, n: int) -> None:
        surrogate, points = fitted(), mixtures(n, 3, seed)
        base, again = drawn(surrogate, points, n=32, seed=seed)
        assert again == pytest.approx(base, abs=0.01)

    def test_points_that_are_twice_in_the_base_have_one_value(self) -> None:
        base, again = drawn(fitted(), np.repeat(mixtures(2, 3, seed=2), 2, axis=0), n=32)
        assert base[:, ::2] == pytest.approx(base[:, 1::2], abs=0.01)
        assert again == pytest.approx(base, abs=0.01)

    def test_points_that_are_known_exactly_can_be_drawn_together(self) -> None:
        """What is left of their variances is lost in rounding."""
        for seed in range(5):
            near = mixtures(1, 4, seed) + 1e-4 * np.random.default_rng(seed).standard_normal((40, 4))
            x = np.concatenate([mixtures(8, 4, seed), near])
            surrogate = Surrogate.fit(x, law(x), np.zeros((len(x), 2)), domains=4)
            base, again = drawn(surrogate, x[-6:], n=32)
            assert again == pytest.approx(base, abs=0.01)
            assert base.mean(axis=2) == pytest.approx(law(x[-6:]).T, abs=0.01)

    def test_each_further_point_is_alone_beside_the_base(self) -> None:
        surrogate, points = fitted(), mixtures(5, 3, seed=2)
        draws = surrogate.draws(points[:2], 64, np.random.default_rng(0))
        assert draws.at(points[2:]) == pytest.approx(np.hstack([draws.at(points[2:4]), draws.at(points[4:])]))

    def test_the_same_generator_gives_the_same(self) -> None:
        surrogate, points = fitted(), mixtures(3, 3, seed=2)
        first, again, other = (drawn(surrogate, points, n=8, seed=seed)[0] for seed in (1, 1, 2))
        assert np.array_equal(first, again) and not np.array_equal(first, other)

    def test_without_base_points_there_are_none(self) -> None:
        draws = fitted().draws(np.empty((0, 3)), 8, np.random.default_rng(0))
        assert draws.base.shape == (2, 0, 8)
        assert draws.at(np.empty((0, 3))).shape == (2, 0, 8)


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

    def test_boldly_the_most_probable_is_expected_and_how_sure_it_is_comes_from_several(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        x, at = mixtures(12, 4), mixtures(40, 4, seed=9)
        gains = law(x) + 0.2 * np.random.default_rng(1).standard_normal((12, law(x).shape[1]))
        found, told = [], []
        for ways in (1, BOLD_WAYS):
            monkeypatch.setattr("ratio_search.model.surrogate.BOLD_WAYS", ways)
            found.append(Surrogate.fit(x, gains, np.zeros_like(gains), domains=4).bold)
            told.append(found[-1].forecast(at))
        alone, several = told
        assert several.mean == pytest.approx(alone.mean)
        assert np.median(several.sd / alone.sd) > 1.05
        draws = found[1].draws(at[:20], 4096, np.random.default_rng(0))
        drawn = np.concatenate([draws.base, draws.at(at[20:])], axis=1).mean(axis=2).T
        assert drawn == pytest.approx(several.mean, abs=0.1 * several.sd.max())

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
