"""The life of a study, driven by hand through ask and tell."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest
import yaml
from optuna.trial import TrialState

from objectives.attempt import Failure, FailureKind
from objectives.base import Estimate, Job, JobKind, Measurement, Seeds
from objectives.errors import DataError
from objectives.mixture import Mixture
from ratio_search.errors import IdentityError, NothingToRecommend, SpecError, StudyError
from ratio_search.record import JobState
from ratio_search.study import Study

NAMES = ("support", "legal", "manuals")
UNTUNED = {f"{name}/accuracy": 0.2 for name in NAMES}


@pytest.fixture
def made(small_study: Any) -> Callable[..., Study]:
    """Makes a study; keywords replace keys of its file."""

    def make(**keys: Any) -> Study:
        small = small_study(**keys)
        return Study.create(small.spec, small.runs)

    return make


def state(study: Study, data: dict[str, Any]) -> None:
    """Puts a section on its data into the study's own file."""
    document = yaml.safe_load(study.folder.study_file.read_text())
    study.folder.study_file.write_text(yaml.safe_dump({**document, "data": data}, sort_keys=False))


def values(job: Job) -> dict[str, float]:
    """What a trainer would measure: each domain by its share."""
    shares = job.mixture or dict.fromkeys(NAMES, 0.0)
    return {f"{name}/accuracy": 0.2 + 0.6 * shares[name] for name in NAMES}


def next_job(study: Study) -> Job:
    job = study.ask()
    assert job is not None
    return job


def finish(study: Study, most: int = 100) -> list[Job]:
    """Asks and tells until the study has enough, or for so many jobs."""
    jobs: list[Job] = []
    while len(jobs) < most and (job := study.ask()) is not None:
        study.tell(job.id, values(job))
        jobs.append(job)
    return jobs


class TestAsking:
    def test_the_baseline_comes_first_and_then_the_anchors(self, made: Callable[..., Study]) -> None:
        study = made()
        jobs = finish(study)
        assert [(job.id, job.kind) for job in jobs[:2]] == [
            ("reference-0000", JobKind.BASELINE),
            ("trial-0000", JobKind.TRIAL),
        ]
        assert jobs[0].mixture is None
        assert len(jobs) == 7
        assert [record.origin for record in study.records()][:3] == [
            "anchor:natural",
            "anchor:uniform",
            "space-filling",
        ]
        assert jobs[1].mixture is not None
        assert jobs[1].mixture.shares == pytest.approx((1 / 2, 1 / 3, 1 / 6))

    def test_todays_mixture_is_an_anchor_too(self, made: Callable[..., Study]) -> None:
        study = made(current={"support": 0.1, "legal": 0.9})
        finish(study)
        assert [record.origin for record in study.records()][2] == "anchor:current"
        assert study.records()[2].job.mixture == Mixture.of({"support": 0.1, "legal": 0.9, "manuals": 0.0})

    def test_proposals_keep_the_bounds(self, made: Callable[..., Study]) -> None:
        domains = {n: {"train": f"data/{n}.train.jsonl", "test": f"data/{n}.test.jsonl"} for n in NAMES}
        domains["support"]["share"] = [0.1, 0.4]  # type: ignore[assignment]
        domains["legal"]["share"] = 0.4  # type: ignore[assignment]
        study = made(domains=domains)
        for job in finish(study):
            if job.mixture is not None:
                assert job.mixture in study.spec.space
        assert [record.origin for record in study.records()][:2] == [
            "anchor:natural (projected)",
            "anchor:uniform (projected)",
        ]

    def test_all_jobs_of_a_first_visit_share_their_seeds(self, made: Callable[..., Study]) -> None:
        study = made(search={"trials": 3, "seed": 5})
        assert {job.seeds for job in finish(study)} == {Seeds.of(5, replicate=0)}

    def test_without_a_baseline_none_is_asked_for(self, made: Callable[..., Study]) -> None:
        metrics = [{"name": f"{name}/accuracy", "reference": 0.3} for name in NAMES]
        study = made(baseline=False, metrics=metrics, search={"trials": 2})
        jobs = finish(study)
        assert [job.kind for job in jobs] == [JobKind.TRIAL] * 2
        assert study.recommend().scorer.reference(study.spec.metrics[0]) == 0.3

    def test_open_trials_count_and_failed_ones_do_not(self, made: Callable[..., Study]) -> None:
        study = made(search={"trials": 2})
        finish(study, most=1)
        first, second = next_job(study), next_job(study)
        assert study.ask() is None
        study.fail(first.id, "out of luck")
        third = next_job(study)
        assert third.id == "trial-0002"
        assert third.mixture not in (first.mixture, second.mixture)

    def test_a_failed_anchor_is_tried_again_when_a_new_driver_begins(self, made: Callable[..., Study]) -> None:
        study = made()
        finish(study, most=1)
        failed = next_job(study)
        study.fail(failed.id, "a broken trainer")
        other = next_job(study)
        assert other.mixture == Mixture.uniform(NAMES)
        again = Study.open(study.folder)
        again.begin()
        retried = next_job(again)
        assert (retried.mixture, again.records()[-1].origin) == (failed.mixture, "anchor:natural")
        assert next_job(again).mixture not in (failed.mixture, other.mixture)

    def test_an_anchor_that_was_tried_under_another_name_is_not_tried_again(self, made: Callable[..., Study]) -> None:
        study = made(search={"trials": 3})
        finish(study)
        text = study.folder.study_file.read_text().replace("trials: 3", "trials: 5")
        text += "current: {support: 0.5, legal: 0.3333333333333333, manuals: 0.1666666666666667}\n"
        study.folder.study_file.write_text(text)
        again = Study.open(study.folder)
        finish(again)
        mixtures = [record.job.mixture for record in again.records()]
        assert len(set(mixtures)) == 5
        assert [again.anchor(record) for record in again.records()][:3] == ["natural = current", "uniform", None]

    def test_a_failed_baseline_is_asked_for_again(self, made: Callable[..., Study]) -> None:
        study = made()
        study.fail(next_job(study).id, "no luck")
        again = next_job(study)
        assert (again.id, again.kind) == ("reference-0001", JobKind.BASELINE)


