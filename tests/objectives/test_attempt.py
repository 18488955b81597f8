from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from objectives.attempt import LOG_TAIL, Attempt, Failure, FailureKind, write_json
from objectives.base import Context, Estimate, Job, JobKind, Measurement, Progress, Seeds
from objectives.errors import Cancelled, DataError, DeviceError, ObjectiveError, OptionsError, ResultError
from objectives.mixture import Mixture

MEASUREMENT = Measurement(metrics={"a/f1": Estimate(value=0.5, stderr=0.1, rows=4)}, realised=Mixture.uniform("ab"))
JOB = Job(id="trial-0001", kind=JobKind.TRIAL, mixture=Mixture.uniform("ab"), seeds=Seeds(data=1, training=2))


class Scripted:
    """An objective whose whole work is one function."""

    def __init__(self, work: Callable[[Context], Iterator[Progress | Measurement]]) -> None:
        self._work = work

    def run(self, job: Job, context: Context) -> Iterator[Progress | Measurement]:
        yield from self._work(context)


def raising(error: BaseException) -> Scripted:
    def work(context: Context) -> Iterator[Progress | Measurement]:
        yield Progress(step=1, total=2)
        raise error

    return Scripted(work)


def well(context: Context) -> Iterator[Progress | Measurement]:
    yield Progress(step=1, total=2, note="on it")
    yield MEASUREMENT


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    return Attempt(job=JOB, folder=tmp_path / "trial-0001" / "attempt-1")


