"""The life of a study, driven by hand through ask and tell."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from objectives.attempt import Failure, FailureKind
from objectives.base import Estimate, Job, JobKind, Measurement, Seeds
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
    def test_the_best_finished_trial_is_recommended(self, made: Callable[..., Study]) -> None:
        study = made()
        finish(study)
        advice = study.recommend()
        assert advice.record.origin == "anchor:uniform"  # by values(), the smallest share decides
        assert advice.mixture == Mixture.uniform(NAMES)
        assert advice.score.balanced == pytest.approx(0.2)
        assert advice.considered == 6
        assert "best score among 6 finished trials" in advice.basis

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
        assert again.recommend().record == best
        assert study.recommend().record != best

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
        assert study.folder.manifest()["data"]["rows"]["legal"] == {"train": 20, "test": 5}
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

    def test_a_spoilt_study_file_is_named(self, made: Callable[..., Study]) -> None:
        study = made()
        study.folder.study_file.write_text("name: small\n")
        with pytest.raises(SpecError, match=r"small/study\.yaml:\ndomains: required"):
            Study.open(study.folder)

    def test_another_format_is_refused(self, made: Callable[..., Study]) -> None:
        study = made()
        stored = study.folder.manifest()
        study.folder.manifest_file.write_text(json.dumps({**stored, "format": 99}))
        with pytest.raises(StudyError, match="written in format 99, expected 1"):
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

    def test_hours_add_up_over_drivers(self, made: Callable[..., Study]) -> None:
        study = made()
        study.spend(0.5)
        again = Study.open(study.folder)
        again.spend(0.25)
        assert again.driver_hours == 0.75
