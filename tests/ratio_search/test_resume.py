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

from objectives.attempt import Attempt
from objectives.base import Job, Measurement
from ratio_search.record import JobState
from ratio_search.runner import SerialRunner
from ratio_search.search import Moment, Search
from ratio_search.study import Study

NOT_BY_EACH = (Moment.PROGRESS, Moment.LOST, Moment.PAUSED, Moment.UNFETCHED)
"""The moments that not every job gets to, or more than once."""

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


@pytest.mark.parametrize("moment", [m for m in Moment if m not in NOT_BY_EACH])
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


def test_killed_several_times_in_parallel_a_study_completes_and_repeats_nothing(small_study: Any) -> None:
    small = small_study("sleep", search={"trials": 8, "parallel": 2})
    study = Study.create(small.spec, small.runs)
    known: set[str] = set()
    for moment, count in ((Moment.SUBMITTED, 3), (Moment.STORED, 2)):
        kill(study.folder.path, "processes", moment, count)
        known |= finished(study)
        before = len(small.evaluated)
    resume(study.folder.path, "processes")
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


class TestTornResult:
    """A result file is written whole: one that is torn was torn by its disk, or by whoever copied it."""

    @pytest.fixture
    def study(self, small_study: Any) -> Study:
        """A study whose baseline has a result on disk, and is not closed."""
        small = small_study(search={"trials": 2})
        study = Study.create(small.spec, small.runs)
        job = study.ask()
        assert job is not None
        with SerialRunner(study.spec.blueprint) as runner:
            runner.submit(study.start(job))
            *_, last = runner.reports(1)
            assert isinstance(last.event, Measurement)
        return study

    def tear(self, study: Study, length: int) -> None:
        [*_, torn] = sorted((study.folder.path / "jobs" / "reference-0000").glob("attempt-*/result.json"))
        torn.write_bytes(torn.read_bytes()[:length])

    @pytest.mark.parametrize("length", [0, 20, -2])
    def test_is_tried_again_and_the_rest_goes_on(self, study: Study, length: int) -> None:
        self.tear(study, length)
        resume(study.folder.path, "serial")
        baseline = study.baseline()
        assert baseline is not None
        assert (baseline.state, baseline.job.attempt, baseline.losses) == (JobState.COMPLETE, 2, 1)
        assert study.complete == 2

    def test_that_is_stored_already_is_not_run_again(self, study: Study) -> None:
        job = Job.from_json(json.loads(next(study.folder.path.glob("jobs/*/attempt-1/job.json")).read_text()))
        measured = study.attempt(job).result()
        assert measured is not None
        study.store(job.id, measured)
        self.tear(study, 20)
        assert Study.open(study.folder).unfinished() == []
        baseline = study.baseline()
        assert baseline is not None
        assert (baseline.state, baseline.measurement, baseline.job.attempt) == (JobState.COMPLETE, measured, 1)

    def test_again_and_again_it_fails_at_last(self, study: Study) -> None:
        for attempt in (2, 3):
            self.tear(study, 20)
            [job] = Study.open(study.folder).unfinished()
            assert job.attempt == attempt
            result = study.start(job).result_file
            result.write_bytes((study.folder.path / "jobs" / job.id / "attempt-1" / "result.json").read_bytes())
        assert Study.open(study.folder).unfinished() == []
        baseline = study.baseline()
        assert baseline is not None and baseline.failure is not None
        assert "not JSON" in baseline.failure.message


def test_the_late_result_of_an_attempt_that_was_given_up_is_used(small_study: Any) -> None:
    """Its worker lived on for a moment after its driver died, and finished."""
    small = small_study(search={"trials": 1})
    study = Study.create(small.spec, small.runs)
    baseline = study.ask()
    assert baseline is not None
    study.start(baseline)
    [again] = Study.open(study.folder).unfinished()
    study.start(again)
    with SerialRunner(study.spec.blueprint) as runner:
        runner.submit(study.attempt(baseline))
        list(runner.reports(1))
    assert small.evaluated == ["reference-0000"]
    resume(study.folder.path, "processes")
    found = study.baseline()
    assert found is not None
    assert (found.state, found.job.attempt) == (JobState.COMPLETE, 1)
    assert small.evaluated == ["reference-0000", "trial-0000"]


def test_it_is_also_used_where_it_comes_while_the_next_attempt_is_on_its_way(small_study: Any) -> None:
    small = small_study(search={"trials": 1})
    study = Study.create(small.spec, small.runs)
    baseline = study.ask()
    assert baseline is not None
    study.start(baseline)
    with SerialRunner(study.spec.blueprint) as runner:

        class Late(SerialRunner):
            def submit(self, attempt: Attempt) -> None:
                if attempt.job.attempt == 2:
                    runner.submit(study.attempt(baseline))
                    list(runner.reports(1))
                super().submit(attempt)

        Search(study, Late(study.spec.blueprint)).run()
    found = study.baseline()
    assert found is not None
    assert (found.state, found.job.attempt) == (JobState.COMPLETE, 1)
    assert small.evaluated == ["reference-0000", "trial-0000"]
