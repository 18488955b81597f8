"""What a study proposes and advises by its model, asked and told by its caller."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from objectives.base import Job, Seeds
from objectives.mixture import Mixture
from ratio_search import Study, StudySpec
from ratio_search.errors import NothingToRecommend
from ratio_search.record import JobState
from tests.ratio_search.trials import study_of, text_of

DOCUMENT: dict[str, Any] = {
    "name": "elsewhere",
    "domains": {"a": {}, "b": {}, "c": {}},
    "objective": {"kind": "external"},
    "metrics": [{"name": f"{name}/x", "goal": "maximize", "scale": 1, "reference": 0.2} for name in "abc"],
    "search": {"trials": 12},
    "storage": "memory",
}

Law = Callable[[Mixture], dict[str, float]]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


text = functools.partial(text_of, DOCUMENT)
made = functools.partial(study_of, DOCUMENT)


def roots(mixture: Mixture) -> dict[str, float]:
    """Each metric by its own domain's share: the first rows are worth the most."""
    return {f"{name}/x": share**0.5 for name, share in mixture.items()}


def noisy(sd: float, seed: int = 0) -> Law:
    rng = np.random.default_rng(seed)
    return lambda mixture: {name: value + sd * rng.standard_normal() for name, value in roots(mixture).items()}


def mixture_of(job: Job) -> Mixture:
    assert job.mixture is not None
    return job.mixture


def run(study: Study, law: Law = roots, trials: int = 100) -> Study:
    """Asks and tells so many trials, or as many as the study wants."""
    for _ in range(trials):
        if (job := study.ask()) is None:
            break
        study.tell(job.id, law(mixture_of(job)))
    return study


def ask(study: Study) -> Job:
    job = study.ask()
    assert job is not None
    return job


def edited(study: Study, **keys: Any) -> Study:
    """The study after its file was edited."""
    study.folder.study_file.write_text(text(storage="sqlite", **keys))
    return Study.open(study.folder)


def domains(**shares: list[float]) -> dict[str, Any]:
    return {name: {"share": shares[name]} if name in shares else {} for name in "abc"}


class TestProposals:
    def test_come_from_anchors_then_a_design_then_the_model_with_what_they_rest_on(self) -> None:
        records = run(made()).records()
        origins = [record.origin for record in records]
        assert origins[0] == "anchor:uniform"
        assert set(origins[1:5]) == {"space-filling"}
        assert set(origins[5:]) <= {"explore", "improve", "repeat"}
        assert records[0].basis == ()
        assert [record.basis for record in records[5:]] == [tuple(range(n)) for n in range(5, 12)]

    def test_find_better_mixtures_than_the_design_had(self) -> None:
        study = run(
            made(
                search={"trials": 16}, metrics=[*DOCUMENT["metrics"][:2], {**DOCUMENT["metrics"][2], "reference": 0.6}]
            )
        )
        scorer = study.scorer()
        assert scorer is not None
        scores = [scorer.score(record.values).balanced for record in study.records()]
        assert max(scores[5:]) > max(scores[:5])
        assert "improve" in [record.origin for record in study.records()]

    def test_know_the_trials_that_are_still_running(self) -> None:
        study = run(made(search={"trials": 20}), noisy(0.05), trials=6)
        side_by_side = [ask(study) for _ in range(4)]
        apart = [
            mixture_of(one).distance(mixture_of(other))
            for i, one in enumerate(side_by_side)
            for other in side_by_side[:i]
        ]
        assert min(apart) > 0.005
        assert study.records()[-1].basis == tuple(range(9))

    def test_stay_away_from_what_failed(self) -> None:
        study = run(made(search={"trials": 20}), trials=6)
        failed = ask(study)
        study.fail(failed.id, "out of memory")
        for _ in range(4):
            assert mixture_of(ask(study)).distance(mixture_of(failed)) > 0.01

    def test_are_the_same_after_a_resume(self, tmp_path: Path) -> None:
        study = Study.create(StudySpec.parse(text(storage="sqlite"), tmp_path), tmp_path / "runs")
        run(study, noisy(0.02), 7)
        study.fail(ask(study).id, "no luck")
        ask(study)  # and it stays open
        copies = [shutil.copytree(study.folder.path, tmp_path / f"copy-{i}" / "elsewhere") for i in range(2)]
        found: list[Any] = []
        for again in (study, *map(Study.open, copies)):
            found.append([ask(again), ask(again)])
            found[-1] += [(record.origin, record.basis) for record in again.records()[-2:]]
        assert found[0][2][0] in ("explore", "improve")
        assert found[0] == found[1] == found[2]

    def test_of_a_used_up_space_come_again_with_new_seeds(self) -> None:
        study = run(
            made(
                domains={"a": {}, "b": {}},
                metrics=DOCUMENT["metrics"][:2],
                search={"trials": 9, "seed": 4, "space": {"grid": 0.5}},
            ),
            noisy(0.05),
        )
        visits: dict[Mixture, int] = {}
        for record in study.records():
            mixture = mixture_of(record.job)
            visits[mixture] = visits.get(mixture, 0) + 1
            assert record.job.seeds == Seeds.of(4, replicate=visits[mixture] - 1)
        assert len(visits) == 3
        assert study.records()[-1].origin == "repeat"