class TestTelling:
    def test_everything_reported_is_on_record_before_the_trial_is_closed(self, made: Callable[..., Study]) -> None:
        study = made()
        finish(study, most=1)
        job = next_job(study)
        assert job.mixture is not None
        measured = Measurement(
            metrics={n: Estimate(value=v, stderr=0.01, rows=5) for n, v in {**values(job), "legal/f1": 0.5}.items()},
            realised=Mixture.uniform(NAMES),
            rows={"support": 20, "legal": 20, "manuals": 20},
            cost={"usd": 1.5},
            artefacts={"adapter": "adapter"},
        )
        assert study.store(job.id, measured) is None
        [record] = study.records()
        assert (record.state, record.measurement) == (JobState.RUNNING, measured)
        closed = study.close(job.id)
        assert (closed.state, closed.measurement) == (JobState.COMPLETE, measured)

    def test_optuna_shows_the_shares_and_the_judged_metrics(self, made: Callable[..., Study]) -> None:
        study = made(search={"trials": 2})
        finish(study)
        shown = optuna.load_study(study_name="small", storage=study.folder.storage())
        assert shown.metric_names == [metric.name for metric in study.spec.metrics]
        for trial, record in zip(shown.trials, study.records(), strict=True):
            assert trial.params == {f"share/{name}": share for name, share in (record.job.mixture or {}).items()}
            assert trial.values == list(record.values.values())
            assert trial.user_attrs["origin"] == record.origin

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"manuals/accuracy": None}, r"lacks manuals/accuracy; it reported support/accuracy, legal/accuracy"),
            ({"legal/accuracy": 81.0}, r"legal/accuracy: expected a value from 0 to 1, found 81"),
        ],
    )
    def test_a_result_that_cannot_be_used_fails_and_is_kept(
        self, made: Callable[..., Study], wrong: dict[str, float | None], message: str
    ) -> None:
        study = made()
        finish(study, most=1)
        job = next_job(study)
        told = {name: value for name, value in {**values(job), **wrong}.items() if value is not None}
        record = study.tell(job.id, told)
        assert record.state is JobState.FAILED
        assert record.failure is not None
        assert record.failure.kind is FailureKind.RESULT
        assert message in record.failure.message
        assert record.values == told
        assert study.ranking() == []

    @pytest.mark.parametrize("value", [math.nan, math.inf, None, "much", True, [0.5]])
    def test_what_is_no_number_fails_the_trial_and_is_not_stored(self, made: Callable[..., Study], value: Any) -> None:
        study = made()
        finish(study, most=1)
        job = next_job(study)
        record = study.tell(job.id, {**values(job), "legal/accuracy": value})
        assert record.state is JobState.FAILED
        assert record.failure is not None
        assert "'legal/accuracy': value must be a finite number" in record.failure.message
        assert record.measurement is None
        finish(study)
        assert Study.open(study.folder).complete == 6

    def test_numbers_of_numpy_are_numbers(self, made: Callable[..., Study]) -> None:
        study = made()
        finish(study, most=1)
        job = next_job(study)
        record = study.tell(job.id, {name: np.float32(value) for name, value in values(job).items()})
        assert record.state is JobState.COMPLETE

    def test_optunas_view_keeps_its_order_when_the_files_changes(self, made: Callable[..., Study]) -> None:
        study = made(search={"trials": 2})
        finish(study)
        text = study.folder.study_file.read_text()
        metrics = "".join(f"- name: {name}/accuracy\n" for name in NAMES)
        assert metrics in text
        turned = "".join(f"- name: {name}/accuracy\n" for name in reversed(NAMES))
        study.folder.study_file.write_text(text.replace(metrics, turned).replace("trials: 2", "trials: 3"))
        finish(Study.open(study.folder))
        shown = optuna.load_study(study_name="small", storage=study.folder.storage())
        for trial in shown.trials:
            assert trial.values == pytest.approx([0.2 + 0.6 * trial.params[f"share/{name}"] for name in NAMES])

    def test_a_failure_has_its_reason_in_words_or_in_full(self, made: Callable[..., Study]) -> None:
        study = made()
        finish(study, most=1)
        full = Failure(kind=FailureKind.INFRASTRUCTURE, message="node lost", log="last words")
        for failure in ("bad luck", full):
            study.fail(next_job(study).id, failure)
        first, second = study.records()
        assert first.failure == Failure(kind=FailureKind.OBJECTIVE, message="bad luck")
        assert second.failure == full

    def test_only_an_open_job_can_be_told(self, made: Callable[..., Study]) -> None:
        study = made()
        [job] = finish(study, most=1)
        for job_id in (job.id, "trial-0007", "nonsense"):
            with pytest.raises(StudyError, match=f"no open job '{job_id}' in study 'small'"):
                study.tell(job_id, UNTUNED)
            with pytest.raises(StudyError, match=f"no open job '{job_id}'"):
                study.fail(job_id, "late")
        assert study.baseline().values == UNTUNED  # type: ignore[union-attr]


