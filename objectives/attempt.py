"""One try at a job: its folder on disk, and the function that runs it there.

This is what a worker executes. Only this module knows the names of the files in an attempt's folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import errno
import json
import os
import shutil
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from objectives.base import Context, Job, Measurement, Objective, Progress
from objectives.disk import Reserve, room
from objectives.errors import AccessError, Cancelled, DeviceError, ObjectiveError, RatioSearchError, ResultError
from objectives.fence import PATIENCE_S, Fence
from objectives.heartbeat import Heartbeat, age, silence
from objectives.log import last_lines

LOG_TAIL = 4_000
"""Characters of a failure's log or traceback that are kept with it."""


MACHINE_ERRORS = frozenset(
    {errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EROFS, errno.ESTALE}
)
"""System errors that speak of the machine, such as a full disk, and not of the job."""

FULL_BYTES = 2**24
"""With less than this left, a disk is full enough to be why a fine-tune failed."""

COPY_TRIES = 3
"""How often a checkpoint is copied that changes meanwhile; without locks, a dead driver's worker writes for seconds."""


class FailureKind(enum.StrEnum):
    """Who is at fault when a job fails, which decides whether it is tried again."""

    OBJECTIVE = "objective"
    """The fine-tune, its settings or its data: unchanged, it would fail again."""
    RESULT = "result"
    """It finished, but what it reported cannot be used: unchanged, it would do so again."""
    INFRASTRUCTURE = "infrastructure"
    """The worker or its machine was lost, taken away, or is out of disk: worth another attempt."""
    CANCELLED = "cancelled"
    """It ended because it was told to."""
    UNFETCHED = "unfetched"
    """Its platform has it, and does not hand out what it found, or how it is: it stays open, as it is paid for."""
    ACCESS = "access"
    """Its platform lets this driver do nothing: it stays as it is until somebody has repaired that."""

    @property
    def deterministic(self) -> bool:
        """Whether the same job would fail in the same way again."""
        return self in (FailureKind.OBJECTIVE, FailureKind.RESULT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a job did not finish.

    Attributes:
        kind: who is at fault.
        message: what happened, for people.
        log: the last lines of output or the traceback; may be empty.
    """

    kind: FailureKind
    message: str
    log: str = ""

    def to_json(self) -> dict[str, str]:
        """The failure as plain data."""
        return {"kind": self.kind.value, "message": self.message, "log": self.log}

    @classmethod
    def from_json(cls, data: Mapping[str, str]) -> Self:
        """The failure that `to_json` wrote."""
        return cls(kind=FailureKind(data["kind"]), message=data["message"], log=data["log"])

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """The failure that an objective's exception amounts to."""
        if isinstance(error, Cancelled):
            return cls(kind=FailureKind.CANCELLED, message=str(error), log=error.log[-LOG_TAIL:])
        if isinstance(error, ResultError):
            return cls(kind=FailureKind.RESULT, message=str(error), log=error.log[-LOG_TAIL:])
        if isinstance(error, ObjectiveError):
            return cls(kind=FailureKind.OBJECTIVE, message=str(error), log=error.log[-LOG_TAIL:])
        if isinstance(error, DeviceError):
            return cls(kind=FailureKind.INFRASTRUCTURE, message=str(error), log=error.log[-LOG_TAIL:])
        if isinstance(error, AccessError):
            return cls(kind=FailureKind.ACCESS, message=str(error))
        if isinstance(error, RatioSearchError):
            return cls(kind=FailureKind.OBJECTIVE, message=str(error))
        machine = isinstance(error, OSError) and error.errno in MACHINE_ERRORS
        kind = FailureKind.INFRASTRUCTURE if machine else FailureKind.OBJECTIVE
        trace = "".join(traceback.format_exception(error))[-LOG_TAIL:]
        return cls(kind=kind, message=f"{type(error).__name__}: {error}", log=trace)


Event = Progress | Measurement | Failure
"""What an attempt reports: progress, and last either its measurement or its failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A job together with the folder of this try at it.

    Attributes:
        job: what to run.
        folder: the attempt's own folder; made when the attempt starts.
        earlier: folders of all attempts at the same job before this one, the latest first.
    """

    job: Job
    folder: Path
    earlier: tuple[Path, ...] = ()

    @property
    def job_file(self) -> Path:
        """The job, as JSON."""
        return self.folder / "job.json"

    @property
    def result_file(self) -> Path:
        """The measurement, as JSON; it appears complete or not at all."""
        return self.folder / "result.json"

    @property
    def progress_file(self) -> Path:
        """The latest progress, as JSON."""
        return self.folder / "progress.json"

    @property
    def heartbeat_file(self) -> Path:
        """Renewed as long as a worker has the attempt."""
        return self.folder / "heartbeat"

    @property
    def log_file(self) -> Path:
        """What the trainer says, where it says anything."""
        return self.folder / "log.txt"

    @property
    def reserve_file(self) -> Path:
        """Room that is held for the measurement."""
        return self.folder / "reserve"

    @property
    def checkpoint(self) -> Path:
        """Folder of the attempt's checkpoints."""
        return self.folder / "checkpoint"

    @property
    def lock_file(self) -> Path:
        """Held by the job's running attempt, beside the folders of all of them."""
        return self.folder.parent / "lock"

    @property
    def previous(self) -> Path | None:
        """Folder of the latest earlier attempt that left checkpoints; None if there is none."""
        return next((folder for folder in self.earlier if _checkpoint_in(folder) is not None), None)

    def result(self) -> Measurement | None:
        """The measurement on disk, if the attempt finished.

        Raises:
            ResultError: the file is there and cannot be read.
        """
        try:
            return Measurement.from_json(json.loads(self.result_file.read_bytes()))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError as error:
            raise ResultError(f"{self.result_file}: not JSON ({error})") from error

    def finished(self) -> Attempt | None:
        """The latest attempt so far, this one included, whose measurement is on disk; None if there is none.

        Raises:
            ResultError: there is none, but this one's file is there and cannot be read.
        """
        damage: ResultError | None = None
        for number, folder in enumerate((self.folder, *self.earlier)):
            job = dataclasses.replace(self.job, attempt=self.job.attempt - number)
            one = dataclasses.replace(self, job=job, folder=folder, earlier=self.earlier[number:])
            try:
                if one.result() is not None:
                    return one
            except ResultError as error:
                damage = damage or (error if number == 0 else None)
        if damage is not None:
            raise damage
        return None

    def progress(self) -> Progress | None:
        """How far the attempt said it was; None before it said anything."""
        try:
            return Progress(**json.loads(self.progress_file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def log(self) -> str:
        """The last lines of what the trainer said; empty where it said nothing."""
        return last_lines(self.log_file)

    def silence(self) -> float | None:
        """Seconds since a worker gave the last sign of life; None before the first."""
        return silence(self.heartbeat_file)

    def quiet(self) -> float | None:
        """Seconds since the last progress; None before the first."""
        return age(self.progress_file)

    def heartbeat(self) -> Heartbeat:
        """What a worker keeps up as long as it has the attempt."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
        return Heartbeat(self.heartbeat_file)

    @property
    def begun(self) -> float | None:
        """When it began, in seconds since 1970; None before."""
        try:
            return self.job_file.stat().st_mtime
        except OSError:
            return None

    def spent(self) -> dict[str, float]:
        """What is known of the cost of an attempt that has left no measurement: what it last reported, and its time.

        Its time is that from its beginning to the last sign of life, by the times of its files.
        """
        progress, begun = self.progress(), self.begun
        cost = {} if progress is None else dict(progress.cost)
        if begun is None:
            return cost
        last = begun
        for file in os.scandir(self.folder):
            with contextlib.suppress(OSError):  # it was removed meanwhile
                last = max(last, file.stat().st_mtime)
        return {"wall_seconds": last - begun, **cost}

    def run(
        self, objective: Objective, cancelled: Callable[[], bool] = lambda: False, patience_s: float = PATIENCE_S
    ) -> Iterator[Event]:
        """Runs the job in this folder and reports; never raises for the job's own failure.

        The measurement is on disk, complete, before it is reported. What is left of an earlier attempt is waited for;
        if that finished after all, its measurement is reported, and nothing is run.

        Args:
            objective: built for this study.
            cancelled: becomes True when the job should save a checkpoint and end.
            patience_s: how long to wait for what is left of an earlier attempt.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with Fence(self.lock_file, f"attempt {self.job.attempt}", cancelled, patience_s) as fence:
                finished = self.finished()
                measured = None if finished is None else finished.result()
                if measured is None:
                    self.prepare()
                    context = Context(
                        folder=self.folder, checkpoint=self.checkpoint, cancelled=cancelled, lock=fence.number
                    )
                    with Reserve(self.reserve_file) as reserve:
                        for event in objective.run(self.job, context):
                            if isinstance(event, Measurement):
                                self._keep(event, reserve)
                                measured = event
                                break
                            self.note(event)
                            yield event
            if measured is None:
                raise ResultError(f"the objective ended job {self.job.id} without a measurement")
            yield measured
        except Exception as error:
            yield self._blamed(Failure.of(error))

    def note(self, progress: Progress) -> None:
        """Writes how far the attempt is."""
        with contextlib.suppress(OSError):  # no fine-tune ends because a report finds no room
            write_json(self.progress_file, dataclasses.asdict(progress))

    def belongings(self) -> list[Path]:
        """The files that the objective left in the attempt's folder, relative to it, but for checkpoints."""
        ours = {self.job_file, self.result_file, self.progress_file, self.heartbeat_file, self.reserve_file}
        top = [path for path in sorted(self.folder.iterdir()) if path not in ours and path != self.checkpoint]
        files = [file for path in top for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
        found = [file.relative_to(self.folder) for file in files if file.is_file()]
        return [path for path in found if not any(part.endswith(".partial") for part in path.parts)]

    def _keep(self, measured: Measurement, reserve: Reserve) -> None:
        """Writes the result file. Where even the reserve does not suffice, the driver may have room."""
        try:
            write_json(self.result_file, measured.to_json())
        except OSError:
            reserve.give_up()
            with contextlib.suppress(OSError):
                write_json(self.result_file, measured.to_json())

    def _blamed(self, failure: Failure) -> Failure:
        """The failure, laid at the machine's door where the attempt's disk is full: it would go well with more room."""
        left = room(self.folder)
        if not failure.kind.deterministic or left is None or left >= FULL_BYTES:
            return failure
        message = f"{failure.message}; the disk is full: {left:,} bytes are left at {self.folder}"
        return dataclasses.replace(failure, kind=FailureKind.INFRASTRUCTURE, message=message)

    def prepare(self) -> None:
        """Notes the job in the attempt's folder, which is there, and copies the last checkpoints, to go on from."""
        write_json(self.job_file, self.job.to_json())
        if self.checkpoint.exists():
            return
        # Copied beside and renamed, so that an attempt killed here leaves no half checkpoint behind.
        copy, previous = self.folder / "checkpoint.partial", self.previous
        for _ in range(COPY_TRIES if previous is not None else 0):
            assert previous is not None
            shutil.rmtree(copy, ignore_errors=True)
            try:
                shutil.copytree(_checkpoint_in(previous) or previous, copy, ignore=shutil.ignore_patterns("*.partial"))
                break
            except (FileNotFoundError, shutil.Error):
                continue  # there is none, or a file vanished while it was copied
        else:
            shutil.rmtree(copy, ignore_errors=True)
            copy.mkdir()
        copy.rename(self.checkpoint)

    def replace_checkpoint(self, fresh: Path) -> None:
        """Takes a complete checkpoint that lies beside the last one, which is there until the new one is."""
        old = self.folder / "checkpoint.old"
        shutil.rmtree(old, ignore_errors=True)
        if self.checkpoint.exists():
            self.checkpoint.rename(old)
        fresh.rename(self.checkpoint)
        shutil.rmtree(old, ignore_errors=True)


def _checkpoint_in(folder: Path) -> Path | None:
    """The checkpoints in an attempt's folder, or those that were just being replaced; None if there are none."""
    return next((path for path in (folder / "checkpoint", folder / "checkpoint.old") if path.is_dir()), None)


def write_json(path: Path, data: Any) -> None:
    """Writes JSON so that `path` holds what it held before or all of `data`, also after a power loss."""
    write_whole(path, json.dumps(data, indent=2, allow_nan=False) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Writes text so that `path` holds what it held before or all of it, also after a power loss."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
