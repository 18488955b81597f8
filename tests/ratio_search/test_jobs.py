from __future__ import annotations

import optuna
import pytest

from objectives.base import JobKind, Measurement, Seeds
from objectives.mixture import Mixture
from ratio_search.jobs import Jobs
from ratio_search.past_runs import PastRun
from ratio_search.record import JobState
from ratio_search.rerun import FIRST_REPLICATE, Rerun
from ratio_search.sampler.strategy import Proposal
from ratio_search.trial import ATTEMPT, FAILURE, MEASUREMENT
from tests.ratio_search.trials import trial as record_of

HALVES = Mixture.of({"a": 0.5, "b": 0.5})


@pytest.fixture
def jobs() -> Jobs:
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(study_name="small", storage=storage)
    return Jobs(study, storage, JobKind.TRIAL, ["a", "b"])


class Given:
    """Proposes a mixture, with settings if any are given."""

    def __init__(self, a: float = 0.5, **settings: float) -> None:
        self.made = Proposal(
            mixture=Mixture.of({"a": a, "b": 1 - a}), hyperparameters=settings, origin="test", basis=(3, 4)
        )

    def __call__(self, trial: optuna.Trial) -> Proposal:
        for name, share in self.made.mixture.items():
            trial.suggest_float(f"share/{name}", share, share)
        for name, value in self.made.hyperparameters.items():
            assert isinstance(value, float)
            trial.suggest_float(name, value, value)
        return self.made


def test_a_new_job_is_open_with_all_that_describes_it(jobs: Jobs) -> None:
    job = jobs.add(Given(), 7)
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
    job = jobs.add(lambda trial: None, 7)
    assert (job.id, job.kind, job.mixture) == ("reference-0000", JobKind.BASELINE, None)
    assert [(record.origin, record.basis) for record in jobs.records()] == [("baseline", ())]
    assert jobs.add(lambda trial: None, 7).seeds == job.seeds == Seeds.of(7, 0)


def test_one_whose_proposal_failed_half_way_is_no_job_and_is_dropped(jobs: Jobs) -> None:
    def torn(trial: optuna.Trial) -> Proposal:
        trial.suggest_float("share/a", 0.5, 0.5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        jobs.add(torn, 0)
    kept = jobs.add(Given(), 0)
    assert [record.job for record in jobs.records()] == [kept]
    assert jobs.count(JobState.RUNNING) == 1
    jobs.drop_half_made()
    assert [record.job for record in jobs.records(JobState.RUNNING)] == [kept]
    assert jobs.count(JobState.RUNNING, JobState.FAILED) == 1


class TestReplicates:
    """How often the very same was run before settles the seeds."""

    def test_the_same_again_gets_the_next_seeds(self, jobs: Jobs) -> None:
        made = [jobs.add(propose, 7).seeds for propose in (Given(), Given(0.4), Given(0.50004), Given())]
        assert made == [Seeds.of(7, n) for n in (0, 0, 1, 2)]

    def test_other_settings_make_it_another(self, jobs: Jobs) -> None:
        made = [jobs.add(propose, 7).seeds for propose in (Given(rate=1.0), Given(rate=2.0), Given(rate=1.0))]
        assert made == [Seeds.of(7, n) for n in (0, 0, 1)]

    def test_a_finished_one_counts_and_a_failed_one_does_not(self, jobs: Jobs) -> None:
        for values in ([0.5], None):
            record = jobs.open(jobs.add(Given(), 7).id)
            assert record is not None
            jobs.close(record, values)
        assert jobs.add(Given(), 7).seeds == Seeds.of(7, 1)

    def test_what_was_run_elsewhere_does_not_count_as_its_seeds_are_not_known(self, jobs: Jobs) -> None:
        measured = record_of(0, HALVES, {"a/x": 0.5}).measurement
        assert measured is not None
        jobs.take(PastRun(line=2, mixture=HALVES, hyperparameters={}, measurement=measured), {}, [0.5], 7)
        assert jobs.add(Given(), 7).seeds == Seeds.of(7, 0)


def test_notes_reach_an_open_job_and_its_next_reader(jobs: Jobs) -> None:
    record = jobs.open(jobs.add(Given(), 0).id)
    assert record is not None
    jobs.note(record, ATTEMPT, 2)
    jobs.note(record, MEASUREMENT, Measurement(metrics={}, cost={"usd": 2.0}).to_json())
    jobs.note(record, FAILURE, {"kind": "result", "message": "lacks a/f1", "log": ""})
    again = jobs.open("trial-0000")
    assert again is not None and again.failure is not None and again.measurement is not None
    assert (again.job.attempt, again.measurement.cost, again.failure.message) == (2, {"usd": 2.0}, "lacks a/f1")


def test_closed_jobs_are_complete_or_failed_and_no_longer_open(jobs: Jobs) -> None:
    first, second = (jobs.open(jobs.add(Given(), 0).id) for _ in range(2))
    assert first is not None and second is not None
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
    reference = references.add(lambda trial: None, 7)
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