class TestRun:
    def test_passes_on_what_the_objective_reports(self, attempt: Attempt) -> None:
        assert list(attempt.run(Scripted(well))) == [Progress(step=1, total=2, note="on it"), MEASUREMENT]

    def test_writes_down_the_job_before_it_starts(self, attempt: Attempt) -> None:
        def work(context: Context) -> Iterator[Progress | Measurement]:
            assert Job.from_json(json.loads(attempt.job_file.read_text())) == JOB
            assert context.folder == attempt.folder
            yield MEASUREMENT

        assert list(attempt.run(Scripted(work))) == [MEASUREMENT]

    def test_the_result_is_on_disk_before_it_is_reported(self, attempt: Attempt) -> None:
        events = attempt.run(Scripted(well))
        assert isinstance(next(events), Progress)
        assert attempt.result() is None
        assert next(events) == MEASUREMENT
        assert attempt.result() == MEASUREMENT

    def test_the_latest_progress_is_on_disk(self, attempt: Attempt) -> None:
        assert attempt.progress() is None
        next(attempt.run(Scripted(well)))
        assert attempt.progress() == Progress(step=1, total=2, note="on it")

    def test_nothing_counts_after_the_measurement(self, attempt: Attempt) -> None:
        def work(context: Context) -> Iterator[Progress | Measurement]:
            yield MEASUREMENT
            raise AssertionError("asked for more")

        assert list(attempt.run(Scripted(work))) == [MEASUREMENT]

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (ObjectiveError("diverged", log="loss nan"), FailureKind.OBJECTIVE),
            (ResultError("no such metric", log="all is well"), FailureKind.RESULT),
            (Cancelled("told to"), FailureKind.CANCELLED),
            (DataError("no rows"), FailureKind.OBJECTIVE),
            (OptionsError("no model"), FailureKind.OBJECTIVE),
        ],
    )
    def test_an_error_becomes_a_failure(self, error: Exception, kind: FailureKind, attempt: Attempt) -> None:
        *progress, failure = attempt.run(raising(error))
        assert progress == [Progress(step=1, total=2)]
        assert failure == Failure(kind=kind, message=str(error), log=getattr(error, "log", ""))
        assert not attempt.result_file.exists()

    def test_a_bug_becomes_a_failure_with_its_traceback(self, attempt: Attempt) -> None:
        *_, failure = attempt.run(raising(ZeroDivisionError("oh")))
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.message) == (FailureKind.OBJECTIVE, "ZeroDivisionError: oh")
        assert "test_attempt.py" in failure.log

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (OSError(errno.ENOSPC, "No space left on device"), FailureKind.INFRASTRUCTURE),
            (MemoryError(), FailureKind.INFRASTRUCTURE),
            (DeviceError("the GPU failed"), FailureKind.INFRASTRUCTURE),
            (OSError(errno.ENOENT, "No such file or directory"), FailureKind.OBJECTIVE),
            (OSError("of its own making"), FailureKind.OBJECTIVE),
        ],
    )
    def test_what_is_the_machines_fault_is_worth_another_try(
        self, error: Exception, kind: FailureKind, attempt: Attempt
    ) -> None:
        *_, failure = attempt.run(raising(error))
        assert isinstance(failure, Failure)
        assert failure.kind is kind

    def test_only_the_end_of_a_long_log_is_kept(self, attempt: Attempt) -> None:
        for error in (ObjectiveError, ResultError, Cancelled):
            *_, failure = attempt.run(raising(error("x", log="start" + LOG_TAIL * "." + "end")))
            assert isinstance(failure, Failure)
            assert len(failure.log) == LOG_TAIL and failure.log.endswith("end")

    def test_an_end_without_a_measurement_is_a_failure(self, attempt: Attempt) -> None:
        [failure] = attempt.run(Scripted(lambda context: iter(())))
        assert isinstance(failure, Failure)
        assert failure.kind is FailureKind.RESULT
        assert "trial-0001" in failure.message

    def test_a_number_that_json_lacks_leaves_no_result(self, attempt: Attempt) -> None:
        bad = Measurement(metrics={"a/f1": Estimate(value=float("nan"))})
        [failure] = attempt.run(Scripted(lambda context: iter([bad])))
        assert isinstance(failure, Failure)
        assert not attempt.result_file.exists()

    def test_an_interrupt_of_the_whole_program_is_none_of_its_business(self, attempt: Attempt) -> None:
        with pytest.raises(KeyboardInterrupt):
            list(attempt.run(raising(KeyboardInterrupt())))

    def test_the_objective_learns_of_a_cancel(self, attempt: Attempt) -> None:
        def work(context: Context) -> Iterator[Progress | Measurement]:
            while not context.cancelled():
                yield Progress(step=0, total=1)
            raise Cancelled("told to")

        asked: list[None] = []
        for event in attempt.run(Scripted(work), cancelled=lambda: bool(asked)):
            last = event
            asked.append(None)
        assert isinstance(last, Failure) and last.kind is FailureKind.CANCELLED


