"""A driver in this process; signals and other processes are tested where the program is, in test_cli."""

from __future__ import annotations

import io
import threading
import time
from typing import Any

import pytest
from rich.console import Console

from ratio_search.driver import drive
from ratio_search.errors import LeaseError
from ratio_search.lease import Lease, held
from ratio_search.runner import Runner, SerialRunner
from ratio_search.spec import StudySpec
from ratio_search.study import Study


def console() -> Console:
    return Console(width=160, file=io.StringIO())


def serial(spec: StudySpec) -> Runner:
    return SerialRunner(spec.blueprint)


def never(spec: StudySpec) -> Runner:
    raise AssertionError("a runner was made")


def test_it_runs_a_study_to_its_end_under_its_lease(small_study: Any) -> None:
    small = small_study(search={"trials": 2})
    study = Study.create(small.spec, small.runs)
    where = console()
    assert drive(study, serial, where) == 0
    assert study.complete == 2
    assert not held(study.folder.lock_file)
    assert "trial-0001: complete" in where.file.getvalue()  # type: ignore[attr-defined]


def test_a_finished_study_is_left_as_it_is(small_study: Any) -> None:
    small = small_study(search={"trials": 2})
    study = Study.create(small.spec, small.runs)
    drive(study, serial, console())
    assert drive(study, never, console()) == 0
    assert len(small.evaluated) == 3


def test_more_trials_go_on_from_there(small_study: Any) -> None:
    small = small_study(search={"trials": 2})
    study = Study.create(small.spec, small.runs)
    drive(study, serial, console())
    assert drive(Study.open(study.folder), serial, console(), trials=4) == 0
    assert small.evaluated == ["reference-0000", *(f"trial-{i:04d}" for i in range(4))]


def test_a_study_that_is_held_is_refused(small_study: Any) -> None:
    small = small_study()
    study = Study.create(small.spec, small.runs)
    with Lease(study.folder.lock_file), pytest.raises(LeaseError, match=r"`ratio-search stop .*small`"):
        drive(study, never, console())


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
    where = console()
    assert drive(study, serial, where) == 143
    asker.join()
    assert "stopping: running jobs save a checkpoint first" in where.file.getvalue()  # type: ignore[attr-defined]
    assert 1 <= len(small.evaluated) < 4
    assert drive(Study.open(study.folder), serial, console()) == 0
    assert len(small.evaluated) == len(set(small.evaluated)) == 4


def test_spent_hours_are_said_and_are_no_failure(small_study: Any) -> None:
    small = small_study("sleep", budget={"hours": 1e-4}, search={"trials": 50})
    study = Study.create(small.spec, small.runs)
    where = console()
    assert drive(study, serial, where) == 0
    said = where.file.getvalue()  # type: ignore[attr-defined]
    assert "budget.hours is spent, 0.0001 hours:" in said
    assert "of 50 trials are done" in said
