"""A driver that is killed loses nothing that was finished, and nothing finished is run again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ratio_search.record import JobState
from ratio_search.search import Moment
from ratio_search.study import Study

KILLED_DRIVER = Path(__file__).parent / "killed_driver.py"


def kill(folder: Path, runner: str, moment: Moment, count: int, *what: str) -> str:
    """Runs a driver until it kills itself; the job that it was at."""
    command = [sys.executable, str(KILLED_DRIVER), str(folder), runner, moment, str(count), *what]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert f"killed at {moment}" in done.stdout
    return done.stdout.split()[-1]


def resume(folder: Path, runner: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "ratio_search", "resume", str(folder), "--runner", runner, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    recipe: dict[str, Any] = json.loads(done.stdout)
    return recipe


def finished(study: Study) -> set[str]:
    """Jobs whose result the study has, or finds on disk."""
    jobs = [record for record in [*study.records(), study.baseline()] if record is not None]
    return {r.job.id for r in jobs if r.state is JobState.COMPLETE or study.attempt(r.job).result_file.exists()}


@pytest.mark.parametrize("moment", [m for m in Moment if m not in (Moment.PROGRESS, Moment.LOST, Moment.PAUSED)])
def test_killed_at_any_moment_a_study_completes_and_repeats_nothing(small_study: Any, moment: Moment) -> None:
    small = small_study()
    study = Study.create(small.spec, small.runs)
    at = kill(study.folder.path, "serial", moment, count=3)
    before, known = small.evaluated, finished(study)
    if moment in (Moment.REPORTED, Moment.STORED, Moment.CLOSED):
        assert at in known

    resume(study.folder.path, "serial")

    again = small.evaluated[len(before) :]
    assert not known & set(again), "finished trials were evaluated again"
    assert study.complete == 6
    assert max(Counter(small.evaluated).values()) == 1
    assert len(small.evaluated) == 7


def test_killed_several_times_on_ray_a_study_completes_and_repeats_nothing(small_study: Any) -> None:
    small = small_study("sleep", search={"trials": 8, "parallel": 2})
    study = Study.create(small.spec, small.runs)
    known: set[str] = set()
    for moment, count in ((Moment.SUBMITTED, 3), (Moment.STORED, 2)):
        kill(study.folder.path, "ray", moment, count)
        known |= finished(study)
        before = len(small.evaluated)
    resume(study.folder.path, "ray")
    assert not known & set(small.evaluated[before:]), "finished trials were evaluated again"
    assert study.complete == 8
    assert {record.state for record in study.records()} == {JobState.COMPLETE}


def test_a_resumed_study_proposes_what_it_would_have_proposed(small_study: Any) -> None:
    small = small_study()
    whole = Study.create(small.spec, small.runs)
    resume(whole.folder.path, "serial")
    other = Study.create(small.spec, small.runs.with_name("other"))
    kill(other.folder.path, "serial", Moment.STORED, count=4)
    resume(other.folder.path, "serial")
    assert [r.job.mixture for r in other.records()] == [r.job.mixture for r in whole.records()]


def test_a_torn_result_file_fails_that_trial_alone(small_study: Any) -> None:
    small = small_study()
    study = Study.create(small.spec, small.runs)
    at = kill(study.folder.path, "serial", Moment.REPORTED, count=2)
    torn = next((study.folder.path / "jobs" / at).glob("attempt-*/result.json"))
    torn.write_text(torn.read_text()[:20])
    resume(study.folder.path, "serial")
    [failed] = [record for record in study.records() if record.state is JobState.FAILED]
    assert failed.job.id == at
    assert failed.failure is not None
    assert "not JSON" in failed.failure.message
    assert study.complete == 6
