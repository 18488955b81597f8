"""What a study's trials lead to when they are judged otherwise."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from objectives.mixture import Mixture
from objectives.scorer import BalanceKind
from ratio_search import Study, StudySpec
from ratio_search.change import Change
from ratio_search.errors import NothingToRecommend
from ratio_search.rescoring import Judgement, Rescoring
from tests.ratio_search.trials import study_of, text_of

DOCUMENT: dict[str, Any] = {
    "name": "elsewhere",
    "domains": {"a": {}, "b": {}, "c": {}, "d": {"test": "d.jsonl"}},
    "objective": {"kind": "external"},
    "metrics": [
        *({"name": f"{name}/x", "goal": "maximize", "scale": 1, "reference": 0} for name in "abc"),
        {"name": "d/accuracy", "reference": 0.5, "guard": 0.1},
    ],
    "search": {"trials": 9},
    "storage": "memory",
}


def law(mixture: Mixture) -> dict[str, float]:
    """Each metric by its own domain's share; what is watched suffers where c has much."""
    return {**{f"{name}/x": math.sqrt(mixture[name]) for name in "abc"}, "d/accuracy": 0.6 - 0.5 * mixture["c"]}


def finished(**keys: Any) -> Study:
    study, rng = study_of({**DOCUMENT, **keys}), np.random.default_rng(0)
    while (job := study.ask()) is not None:
        assert job.mixture is not None
        study.tell(job.id, {name: value + 0.01 * rng.standard_normal() for name, value in law(job.mixture).items()})
    return study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A finished one, which nothing changes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder := tmp_path_factory.mktemp("study"))
        (folder / "d.jsonl").write_text('{"instruction": "a", "output": "b", "label": "b"}\n')
        return finished()


class TestRescoring:
    def test_without_a_change_is_what_the_study_recommends(self, study: Study) -> None:
        found = Rescoring.of(study, Change())
        assert (found.asked, found.apart, found.edits) == (None, None, ())
        assert found.now.advice == study.recommend()
        assert found.now.ranking == study.ranking()

    def test_with_one_the_recommendation_moves_to_what_is_asked(self, study: Study) -> None:
        found = Rescoring.of(study, Change(kind=BalanceKind.WEIGHTED, weights={"a/x": 9.0}))
        assert found.asked is not None and found.apart is not None
        now, asked = found.now.advice.mixture, found.asked.advice.mixture
        assert asked["a"] > now["a"] + 0.3
        assert found.apart == now.distance(asked) > 0.3
        by = found.asked.scorer
        assert found.asked.ranking == study.ranking(by)
        assert found.asked.of_values(found.asked.values) > found.asked.of_values(found.now.values)
        assert found.now.of_values(found.now.values) > found.now.of_values(found.asked.values)

    def test_a_target_comes_first_and_then_the_others(self, study: Study) -> None:
        found = Rescoring.of(study, Change(targets={"a/x": 0.8}))
        assert found.asked is not None
        advice = found.asked.advice
        assert 0.62 < advice.mixture["a"] < 0.78, "enough for it, as far as is known, and the rest for the others"
        assert advice.mixture["b"] == pytest.approx(advice.mixture["c"], abs=0.12)
        assert advice.score.missed == {}
        assert advice.reached == advice.predictions["a/x"].reaches is not None
        assert advice.reached > 0.5
        assert f"all targets are reached with a probability of {advice.reached:.0%}" in advice.basis

    def test_of_targets_that_no_mixture_reaches_it_says_how_near_one_comes(self, study: Study) -> None:
        found = Rescoring.of(study, Change(targets={"a/x": 0.8, "b/x": 0.8}))
        assert found.asked is not None
        advice = found.asked.advice
        assert set(advice.score.missed) == {"a/x", "b/x"}
        assert advice.mixture["a"] == pytest.approx(0.5, abs=0.1) == advice.mixture["b"]
        for name in advice.score.missed:
            prediction = advice.predictions[name]
            assert prediction.value == pytest.approx(math.sqrt(0.5), abs=0.08)
            assert prediction.reaches is not None and prediction.reaches < 0.1
            assert f"{name} is expected to be {prediction.value:.4g} in place of 0.8" in advice.basis
        assert "no other mixture that keeps the guards is expected to come nearer" in advice.basis

    def test_the_models_are_not_fitted_again(self, study: Study) -> None:
        first = study.grounds()
        for change in (Change(kind=BalanceKind.WEIGHTED), Change(guards={"a/x": 0.0}), Change(targets={"a/x": 0.5})):
            asked = Rescoring.of(study, change).asked
            assert asked is not None
            outlook = study.grounds(asked.scorer).outlook
            assert outlook is not None and first.outlook is not None
            assert outlook.surrogate is first.outlook.surrogate

    def test_edits_are_what_makes_it_permanent(self, study: Study) -> None:
        found = Rescoring.of(study, Change(targets={"a/x": 0.8}, weights={"b/x": 3.0}, guards={"d/accuracy": None}))
        assert found.edits == (
            "balance: {kind: target}",
            "metrics: a/x: target: 0.8",
            "metrics: b/x: weight: 3",
            "metrics: d/accuracy: no guard",
        )
        sure = [*DOCUMENT["metrics"][:3], {**DOCUMENT["metrics"][3], "confidence": 0.9}]
        spec = StudySpec.parse(text_of(DOCUMENT, metrics=sure), Path("/data"))
        without = dataclasses.replace(found, spec=spec, asked_spec=Change(guards={"d/accuracy": None}).applied(spec))
        assert without.edits == ("metrics: d/accuracy: no guard", "metrics: d/accuracy: no confidence")
        assert Rescoring.of(study, Change(mean=0.1)).edits == ("balance: {kind: worst, mean: 0.1}",)
        assert Rescoring.of(study, Change(kind=BalanceKind.WORST, weights={"a/x": 1.0})).edits == ()

    def test_a_study_file_with_the_edits_is_judged_like_that(self, study: Study) -> None:
        found = Rescoring.of(study, Change(targets={"a/x": 0.8}, weights={"b/x": 3.0}, guards={"d/accuracy": None}))
        a, b, c, d = DOCUMENT["metrics"]
        del (d := dict(d))["guard"]
        edited = text_of(DOCUMENT, balance={"kind": "target"}, metrics=[{**a, "target": 0.8}, {**b, "weight": 3}, c, d])
        spec = StudySpec.parse(edited, Path("/data"))
        assert found.asked is not None
        assert (tuple(found.asked.scorer.metrics), found.asked.scorer.balance) == (spec.metrics, spec.balance)

    def test_it_changes_nothing(self, study: Study) -> None:
        before = study.spec, study.recommend(), study.ranking()
        Rescoring.of(study, Change(targets={"a/x": 0.8}, weights={"b/x": 3.0}))
        assert (study.spec, study.recommend(), study.ranking()) == before

    def test_it_is_plain_data(self, study: Study) -> None:
        found = Rescoring.of(study, Change(targets={"a/x": 0.8}))
        told = json.loads(json.dumps(found.to_json(3), allow_nan=False))
        assert found.asked is not None
        assert told["asked"]["shares"] == dict(found.asked.advice.mixture)
        assert told["asked"]["metrics"]["a/x"]["target"] == 0.8
        assert told["asked"]["expected"]["a/x"]["reaches"] == told["asked"]["targets_reached"]
        assert told["now"]["scores"]["now"] > told["asked"]["scores"]["now"]
        assert told["asked"]["scores"]["asked"] > told["now"]["scores"]["asked"]
        assert [row["place"] for row in told["order"]] == [1, 2, 3]
        first = found.asked.ranking[0][0].job.id
        assert (told["order"][0]["trial"], told["order"][0]["place_now"]) == (first, found.now.places[first])
        assert json.loads(json.dumps(Rescoring.of(study, Change()).to_json(3), allow_nan=False))["asked"] is None