class TestCheckpoint:
    @staticmethod
    def saving(text: str) -> Scripted:
        def work(context: Context) -> Iterator[Progress | Measurement]:
            yield Progress(step=0, total=1, note=",".join(sorted(path.name for path in context.checkpoint.iterdir())))
            (context.checkpoint / text).write_text(text)
            raise Cancelled("told to")

        return Scripted(work)

    def test_starts_empty_and_then_with_a_copy_of_the_last_ones(self, tmp_path: Path) -> None:
        first = Attempt(job=JOB, folder=tmp_path / "1")
        second = Attempt(job=JOB, folder=tmp_path / "2", previous=first.folder)
        assert next(first.run(self.saving("never"))) == Progress(step=0, total=1, note="")
        list(first.run(self.saving("one")))
        assert next(second.run(self.saving("never"))) == Progress(step=0, total=1, note="one")
        list(second.run(self.saving("two")))
        assert [path.name for path in first.checkpoint.iterdir()] == ["one"], "an attempt changed its predecessor"

    def test_a_second_run_of_an_attempt_goes_on_with_its_own(self, tmp_path: Path) -> None:
        first = Attempt(job=JOB, folder=tmp_path / "1")
        second = Attempt(job=JOB, folder=tmp_path / "2", previous=first.folder)
        list(first.run(self.saving("one")))
        list(second.run(self.saving("two")))
        assert next(second.run(self.saving("never"))) == Progress(step=0, total=1, note="one,two")

    def test_a_copy_that_was_cut_short_is_made_again(self, tmp_path: Path) -> None:
        first = Attempt(job=JOB, folder=tmp_path / "1")
        second = Attempt(job=JOB, folder=tmp_path / "2", previous=first.folder)
        list(first.run(self.saving("one")))
        (second.folder / "checkpoint.partial").mkdir(parents=True)
        (second.folder / "checkpoint.partial" / "half").touch()
        assert next(second.run(self.saving("never"))) == Progress(step=0, total=1, note="one")

    def test_half_a_checkpoint_is_not_copied(self, tmp_path: Path) -> None:
        first = Attempt(job=JOB, folder=tmp_path / "1")
        second = Attempt(job=JOB, folder=tmp_path / "2", previous=first.folder)
        list(first.run(self.saving("one")))
        (first.checkpoint / "two.partial").touch()
        assert next(second.run(self.saving("never"))) == Progress(step=0, total=1, note="one")

    def test_a_predecessor_that_still_writes_does_no_harm(self, tmp_path: Path) -> None:
        """A worker outlives its dead driver by seconds, and may save a checkpoint while the next attempt begins."""
        first = Attempt(job=JOB, folder=tmp_path / "1")
        list(first.run(self.saving("one")))
        over = threading.Event()

        def write() -> None:
            while not over.is_set():
                (first.checkpoint / "two.partial").write_bytes(b"x" * 10_000)
                (first.checkpoint / "two.partial").rename(first.checkpoint / "two")
                (first.checkpoint / "two").rename(first.checkpoint / "three")

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for number in range(20):
                later = Attempt(job=JOB, folder=tmp_path / f"later-{number}", previous=first.folder)
                assert isinstance(next(later.run(self.saving("never"))), Progress)
        finally:
            over.set()
            writer.join()

    def test_a_predecessor_that_never_began_has_none(self, tmp_path: Path) -> None:
        second = Attempt(job=JOB, folder=tmp_path / "2", previous=tmp_path / "1")
        assert next(second.run(self.saving("never"))) == Progress(step=0, total=1, note="")


class TestResult:
    def test_is_none_before_the_attempt(self, attempt: Attempt) -> None:
        assert attempt.result() is None

    @pytest.mark.parametrize("content", [b"", b'{"metrics"', b"\xff\xfe", b"[]", b'{"metrics": {"a/f1": NaN}}'])
    def test_that_cannot_be_read_is_an_error(self, content: bytes, attempt: Attempt) -> None:
        attempt.folder.mkdir(parents=True)
        attempt.result_file.write_bytes(content)
        with pytest.raises(ResultError):
            attempt.result()

    def test_progress_that_cannot_be_read_is_none(self, attempt: Attempt) -> None:
        attempt.folder.mkdir(parents=True)
        for content in (b"", b"[]", b'{"step": 1}', b"\xff"):
            attempt.progress_file.write_bytes(content)
            assert attempt.progress() is None


class TestFailure:
    @pytest.mark.parametrize("kind", FailureKind)
    def test_survives_json(self, kind: FailureKind) -> None:
        failure = Failure(kind=kind, message="because", log="line\nline")
        assert Failure.from_json(json.loads(json.dumps(failure.to_json()))) == failure

    def test_only_a_lost_machine_or_a_cancel_may_end_otherwise_next_time(self) -> None:
        assert {kind for kind in FailureKind if not kind.deterministic} == {
            FailureKind.INFRASTRUCTURE,
            FailureKind.CANCELLED,
        }


class TestWriteJson:
    def test_replaces_as_a_whole_or_not_at_all(self, tmp_path: Path) -> None:
        path = tmp_path / "data.json"
        write_json(path, {"a": 1})
        with pytest.raises(ValueError, match="not JSON compliant"):
            write_json(path, {"a": [2, float("nan")]})
        assert json.loads(path.read_text()) == {"a": 1}
        assert list(tmp_path.iterdir()) == [path]