class TestJudging:
    def test_two_trials_are_too_few_for_a_model_and_the_better_one_is_recommended(
        self, made: Callable[..., Study]
    ) -> None:
        study = made(search={"trials": 2})
        finish(study)
        advice = study.recommend()
        assert advice.record.origin == "anchor:uniform"  # by values(), the smallest share decides
        assert (advice.mixture, advice.tried) == (Mixture.uniform(NAMES), True)
        assert advice.score.balanced == pytest.approx(0.2)
        assert (advice.considered, advice.predictions) == (2, {})
        assert "best score among 2 finished trials" in advice.basis

    def test_from_the_third_on_the_best_is_what_a_model_expects_the_most_of(self, made: Callable[..., Study]) -> None:
        study = made()
        finish(study)
        advice = study.recommend()
        assert advice.mixture.distance(Mixture.uniform(NAMES)) < 0.03
        assert advice.record.origin == "anchor:uniform", "the trial that is nearest to it"
        assert advice.score.balanced == pytest.approx(0.2, abs=0.01)
        assert advice.considered == 6
        assert advice.basis.startswith("best expected score by a model of 6 finished trials")

    def test_the_same_trials_give_the_same_advice(self, made: Callable[..., Study]) -> None:
        study = made()
        finish(study)
        assert Study.open(study.folder).recommend() == study.recommend() == study.recommend()

    def test_another_balance_judges_the_same_trials_anew(self, made: Callable[..., Study]) -> None:
        study = made()
        finish(study)
        text = study.folder.study_file.read_text()
        metrics = "\n".join(
            f"- {{name: {name}/accuracy, weight: {w}}}" for name, w in zip(NAMES, (9, 1, 1), strict=True)
        )
        start = text.index("metrics:")
        end = text.index("search:")
        study.folder.study_file.write_text(
            f"{text[:start]}metrics:\n{metrics}\nbalance: {{kind: weighted}}\n{text[end:]}"
        )
        again = Study.open(study.folder)
        again.check_identity()
        best = max(again.records(), key=lambda record: record.job.mixture["support"])  # type: ignore[index]
        assert again.ranking()[0][0] == best
        assert again.recommend().mixture["support"] >= 0.9 * best.job.mixture["support"]  # type: ignore[index]
        assert study.recommend().mixture["support"] < 0.4

    def test_a_trial_that_the_bounds_no_longer_allow_is_not_recommended(self, made: Callable[..., Study]) -> None:
        study = made(search={"trials": 4})
        finish(study)
        text = study.folder.study_file.read_text()
        bounded = "  support:\n    share: [0.6, 0.9]\n"
        study.folder.study_file.write_text(text.replace("  support:\n", bounded).replace("trials: 4", "trials: 8"))
        again = Study.open(study.folder)
        before = [record for record, _ in again.ranking() if again.allows(record)]
        finish(again)
        advice = again.recommend()
        assert advice.mixture["support"] >= 0.6
        assert advice.considered == len(before) + 4
        study.folder.study_file.write_text(text.replace("  support:\n", "  support:\n    share: [0.99, 1]\n"))
        with pytest.raises(NothingToRecommend, match="none of the 8 finished trials of study 'small' keeps the bounds"):
            Study.open(study.folder).recommend()

    def test_advice_that_breaks_a_guard_says_so(self, made: Callable[..., Study]) -> None:
        metrics = [{"name": f"{name}/accuracy", "reference": 0.9, "guard": 0.0} for name in NAMES]
        study = made(metrics=metrics, search={"trials": 2})
        finish(study)
        advice = study.recommend()
        assert not advice.score.feasible
        assert advice.basis.startswith(
            "none of the finished trials keeps every guard, and this one breaks: support/acc"
        )
        assert "legal/accuracy by 0.5" in advice.basis

    def test_there_is_no_advice_before_anything_is_finished(self, made: Callable[..., Study]) -> None:
        study = made()
        with pytest.raises(
            NothingToRecommend, match=r"'small' has no finished baseline.*`ratio-search resume .*small`"
        ):
            study.recommend()
        finish(study, most=1)
        with pytest.raises(NothingToRecommend, match="has no finished trial yet"):
            study.recommend()