def test_too_few_trials_for_a_model_are_judged_by_what_they_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    metrics = [{**metric, "reference": 0} for metric in DOCUMENT["metrics"][:2]]
    study = study_of(DOCUMENT, domains={"a": {}, "b": {}}, metrics=metrics)
    with pytest.raises(NothingToRecommend):
        Judgement.of(study)
    for value in (0.25, 0.75):
        job = study.ask()
        assert job is not None
        study.tell(job.id, {"a/x": value, "b/x": 0.5 - value})
    found = Rescoring.of(study, Change(targets={"a/x": 1.0}))
    assert found.asked is not None
    assert (found.now.advice.record.number, found.asked.advice.record.number) == (0, 1)
    assert "it misses a/x by 0.25, and no other trial that may be recommended comes nearer" in found.asked.advice.basis
    assert found.asked.values["a/x"] == 0.75


class TestAGuardThatTheBaselineBreaks:
    METRICS = (
        {"name": "a/accuracy", "reference": 0.75, "guard": 0.125, "confidence": 0.9},
        {"name": "b/accuracy", "guard": 0.0},
    )

    @pytest.fixture
    def study(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
        monkeypatch.chdir(tmp_path)
        study = study_of(DOCUMENT, domains={"a": {}, "b": {}}, metrics=list(self.METRICS))
        assert study.warnings() == [], "nothing is known of it yet"
        job = study.ask()
        assert job is not None and job.mixture is None
        study.tell(job.id, {"a/accuracy": 0.5, "b/accuracy": 0.5})
        return study

    def test_is_told_with_its_value_and_its_limit(self, study: Study) -> None:
        [warning] = study.warnings()
        assert warning.startswith(
            "a/accuracy: even the untuned baseline breaks this guard: its value is 0.5, the limit 0.625, which is "
            "0.125 behind the stated reference of 0.75"
        )

    def test_is_told_of_what_is_asked_for(self, study: Study) -> None:
        job = study.ask()
        assert job is not None
        study.tell(job.id, {"a/accuracy": 0.5, "b/accuracy": 0.5})
        assert len(Rescoring.of(study, Change()).warnings) == 1
        assert Rescoring.of(study, Change(guards={"a/accuracy": 0.3})).warnings == ()
