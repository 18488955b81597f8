from __future__ import annotations

from pathlib import Path

import optuna
import pytest
import sqlalchemy
import sqlalchemy.exc

from objectives.base import Job, JobKind, Measurement, Seeds
from objectives.mixture import Mixture
from ratio_search.errors import StudyError
from ratio_search.hyperparameters import Real
from ratio_search.jobs import Jobs
from ratio_search.past_runs import PastRun
from ratio_search.record import JobState, Record
from ratio_search.rerun import FIRST_REPLICATE, Rerun
from ratio_search.sampler.strategy import Proposal
from ratio_search.trial import ATTEMPT, FAILURE, MEASUREMENT
from tests.ratio_search.trials import trial as record_of

HALVES = Mixture.of({"a": 0.5, "b": 0.5})


@pytest.fixture
def storage() -> optuna.storages.BaseStorage:
    return optuna.storages.InMemoryStorage()


@pytest.fixture
def study(storage: optuna.storages.BaseStorage) -> optuna.Study:
    return optuna.create_study(study_name="small", storage=storage)


@pytest.fixture
def jobs(study: optuna.Study, storage: optuna.storages.BaseStorage) -> Jobs:
    return Jobs(study, storage, JobKind.TRIAL, ["a", "b"])


def add(jobs: Jobs, a: float = 0.5, seed: int = 7, **settings: float) -> Job:
    """Adds a job of a mixture, with settings if any are given."""
    made = Proposal(mixture=Mixture.of({"a": a, "b": 1 - a}), hyperparameters=settings, origin="test", basis=(3, 4))
    return jobs.add(made, jobs.records(), {name: Real(low=0, high=10) for name in settings}, seed)


def opened(jobs: Jobs, job: Job) -> Record:
    record = jobs.open(job.id)
    assert record is not None
    return record


def test_a_new_job_is_open_with_all_that_describes_it(jobs: Jobs) -> None:
    job = add(jobs)
    assert (job.id, job.kind, job.seeds, job.attempt) == ("trial-0000", JobKind.TRIAL, Seeds.of(7, 0), 1)
    assert job.mixture == HALVES
    [record] = jobs.records()
    assert (record.job, record.origin, record.basis, record.state) == (job, "test", (3, 4), JobState.RUNNING)
    assert (record.measurement, record.failure, record.losses, record.values) == (None, None, 0, {})
    assert record.started is not None
    assert (record.finished, record.duration) == (None, None)


def test_a_job_without_a_mixture_is_a_reference() -> None:
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(study_name="small/reference", storage=storage)
    jobs = Jobs(study, storage, JobKind.BASELINE, ["a", "b"])
    job = jobs.add(None, [], {}, 7)
    assert (job.id, job.kind, job.mixture) == ("reference-0000", JobKind.BASELINE, None)
    assert [(record.origin, record.basis) for record in jobs.records()] == [("baseline", ())]
    assert jobs.add(None, [], {}, 7).seeds == job.seeds == Seeds.of(7, 0)


def test_one_whose_intent_was_not_completely_stored_is_no_job_and_is_dropped(jobs: Jobs, study: optuna.Study) -> None:
    """As versions left it that stored it piece by piece."""
    study.ask().suggest_float("share/a", 0.5, 0.5)
    kept = add(jobs)
    assert [record.job for record in jobs.records()] == [kept]
    assert jobs.count(JobState.RUNNING) == 1
    jobs.drop_half_made()
    assert [record.job for record in jobs.records(JobState.RUNNING)] == [kept]
    assert jobs.count(JobState.RUNNING, JobState.FAILED) == 1


class TestReplicates:
    """How often the very same was run before settles the seeds."""

    def test_the_same_again_gets_the_next_seeds(self, jobs: Jobs) -> None:
        made = [add(jobs, a).seeds for a in (0.5, 0.4, 0.50004, 0.5)]
        assert made == [Seeds.of(7, n) for n in (0, 0, 1, 2)]

    def test_other_settings_make_it_another(self, jobs: Jobs) -> None:
        made = [add(jobs, rate=rate).seeds for rate in (1.0, 2.0, 1.0)]
        assert made == [Seeds.of(7, n) for n in (0, 0, 1)]

    def test_a_finished_one_counts_and_a_failed_one_does_not(self, jobs: Jobs) -> None:
        for values in ([0.5], None):
            jobs.close(opened(jobs, add(jobs)), values)
        assert add(jobs).seeds == Seeds.of(7, 1)

    def test_what_was_run_elsewhere_does_not_count_as_its_seeds_are_not_known(self, jobs: Jobs) -> None:
        measured = record_of(0, HALVES, {"a/x": 0.5}).measurement
        assert measured is not None
        jobs.take(PastRun(line=2, mixture=HALVES, hyperparameters={}, measurement=measured), {}, [0.5], 7)
        assert add(jobs).seeds == Seeds.of(7, 0)