class TestAfterADeadDriver:
    def test_a_trial_whose_intent_was_not_complete_is_closed_and_its_mixture_comes_again(
        self, made: Callable[..., Study]
    ) -> None:
        study = made()
        finish(study, most=1)
        half_made = optuna.load_study(study_name="small", storage=study.folder.storage()).ask()
        half_made.suggest_float("share/support", 0, 1)
        again = Study.open(study.folder)
        assert again.records() == []
        assert again.unfinished() == []
        job = next_job(again)
        assert (job.id, again.records()[0].origin) == ("trial-0001", "anchor:natural")
        trials = optuna.load_study(study_name="small", storage=study.folder.storage()).trials
        assert [trial.state for trial in trials] == [TrialState.FAIL, TrialState.RUNNING]

    def test_a_result_on_disk_is_told(self, made: Callable[..., Study]) -> None:
        study = made()
        finish(study, most=1)
        job = next_job(study)
        attempt = study.start(job)
        result = Measurement(metrics={name: Estimate(value=v) for name, v in values(job).items()})
        attempt.result_file.write_text(json.dumps(result.to_json()))
        again = Study.open(study.folder)
        assert again.unfinished() == []
        assert again.records()[0].measurement == result
        assert again.records()[0].state is JobState.COMPLETE

    def test_one_that_was_never_started_keeps_its_attempt(self, made: Callable[..., Study]) -> None:
        study = made()
        job = next_job(study)
        assert Study.open(study.folder).unfinished() == [job]

    def test_one_that_was_started_gets_another_attempt_and_keeps_all_else(self, made: Callable[..., Study]) -> None:
        study = made()
        finish(study, most=1)
        job = next_job(study)
        (study.start(job).folder / "checkpoint").mkdir()
        [again] = Study.open(study.folder).unfinished()
        assert again == Job(id=job.id, kind=job.kind, mixture=job.mixture, seeds=job.seeds, attempt=2)
        assert Study.open(study.folder).records()[0].job == again
        assert study.attempt(again).previous == study.attempt(job).folder

    def test_one_whose_failure_is_on_record_is_closed(self, made: Callable[..., Study]) -> None:
        study = made()
        finish(study, most=1)
        job = next_job(study)
        study.start(job)
        jobs, record = study._open(job.id)
        failure = Failure(kind=FailureKind.OBJECTIVE, message="boom")
        jobs.note(record, "failure", failure.to_json())  # and then the driver died
        again = Study.open(study.folder)
        assert again.unfinished() == []
        assert (again.records()[0].state, again.records()[0].failure) == (JobState.FAILED, failure)

    def test_nothing_is_left_to_do_once_all_is_closed(self, made: Callable[..., Study]) -> None:
        study = made(search={"trials": 2})
        baseline = next_job(study)
        for job in (next_job(study), next_job(study)):
            study.tell(job.id, values(job))
        assert study.complete == 2
        assert not study.done, "the baseline is open"
        study.fail(baseline.id, "lost")
        assert not study.done, "the baseline failed"
        finish(study)
        assert study.done
        study.override(trials=3)
        assert not study.done
        next_job(study)
        study.override(trials=2)
        assert not study.done, "a trial is open"

    def test_a_job_may_be_lost_twice_and_not_three_times(self, made: Callable[..., Study]) -> None:
        study = made()
        job = next_job(study)
        assert [study.lost(job) for _ in range(3)] == [True, True, False]
        assert study.baseline().losses == 3  # type: ignore[union-attr]


