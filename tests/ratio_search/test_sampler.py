"""The sampler in Optuna's own loop, as anybody could use it."""

from __future__ import annotations

import math

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from objectives.mixture import Mixture
from ratio_search.anchors import Anchor, anchors
from ratio_search.sampler import ORIGIN, SimplexSampler, shares_of
from ratio_search.space import SimplexSpace

NAMES = tuple("abcd")
FREE = SimplexSpace.of(dict.fromkeys(NAMES, (0.0, 1.0)))
ROWS = {"a": 50, "b": 30, "c": 15, "d": 5}


def study_of(sampler: SimplexSampler) -> optuna.Study:
    return optuna.create_study(sampler=sampler)


def ask(study: optuna.Study, sampler: SimplexSampler) -> tuple[Mixture, str]:
    """One more trial, meant to be run, and what it was given."""
    trial = study.ask()
    origin = sampler.suggest(trial)
    trial.set_user_attr(ORIGIN, origin)
    return shares_of(study.get_trials(deepcopy=False)[trial.number], NAMES), origin


def proposals(n: int, space: SimplexSpace = FREE, *, seed: int = 0, first: tuple[Anchor, ...] = ()) -> list[Mixture]:
    sampler = SimplexSampler(space, anchors=first, seed=seed)
    study = study_of(sampler)
    return [ask(study, sampler)[0] for _ in range(n)]


def test_anchors_come_first_and_then_the_space_is_filled() -> None:
    first = anchors(FREE, ROWS, None)
    sampler = SimplexSampler(FREE, anchors=first, seed=0)
    study = study_of(sampler)
    asked = [ask(study, sampler) for _ in range(4)]
    assert [origin for _, origin in asked] == ["anchor:natural", "anchor:uniform", "space-filling", "space-filling"]
    assert [mixture for mixture, _ in asked[:2]] == [anchor.mixture for anchor in first]


def test_parameters_are_the_shares_and_every_mixture_is_exact_and_allowed() -> None:
    space = SimplexSpace.of({"a": (0.1, 0.4), "b": (0.0, 0.3), "c": (0.25, 0.25), "d": (0.0, 1.0)})
    sampler = SimplexSampler(space, anchors=(), seed=0)
    study = study_of(sampler)
    for _ in range(20):
        mixture, _ = ask(study, sampler)
        assert mixture in space
        assert mixture["c"] == 0.25
        assert math.fsum(mixture.shares) == 1.0
    assert set(study.trials[0].params) == {f"share/{name}" for name in NAMES}


def test_the_same_seed_and_history_give_the_same_proposals() -> None:
    assert proposals(8) == proposals(8)
    assert proposals(8) != proposals(8, seed=1)


def test_a_new_process_goes_on_as_the_old_one_would_have() -> None:
    whole = proposals(8)
    first, second = (SimplexSampler(FREE, anchors=(), seed=0) for _ in range(2))
    study = study_of(first)
    begun = [ask(study, first)[0] for _ in range(3)]
    study.sampler = second
    assert begun + [ask(study, second)[0] for _ in range(5)] == whole


def test_a_trial_that_was_never_meant_to_be_run_is_proposed_again() -> None:
    first = anchors(FREE, ROWS, None)
    sampler = SimplexSampler(FREE, anchors=first, seed=0)
    study = study_of(sampler)
    for _ in range(4):
        trial = study.ask()
        wanted = sampler.suggest(trial)
        study.tell(trial, state=TrialState.FAIL)  # the driver died before it stored the intent
        assert (shares_of(study.trials[trial.number], NAMES), wanted) == ask(study, sampler)


def test_what_failed_is_not_proposed_again() -> None:
    first = anchors(FREE, ROWS, None)
    sampler = SimplexSampler(FREE, anchors=first, seed=0)
    study = study_of(sampler)
    seen = []
    for number in range(8):
        seen.append(ask(study, sampler)[0])
        study.tell(number, state=TrialState.FAIL)
    assert len(set(seen)) == 8


def test_open_trials_count_as_tried() -> None:
    """So that trials that run side by side are different questions."""
    mixtures = proposals(8)
    assert min(a.distance(b) for i, a in enumerate(mixtures) for b in mixtures[:i]) > 0.05


def test_the_design_fills_the_space_better_than_uniform_draws_do() -> None:
    """By the mean distance from any mixture to the nearest tried one, over ten seeds of each."""
    whole = np.sqrt(FREE.sample(2000, np.random.default_rng(99)))

    def gap(shares: np.ndarray) -> float:
        return float(np.linalg.norm(whole[:, None] - np.sqrt(np.clip(shares, 0, None)), axis=2).min(axis=1).mean())

    designs = [gap(np.array([m.shares for m in proposals(16, seed=seed)])) for seed in range(10)]
    draws = [gap(FREE.sample(16, np.random.default_rng(seed))) for seed in range(10)]
    assert max(designs) < min(draws)


def test_a_study_of_one_trial_looks_in_the_middle_when_there_are_no_anchors() -> None:
    [only] = proposals(1)
    assert only.distance(Mixture.uniform(NAMES)) < 0.1


def test_thirty_domains_with_tight_caps() -> None:
    names = [f"d{i}" for i in range(30)]
    space = SimplexSpace.of(dict.fromkeys(names, (0.0, 0.04)))
    sampler = SimplexSampler(space, anchors=(), seed=0)
    study = study_of(sampler)
    for _ in range(3):
        trial = study.ask()
        sampler.suggest(trial)
        trial.set_user_attr(ORIGIN, "test")
    mixtures = [shares_of(trial, names) for trial in study.trials]
    assert len(set(mixtures)) == 3
    assert all(mixture in space for mixture in mixtures)


def test_a_share_that_is_none_of_the_spaces_is_our_own_mistake() -> None:
    study = study_of(SimplexSampler(FREE, anchors=(), seed=0))
    with pytest.raises(AssertionError, match="share/e is no share of a, b, c, d"):
        study.ask().suggest_float("share/e", 0, 1)
