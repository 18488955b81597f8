"""A driver in this process; signals and other processes are tested where the program is, in test_cli."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from objectives.attempt import Attempt
from ratio_search.console import PlainConsole
from ratio_search.driver import drive
from ratio_search.errors import LeaseError, StudyFailed
from ratio_search.lease import Lease, held
from ratio_search.record import JobState
from ratio_search.runner import Runner, SerialRunner
from ratio_search.spec import StudySpec
from ratio_search.study import Study


class Recorder(PlainConsole):
    """A console whose output is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.file = io.StringIO()

    @property
    def said(self) -> str:
        assert isinstance(self.file, io.StringIO)
        return self.file.getvalue()


def serial(spec: StudySpec, stopping: Callable[[], bool]) -> Runner:
    return SerialRunner(spec.blueprint, stopping)


def never(spec: StudySpec, stopping: Callable[[], bool]) -> Runner:
    raise AssertionError("a runner was made")


def test_it_runs_a_study_to_its_end_under_its_lease(small_study: Any) -> None:
    small = small_study(search={"trials": 2})
    study = Study.create(small.spec, small.runs)
    where = Recorder()
    assert drive(study, serial, where) == 0
    assert study.complete == 2
    assert not held(study.folder.lock_file)
    assert "trial-0001: complete" in where.said


def test_a_finished_study_is_left_as_it_is(small_study: Any) -> None:
    small = small_study(search={"trials": 2})
    study = Study.create(small.spec, small.runs)
    drive(study, serial, Recorder())
    assert drive(study, never, Recorder()) == 0
    assert len(small.evaluated) == 3


def test_more_trials_go_on_from_there(small_study: Any) -> None:
    small = small_study(search={"trials": 2})
    study = Study.create(small.spec, small.runs)
    drive(study, serial, Recorder())
    assert drive(Study.open(study.folder), serial, Recorder(), trials=4) == 0
    assert small.evaluated == ["reference-0000", *(f"trial-{i:04d}" for i in range(4))]


def test_a_study_that_is_held_is_refused(small_study: Any) -> None:
    small = small_study()
    study = Study.create(small.spec, small.runs)
    with Lease(study.folder.lock_file), pytest.raises(LeaseError, match=r"`ratio-search stop .*small`"):
        drive(study, never, Recorder())


def test_a_request_to_stop_ends_it_and_an_old_one_does_not(small_study: Any) -> None:
    small = small_study("sleep", search={"trials": 3})
    study = Study.create(small.spec, small.runs)
    study.folder.stop_file.touch()

    def ask() -> None:
        while not small.evaluated:
            time.sleep(0.01)
        study.folder.stop_file.touch()

    asker = threading.Thread(target=ask)
    asker.start()
    where = Recorder()
    assert drive(study, serial, where) == 143
    asker.join()
    assert "stopping: running jobs save a checkpoint first" in where.said
    assert 1 <= len(small.evaluated) < 4
    assert drive(Study.open(study.folder), serial, Recorder()) == 0
    assert len(small.evaluated) == len(set(small.evaluated)) == 4


def test_spent_hours_are_said_and_are_no_failure(small_study: Any) -> None:
    small = small_study("sleep", budget={"hours": 1e-4}, search={"trials": 50})
    study = Study.create(small.spec, small.runs)
    where = Recorder()
    assert drive(study, serial, where) == 0
    said = where.said
    assert "of 50 trials are done; budget.hours is spent: " in said
    assert " of 0.0001 hours spent, 0 hours left" in said
    assert "50 more are wanted: to go on, raise budget.hours in " in said
    assert said.endswith("study.yaml and resume\n")


def test_a_trainer_that_says_nothing_is_stopped_all_the_same(small_study: Any) -> None:
    small = small_study("endless", search={"trials": 1})
    study = Study.create(small.spec, small.runs)

    def ask() -> None:
        while not (study.folder.path / "jobs" / "reference-0000" / "attempt-1" / "handover.json").exists():
            time.sleep(0.01)
        study.folder.stop_file.touch()

    asker = threading.Thread(target=ask)
    asker.start()
    assert drive(study, serial, Recorder()) == 143
    asker.join()
    assert small.evaluated == []


def test_open_work_is_finished_even_where_enough_is_complete(small_study: Any) -> None:
    """As after a kill while the baseline still ran, with all trials done."""
    small = small_study(search={"trials": 1})
    study = Study.create(small.spec, small.runs)
    baseline, trial = study.ask(), study.ask()
    assert baseline is not None and trial is not None
    study.start(baseline)
    study.tell(trial.id, {f"{name}/accuracy": 0.5 for name in ("support", "legal", "manuals")})
    assert drive(Study.open(study.folder), serial, Recorder()) == 0
    assert small.evaluated == ["reference-0000"]
    assert study.recommend().considered == 1


def test_how_it_ended_is_in_the_history(small_study: Any) -> None:
    small = small_study(search={"trials": 1})
    study = Study.create(small.spec, small.runs)
    drive(study, serial, Recorder())

    class Broken(SerialRunner):
        def submit(self, attempt: Attempt) -> None:
            raise ZeroDivisionError("by our own mistake")

    with pytest.raises(ZeroDivisionError):
        drive(Study.open(study.folder), lambda spec, stopping: Broken(spec.blueprint), Recorder(), trials=2)
    history = (study.folder.path / "history.jsonl").read_text().splitlines()
    ends = [line["why"] for line in map(json.loads, history) if line["event"] == "ended"]
    assert ends == ["done", "ZeroDivisionError: by our own mistake"]


def test_a_full_disk_ends_it_with_the_reason_and_loses_nothing(small_study: Any, small_disk: Any) -> None:
    disk = small_disk("1m")
    small = small_study(search={"trials": 60}, health={"floor_gb": None})
    study = Study.create(small.spec, disk.path)
    with pytest.raises(StudyFailed, match="resume the study"):
        drive(study, serial, Recorder())
    done = Study.open(study.folder).complete
    assert 0 < done < 60
    disk.grow("16m")
    again = Study.open(study.folder)
    assert drive(again, serial, Recorder(), trials=done + 3) == 0
    assert again.complete == done + 3
    complete = {record.job.id for record in again.records() if record.state is JobState.COMPLETE}
    assert complete <= set(small.evaluated)