class TestMaking:
    def test_the_folder_keeps_the_study_file_and_the_hashes(self, small_study: Any) -> None:
        small = small_study()
        study = Study.create(small.spec, small.runs)
        assert study.folder.study_file.read_text() == small.file.read_text()
        assert study.folder.charter().manifest.rows["legal"] == {"train": 20, "test": 5}
        assert [path.name for path in small.runs.iterdir()] == ["small"]

    def test_a_second_one_of_the_name_is_refused_with_the_way_to_go_on(self, small_study: Any) -> None:
        small = small_study()
        Study.create(small.spec, small.runs)
        with pytest.raises(StudyError, match=r"already there; `ratio-search resume .*small` goes on with it") as error:
            Study.create(small.spec, small.runs)
        assert "says otherwise" not in str(error.value)

    def test_settings_that_its_own_file_states_otherwise_are_listed(self, small_study: Any) -> None:
        small = small_study()
        Study.create(small.spec, small.runs)
        with pytest.raises(StudyError, match=r"small/study\.yaml, says otherwise here:\n  search\.trials: was 6, is 9"):
            Study.create(small_study(search={"trials": 9, "parallel": 2}).spec, small.runs)

    def test_another_one_of_the_name_is_refused_with_what_differs(self, small_study: Any) -> None:
        small = small_study()
        Study.create(small.spec, small.runs)
        other = small_study(search={"trials": 6, "seed": 1})
        with (small.file.parent / "data" / "legal.train.jsonl").open("a") as file:
            file.write('{"instruction": "new", "output": "yes", "label": "yes"}\n')
        with pytest.raises(IdentityError, match=r"search\.seed: was 0, is 1\n  data\.legal\.train: was \['"):
            Study.create(other.spec, small.runs)

    def test_a_folder_that_is_no_study_is_left_alone(self, small_study: Any) -> None:
        small = small_study()
        (small.runs / "small").mkdir(parents=True)
        (small.runs / "small" / "thesis.txt").write_text("important")
        with pytest.raises(StudyError, match="is there but holds no study"):
            Study.create(small.spec, small.runs)
        assert (small.runs / "small" / "thesis.txt").read_text() == "important"

    def test_bad_data_makes_no_folder(self, small_study: Any) -> None:
        small = small_study(metrics=[{"name": "legal/accuracy"}, {"name": "support/accuracy"}])
        (small.file.parent / "data" / "legal.train.jsonl").write_text("not json\n")
        with pytest.raises(Exception, match=r"domains\.legal\.train: 1 bad line"):
            Study.create(small.spec, small.runs)
        assert not small.runs.exists()

    def test_a_place_that_cannot_be_written_to_is_named(self, small_study: Any) -> None:
        small = small_study()
        small.runs.write_text("a file")
        with pytest.raises(StudyError, match=r"runs/small: cannot be made \(.*\); nothing was started"):
            Study.create(small.spec, small.runs)


