"""Every runner passes the same suite; what only Ray can do is tested beside it."""

from __future__ import annotations

import contextlib
import os
import signal
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
from objectives.errors import DeviceError
from objectives.mixture import Mixture
from objectives.scorer import Metric
from ratio_search.errors import RunnerError
from ratio_search.runner import Report, Runner, SerialRunner
from ratio_search.runner.on_ray import RayRunner
from ratio_search.runner.processes import ProcessRunner
from ratio_search.spec import StudySpec


class Broken(Backend):
    """An objective whose first worker finds its device broken, in every attempt; later workers find it mended."""

    marks: Path

    def produces(self, labelled: Mapping[str, bool]) -> None:
        return None

    def build(
        self,
        domains: Sequence[Domain],
        root: Path,
        policy: DataPolicy = DEFAULT_POLICY,
        metrics: Sequence[Metric] = (),
    ) -> Objective:
        mended = any(self.marks.glob("worker-*"))
        (self.marks / f"worker-{os.getpid()}").touch()
        return OnDevice(mended)


class OnDevice:
    def __init__(self, mended: bool) -> None:
        self.mended = mended

    def run(self, job: Job, context: Context) -> Iterator[Progress | Measurement]:
        if not self.mended:
            raise DeviceError("the GPU failed")
        yield Measurement.of_numbers({"support/f1": 0.5})


MIXTURE = Mixture.of({"support": 0.5, "legal": 0.3, "manuals": 0.2})


def attempt(folder: Path, number: int, mixture: Mixture | None = MIXTURE) -> Attempt:
    kind = JobKind.BASELINE if mixture is None else JobKind.TRIAL
    job = Job(id=f"job-{number}", kind=kind, mixture=mixture, seeds=Seeds(data=1, training=2))
    return Attempt(job=job, folder=folder / job.id / "attempt-1")


def drain(runner: Runner, attempts: list[Attempt]) -> list[Report]:
    """Runs the attempts, as many at a time as there are slots, and gives all that they report."""
    waiting, running, reports = list(attempts), 0, []
    while waiting or running:
        while waiting and running < runner.slots:
            runner.submit(waiting.pop(0))
            running += 1
        for report in runner.reports(timeout_s=1):
            reports.append(report)
            running -= report.last
    return reports


class RunnerContract:
    """What every runner must do."""

    def runner(self, blueprint: Blueprint) -> contextlib.AbstractContextManager[Runner]:
        raise NotImplementedError

    def blueprint(self, small_study: Any, *modes: str) -> Blueprint:
        spec: StudySpec = small_study(*modes).spec
        return spec.blueprint

    def test_every_attempt_ends_with_its_measurement_which_is_on_disk(self, small_study: Any, tmp_path: Path) -> None:
        attempts = [attempt(tmp_path, i) for i in range(3)]
        with self.runner(self.blueprint(small_study)) as runner:
            reports = drain(runner, attempts)
        last = {report.attempt.job.id: report.event for report in reports if report.last}
        assert sorted(last) == ["job-0", "job-1", "job-2"]
        for each in attempts:
            event = last[each.job.id]
            assert isinstance(event, Measurement), event
            assert each.result() == event
            assert event.metrics["support/accuracy"].value == pytest.approx(0.5)

    def test_a_failing_job_is_reported_and_the_next_one_runs(self, small_study: Any, tmp_path: Path) -> None:
        attempts = [attempt(tmp_path, 0), attempt(tmp_path, 1, mixture=None)]
        with self.runner(self.blueprint(small_study, "fail-trials")) as runner:
            reports = drain(runner, attempts)
        events = {report.attempt.job.id: report.event for report in reports if report.last}
        failed = events["job-0"]
        assert isinstance(failed, Failure)
        assert failed.kind is FailureKind.OBJECTIVE
        assert "boom" in failed.log
        assert isinstance(events["job-1"], Measurement)

    def test_an_objective_that_cannot_be_built_fails_its_attempts(self, small_study: Any, tmp_path: Path) -> None:
        blueprint = self.blueprint(small_study)
        blueprint.domains[0].train[0].unlink()
        with self.runner(blueprint) as runner:
            reports = drain(runner, [attempt(tmp_path, 0)])
        [event] = [report.event for report in reports if report.last]
        assert isinstance(event, Failure)
        assert event.kind is FailureKind.OBJECTIVE
        assert "support.train.jsonl" in event.message

    def test_cancelled_attempts_end_and_say_so(self, small_study: Any, tmp_path: Path) -> None:
        with self.runner(self.blueprint(small_study, "sleep")) as runner:
            runner.submit(attempt(tmp_path, 0))
            runner.cancel()
            reports: list[Report] = []
            while not any(report.last for report in reports):
                reports += runner.reports(timeout_s=1)
        event = reports[-1].event
        assert isinstance(event, Failure)
        assert event.kind is FailureKind.CANCELLED
        assert reports[-1].attempt.result() is None

    def test_nothing_is_reported_while_nothing_runs(self, small_study: Any) -> None:
        with self.runner(self.blueprint(small_study)) as runner:
            assert list(runner.reports(timeout_s=0)) == []


class TestSerialRunner(RunnerContract):
    @contextlib.contextmanager
    def runner(self, blueprint: Blueprint) -> Iterator[Runner]:
        with SerialRunner(blueprint) as runner:
            yield runner


