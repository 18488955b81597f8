from __future__ import annotations

import numpy as np
import pytest

from ratio_search.model import Learner, Surrogate
from ratio_search.model.learner import ODD, STEADY
from ratio_search.model.measurements import Array

N = 3 * STEADY


def trials(n: int, wrong: int | None = None) -> tuple[Array, Array, Array]:
    """Mixtures of three domains, and two metrics of them with their variances; one trial may have gone wrong."""
    rng = np.random.default_rng(0)
    x = rng.dirichlet(np.ones(3), n)
    gains = np.sqrt(x[:, :2]) + 0.05 * rng.standard_normal((n, 2))
    if wrong is not None:
        gains[wrong] -= 3
    return x, gains, np.zeros((n, 2))


def learned(learner: Learner, known: tuple[Array, Array, Array]) -> Surrogate:
    return learner.surrogate(*known, domains=3, own=[0, 1])


def fitted(known: tuple[Array, Array, Array], n: int) -> tuple[float, ...]:
    """The noises that are found with the first trials alone."""
    x, gains, variances = known
    return Surrogate.fit(x[:n], gains[:n], variances[:n], domains=3, own=[0, 1]).bold.noise


def test_the_same_trials_are_learned_from_once() -> None:
    learner = Learner()
    first = learned(learner, trials(12))
    assert learned(learner, trials(12)) is first
    assert learned(learner, trials(13)) is not first


@pytest.mark.parametrize("n", [2 * STEADY - 1, N])
def test_hyperparameters_are_those_of_all_trials(n: int) -> None:
    assert learned(Learner(), trials(n)).bold.noise == fitted(trials(n), n)


def test_from_40_trials_on_some_more_leave_them_as_they_are() -> None:
    learner, known = Learner(), trials(N + 2)
    found = learned(learner, known)
    assert found.bold.noise == fitted(known, N) != fitted(known, N + 2)
    assert len(found.doubted) == N + 2


def test_what_is_believed_does_not_depend_on_what_was_asked_before(monkeypatch: pytest.MonkeyPatch) -> None:
    at, fits = np.random.default_rng(1).dirichlet(np.ones(3), 5), []
    fit = Surrogate.fit

    def counted(x: Array, *rest: Array, **known: object) -> Surrogate:
        fits.append(len(x))
        return fit(x, *rest, **known)  # type: ignore[arg-type]

    monkeypatch.setattr(Surrogate, "fit", counted)
    all_along, everything = Learner(), trials(N + 5, wrong=N)
    for n in range(N - 2, N + 6):
        known = everything[0][:n], everything[1][:n], everything[2][:n]
        found = learned(all_along, known)
        assert learned(Learner(), known).forecast(at).mean == pytest.approx(found.forecast(at).mean)
    fits.clear()
    again = Learner()
    for n in range(N - 2, N + 6):
        learned(again, (everything[0][:n], everything[1][:n], everything[2][:n]))
    # 58 and 59 rest on the same fit, 61 and 62 on the one with the odd trial.
    assert fits == [N - 2, N, N + 1, N + 3]


def test_with_an_odd_trial_they_are_found_anew_and_it_is_doubted() -> None:
    known = trials(N + 2, wrong=N)
    before = Surrogate.fit(*(part[:N] for part in known), domains=3, own=[0, 1])
    assert before.surprises(*(part[N:] for part in known))[0] > ODD
    found = learned(Learner(), known)
    assert found.bold.noise == fitted(known, N + 1)
    assert np.flatnonzero(found.doubted).tolist() == [N]


@pytest.mark.parametrize("before", [np.nan, 0.25])
def test_a_metric_of_which_only_late_trials_tell_is_learned_from_all(before: float) -> None:
    x, gains, variances = trials(N + 2)
    gains[:N, 1] = before
    found = learned(Learner(), (x, gains, variances))
    assert found.bold.noise == fitted((x, gains, variances), N + 2)
