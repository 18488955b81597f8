"""What open jobs do, while a driver really runs them, and after it died."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from objectives.attempt import Attempt, Failure, FailureKind
from objectives.base import Progress
from ratio_search.health import Activity, Doing, Health, Reason, pattern, progress_text
from ratio_search.lease import held
from ratio_search.study import Study


def begun(study: Study) -> Attempt:
    """The attempt at a first job, started but with no worker."""
    job = study.ask()
    assert job is not None
    return study.start(job)


def only(study: Study, *, driven: bool) -> Activity:
    baseline = study.baseline()
    assert baseline is not None
    [activity] = Health.of(study, [baseline], driven=driven).activities
    return activity


def aged(attempt: Attempt, seconds: float) -> None:
    """Makes the last sign of life older than it is."""
    beat = json.loads(attempt.heartbeat_file.read_text())
    beat["seconds"] = str(float(beat["seconds"]) - seconds)
    attempt.heartbeat_file.write_text(json.dumps(beat))


class TestActivity:
    @pytest.fixture
    def study(self, small_study: Any) -> Study:
        small = small_study(health={"stuck_after_s": 60})
        return Study.create(small.spec, small.runs)

    def test_waits_until_a_worker_begins(self, study: Study) -> None:
        begun(study)
        activity = only(study, driven=True)
        assert (activity.doing, activity.silent_s, activity.since) == (Doing.WAITING, None, None)
        assert only(study, driven=False).doing is Doing.LEFT

    def test_runs_while_there_are_signs_of_life_also_of_a_worker_whose_driver_died(self, study: Study) -> None:
        with begun(study).heartbeat():
            assert only(study, driven=True).doing is Doing.RUNNING
            assert only(study, driven=False).doing is Doing.RUNNING

    def test_is_stuck_after_the_stated_time(self, study: Study) -> None:
        attempt = begun(study)
        with attempt.heartbeat():
            attempt.note(Progress(step=3, total=8))
        attempt.log_file.write_text("loss 1.3\nloss 1.2\n")
        aged(attempt, 50)
        assert only(study, driven=True).doing is Doing.RUNNING
        aged(attempt, 20)
        activity = only(study, driven=True)
        assert (activity.doing, activity.progress) == (Doing.STUCK, Progress(step=3, total=8))
        assert activity.silent_s == pytest.approx(70, abs=10)
        assert activity.log == "loss 1.3\nloss 1.2"
        assert activity.since is not None
        data = activity.to_json()
        assert (data["job"], data["doing"], data["progress"]) == ("reference-0000", "stuck", "step 3 of 8")
        assert only(study, driven=False).doing is Doing.LEFT


class TestReason:
    def test_numbers_make_no_difference_and_the_kind_does(self) -> None:
        def of(message: str, kind: FailureKind = FailureKind.OBJECTIVE) -> Failure:
            return Failure(kind=kind, message=message, log=f"log of {message}")

        assert pattern("exit status 17 after 3.5 s") == pattern("exit status 1 after 22.25 s")
        one = Reason.of([("trial-0001", of("status 17"))])
        assert (one.message, one.jobs) == ("status 17", ("trial-0001",))
        two = Reason.of([("trial-0001", of("status 17")), ("trial-0003", of("status 2"))])
        assert two == Reason(
            kind=FailureKind.OBJECTIVE, message="status #", jobs=("trial-0001", "trial-0003"), log="log of status 2"
        )


@pytest.mark.parametrize("kill", [signal.SIGSTOP, signal.SIGKILL])
def test_a_worker_that_hangs_or_dies_is_told_from_a_quiet_one(small_study: Any, kill: signal.Signals) -> None:
    """A trainer that says nothing for long is not stuck; a driver that hangs as a whole is; one that died is gone."""
    small = small_study("endless", search={"trials": 1}, health={"stuck_after_s": 60})
    study = Study.create(small.spec, small.runs)
    command = [sys.executable, "-m", "ratio_search", "resume", str(study.folder.path), "--runner", "serial"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as driver:
        try:
            wait_for(lambda: study.baseline() is not None and doing(study) is Doing.RUNNING)
            attempt = next(study.folder.path.glob("jobs/*/attempt-1"))
            wait_for((attempt / "handover.json").exists)
            driver.send_signal(kill)
            if kill is signal.SIGKILL:
                driver.wait()
                wait_for(lambda: not held(study.folder.lock_file))
            assert doing(study) is Doing.RUNNING  # for as long as its last sign of life is fresh
            beat = attempt / "heartbeat"
            data = json.loads(beat.read_text())
            beat.write_text(json.dumps({**data, "seconds": str(float(data["seconds"]) - 60)}))
            assert doing(study) is (Doing.LEFT if kill is signal.SIGKILL else Doing.STUCK)
        finally:
            driver.kill()


def doing(study: Study) -> Doing:
    baseline = study.baseline()
    assert baseline is not None
    return Activity.of(study, baseline, driven=held(study.folder.lock_file)).doing


def wait_for(come: Callable[[], bool]) -> None:
    while not come():
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (None, ""),
        (Progress(step=3, total=8), "step 3 of 8"),
        (Progress(step=3, total=8, note="loss 1.2"), "step 3 of 8 loss 1.2"),
        (Progress(step=0, total=0, note="loading model and data"), "loading model and data"),
    ],
)
def test_progress_in_words(progress: Progress | None, words: str) -> None:
    assert progress_text(progress) == words