class ParallelContract(RunnerContract):
    """What every runner must do whose workers are processes of their own."""

    def runner(self, blueprint: Blueprint, slots: int = 2) -> contextlib.AbstractContextManager[Runner]:
        raise NotImplementedError

    def test_a_killed_worker_is_an_infrastructure_failure_and_its_slot_works_again(
        self, small_study: Any, tmp_path: Path
    ) -> None:
        blueprint = self.blueprint(small_study, "sleep")
        with self.runner(blueprint, slots=1) as runner:
            runner.submit(attempt(tmp_path, 0))
            os.kill(_trainers_parent(tmp_path / "job-0" / "attempt-1"), signal.SIGKILL)
            [lost] = drain_last(runner)
            again = drain(runner, [attempt(tmp_path, 1)])
        assert isinstance(lost.event, Failure)
        assert lost.event.kind is FailureKind.INFRASTRUCTURE
        assert isinstance(again[-1].event, Measurement)

    def test_a_worker_that_died_while_it_was_idle_costs_no_attempt(self, small_study: Any, tmp_path: Path) -> None:
        with self.runner(self.blueprint(small_study, "sleep"), slots=1) as runner:
            runner.submit(attempt(tmp_path, 0))
            worker = psutil.Process(_trainers_parent(tmp_path / "job-0" / "attempt-1"))
            assert isinstance(drain_last(runner)[-1].event, Measurement)
            worker.kill()
            worker.wait()
            [*_, last] = drain(runner, [attempt(tmp_path, 1)])
        assert isinstance(last.event, Measurement), last

    def test_a_worker_is_kept_between_attempts(self, small_study: Any, tmp_path: Path) -> None:
        blueprint = self.blueprint(small_study, "sleep")
        parents = []
        with self.runner(blueprint, slots=1) as runner:
            for i in range(2):
                runner.submit(attempt(tmp_path, i))
                parents.append(_trainers_parent(tmp_path / f"job-{i}" / "attempt-1"))
                assert isinstance(drain_last(runner)[-1].event, Measurement)
        assert parents[0] == parents[1]

    def test_a_worker_whose_device_failed_is_replaced(self, small_study: Any, tmp_path: Path) -> None:
        spec: StudySpec = small_study().spec
        broken = Broken(kind="broken", marks=tmp_path)
        blueprint = Blueprint(backend=broken, domains=spec.domains, root=spec.root)
        with self.runner(blueprint, slots=1) as runner:
            first, second = (drain(runner, [attempt(tmp_path, i)])[-1].event for i in range(2))
        assert isinstance(first, Failure)
        assert (first.kind, first.message) == (FailureKind.INFRASTRUCTURE, "the GPU failed")
        assert isinstance(second, Measurement)
        workers = [mark.name for mark in tmp_path.glob("worker-*")]
        assert len(workers) == 2, workers

    def test_more_gpus_than_there_are_is_refused_before_anything_starts(self, small_study: Any) -> None:
        spec: StudySpec = small_study().spec
        backend = spec.backend.model_copy(update={"resources": Resources(cpus=1, gpus=64)})
        with (
            pytest.raises(RunnerError, match="room for 0 trials at a time with 64 each"),
            self.runner(Blueprint(backend=backend, domains=spec.domains, root=spec.root)),
        ):
            pass


class TestProcessRunner(ParallelContract):
    @contextlib.contextmanager
    def runner(self, blueprint: Blueprint, slots: int = 2) -> Iterator[Runner]:
        with ProcessRunner(blueprint, slots=slots) as runner:
            yield runner


class TestRayRunner(ParallelContract):
    @contextlib.contextmanager
    def runner(self, blueprint: Blueprint, slots: int = 2) -> Iterator[Runner]:
        with RayRunner(blueprint, slots=slots) as runner:
            yield runner

    @pytest.mark.parametrize(
        ("address", "message"),
        [
            ("127.0.0.1:1", r"nobody answers at 127\.0\.0\.1:1 .*refused"),
            ("ray://127.0.0.1:1", r"--ray-address: found 'ray://127\.0\.0\.1:1', .* Ray Client server"),
            ("127.0.0.1:99999", r"nobody answers at 127\.0\.0\.1:99999 "),
            ("head", r"--ray-address: expected host:port .*, found 'head'"),
        ],
    )
    def test_a_cluster_that_is_not_there_is_refused(self, small_study: Any, address: str, message: str) -> None:
        with (
            pytest.raises(RunnerError, match=message),
            RayRunner(self.blueprint(small_study), slots=1, address=address),
        ):
            pass


def drain_last(runner: Runner) -> list[Report]:
    """The next reports up to one that ends an attempt, without progress."""
    while True:
        last = [report for report in runner.reports(timeout_s=1) if not isinstance(report.event, Progress)]
        if last:
            return last


def _trainers_parent(folder: Path) -> int:
    """The worker that runs the trainer of an attempt; waits until it does."""
    while True:
        for process in psutil.process_iter(["cmdline", "environ"]):
            environment = process.info["environ"] or {}
            if environment.get("RATIO_SEARCH_JOB", "").startswith(str(folder)):
                return int(process.ppid())
