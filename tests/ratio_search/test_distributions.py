"""Hyperparameters as Optuna keeps them: with a real study, as its rules on changes are its own."""

from __future__ import annotations

from collections.abc import Mapping

import optuna
import pytest

from objectives.base import Value
from ratio_search.distributions import distribution, distribution_with, incompatible
from ratio_search.hyperparameters import Choice, Hyperparameter, Real, Whole

SEARCHED: dict[str, Hyperparameter] = {
    "rate": Real(low=1e-5, high=1e-3, log=True),
    "decay": Real(low=0, high=0.1),
    "steps": Whole(low=50, high=200, step=50),
    "lora.rank": Whole(low=4, high=64, log=True),
    "method": Choice(choices=("lora", "full")),
    "packed": Choice(choices=(True, False)),
}


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))


def asked(study: optuna.Study, kinds: Mapping[str, Hyperparameter]) -> optuna.Trial:
    """A new trial with a value of each, of Optuna's own choice."""
    return study.ask({name: distribution(of) for name, of in kinds.items()})


def test_suggested_values_are_those_that_may_be_taken(study: optuna.Study) -> None:
    for _ in range(10):
        trial = asked(study, SEARCHED)
        found = trial.params
        assert all(found[name] in of for name, of in SEARCHED.items())
        assert type(found["steps"]) is int and type(found["packed"]) is bool
        study.tell(trial, 0.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate", 1e-4),
        ("rate", 1.0),
        ("rate", 1e-9),
        ("decay", -0.5),
        ("steps", 100),
        ("steps", 77),
        ("steps", 5000),
        ("lora.rank", 1),
        ("packed", False),
    ],
)
def test_a_value_from_anywhere_is_kept_beside_the_others(study: optuna.Study, name: str, value: Value) -> None:
    of = SEARCHED[name]
    for _ in range(2):
        asked(study, {name: of})
        added = optuna.trial.create_trial(
            params={name: value}, distributions={name: distribution_with(of, value)}, value=0.0
        )
        study.add_trial(added)
        assert study.trials[-1].params == {name: value}
        assert incompatible(study.trials[-1].distributions, {name: of}) == {}


CHANGES: list[tuple[str, Hyperparameter, str | None]] = [
    ("rate", Real(low=1e-6, high=1e-2, log=True), None),
    ("steps", Whole(low=60, high=90, step=3), None),
    ("steps", Whole(low=60, high=90), None),
    ("method", Choice(choices=("lora", "full")), None),
    ("new", Choice(choices=("a", "b")), None),
    (
        "rate",
        Real(low=1e-5, high=1e-3),
        "was a number from 1e-05 to 0.001 on a logarithmic scale, is a number from 1e-05 to 0.001",
    ),
    ("steps", Real(low=50, high=200), "was a whole number from 50 to 200, is a number from 50 to 200"),
    ("method", Choice(choices=("lora", "full", "none")), "was one of lora, full, is one of lora, full, none"),
    ("method", Choice(choices=("full", "lora")), "was one of lora, full, is one of full, lora"),
    ("decay", Choice(choices=(0.0, 0.1)), "was a number from 0 to 0.1, is one of 0.0, 0.1"),
]


@pytest.mark.parametrize(("name", "now", "how"), CHANGES)
def test_a_change_is_told_exactly_where_optuna_refuses_it(
    study: optuna.Study, name: str, now: Hyperparameter, how: str | None
) -> None:
    trial = asked(study, SEARCHED)
    study.tell(trial, 0.0)
    assert incompatible(trial.distributions, {**SEARCHED, name: now}) == ({} if how is None else {name: how})
    if how is None:
        asked(study, {name: now})
    else:
        with pytest.raises(ValueError, match=r"Cannot set|dynamic value space"):
            asked(study, {name: now})
