"""What only a runner of processes does; what all runners do is in test_runner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from objectives.attempt import Attempt, Failure, FailureKind
from objectives.backends import Blueprint, Resources
from objectives.backends.backend import Backend
from objectives.base import Context, Job, JobKind, Measurement, Objective, Progress, Seeds
from objectives.data import DEFAULT_POLICY, DataPolicy
from objectives.domain import Domain
from objectives.mixture import Mixture
from objectives.scorer import Metric
from ratio_search.runner.processes import ProcessRunner
from tests.ratio_search.conftest import TRAINER


class Odd(Backend):
    """An objective that runs Python code, given `job`, `context` and a place to write to."""

    code: str

    def produces(self, labelled: Mapping[str, bool]) -> None:
        return None

    def build(
        self,
        domains: Sequence[Domain],
        root: Path,
        policy: DataPolicy = DEFAULT_POLICY,
        metrics: Sequence[Metric] = (),
    ) -> Objective:
        return Coded(self.code)


class Coded:
    def __init__(self, code: str) -> None:
        self.code = code

    def run(self, job: Job, context: Context) -> Iterator[Progress | Measurement]:
        exec(self.code, {"job": job, "folder": context.folder, "context": context})
        yield Measurement.of_numbers({"a/f1": 0.5})


def blueprint(tmp_path: Path, code: str, gpus: float = 0) -> Blueprint:
    backend = Odd(kind="odd", code=code, resources=Resources(cpus=1, gpus=gpus))
    return Blueprint(backend=backend, domains=(), root=tmp_path)


def attempt(tmp_path: Path, number: int) -> Attempt:
    job = Job(id=f"job-{number}", kind=JobKind.TRIAL, mixture=Mixture.of({"a": 1.0}), seeds=Seeds(data=1, training=2))
    return Attempt(job=job, folder=tmp_path / job.id / "attempt-1")


def run(runner: ProcessRunner, *attempts: Attempt) -> list[Measurement | Failure]:
    """How attempts end that run at the same time."""
    for each in attempts:
        runner.submit(each)
    ends: dict[str, Measurement | Failure] = {}
    while len(ends) < len(attempts):
        for report in runner.reports(timeout_s=1):
            if not isinstance(report.event, Progress):
                ends[report.attempt.job.id] = report.event
    return [ends[each.job.id] for each in attempts]


SEES = "import os; (folder / 'sees').write_text(os.environ['CUDA_VISIBLE_DEVICES'])"


@pytest.mark.parametrize(
    ("gpus", "visible", "expected"), [(0, "4,5", ["", ""]), (1, "4,5", ["4", "5"]), (0.5, "7", ["7", "7"])]
)
def test_every_slot_sees_its_own_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus: float, visible: str, expected: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    attempts = [attempt(tmp_path, number) for number in range(2)]
    with ProcessRunner(blueprint(tmp_path, SEES, gpus), slots=2) as runner:
        run(runner, *attempts)
    assert sorted((each.folder / "sees").read_text() for each in attempts) == expected


def test_a_worker_that_dies_says_how_and_what_it_said_last(tmp_path: Path) -> None:
    code = "import os, sys; print('dear me', flush=True); os._exit(3)"
    with ProcessRunner(blueprint(tmp_path, code), slots=1) as runner:
        [lost] = run(runner, attempt(tmp_path, 0))
    assert isinstance(lost, Failure)
    assert lost.kind is FailureKind.INFRASTRUCTURE
    assert lost.message == "the worker was lost: it ended with exit status 3"
    assert "dear me" in lost.log


def test_a_worker_that_the_kernel_ends_for_lack_of_memory_is_not_tried_again(
    tmp_path: Path, little_memory: Path
) -> None:
    code = f"import os; open({str(little_memory)!r}, 'w').write(str(os.getpid())); print(len(b'x' * 400_000_000))"
    with ProcessRunner(blueprint(tmp_path, code), slots=1) as runner:
        [failed] = run(runner, attempt(tmp_path, 0))
    assert isinstance(failed, Failure)
    assert failed.kind is FailureKind.OBJECTIVE
    assert "the machine ran out of memory" in failed.message


def test_a_library_that_would_end_the_worker_fails_the_job_alone(tmp_path: Path) -> None:
    code = "import sys; job.id == 'job-0' and sys.exit('enough')"
    with ProcessRunner(blueprint(tmp_path, code), slots=1) as runner:
        ends = [run(runner, attempt(tmp_path, number))[0] for number in range(2)]
    assert isinstance(ends[0], Failure)
    assert (ends[0].kind, ends[0].message) == (FailureKind.OBJECTIVE, "SystemExit: enough")
    assert isinstance(ends[1], Measurement)


def test_a_worker_that_dies_while_idle_costs_nobody_anything(tmp_path: Path) -> None:
    code = "import os; (folder / 'worker').write_text(str(os.getpid()))"
    with ProcessRunner(blueprint(tmp_path, code), slots=1) as runner:
        first = attempt(tmp_path, 0)
        run(runner, first)
        worker = psutil.Process(int((first.folder / "worker").read_text()))
        worker.kill()
        assert isinstance(run(runner, attempt(tmp_path, 1))[0], Measurement)


def test_a_cancel_also_reaches_an_attempt_whose_idle_worker_has_just_died(tmp_path: Path) -> None:
    code = (
        "import os, time\nfrom objectives.errors import Cancelled\n(folder / 'worker').write_text(str(os.getpid()))\n"
        "if job.id == 'job-1':\n    while not context.cancelled(): time.sleep(0.01)\n    raise Cancelled('told to')"
    )
    with ProcessRunner(blueprint(tmp_path, code), slots=1) as runner:
        first = attempt(tmp_path, 0)
        run(runner, first)
        psutil.Process(int((first.folder / "worker").read_text())).kill()
        runner.submit(attempt(tmp_path, 1))
        runner.cancel()
        while not (last := [report.event for report in runner.reports(1) if report.last]):
            pass
    [end] = last
    assert isinstance(end, Failure) and end.kind is FailureKind.CANCELLED


DRIVER = """
import sys, pathlib
from tests.ratio_search.runner.test_processes import attempt, blueprint
from ratio_search.runner.processes import ProcessRunner
here = pathlib.Path(sys.argv[1])
code = "import os, time; (folder / 'worker').write_text(str(os.getpid())); " + sys.argv[2]
with ProcessRunner(blueprint(here, code), slots=2) as runner:
    for number in range(2):
        runner.submit(attempt(here, number))
    while True:
        list(runner.reports(1))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_die_with_their_driver(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", DRIVER, str(tmp_path), "time.sleep(600)"]
    with subprocess.Popen(command, cwd=Path(__file__).parents[3]) as driver:
        marks = [tmp_path / f"job-{n}" / "attempt-1" / "worker" for n in range(2)]
        while not all(mark.exists() and mark.read_text() for mark in marks):
            assert driver.poll() is None
            time.sleep(0.01)
        os.kill(driver.pid, number)
    workers = [int(mark.read_text()) for mark in marks]
    while any(map(psutil.pid_exists, workers)):
        time.sleep(0.01)


def test_a_new_attempt_waits_for_the_trainer_of_a_dead_worker(small_study: Any, tmp_path: Path) -> None:
    """A watcher that is slow to kill what a dead worker left keeps the next attempt out as long."""
    with ProcessRunner(small_study("endless").spec.blueprint, slots=1) as runner:
        first = attempt_of(tmp_path, 1)
        runner.submit(first)
        handed = first.folder / "handover.json"
        while not handed.exists() or not (watchers := orphans(first.lock_file)):
            time.sleep(0.01)
        [watcher] = watchers
        [worker] = [one for one in holders(first.lock_file) if one != watcher]
        while not (trainers := [one for one in worker.children() if runs(one, TRAINER.name)]):
            time.sleep(0.01)
        [trainer] = trainers
        watcher.suspend()
        worker.kill()
        while not [report for report in runner.reports(1) if report.last]:
            pass
        second = attempt_of(tmp_path, 2)
        runner.submit(second)
        while not second.folder.exists():
            time.sleep(0.01)
        time.sleep(0.3)
        assert trainer.is_running()
        assert not (second.folder / "handover.json").exists()
        watcher.resume()
        while not (second.folder / "handover.json").exists():
            time.sleep(0.01)
        assert not trainer.is_running() or trainer.status() == psutil.STATUS_ZOMBIE


def attempt_of(tmp_path: Path, number: int) -> Attempt:
    mixture = Mixture.of({"support": 0.5, "legal": 0.3, "manuals": 0.2})
    job = Job(id="job", kind=JobKind.TRIAL, mixture=mixture, seeds=Seeds(data=1, training=2), attempt=number)
    earlier = tuple(tmp_path / "job" / f"attempt-{n}" for n in range(number - 1, 0, -1))
    return Attempt(job=job, folder=tmp_path / "job" / f"attempt-{number}", earlier=earlier)


def holders(path: Path) -> list[psutil.Process]:
    """The processes that have a file open."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(file.path == str(path) for file in process.open_files()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def orphans(path: Path) -> list[psutil.Process]:
    """The watchers among them that have begun: what started them has ended, and the worker is not their parent."""
    found = holders(path)
    return [one for one in found if runs(one, "watch.py") and one.parent() not in found]


def runs(process: psutil.Process, program: str) -> bool:
    """Whether a process that is alive runs a program."""
    try:
        return program in " ".join(process.cmdline())
    except psutil.Error:
        return False
