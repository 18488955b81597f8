"""One try at a job: its folder on disk, and the function that runs it there.

This is what a worker executes. Only this module knows the names of the files in an attempt's folder.
"""

from __future__ import annotations

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
from objectives.errors import Cancelled, DeviceError, ObjectiveError, RatioSearchError, ResultError

LOG_TAIL = 4_000
"""Characters of a failure's log or traceback that are kept with it."""


MACHINE_ERRORS = frozenset(
    {errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EROFS, errno.ESTALE}
)
"""System errors that speak of the machine, such as a full disk, and not of the job."""

COPY_TRIES = 3
"""How often a checkpoint is copied that changes meanwhile, because a dead driver's worker lives on for seconds."""


class FailureKind(enum.StrEnum):
    """Who is at fault when a job fails, which decides whether it is tried again."""

    OBJECTIVE = "objective"
    """The fine-tune, its settings or its data: unchanged, it would fail again."""
    RESULT = "result"
    """It finished, but what it reported cannot be used: unchanged, it would do so again."""
    INFRASTRUCTURE = "infrastructure"
    """The worker or its machine was lost, or is out of disk or memory: worth another attempt."""
    CANCELLED = "cancelled"
    """It ended because it was told to."""

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
            return cls(kind=FailureKind.INFRASTRUCTURE, message=str(error))
        if isinstance(error, RatioSearchError):
            return cls(kind=FailureKind.OBJECTIVE, message=str(error))
        machine = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in MACHINE_ERRORS)
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
        previous: folder of the last attempt at the same job; None for a first one.
    """

    job: Job
    folder: Path
    previous: Path | None = None

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
    def checkpoint(self) -> Path:
        """Folder of the attempt's checkpoints."""
        return self.folder / "checkpoint"

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

    def progress(self) -> Progress | None:
        """How far the attempt said it was; None before it said anything."""
        try:
            return Progress(**json.loads(self.progress_file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def run(self, objective: Objective, cancelled: Callable[[], bool] = lambda: False) -> Iterator[Event]:
        """Runs the job in this folder and reports; never raises for the job's own failure.

        The measurement is on disk, complete, before it is reported.

        Args:
            objective: built for this study.
            cancelled: becomes True when the job should save a checkpoint and end.
        """
        try:
            self._prepare()
            for event in objective.run(
                self.job, Context(folder=self.folder, checkpoint=self.checkpoint, cancelled=cancelled)
            ):
                if isinstance(event, Measurement):
                    write_json(self.result_file, event.to_json())
                    yield event
                    return
                write_json(self.progress_file, {"step": event.step, "total": event.total, "note": event.note})
                yield event
            raise ResultError(f"the objective ended job {self.job.id} without a measurement")
        except Exception as error:
            yield Failure.of(error)

    def _prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.job_file, self.job.to_json())
        if self.checkpoint.exists():
            return
        # Copied beside and renamed, so that an attempt killed here leaves no half checkpoint behind.
        copy = self.folder / "checkpoint.partial"
        for _ in range(COPY_TRIES if self.previous is not None else 0):
            assert self.previous is not None
            shutil.rmtree(copy, ignore_errors=True)
            try:
                shutil.copytree(self.previous / "checkpoint", copy, ignore=shutil.ignore_patterns("*.partial"))
                break
            except (FileNotFoundError, shutil.Error):
                continue  # there is none, or a file vanished while it was copied
        else:
            shutil.rmtree(copy, ignore_errors=True)
            copy.mkdir()
        copy.rename(self.checkpoint)


def write_json(path: Path, data: Any) -> None:
    """Writes JSON so that `path` holds what it held before or all of `data`, also after a power loss."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            json.dump(data, file, indent=2, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
