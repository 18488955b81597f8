"""The clock of the machine is set while a study runs: nothing is counted by it that matters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ratio_search.health import Activity, Doing
from ratio_search.record import JobState
from ratio_search.report import trial_rows
from ratio_search.status import status
from ratio_search.study import Study

HOUR = 3600

SHIFTED = """
import datetime, time
from pathlib import Path

real_time, real = time.time, datetime.datetime
shift = Path({shift!r})


def now():
    return real_time() + float(shift.read_text())


class Kind(type(real)):
    def __instancecheck__(cls, one):
        return isinstance(one, real)


class Shifted(real, metaclass=Kind):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(now(), tz)

    @classmethod
    def utcnow(cls):
        return cls.fromtimestamp(now(), datetime.UTC).replace(tzinfo=None)


time.time, time.time_ns, datetime.datetime = now, lambda: int(now() * 1e9), Shifted
"""
"""Python runs this before anything else: its wall clock, and that of its children, is off by what a file says."""


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the clock of programs that are started, by seconds from the true time; it can be set while they run."""
    place = tmp_path / "clock"
    place.mkdir()
    (place / "sitecustomize.py").write_text(SHIFTED.format(shift=str(place / "shift")))
    monkeypatch.setenv("PYTHONPATH", f"{place}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")

    def set_to(seconds: float) -> None:
        (place / "shift.new").write_text(str(seconds))
        (place / "shift.new").replace(place / "shift")

    set_to(0)
    return set_to


def program(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ratio_search", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def begun(study: Study, job: str) -> Path:
    """The attempt at a job, once its trainer runs."""
    attempt = study.folder.path / "jobs" / job / "attempt-1"
    while not (attempt / "handover.json").exists():
        time.sleep(0.01)
    return attempt


def test_a_clock_that_is_set_changes_nothing_that_is_counted(small_study: Any, clock: Callable[[float], None]) -> None:
    small = small_study("held", search={"trials": 3}, budget={"hours": 0.5}, health={"stuck_after_s": 60})
    study = Study.create(small.spec, small.runs)
    folder = str(study.folder.path)
    with program("resume", folder, "--runner", "serial", "--json") as driver:
        # Back by an hour, on by five, and back again; each while a trial runs.
        for job, set_to in (("trial-0000", -HOUR), ("trial-0001", 4 * HOUR), ("trial-0002", -20 * HOUR)):
            attempt = begun(study, job)
            clock(set_to)
            [record] = [record for record in study.records() if record.state is JobState.RUNNING]
            assert Activity.of(study, record, driven=True).doing is Doing.RUNNING
            if job != "trial-0002":
                (attempt / "go").touch()
        with program("resume", folder, "--runner", "serial") as second, program("status", folder, "--json") as shown:
            out, _ = shown.communicate()
            _, refused = second.communicate()
        assert second.returncode == 3 and "being run by" in refused
        found = json.loads(out)
        assert (found["driver"] is not None, found["health"]["stuck"]) == (True, [])
        (attempt / "go").touch()
        said, why = driver.communicate()
    assert driver.returncode == 0, why
    assert json.loads(said)["shares"]
    assert len(small.evaluated) == 4

    again = Study.open(folder)
    assert again.complete == 3
    records = again.records()
    assert any(record.finished < record.started for record in records if record.started and record.finished)
    seconds = [row["seconds"] for row in trial_rows(again)]
    assert all(value is None or value >= 0 for value in seconds) and None in seconds
    for record in records:
        assert record.measurement is not None
        assert 0 < record.measurement.cost["wall_seconds"] < 60
    assert 0 < again.driver_hours < 0.05
    assert status(again)["driver_hours"] == again.driver_hours
    lines = [json.loads(line) for line in (study.folder.path / "history.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["created", "started", "ended"]
    assert lines[-1]["time"] < lines[0]["time"], "the clock was not set back at all"
