"""Optuna studies that our sampler searches for, through nothing but Optuna's own interface."""

from __future__ import annotations

import math
from pathlib import Path

import optuna
import pytest
import yaml

from objectives.errors import ScoreError
from ratio_search.errors import StudyError
from ratio_search.sampler.optuna_sampler import OptunaSampler
from ratio_search.spec import StudySpec

DOMAINS = ("a", "b", "c")


def spec(**keys: object) -> StudySpec:
    metric = {"goal": "maximize", "scale": 1.0, "reference": 0.0}
    document = {
        "name": "bare",
        "domains": {"a": {}, "b": {"share": [0, 0.5]}, "c": {}},
        "objective": {"kind": "external"},
        "metrics": [{"name": "first", **metric}, {"name": "second", **metric}],
        "search": {"trials": 14, "hyperparameters": {"rate": {"low": 0.1, "high": 1.0}}},
        "storage": "memory",
    }
    return StudySpec.parse(yaml.safe_dump({**document, **keys}), Path.cwd())


def shares(trial: optuna.Trial) -> dict[str, float]:
    return {name: trial.suggest_float(f"share/{name}", 0, 1) for name in DOMAINS}


def measured(trial: optuna.Trial) -> tuple[float, float]:
    found, rate = shares(trial), trial.suggest_float("rate", 0.1, 1.0)
    peak = math.sqrt(found["a"] * found["b"])
    return peak - 0.1 * rate, 0.5 - abs(found["c"] - 0.3)


def study(of: StudySpec, directions: int = 2) -> optuna.Study:
    return optuna.create_study(directions=["maximize"] * directions, sampler=OptunaSampler.of(of))


def test_optuna_finds_the_best_mixture_of_a_simplex() -> None:
    found = study(spec())
    found.optimize(measured, n_trials=14)
    for trial in found.trials:
        values = [trial.params[f"share/{name}"] for name in DOMAINS]
        assert math.fsum(values) == pytest.approx(1)
        assert values[1] <= 0.5 + 1e-12
    # Its worst gain is highest where a and b share what c leaves.
    early, late = (max(min(t.values) for t in part) for part in (found.trials[:5], found.trials[5:]))
    assert late > early
    assert late > 0.27


def test_a_study_that_is_asked_again_goes_on_as_it_would_have() -> None:
    whole, begun = study(spec()), study(spec())
    whole.optimize(measured, n_trials=8)
    begun.optimize(measured, n_trials=5)
    begun.sampler = OptunaSampler.of(spec())
    begun.optimize(measured, n_trials=3)
    assert [trial.params for trial in begun.trials] == [trial.params for trial in whole.trials]


def test_a_failed_trial_is_not_proposed_again() -> None:
    found = study(spec())
    trial = found.ask()
    failed = shares(trial)
    trial.suggest_float("rate", 0.1, 1.0)
    found.tell(trial, state=optuna.trial.TrialState.FAIL)
    found.optimize(measured, n_trials=4)
    assert all({name: t.params[f"share/{name}"] for name in DOMAINS} != failed for t in found.trials[1:])


def test_what_was_not_wholly_suggested_is_not_learned_from() -> None:
    found = study(spec())
    found.ask()  # and never heard of again
    found.optimize(measured, n_trials=2)
    assert len(found.trials) == 3


def test_values_must_be_those_of_the_metrics() -> None:
    found = study(spec(), directions=1)
    found.optimize(lambda trial: measured(trial)[0], n_trials=1)
    with pytest.raises(StudyError, match="trial 0 has 1 values; expected one for each metric, in this order: first, s"):
        shares(found.ask())


def test_other_parameters_are_refused() -> None:
    with pytest.raises(StudyError, match=r"parameter 'share/d' .* proposes share/a, share/b, share/c, rate"):
        study(spec()).ask().suggest_float("share/d", 0, 1)


def test_every_metric_states_its_reference() -> None:
    metrics = [{"name": "first", "goal": "maximize", "scale": 1.0}]
    with pytest.raises(ScoreError, match="no reference for first"):
        OptunaSampler.of(spec(metrics=metrics))
