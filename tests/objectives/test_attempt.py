from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.attempt import LOG_TAIL, Attempt, Failure, FailureKind, write_json
from objectives.base import Context, Estimate, Job, JobKind, Measurement, Progress, Seeds
from objectives.errors import AccessError, Cancelled, DataError, DeviceError, ObjectiveError, OptionsError, ResultError
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
            (AccessError("no credentials"), FailureKind.ACCESS),
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
            (MemoryError(), FailureKind.OBJECTIVE),
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
        second = Attempt(job=JOB, folder=tmp_path / "2", earlier=(first.folder,))
        assert next(first.run(self.saving("never"))) == Progress(step=0, total=1, note="")
        list(first.run(self.saving("one")))
        assert next(second.run(self.saving("never"))) == Progress(step=0, total=1, note="one")
        list(second.run(self.saving("two")))
        assert [path.name for path in first.checkpoint.iterdir()] == ["one"], "an attempt changed its predecessor"

    def test_a_second_run_of_an_attempt_goes_on_with_its_own(self, tmp_path: Path) -> None:
        first = Attempt(job=JOB, folder=tmp_path / "1")
        second = Attempt(job=JOB, folder=tmp_path / "2", earlier=(first.folder,))
        list(first.run(self.saving("one")))
        list(second.run(self.saving("two")))
        assert next(second.run(self.saving("never"))) == Progress(step=0, total=1, note="one,two")

    def test_a_copy_that_was_cut_short_is_made_again(self, tmp_path: Path) -> None:
        first = Attempt(job=JOB, folder=tmp_path / "1")
        second = Attempt(job=JOB, folder=tmp_path / "2", earlier=(first.folder,))
        list(first.run(self.saving("one")))
        (second.folder / "checkpoint.partial").mkdir(parents=True)
        (second.folder / "checkpoint.partial" / "half").touch()
        assert next(second.run(self.saving("never"))) == Progress(step=0, total=1, note="one")

    def test_half_a_checkpoint_is_not_copied(self, tmp_path: Path) -> None:
        first = Attempt(job=JOB, folder=tmp_path / "1")
        second = Attempt(job=JOB, folder=tmp_path / "2", earlier=(first.folder,))
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
                later = Attempt(job=JOB, folder=tmp_path / f"later-{number}", earlier=(first.folder,))
                assert isinstance(next(later.run(self.saving("never"))), Progress)
        finally:
            over.set()
            writer.join()

    def test_a_predecessor_that_never_began_has_none(self, tmp_path: Path) -> None:
        second = Attempt(job=JOB, folder=tmp_path / "2", earlier=(tmp_path / "1",))
        assert next(second.run(self.saving("never"))) == Progress(step=0, total=1, note="")


class TestEarlier:
    """What is left of an earlier attempt: it may still run, and it may finish after all."""

    @pytest.fixture
    def attempts(self, tmp_path: Path) -> tuple[Attempt, Attempt]:
        first = Attempt(job=JOB, folder=tmp_path / "job" / "attempt-1")
        job = dataclasses.replace(JOB, attempt=2)
        return first, Attempt(job=job, folder=tmp_path / "job" / "attempt-2", earlier=(first.folder,))

    def test_its_late_result_is_reported_and_nothing_is_run(self, attempts: tuple[Attempt, Attempt]) -> None:
        first, second = attempts
        list(first.run(Scripted(well)))
        assert list(second.run(raising(AssertionError("it ran")))) == [MEASUREMENT]
        assert second.finished() == first
        assert not second.result_file.exists()

    def test_a_second_run_reports_its_own_result(self, attempts: tuple[Attempt, Attempt]) -> None:
        first, _ = attempts
        list(first.run(Scripted(well)))
        assert list(first.run(raising(AssertionError("it ran")))) == [MEASUREMENT]

    def test_a_torn_result_of_it_is_none(self, attempts: tuple[Attempt, Attempt]) -> None:
        first, second = attempts
        list(first.run(Scripted(well)))
        first.result_file.write_bytes(first.result_file.read_bytes()[:20])
        assert second.finished() is None
        with pytest.raises(ResultError):
            first.finished()
        assert list(second.run(Scripted(well)))[-1] == MEASUREMENT

    def test_while_it_runs_nobody_else_begins(self, attempts: tuple[Attempt, Attempt]) -> None:
        first, second = attempts
        events = first.run(Scripted(well))
        next(events)
        [failure] = second.run(raising(AssertionError("it ran")), patience_s=0.1)
        assert isinstance(failure, Failure)
        assert failure.kind is FailureKind.INFRASTRUCTURE
        assert f"still held by attempt 1 (process {os.getpid()} on" in failure.message
        [cancelled] = second.run(raising(AssertionError("it ran")), cancelled=lambda: True)
        assert isinstance(cancelled, Failure) and cancelled.kind is FailureKind.CANCELLED
        events.close()
        assert isinstance(next(second.run(Scripted(well))), Progress)

    def test_its_checkpoint_counts_even_where_it_was_not_there_before(self, attempts: tuple[Attempt, Attempt]) -> None:
        first, second = attempts
        assert second.previous is None
        list(first.run(TestCheckpoint.saving("one")))
        assert next(second.run(TestCheckpoint.saving("two"))) == Progress(step=0, total=1, note="one")