class TestAdvice:
    @pytest.mark.parametrize("n", [1, 2])
    def test_of_one_trial_or_two_is_the_better_one(self, n: int) -> None:
        study = run(made(), trials=n)
        advice = study.recommend()
        best, score = study.ranking()[0]
        assert (advice.record, advice.mixture, advice.score, advice.tried) == (best, best.job.mixture, score, True)
        assert (advice.considered, advice.predictions, advice.alternatives) == (n, {}, ())
        assert advice.basis.startswith(f"best score among {n} finished trials")

    def test_of_three_is_a_models(self) -> None:
        advice = run(made(), trials=3).recommend()
        assert set(advice.predictions) == {"a/x", "b/x", "c/x"}
        assert advice.considered == 3

    def test_comes_near_the_best_mixture_in_spite_of_noise(self) -> None:
        study = run(made(search={"trials": 18}), noisy(0.03))
        advice = study.recommend()
        assert advice.mixture.distance(Mixture.uniform("abc")) < 0.12
        assert advice.alternatives or advice.tried
        for name, prediction in advice.predictions.items():
            assert prediction.low < prediction.value < prediction.high
            assert prediction.value == pytest.approx(roots(advice.mixture)[name], abs=0.06)

    def test_keeps_guards_and_says_how_surely(self) -> None:
        metrics = [DOCUMENT["metrics"][0], {**DOCUMENT["metrics"][1], "weight": 0, "reference": 0.5, "guard": 0}]
        advice = run(made(metrics=metrics), noisy(0.01)).recommend()
        assert advice.mixture["b"] == pytest.approx(0.25, abs=0.06), "as little as its guard allows"
        assert advice.mixture["c"] < 0.06
        assert advice.score.feasible
        holds = advice.predictions["b/x"].holds
        assert holds is not None and 0.3 < holds <= 1
        assert advice.guarded == holds
        assert f"all guards hold with a probability of {holds:.0%}" in advice.basis

    def test_keeps_bounds_that_were_narrowed_since(self, tmp_path: Path) -> None:
        study = Study.create(StudySpec.parse(text(storage="sqlite"), tmp_path), tmp_path / "runs")
        run(study)
        assert study.recommend().mixture["a"] < 0.4
        again = edited(study, domains=domains(a=[0.45, 1]))
        inside = [record for record in again.records() if again.allows(record)]
        assert 0 < len(inside) < 12
        advice = again.recommend()
        assert advice.mixture in again.space
        assert advice.mixture["a"] == pytest.approx(0.45, abs=0.05)
        assert advice.record in inside
        assert advice.considered == len(inside)
        assert {other.trial for other in advice.alternatives} <= {record.job.id for record in inside}
        with pytest.raises(NothingToRecommend, match="none of the 12 finished trials"):
            edited(study, domains=domains(a=[0.97, 1])).recommend()

    def test_of_trials_that_all_lack_a_new_hyperparameter_is_the_best_one(self, tmp_path: Path) -> None:
        """The three that have it lie outside of bounds that were narrowed, too."""
        study = Study.create(StudySpec.parse(text(storage="sqlite"), tmp_path), tmp_path / "runs")
        run(study, trials=6)
        wide = {"trials": 9, "hyperparameters": {"rate": {"low": 1e-5, "high": 1e-3}}}
        run(edited(study, search=wide))
        narrow = {"trials": 9, "hyperparameters": {"rate": {"low": 1e-8, "high": 1e-7}}}
        again = edited(study, search=narrow)
        assert [again.allows(record) for record in again.records()] == [True] * 6 + [False] * 3
        advice = again.recommend()
        assert (advice.record, advice.predictions) == (again.ranking()[0][0], {})

    def test_counts_metrics_of_a_trial_that_failed_but_never_recommends_it(self) -> None:
        study = made(search={"trials": 8})
        failed = ask(study)
        study.tell(failed.id, {"a/x": 0.6, "b/x": 0.6})  # c is missing
        run(study)
        [record] = [record for record in study.records() if record.state is JobState.FAILED]
        assert record.number in study.records()[-1].basis
        advice = study.recommend()
        assert advice.record != record and advice.considered == 8

    def test_names_a_metric_that_the_mixture_explains_nothing_of(self) -> None:
        rng = np.random.default_rng(3)
        metrics = [*DOCUMENT["metrics"][:2], {**DOCUMENT["metrics"][2], "weight": 0}]
        study = run(
            made(metrics=metrics, search={"trials": 20, "sampler": "random"}),
            lambda m: {**roots(m), "c/x": float(rng.standard_normal())},
        )
        assert study.recommend().unexplained == ("c/x",)
        assert "the model explains next to nothing of c/x" in study.recommend().basis

    def test_is_a_models_whatever_chose_the_trials(self) -> None:
        advice = run(made(search={"trials": 8, "sampler": "random"})).recommend()
        assert advice.predictions


class TestPareto:
    @staticmethod
    def shares(kind: str) -> list[float]:
        """Of a, in those trials that the model chose: c is worth nothing, and a and b are at each other's cost."""
        found = []
        for seed in range(6):
            search = {"trials": 18, "seed": seed}
            study = run(made(metrics=DOCUMENT["metrics"][:2], balance={"kind": kind}, search=search))
            asked = [mixture_of(record.job)["a"] for record in study.records() if record.origin != "space-filling"]
            found += asked[4:]
        return found

    def test_trade_offs_of_all_kinds_are_looked_for(self) -> None:
        front, worst = np.array(self.shares("pareto")), np.array(self.shares("worst"))
        assert np.ptp(front) > 0.5
        # A search that has found its one best mixture looks elsewhere now and then, too.
        equal = np.mean(np.abs(front - 0.5) < 0.05), np.mean(np.abs(worst - 0.5) < 0.05)
        assert equal[1] > 1.5 * equal[0]

    def test_advice_is_one_of_them(self) -> None:
        study = run(made(metrics=DOCUMENT["metrics"][:2], balance={"kind": "pareto"}))
        assert study.done
        advice = study.recommend()
        assert advice.mixture["a"] == pytest.approx(0.5, abs=0.05)
        assert advice.mixture["c"] < 0.05
