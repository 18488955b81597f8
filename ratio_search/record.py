"""A job as the study remembers it."""

from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass

from objectives.attempt import Failure
from objectives.base import Job, Measurement

IMPORTED = "imported"
"""The origin of a trial that was run elsewhere: it has no attempt, its seeds are not known, and it does not count as
one of those that the study is to run."""


class JobState(enum.StrEnum):
    """Where a job stands.

    ```
    RUNNING ──> COMPLETE    its metrics are all there
       └──────> FAILED      it will not be tried again unchanged
    ```
    """

    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A job with everything known of it.

    Attributes:
        number: its number among its kind, from 0.
        job: what was asked, with its latest attempt.
        origin: why its mixture was proposed, such as `anchor:natural`.
        basis: numbers of the trials that its proposal was conditioned on.
        gain: what trying it was expected to be worth, in score; None where that was not known.
        state: where it stands.
        measurement: what it reported; also there for a failed job that reported something.
        failure: why it failed; an open job can have one, too, when its driver died before it was closed.
        losses: attempts that were lost to the infrastructure.
        started: when it was asked for.
        finished: when it was closed.
        replicate: its number among the confirming runs, which those of one replicate share; None for other jobs.
    """

    number: int
    job: Job
    origin: str
    basis: tuple[int, ...]
    state: JobState
    measurement: Measurement | None
    failure: Failure | None
    losses: int
    started: datetime.datetime | None
    finished: datetime.datetime | None
    gain: float | None = None
    replicate: int | None = None

    @property
    def imported(self) -> bool:
        """Whether it was run elsewhere."""
        return self.origin == IMPORTED

    @property
    def values(self) -> dict[str, float]:
        """The metrics' values, without their standard errors; empty before it reported."""
        if self.measurement is None:
            return {}
        return {name: estimate.value for name, estimate in self.measurement.metrics.items()}

    @property
    def duration(self) -> datetime.timedelta | None:
        """From asking to closing; None before it is closed."""
        if self.started is None or self.finished is None:
            return None
        return self.finished - self.started
