"""Every strategy by its name, alone and in a whole study."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from objectives.mixture import Mixture
from ratio_search import Study, StudySpec
from ratio_search.errors import SpecError
from ratio_search.hyperparameters import Choice
from ratio_search.model.points import PointSpace
from ratio_search.plan import Plan
from ratio_search.sampler.shadow import STARTUP, RandomStrategy, ShadowStrategy
from ratio_search.sampler.simplex_gp import SimplexGP
from ratio_search.sampler.strategies import strategy
from ratio_search.sampler.strategy import SamplerKind
from ratio_search.space import SimplexSpace
from tests.ratio_search.trials import gains_of, searched

SPACE = PointSpace(
    simplex=SimplexSpace.of({"a": (0.0, 0.6), "b": (0.1, 1.0), "c": (0.0, 1.0)}),
    hyperparameters={"schedule": Choice(choices=("linear", "cosine"))},
)
SCORER = gains_of("a/x", "b/x")
MADE = {
    SamplerKind.SIMPLEX_GP: SimplexGP,
    SamplerKind.RANDOM: RandomStrategy,
    SamplerKind.TPE: ShadowStrategy,
    SamplerKind.OPTUNA_GP: ShadowStrategy,
}


def law(mixture: Mixture) -> dict[str, float]:
    return {"a/x": mixture["a"], "b/x": mixture["b"] - 0.5 * mixture["c"]}


@pytest.mark.parametrize("kind", SamplerKind)
def test_each_name_is_a_strategy_that_keeps_to_the_space_and_its_seed(kind: SamplerKind) -> None:
    trials = 12 if kind is not SamplerKind.OPTUNA_GP else 3
    found, again, other = (searched(strategy(kind, SPACE, seed=s), SCORER, law, trials) for s in (1, 1, 2))
    assert isinstance(strategy(kind, SPACE, seed=0), MADE[kind])
    assert found == again != other
    for record in found:
        assert record.job.mixture is not None and record.job.mixture in SPACE.simplex
        assert set(record.job.hyperparameters) == {"schedule"}
    # What was told is listened to, or it is chance alone.
    told = strategy(kind, SPACE, seed=1).propose(found, SCORER, trials)
    assert bool(told.basis) == (kind is SamplerKind.SIMPLEX_GP or kind is SamplerKind.TPE), told


DOCUMENT: dict[str, Any] = {
    "name": "elsewhere",
    "domains": {"a": {"share": [0, 0.8]}, "b": {"share": [0.1, 1]}, "c": {}},
    "objective": {"kind": "external"},
    "metrics": [{"name": "accuracy", "reference": 0.5}],
    "storage": "memory",
}


def spec(kind: SamplerKind, trials: int, **search: Any) -> StudySpec:
    document = {**DOCUMENT, "search": {"trials": trials, "sampler": kind.value, **search}}
    return StudySpec.parse(yaml.safe_dump(document, sort_keys=False), Path.cwd())


def run(kind: SamplerKind, trials: int, **search: Any) -> Study:
    """A finished study whose metric is best at a = 0.2, b = 0.2, c = 0.6."""
    study = Study.create(spec(kind, trials, **search))
    while (job := study.ask()) is not None:
        assert job.mixture is not None
        off = sum(abs(share - best) for share, best in zip(job.mixture.shares, (0.2, 0.2, 0.6), strict=True))
        study.tell(job.id, {"accuracy": 0.9 - 0.3 * off})
    return study


@pytest.mark.parametrize("kind", SamplerKind)
class TestInAStudy:
    def test_it_goes_to_the_end_and_advice_is_a_models(self, kind: SamplerKind) -> None:
        study = run(kind, STARTUP + 2)
        assert study.done
        assert all(study.allows(record) for record in study.records())
        origins = {record.origin for record in study.records()}
        assert origins & ({"explore", "improve"} if kind is SamplerKind.SIMPLEX_GP else {kind.value})
        advice = study.recommend()
        assert advice.predictions
        assert advice.score.balanced > 0.2

    def test_a_proposal_names_the_trials_that_it_rests_on(self, kind: SamplerKind) -> None:
        *_, last = run(kind, STARTUP + 2).records()
        assert last.basis == (() if kind is SamplerKind.RANDOM else tuple(range(STARTUP + 1)))

    def test_hyperparameters_are_searched_along(self, kind: SamplerKind) -> None:
        searched = {"rate": {"low": 1e-5, "high": 1e-3, "log": True}, "loss": {"choices": ["hinge", "square"]}}
        study = run(kind, STARTUP + 2, hyperparameters=searched)
        for record in study.records():
            assert all(record.job.hyperparameters[name] in of for name, of in study.spec.hyperparameters.items())
        assert len({record.job.hyperparameters["rate"] for record in study.records()}) > STARTUP // 2


def test_a_library_that_is_not_installed_is_missed_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = spec(SamplerKind.OPTUNA_GP, 3)
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    with pytest.raises(SpecError, match=r"search\.sampler: optuna-gp needs torch, which is not installed"):
        Study.create(wanted)
    with pytest.raises(SpecError, match=r"search\.sampler: optuna-gp needs torch, which is not installed"):
        Plan.of(wanted, (), count=False)
    assert Study.create(spec(SamplerKind.TPE, 3)).ask() is not None