class TestOpening:
    def test_changed_data_is_refused_and_put_back_accepted(self, small_study: Any) -> None:
        small = small_study()
        Study.create(small.spec, small.runs)
        file = small.file.parent / "data" / "support.test.jsonl"
        before = file.read_text()
        file.write_text(before.replace("support test 0", "support test 0!"))
        opened = Study.open(small.runs / "small")
        with pytest.raises(
            IdentityError, match=r"no longer be comparable.*\n  data\.support\.test: was \['.*\nput it back"
        ):
            opened.check_identity()
        file.write_text(before)
        opened.check_identity()

    @pytest.mark.parametrize(
        ("data", "differs"),
        [
            ({"weigh_by": "tokens"}, r"rows\.weigh_by: was 'rows', is 'tokens'"),
            ({"audit": {"duplicates": "drop"}}, r"rows\.dropped\.duplicates: was not there, is True"),
            (
                {"audit": {"near_leakage": "drop", "near": 0.8}},
                r"rows\.dropped\.near_leakage: was not there, is 0\.8",
            ),
        ],
    )
    def test_rows_that_are_weighed_or_left_out_otherwise_are_refused(
        self, made: Callable[..., Study], data: dict[str, Any], differs: str
    ) -> None:
        study = made()
        state(study, data)
        opened = Study.open(study.folder)
        with pytest.raises(IdentityError, match=rf"no longer be comparable.*\n  {differs}\nput it back"):
            opened.check_identity()

    def test_an_error_that_was_a_warning_is_looked_for_when_the_study_goes_on(self, made: Callable[..., Study]) -> None:
        study = made()
        state(study, {"audit": {"imbalance": "error", "leakage": "warn"}})
        Study.open(study.folder).check_identity()
        file = study.spec.root / "data" / "legal.train.jsonl"
        file.write_text(file.read_text() * 2)
        state(study, {"audit": {"duplicates": "error"}})
        with pytest.raises(DataError, match=r"domains\.legal\.train: 20 rows with duplicates"):
            Study.open(study.folder).check_identity()

    def test_caps_that_no_mixture_keeps_are_refused(self, made: Callable[..., Study]) -> None:
        study = made()
        state(study, {"max_epochs": 0.1})
        with pytest.raises(SpecError, match=r"data\.max_epochs: with the shares that it allows"):
            Study.open(study.folder)

    def test_a_spoilt_study_file_is_named(self, made: Callable[..., Study]) -> None:
        study = made()
        study.folder.study_file.write_text("name: small\n")
        with pytest.raises(SpecError, match=r"small/study\.yaml:\ndomains: required"):
            Study.open(study.folder)

    @pytest.mark.parametrize(
        ("old", "new", "differs"),
        [
            ("name: small", "name: other", "name: was 'small', is 'other'"),
            ("    train: data/manuals.train.jsonl\n", "", "domains.manuals: was 'mixed', is 'tested'"),
        ],
    )
    def test_a_file_that_describes_another_study_is_refused(
        self, made: Callable[..., Study], old: str, new: str, differs: str
    ) -> None:
        study = made()
        text = study.folder.study_file.read_text()
        assert old in text
        study.folder.study_file.write_text(text.replace(old, new))
        with pytest.raises(IdentityError, match=rf"describes another study now.*\n  {differs}\nput it back"):
            Study.open(study.folder)

    @pytest.mark.parametrize(
        ("content", "message"),
        [(None, r"study\.yaml: cannot be read \(No such file"), (b"\xff", r"study\.yaml: not valid UTF-8 \(byte 1")],
    )
    def test_a_study_file_that_cannot_be_read_is_named(
        self, made: Callable[..., Study], content: bytes | None, message: str
    ) -> None:
        study = made()
        if content is None:
            study.folder.study_file.unlink()
        else:
            study.folder.study_file.write_bytes(content)
        with pytest.raises(SpecError, match=message):
            Study.open(study.folder)

    def test_an_empty_database_is_named(self, made: Callable[..., Study]) -> None:
        study = made()
        for file in study.folder.path.glob("study.db*"):
            file.unlink()
        study.folder.database.touch()
        with pytest.raises(StudyError, match=r"study\.db: holds no study .*restore it from a copy"):
            Study.open(study.folder)


