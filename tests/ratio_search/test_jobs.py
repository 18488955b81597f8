from __future__ import annotations

import optuna
import pytest

from objectives.base import JobKind, Measurement, Seeds
from ratio_search.jobs import ATTEMPT, FAILURE, MEASUREMENT, Jobs
from ratio_search.record import JobState

SEEDS = Seeds(data=1, training=2)


@pytest.fixture
def jobs() -> Jobs:
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(study_name="small", storage=storage)
    return Jobs(study, storage, JobKind.TRIAL, ["a", "b"])


def halves(trial: optuna.Trial) -> str:
    for name in "ab":
        trial.suggest_float(f"share/{name}", 0.5, 0.5)
    return "test"


def test_a_new_job_is_open_with_all_that_describes_it(jobs: Jobs) -> None:
    job = jobs.add(halves, SEEDS)
    assert (job.id, job.kind, job.seeds, job.attempt) == ("trial-0000", JobKind.TRIAL, SEEDS, 1)
    assert dict(job.mixture or {}) == {"a": 0.5, "b": 0.5}
    [record] = jobs.records()
    assert (record.job, record.origin, record.state) == (job, "test", JobState.RUNNING)
    assert (record.measurement, record.failure, record.losses, record.values) == (None, None, 0, {})
    assert record.started is not None
    assert (record.finished, record.duration) == (None, None)


def test_a_job_without_a_mixture_is_a_reference() -> None:
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(study_name="small/reference", storage=storage)
    job = Jobs(study, storage, JobKind.BASELINE, ["a", "b"]).add(lambda trial: "baseline", SEEDS)
    assert (job.id, job.kind, job.mixture) == ("reference-0000", JobKind.BASELINE, None)


def test_one_whose_proposal_failed_half_way_is_no_job_and_is_dropped(jobs: Jobs) -> None:
    def torn(trial: optuna.Trial) -> str:
        trial.suggest_float("share/a", 0.5, 0.5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        jobs.add(torn, SEEDS)
    kept = jobs.add(halves, SEEDS)
    assert [record.job for record in jobs.records()] == [kept]
    assert jobs.count(JobState.RUNNING) == 1
    jobs.drop_half_made()
    assert [record.job for record in jobs.records(JobState.RUNNING)] == [kept]
    assert jobs.count(JobState.RUNNING, JobState.FAILED) == 1


def test_notes_reach_an_open_job_and_its_next_reader(jobs: Jobs) -> None:
    record = jobs.open(jobs.add(halves, SEEDS).id)
    assert record is not None
    jobs.note(record, ATTEMPT, 2)
    jobs.note(record, MEASUREMENT, Measurement(metrics={}, cost={"usd": 2.0}).to_json())
    jobs.note(record, FAILURE, {"kind": "result", "message": "lacks a/f1", "log": ""})
    again = jobs.open("trial-0000")
    assert again is not None and again.failure is not None and again.measurement is not None
    assert (again.job.attempt, again.measurement.cost, again.failure.message) == (2, {"usd": 2.0}, "lacks a/f1")


def test_closed_jobs_are_complete_or_failed_and_no_longer_open(jobs: Jobs) -> None:
    first, second = (jobs.open(jobs.add(halves, SEEDS).id) for _ in range(2))
    assert first is not None and second is not None
    complete, failed = jobs.close(first, [0.5]), jobs.close(second, None)
    assert (complete.state, failed.state) == (JobState.COMPLETE, JobState.FAILED)
    assert complete.duration is not None
    assert complete.duration.total_seconds() >= 0
    assert jobs.open(first.job.id) is None
    assert jobs.records(JobState.COMPLETE) == [complete]
    assert jobs.records(JobState.COMPLETE, JobState.FAILED) == [complete, failed]
    assert jobs.count(JobState.COMPLETE) == jobs.count(JobState.FAILED) == 1
