"""The loop, run for real on a trainer that takes hundredths of a second."""

from __future__ import annotations

import json
from typing import Any

import pytest

from objectives.attempt import Failure
from objectives.base import Job, JobKind, Progress
from ratio_search.errors import StudyFailed
from ratio_search.record import JobState, Record
from ratio_search.runner import SerialRunner
from ratio_search.search import Ending, Listener, Moment, Search
from ratio_search.study import Study


class Log:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.moments: list[tuple[Moment, str]] = []

    def __call__(self, moment: Moment, job: Job, detail: Progress | Record | Failure | None) -> None:
        self.moments.append((moment, job.id))


def search(study: Study, listener: Listener | None = None, stop_after: int | None = None) -> Ending:
    """Drives a study in this process; told to stop once so many trials are complete."""

    def stopping() -> bool:
        return stop_after is not None and study.complete >= stop_after

    with SerialRunner(study.spec.blueprint) as runner:
        return Search(study, runner, listener or Log(), stopping).run()


def test_runs_the_baseline_and_as_many_trials_as_asked(small_study: Any) -> None:
    small = small_study()
    study = Study.create(small.spec, small.runs)
    assert search(study) is Ending.DONE
    records = study.records()
    assert [record.state for record in records] == [JobState.COMPLETE] * 6
    assert small.evaluated == ["reference-0000", *(f"trial-{i:04d}" for i in range(6))]
    baseline = study.baseline()
    assert baseline is not None
    assert baseline.values["support/accuracy"] == pytest.approx(0.2)


def test_a_trainer_is_told_the_hyperparameters_of_its_job(small_study: Any) -> None:
    searched = {"rate": {"low": 1e-5, "high": 1e-3, "log": True}, "loss": {"choices": ["hinge", "log"]}}
    small = small_study(search={"trials": 2, "hyperparameters": searched})
    study = Study.create(small.spec, small.runs)
    assert search(study) is Ending.DONE
    baseline = study.baseline()
    assert baseline is not None
    for record in [baseline, *study.records()]:
        told = json.loads((study.attempt(record.job).folder / "handover.json").read_text())
        assert told["hyperparameters"] == record.job.hyperparameters
        assert set(told["hyperparameters"]) == (set() if record is baseline else set(searched))


def test_tells_its_listener_every_moment_in_order(small_study: Any) -> None:
    small = small_study(search={"trials": 1})
    log = Log()
    search(Study.create(small.spec, small.runs), log)
    expected = [Moment.ASKED, Moment.SUBMITTED, Moment.PROGRESS, Moment.REPORTED, Moment.STORED, Moment.CLOSED]
    assert [moment for moment, job in log.moments if job == "trial-0000"] == expected


def test_told_to_stop_it_can_be_resumed_without_repeating_a_trial(small_study: Any) -> None:
    small = small_study()
    study = Study.create(small.spec, small.runs)
    assert search(study, stop_after=2) is Ending.STOPPED
    assert study.complete == 2
    assert search(Study.open(study.folder)) is Ending.DONE
    assert len(small.evaluated) == len(set(small.evaluated)) == 7


def test_hours_end_the_study_and_what_runs_is_finished(small_study: Any) -> None:
    small = small_study("sleep", budget={"hours": 1e-4})
    study = Study.create(small.spec, small.runs)
    assert search(study) is Ending.BUDGET
    assert 0 < study.complete + 1 == len(small.evaluated) < 7
    assert study.driver_hours >= 1e-4
    assert not [record for record in study.records() if record.state is JobState.RUNNING]


def test_a_failing_baseline_pauses_the_study_and_a_resume_tries_it_again(small_study: Any) -> None:
    small = small_study("fail")
    study = Study.create(small.spec, small.runs)
    with pytest.raises(StudyFailed, match=r"untuned baseline.*\n.*boom"):
        search(study)
    assert study.records() == []
    assert study.ask().kind is JobKind.BASELINE  # type: ignore[union-attr]


def test_the_same_failure_in_the_first_two_trials_stops_the_study(small_study: Any) -> None:
    small = small_study("fail-trials")
    study = Study.create(small.spec, small.runs)
    with pytest.raises(StudyFailed, match="first two trials failed in the same way"):
        search(study)
    assert [record.state for record in study.records()] == [JobState.FAILED] * 2
    assert "boom" in study.records()[0].failure.log  # type: ignore[union-attr]


def test_three_failures_in_a_row_stop_a_study_that_had_worked(small_study: Any) -> None:
    small = small_study("fail-later")
    study = Study.create(small.spec, small.runs)
    with pytest.raises(StudyFailed, match="3 trials failed in a row"):
        search(study)
    assert [record.state for record in study.records()] == [JobState.COMPLETE] * 2 + [JobState.FAILED] * 3


@pytest.mark.parametrize(
    ("mode", "message"),
    [("missing", "lacks manuals/accuracy"), ("nan", "finite"), ("percent", "report a rate")],
)
def test_a_result_that_cannot_be_used_fails_the_trial_and_invents_nothing(
    small_study: Any, mode: str, message: str
) -> None:
    small = small_study(mode)
    study = Study.create(small.spec, small.runs)
    with pytest.raises(StudyFailed, match=message):
        search(study)
    assert study.ranking() == []
    assert all(message in record.failure.message for record in study.records())  # type: ignore[union-attr]


def test_the_listener_can_end_the_driver(small_study: Any) -> None:
    small = small_study()
    study = Study.create(small.spec, small.runs)

    def fall_over(moment: Moment, job: Job, detail: object) -> None:
        if moment is Moment.CLOSED and job.id == "trial-0001":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(study, fall_over)
    assert Study.open(study.folder).complete == 2