class TestOverrides:
    def test_they_stay_until_the_file_says_otherwise(self, made: Callable[..., Study]) -> None:
        study = made()
        study.override(trials=9, parallel=1)
        assert (study.spec.search.trials, study.spec.search.parallel) == (9, 1)
        study.override()
        assert Study.open(study.folder).spec.search.trials == 9
        text = study.folder.study_file.read_text()
        study.folder.study_file.write_text(text.replace("trials: 6", "trials: 7"))
        again = Study.open(study.folder)
        assert (again.spec.search.trials, again.spec.search.parallel) == (7, 1)

    def test_a_changed_policy_is_noted_when_a_driver_starts(self, made: Callable[..., Study]) -> None:
        study = made()
        study.begin()
        study.override(trials=9)
        study.begin()
        lines = [json.loads(line) for line in (study.folder.path / "history.jsonl").read_text().splitlines()]
        assert [line["event"] for line in lines] == ["created", "started", "started"]
        assert "policy_changed" not in lines[1]
        assert lines[2]["policy_changed"] == ["search.trials: was 6, is 9"]

    def test_caps_and_what_follows_from_findings_are_policy(self, made: Callable[..., Study]) -> None:
        study = made()
        study.begin()
        state(study, {"max_epochs": 2, "audit": {"duplicates": "error", "near": 0.8}})
        again = Study.open(study.folder)
        again.check_identity()
        again.begin()
        *_, last = (study.folder.path / "history.jsonl").read_text().splitlines()
        assert json.loads(last)["policy_changed"] == [
            "data.max_epochs.all: was not there, is 2.0",
            "data.audit.near: was not there, is 0.8",
            "data.audit.duplicates: was 'warn', is 'error'",
        ]

    @pytest.mark.parametrize("wrong", [0, -1, "5", 2.5, True])
    def test_a_wrong_number_is_refused_as_in_the_file(self, made: Callable[..., Study], wrong: Any) -> None:
        study = made()
        with pytest.raises(SpecError, match=r"search\.trials: expected"):
            study.override(trials=wrong)
        assert Study.open(study.folder).spec.search.trials == 6

    def test_hours_add_up_over_drivers(self, made: Callable[..., Study]) -> None:
        study = made()
        study.spend(0.5)
        again = Study.open(study.folder)
        again.spend(0.25)
        assert again.driver_hours == 0.75