class TestResult:
    def test_is_none_before_the_attempt(self, attempt: Attempt) -> None:
        assert attempt.result() is None

    @pytest.mark.parametrize("content", [b"", b'{"metrics"', b"\xff\xfe", b"[]", b'{"metrics": {"a/f1": NaN}}'])
    def test_that_cannot_be_read_is_an_error(self, content: bytes, attempt: Attempt) -> None:
        attempt.folder.mkdir(parents=True)
        attempt.result_file.write_bytes(content)
        with pytest.raises(ResultError):
            attempt.result()

    @settings(max_examples=40)
    @given(cut=st.floats(0, 1), zeros=st.booleans())
    def test_that_is_torn_anywhere_is_an_error_and_never_another_result(
        self, tmp_path_factory: pytest.TempPathFactory, cut: float, zeros: bool
    ) -> None:
        attempt = Attempt(job=JOB, folder=tmp_path_factory.mktemp("torn") / "attempt-1")
        list(attempt.run(Scripted(well)))
        whole = attempt.result_file.read_bytes()
        kept = whole[: int(cut * len(whole))]
        attempt.result_file.write_bytes(kept + bytes(len(whole) - len(kept)) if zeros else kept)
        if kept in (whole, whole[:-1]) and not (zeros and kept != whole):  # it ends with a line end, which says nothing
            assert attempt.result() == MEASUREMENT
        else:
            with pytest.raises(ResultError):
                attempt.result()

    def test_progress_that_cannot_be_read_is_none(self, attempt: Attempt) -> None:
        attempt.folder.mkdir(parents=True)
        for content in (b"", b"[]", b'{"step": 1}', b"\xff"):
            attempt.progress_file.write_bytes(content)
            assert attempt.progress() is None


class TestFullDisk:
    """The attempt's disk has no room for one more byte while it runs."""

    @pytest.fixture
    def attempt(self, small_disk: Any) -> Attempt:
        return Attempt(job=JOB, folder=small_disk("256k").path / "attempt-1")

    @staticmethod
    def filled(work: Callable[[Context], Iterator[Progress | Measurement]]) -> Scripted:
        def full(context: Context) -> Iterator[Progress | Measurement]:
            with contextlib.suppress(OSError):
                (context.folder / "filler").write_bytes(bytes(2**20))
            yield from work(context)

        return Scripted(full)

    def test_the_result_has_room_all_the_same(self, attempt: Attempt) -> None:
        assert list(attempt.run(self.filled(well)))[-1] == MEASUREMENT
        assert attempt.result() == MEASUREMENT
        assert not attempt.reserve_file.exists()

    def test_a_result_without_any_room_still_reaches_the_driver(self, attempt: Attempt) -> None:
        def work(context: Context) -> Iterator[Progress | Measurement]:
            with (context.folder / "more").open("wb", buffering=0) as file, contextlib.suppress(OSError):
                attempt.reserve_file.unlink()
                while file.write(bytes(4096)):
                    pass
            yield MEASUREMENT

        assert list(attempt.run(self.filled(work))) == [MEASUREMENT]
        assert attempt.result() is None

    def test_whatever_fails_then_is_worth_another_attempt(self, attempt: Attempt) -> None:
        def work(context: Context) -> Iterator[Progress | Measurement]:
            yield Progress(step=1, total=2)
            raise ObjectiveError("exit status 1", log="could not save")

        [_, failure] = attempt.run(self.filled(work))
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.log) == (FailureKind.INFRASTRUCTURE, "could not save")
        assert failure.message.startswith("exit status 1; the disk is full: ")
        assert str(attempt.folder) in failure.message

    def test_that_it_was_cancelled_stays_so(self, attempt: Attempt) -> None:
        [_, failure] = attempt.run(self.filled(raising(Cancelled("told to"))._work))
        assert isinstance(failure, Failure)
        assert failure == Failure(kind=FailureKind.CANCELLED, message="told to")

    def test_not_even_the_folder_has_room(self, small_disk: Any) -> None:
        disk = small_disk("16k")
        with contextlib.suppress(OSError):
            (disk.path / "filler").write_bytes(bytes(2**20))
        [failure] = Attempt(job=JOB, folder=disk.path / "attempt-1").run(Scripted(well))
        assert isinstance(failure, Failure) and failure.kind is FailureKind.INFRASTRUCTURE


class TestSignsOfLife:
    def test_there_are_none_before_it_begins(self, attempt: Attempt) -> None:
        assert (attempt.silence(), attempt.quiet(), attempt.log()) == (None, None, "")

    def test_progress_and_log_are_read_while_it_runs(self, attempt: Attempt) -> None:
        with attempt.heartbeat():
            next(attempt.run(Scripted(well)))
            attempt.log_file.write_text("loss 1.2\n")
            silence, quiet = attempt.silence(), attempt.quiet()
            assert silence is not None and silence < 10
            assert quiet is not None and quiet < 60
            assert attempt.log() == "loss 1.2"


class TestFailure:
    @pytest.mark.parametrize("kind", FailureKind)
    def test_survives_json(self, kind: FailureKind) -> None:
        failure = Failure(kind=kind, message="because", log="line\nline")
        assert Failure.from_json(json.loads(json.dumps(failure.to_json()))) == failure

    def test_what_is_not_the_jobs_own_fault_may_end_otherwise_next_time(self) -> None:
        assert {kind for kind in FailureKind if not kind.deterministic} == {
            FailureKind.INFRASTRUCTURE,
            FailureKind.CANCELLED,
            FailureKind.UNFETCHED,
            FailureKind.ACCESS,
        }


class TestWriteJson:
    def test_replaces_as_a_whole_or_not_at_all(self, tmp_path: Path) -> None:
        path = tmp_path / "data.json"
        write_json(path, {"a": 1})
        with pytest.raises(ValueError, match="not JSON compliant"):
            write_json(path, {"a": [2, float("nan")]})
        assert json.loads(path.read_text()) == {"a": 1}
        assert list(tmp_path.iterdir()) == [path]
