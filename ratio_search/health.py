"""How well a study does: what each open job does and which are stuck, why jobs failed, and the room on its disk."""

from __future__ import annotations

import datetime
import enum
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from objectives.attempt import Failure, FailureKind
from objectives.base import Progress
from objectives.disk import room
from ratio_search.record import JobState, Record
from ratio_search.study import Study


class Doing(enum.StrEnum):
    """What becomes of an open job at the moment."""

    WAITING = "waiting"
    """No worker has begun with its attempt."""
    RUNNING = "running"
    """Whoever runs it gives signs of life."""
    STUCK = "stuck"
    """Whoever runs it has given none for too long, though a driver runs."""
    ELSEWHERE = "elsewhere"
    """A platform has it."""
    LEFT = "left"
    """No driver runs, and nobody gives a sign of life: it goes on when the study is resumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What an open job does.

    Attributes:
        record: the job.
        doing: what becomes of it.
        silent_s: seconds since the last sign of life; None before the first.
        progress: how far it last said it was; None before it said anything.
        quiet_s: seconds since then; None likewise.
        log: last lines of what the trainer said, for a job that is stuck; empty otherwise.
    """

    record: Record
    doing: Doing
    silent_s: float | None
    progress: Progress | None
    quiet_s: float | None
    log: str

    @classmethod
    def of(cls, study: Study, record: Record, *, driven: bool) -> Self:
        """What an open job does.

        Args:
            study: whose it is.
            record: the job.
            driven: whether a driver runs.
        """
        attempt = study.attempt(record.job)
        silent = attempt.silence()
        alive = silent is not None and silent < study.spec.health.stuck_after_s
        if record.stages:
            doing = Doing.ELSEWHERE
        elif alive:
            doing = Doing.RUNNING
        elif not driven:
            doing = Doing.LEFT
        else:
            doing = Doing.WAITING if silent is None else Doing.STUCK
        return cls(
            record=record,
            doing=doing,
            silent_s=silent,
            progress=attempt.progress(),
            quiet_s=attempt.quiet(),
            log=attempt.log() if doing is Doing.STUCK else "",
        )

    @property
    def since(self) -> datetime.datetime | None:
        """When the last sign of life was given; None before the first."""
        if self.silent_s is None:
            return None
        return datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=self.silent_s)

    def to_json(self) -> dict[str, Any]:
        """The activity as plain data."""
        since = self.since
        return {
            "job": self.record.job.id,
            "attempt": self.record.job.attempt,
            "doing": self.doing.value,
            "since": None if since is None else since.isoformat(timespec="seconds"),
            "silent_s": self.silent_s,
            "progress": progress_text(self.progress),
            "quiet_s": self.quiet_s,
            "lost_attempts": self.record.losses,
            "stages": [f"{stage.stage}: {stage.state}" for stage in self.record.stages],
            "unfetched": None if self.record.failure is None else self.record.failure.message,
            "log": self.log,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why jobs failed, those alike in one.

    Attributes:
        kind: who is at fault.
        message: what happened; as `pattern` where several jobs failed for it.
        jobs: that failed for it, in order.
        log: the last lines of the latest one's log.
    """

    kind: FailureKind
    message: str
    jobs: tuple[str, ...]
    log: str

    @classmethod
    def of(cls, failed: Sequence[tuple[str, Failure]]) -> Self:
        """The reason that failures have in common.

        Args:
            failed: jobs with their failures, in order; at least one.
        """
        latest = failed[-1][1]
        message = latest.message if len(failed) == 1 else pattern(latest.message)
        return cls(kind=latest.kind, message=message, jobs=tuple(job for job, _ in failed), log=latest.log)

    def to_json(self) -> dict[str, Any]:
        """The reason as plain data."""
        return {
            "kind": self.kind.value,
            "message": self.message,
            "count": len(self.jobs),
            "jobs": list(self.jobs),
            "log": self.log,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How well a study does.

    Attributes:
        activities: of the open jobs.
        reasons: why jobs failed, the most frequent first.
        folder: where the study lies.
        free: bytes that are left there; None if nobody knows.
        floor_gb: below it nothing new is started; None where there is no such thing.
        stuck_after_s: seconds without a sign of life from which on a job counts as stuck.
    """

    activities: tuple[Activity, ...]
    reasons: tuple[Reason, ...]
    folder: Path
    free: int | None
    floor_gb: float | None
    stuck_after_s: float

    @classmethod
    def of(cls, study: Study, records: Iterable[Record], *, driven: bool) -> Self:
        """The health of a study.

        Args:
            study: which one.
            records: all its jobs.
            driven: whether a driver runs.
        """
        groups: dict[tuple[FailureKind, str], list[tuple[str, Failure]]] = {}
        activities = []
        for record in records:
            if record.state is JobState.RUNNING:
                activities.append(Activity.of(study, record, driven=driven))
            elif record.failure is not None:
                key = record.failure.kind, pattern(record.failure.message)
                groups.setdefault(key, []).append((record.job.id, record.failure))
        reasons = sorted(map(Reason.of, groups.values()), key=lambda reason: -len(reason.jobs))
        return cls(
            activities=tuple(activities),
            reasons=tuple(reasons),
            folder=study.folder.path,
            free=room(study.folder.path),
            floor_gb=study.spec.health.floor_gb,
            stuck_after_s=study.spec.health.stuck_after_s,
        )

    def to_json(self) -> dict[str, Any]:
        """The health as plain data."""
        free_gb = None if self.free is None else self.free / 1e9
        return {
            "stuck": [one.record.job.id for one in self.activities if one.doing is Doing.STUCK],
            "stuck_after_s": self.stuck_after_s,
            "reasons": [reason.to_json() for reason in self.reasons],
            "disk": {
                "folder": str(self.folder),
                "free_gb": free_gb,
                "floor_gb": self.floor_gb,
                "low": free_gb is not None and self.floor_gb is not None and free_gb < self.floor_gb,
            },
        }


def pattern(message: str) -> str:
    """A message without its numbers: those of one cause often differ."""
    return re.sub(r"[0-9]+", "#", message)


def progress_text(progress: Progress | None) -> str:
    """How far a job is, in words; empty when it has not said."""
    if progress is None:
        return ""
    steps = f"step {progress.step} of {progress.total}" if progress.total else ""
    return " ".join(filter(None, (steps, progress.note)))
