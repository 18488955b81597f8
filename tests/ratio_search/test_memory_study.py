"""Studies whose trials the caller runs: through ask and tell, in memory or in a folder."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from objectives.base import Job, JobKind
from objectives.mixture import Mixture
from ratio_search import Study, StudySpec, report
from ratio_search.errors import IdentityError, NothingToRecommend, SpecError, StudyError
from ratio_search.formats import named
from ratio_search.recipe import Recipe
from ratio_search.record import JobState
from tests.ratio_search.trials import study_of, text_of

DOCUMENT: dict[str, Any] = {
    "name": "elsewhere",
    "domains": {"a": {}, "b": {"share": [0, 0.5]}, "c": {}},
    "objective": {"kind": "external"},
    "metrics": [
        {"name": "accuracy", "reference": 0.5},
        {"name": "seconds", "goal": "minimize", "scale": 2, "reference": 3},
    ],
    "search": {"trials": 5, "sampler": "random"},
    "storage": "memory",
}


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


text = functools.partial(text_of, DOCUMENT)
made = functools.partial(study_of, DOCUMENT)


def next_job(study: Study) -> Job:
    job = study.ask()
    assert job is not None
    return job


def values(job: Job) -> dict[str, float]:
    assert job.mixture is not None
    return {"accuracy": 0.5 + 0.4 * job.mixture["a"], "seconds": 2.0}


def finish(study: Study) -> None:
    while (job := study.ask()) is not None:
        study.tell(job.id, values(job))


class TestInMemory:
    def test_a_whole_study_leaves_no_file(self, tmp_path: Path) -> None:
        study = made()
        first = next_job(study)
        assert (first.id, first.kind, first.mixture) == ("trial-0000", JobKind.TRIAL, Mixture.uniform("abc"))
        assert study.tell(first.id, values(first)).state is JobState.COMPLETE
        assert study.fail(next_job(study).id, "no luck").state is JobState.FAILED
        finish(study)
        assert study.done and study.complete == 5
        assert all(study.allows(record) for record in study.records())
        advice = study.recommend()
        assert advice.mixture in study.space
        assert advice.mixture["a"] > 0.5, "accuracy follows from its share"
        assert list(tmp_path.iterdir()) == []

    def test_two_studies_of_one_name_know_nothing_of_each_other(self) -> None:
        one, other = made(), made()
        finish(one)
        assert (len(one.records()), len(other.records())) == (5, 0)

    def test_what_is_open_stays_open(self) -> None:
        study = made()
        open_jobs = [next_job(study), next_job(study)]
        assert study.unfinished() == open_jobs
        assert [record.state for record in study.records()] == [JobState.RUNNING] * 2

    def test_results_that_cannot_be_used_fail(self) -> None:
        study = made()
        record = study.tell(next_job(study).id, {"accuracy": 0.5})
        assert record.failure is not None and "lacks seconds" in record.failure.message
        record = study.tell(next_job(study).id, {"accuracy": 50.0, "seconds": 1.0})
        assert record.failure is not None and "from 0 to 1" in record.failure.message
        with pytest.raises(StudyError, match="no open job 'trial-0001'"):
            study.tell("trial-0001", {"accuracy": 0.5, "seconds": 1.0})

    def test_nothing_to_recommend_says_how_to_go_on(self) -> None:
        with pytest.raises(NothingToRecommend, match=r"no finished trial yet.*ask for jobs and tell"):
            made().recommend()

    def test_identity_and_history_are_answered_without_files(self, tmp_path: Path) -> None:
        study = made()
        study.begin()
        study.check_identity()
        study.override(trials=2)
        finish(study)
        assert study.complete == 2
        assert list(tmp_path.iterdir()) == []

    def test_it_has_no_folder(self) -> None:
        with pytest.raises(StudyError, match=r"study 'elsewhere' in memory: has no folder; state storage: sqlite"):
            _ = made().folder

    def test_an_attempt_has_no_place(self) -> None:
        study = made()
        attempt = study.attempt(next_job(study))
        assert not attempt.folder.exists() and attempt.result() is None and attempt.progress() is None
        with pytest.raises(OSError, match="Not a directory"):
            study.start(attempt.job)

    def test_a_recipe_names_no_command(self, tmp_path: Path) -> None:
        study = made()
        finish(study)
        recipe = Recipe.of(study, tmp_path / "recipe.json")
        assert recipe.command == ()
        assert recipe.mixture == study.recommend().mixture
        assert (recipe.ingredients["a"].size, recipe.ingredients["a"].sha256) == (None, ())
        recipe.save(tmp_path / "recipe.json")
        assert Recipe.load(tmp_path / "recipe.json") == recipe

    def test_the_same_file_and_results_give_the_same_jobs(self) -> None:
        one, other = made(), made()
        finish(one)
        finish(other)
        assert [r.job for r in one.records()] == [r.job for r in other.records()]


class TestTheBaseline:
    def test_is_asked_first_where_a_reference_is_missing(self) -> None:
        study = made(metrics=[{"name": "accuracy"}, {"name": "f1", "reference": 0.5}])
        job = next_job(study)
        assert (job.kind, job.mixture) == (JobKind.BASELINE, None)
        study.tell(job.id, {"accuracy": 0.2, "f1": 0.1})
        job = next_job(study)
        study.tell(job.id, {"accuracy": 0.4, "f1": 0.6})
        assert study.recommend().score.gains == {"accuracy": pytest.approx(0.2), "f1": pytest.approx(0.1)}

    def test_may_be_wanted_although_all_references_are_stated(self) -> None:
        assert next_job(made(baseline=True)).kind is JobKind.BASELINE

    def test_may_not_be_left_out_where_a_reference_is_missing(self) -> None:
        with pytest.raises(SpecError, match=r"baseline: without the untuned baseline.*add one to accuracy"):
            made(baseline=False, metrics=[{"name": "accuracy"}])


class TestAnchors:
    def test_todays_mixture_is_one(self) -> None:
        study = made(current={"a": 0.2, "b": 0.2, "c": 0.6})
        finish(study)
        assert [r.origin for r in study.records()][:2] == ["anchor:uniform", "anchor:current"]

    def test_natural_shares_need_the_rows_of_all_domains(self, tmp_path: Path) -> None:
        for name, rows in (("a", 30), ("b", 10)):
            lines = [json.dumps({"instruction": f"{name} {i}", "output": "yes"}) for i in range(rows)]
            (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
        domains: dict[str, Any] = {name: {"train": f"{name}.jsonl"} for name in "ab"}
        study = made(domains=domains)
        assert next_job(study).mixture == Mixture.of({"a": 0.75, "b": 0.25})
        assert next_job(made(domains={**domains, "c": {}})).mixture == Mixture.uniform("abc")

    def test_files_with_a_stated_length_cap_the_shares(self, tmp_path: Path) -> None:
        lines = [json.dumps({"instruction": f"a {i}", "output": "yes"}) for i in range(10)]
        (tmp_path / "a.jsonl").write_text("\n".join(lines))
        domains = {"a": {"train": "a.jsonl", "max_epochs": 2}, "b": {}, "c": {}}
        study = made(domains=domains, objective={"kind": "external", "rows": 100})
        assert study.space.upper == pytest.approx((0.2, 1.0, 1.0))
        assert made(domains=domains).space.upper == (1.0, 1.0, 1.0)


SEARCHED = {
    "rate": {"low": 1e-5, "high": 1e-3, "log": True},
    "rank": {"low": 4, "high": 64},
    "loss": {"choices": ["hinge", "square"]},
}


def searching(**changes: Any) -> dict[str, Any]:
    """The `search` section with these hyperparameters; None leaves one out."""
    searched = {name: keys for name, keys in {**SEARCHED, **changes}.items() if keys is not None}
    return {"trials": 5, "sampler": "random", "hyperparameters": searched}


class TestHyperparameters:
    def test_are_told_with_every_job_and_recommended(self, tmp_path: Path) -> None:
        study = made(search=searching())
        finish(study)
        assert len({tuple(record.job.hyperparameters.items()) for record in study.records()}) > 2
        for record in study.records():
            values = record.job.hyperparameters
            assert set(values) == set(SEARCHED)
            assert all(values[name] in of for name, of in study.spec.hyperparameters.items())
            assert (type(values["rate"]), type(values["rank"]), type(values["loss"])) == (float, int, str)
        advice = study.recommend()
        assert all(advice.hyperparameters[name] in of for name, of in study.spec.hyperparameters.items())
        recipe = Recipe.of(study, tmp_path / "recipe.json")
        assert recipe.hyperparameters == advice.hyperparameters
        for format_ in ("json", "yaml"):
            file = tmp_path / f"recipe.{format_}"
            named(format_).save(recipe, file)
            assert Recipe.load(file).hyperparameters == recipe.hyperparameters

    def test_the_baseline_has_none(self) -> None:
        assert next_job(made(search=searching(), baseline=True)).hyperparameters == {}

    def test_survive_a_new_process(self, tmp_path: Path) -> None:
        study = Study.create(StudySpec.parse(text(storage="sqlite", search=searching()), tmp_path), tmp_path / "runs")
        finish(study)
        assert [r.job for r in Study.open(study.folder).records()] == [r.job for r in study.records()]

    @pytest.fixture
    def tried(self, tmp_path: Path) -> Study:
        """A study in a folder, with two trials."""
        spec = StudySpec.parse(text(storage="sqlite", search=searching()), tmp_path)
        study = Study.create(spec, tmp_path / "runs")
        for _ in range(2):
            job = next_job(study)
            study.tell(job.id, values(job))
        return study

    @pytest.mark.parametrize(
        "changes",
        [
            {"rate": {"low": 1e-7, "high": 1e-2, "log": True}, "rank": {"low": 1, "high": 129, "step": 32}},
            {"width": {"low": 1.0, "high": 2.0}},
            {"rank": None},
        ],
        ids=["other bounds", "one more", "one less"],
    )
    def test_may_be_edited(self, tried: Study, changes: dict[str, Any]) -> None:
        search = {**searching(**changes), "sampler": "simplex-gp"}
        tried.folder.study_file.write_text(text(storage="sqlite", search=search))
        again = Study.open(tried.folder)
        again.check_identity()
        finish(again)
        assert again.complete == 5
        assert all(
            r.job.hyperparameters[n] in of for r in again.records()[2:] for n, of in again.spec.hyperparameters.items()
        )

    def test_trials_outside_of_edited_bounds_are_not_recommended(self, tried: Study) -> None:
        changes = {"rate": {"low": 1e-8, "high": 1e-7, "log": True}}
        tried.folder.study_file.write_text(text(storage="sqlite", search=searching(**changes)))
        again = Study.open(tried.folder)
        assert not any(again.allows(record) for record in again.records())
        with pytest.raises(NothingToRecommend, match="none of the 2 finished trials"):
            again.recommend()

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"loss": {"choices": ["hinge", "square", "log"]}},
                "search.hyperparameters.loss: was one of hinge, square, is one of hinge, square, log",
            ),
            (
                {"rate": {"low": 1e-5, "high": 1e-3}},
                "search.hyperparameters.rate: was a number from 1e-05 to 0.001 on a logarithmic scale, is a number "
                "from 1e-05 to 0.001",
            ),
            (
                {"rank": {"choices": [4, 64]}},
                "search.hyperparameters.rank: was a whole number from 4 to 64, is one of 4, 64",
            ),
        ],
    )
    def test_of_one_that_was_tried_kind_scale_and_choices_stay(
        self, tried: Study, changes: dict[str, Any], message: str
    ) -> None:
        tried.folder.study_file.write_text(text(storage="sqlite", search=searching(**changes)))
        with pytest.raises(IdentityError) as error:
            Study.open(tried.folder)
        assert message in str(error.value).splitlines()[1]

    def test_are_columns(self, tried: Study) -> None:
        rows = report.trial_rows(tried)
        for record, row in zip(tried.records(), rows, strict=True):
            assert {name: row[f"param/{name}"] for name in SEARCHED} == record.job.hyperparameters
        assert "param/rate" in report.trials_csv(tried).splitlines()[0]
        table = report.trials_table(tried)
        assert [column.header for column in table.columns][4:10] == ["a", "b", "c", "rate", "rank", "loss"]
        recipe = Recipe.of(tried, tried.folder.recipe_file)
        shown = report.comparison(tried, recipe)
        assert list(shown.columns[0].cells)[-3:] == list(SEARCHED)
        assert list(shown.columns[-1].cells)[-1] == recipe.hyperparameters["loss"]
        assert recipe.choice.endswith(f"loss={recipe.hyperparameters['loss']}")


class TestInAFolder:
    def test_a_new_process_goes_on_with_it(self, tmp_path: Path) -> None:
        spec = StudySpec.parse(text(storage="sqlite"), tmp_path)
        study = Study.create(spec, tmp_path / "runs")
        job = next_job(study)
        study.tell(job.id, values(job))
        left_open = next_job(study)

        again = Study.open(tmp_path / "runs" / "elsewhere")
        assert [record.job for record in again.records() if record.state is JobState.RUNNING] == [left_open]
        assert again.unfinished() == [left_open]
        again.tell(left_open.id, values(left_open))
        finish(again)
        assert again.complete == 5
        assert again.done
        with pytest.raises(StudyError, match=r"already there; Study\.open\("):
            Study.create(spec, tmp_path / "runs")

    def test_its_storage_cannot_become_memory(self, tmp_path: Path) -> None:
        study = Study.create(StudySpec.parse(text(storage="sqlite"), tmp_path), tmp_path / "runs")
        study.folder.study_file.write_text(text())
        with pytest.raises(StudyError, match=r"study\.yaml: storage: expected sqlite.*found memory"):
            Study.open(study.folder)


def test_everything_told_of_a_closed_job_is_read_again_by_another_study_object(tmp_path: Path) -> None:
    study = Study.create(StudySpec.parse(text(storage="sqlite"), tmp_path), tmp_path / "runs")
    reader = Study.open(study.folder)
    job = next_job(study)
    assert [record.state for record in reader.records()] == [JobState.RUNNING]
    study.tell(job.id, values(job))
    assert reader.records() == study.records()
    assert [record.state for record in reader.records()] == [JobState.COMPLETE]