def test_notes_reach_an_open_job_and_its_next_reader(jobs: Jobs) -> None:
    record = opened(jobs, add(jobs))
    jobs.note(record, ATTEMPT, 2)
    jobs.note(record, MEASUREMENT, Measurement(metrics={}, cost={"usd": 2.0}).to_json())
    jobs.note(record, FAILURE, {"kind": "result", "message": "lacks a/f1", "log": ""})
    again = jobs.open("trial-0000")
    assert again is not None and again.failure is not None and again.measurement is not None
    assert (again.job.attempt, again.measurement.cost, again.failure.message) == (2, {"usd": 2.0}, "lacks a/f1")


def test_closed_jobs_are_complete_or_failed_and_no_longer_open(jobs: Jobs) -> None:
    first, second = (opened(jobs, add(jobs)) for _ in range(2))
    complete, failed = jobs.close(first, [0.5]), jobs.close(second, None)
    assert (complete.state, failed.state) == (JobState.COMPLETE, JobState.FAILED)
    assert complete.duration is not None
    assert complete.duration.total_seconds() >= 0
    assert jobs.open(first.job.id) is None
    assert jobs.records(JobState.COMPLETE) == [complete]
    assert jobs.records(JobState.COMPLETE, JobState.FAILED) == [complete, failed]
    assert jobs.count(JobState.COMPLETE) == jobs.count(JobState.FAILED) == 1


def test_confirming_runs_lie_beside_the_reference_and_neither_sees_the_other() -> None:
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(study_name="small/reference", storage=storage)
    references, confirmations = (
        Jobs(study, storage, kind, ["a", "b"]) for kind in (JobKind.BASELINE, JobKind.CONFIRMATION)
    )
    reference = references.add(None, [], {}, 7)
    rerun = Rerun(mixture=HALVES, hyperparameters={"rate": 1e-4}, replicate=2, split="0123")
    job, untuned = confirmations.repeat(rerun, 7), confirmations.repeat(Rerun(mixture=None, replicate=0, split="0"), 7)
    assert [job.id, untuned.id] == ["confirmation-0001", "confirmation-0002"]
    assert (job.kind, job.mixture, job.hyperparameters) == (JobKind.CONFIRMATION, HALVES, {"rate": 1e-4})
    assert (job.seeds, untuned.mixture) == (Seeds.of(7, FIRST_REPLICATE + 2), None)
    assert [record.job for record in references.records()] == [reference]
    again = Jobs(study, storage, JobKind.CONFIRMATION, ["b", "a"]).records()
    assert [record.job.id for record in again] == [job.id, untuned.id]
    assert again[0].job.mixture is not None and again[0].job.mixture.names == ("b", "a")
    assert rerun.same(again[0])
    assert (references.open(job.id), references.count(), confirmations.count()) == (None, 1, 2)


def test_ids_of_other_jobs_open_nothing(jobs: Jobs) -> None:
    add(jobs)
    for job_id in ("trial-0001", "reference-0000", "trial-00000", "trial-0", "trial-", "0000", "trial-99999999999999"):
        assert jobs.open(job_id) is None


class TestInAFile:
    """As a study's folder keeps them."""

    @pytest.fixture
    def storage(self, tmp_path: Path) -> optuna.storages.RDBStorage:
        return optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/study.db")

    def test_an_intent_is_stored_as_a_whole_or_not_at_all(
        self, jobs: Jobs, storage: optuna.storages.RDBStorage, study: optuna.Study
    ) -> None:
        """Whichever of its rows it is that does not reach the disk."""
        with storage.engine.begin() as connection:
            for table, name in (("trial_params", "param_name"), ("trial_user_attributes", "key")):
                connection.exec_driver_sql(
                    f"CREATE TRIGGER full_{table} BEFORE INSERT ON {table} WHEN NEW.{name} IN ('share/b', 'origin') "
                    "BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
                )
        for table in ("trial_params", "trial_user_attributes"):
            with pytest.raises(sqlalchemy.exc.SQLAlchemyError, match="disk is full"):
                add(jobs)
            assert jobs.records() == [] and study.trials == []
            with storage.engine.begin() as connection:
                connection.exec_driver_sql(f"DROP TRIGGER full_{table}")
        kept = add(jobs)
        assert [record.job for record in jobs.records()] == [kept]

    def test_a_job_that_somebody_else_closed_takes_no_note_and_stays_as_it_is(
        self, jobs: Jobs, study: optuna.Study, storage: optuna.storages.RDBStorage
    ) -> None:
        stale = opened(jobs, add(jobs))
        other = Jobs(study, storage, JobKind.TRIAL, ["a", "b"])
        told = other.close(opened(other, stale.job), [0.5])
        for late in (
            lambda: jobs.note(stale, ATTEMPT, 2),
            lambda: jobs.close(stale, [0.9]),
            lambda: jobs.close(stale, None),
        ):
            with pytest.raises(StudyError, match="trial-0000 was closed meanwhile, by another driver"):
                late()
        assert jobs.records() == other.records() == [told]
        assert study.trials[0].values == [0.5]
