"""A job as the study remembers it."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from objectives.attempt import Failure
from objectives.base import Job, Measurement
from ratio_search.stages import StageRecord, spent

IMPORTED = "imported"
"""The origin of a trial that was run elsewhere: it has no attempt, its seeds are not known, and it does not count as
one of those that the study is to run."""


MAX_LOSSES = 3
"""Attempts of one job that may be lost to the infrastructure before the job counts as failed."""


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
        failure: why it failed; an open job can have one, too, when its driver died before it was closed, or when what
            its platform has of it cannot be fetched.
        losses: attempts that were lost to the infrastructure.
        started: when it was asked for.
        finished: when it was closed.
        replicate: its number among the confirming runs, which those of one replicate share; None for other jobs.
        stages: what its platform was asked for, in order, repeats included; empty for a job that runs here.
        spent: what is known of the cost of each attempt that ended without a measurement, by its number.
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
    stages: tuple[StageRecord, ...] = ()
    spent: Mapping[int, Mapping[str, float]] = field(default_factory=dict)

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
    def cost(self) -> dict[str, float]:
        """What all attempts at it cost, as far as that is known, as named amounts."""
        total = dict({} if self.measurement is None else self.measurement.cost)
        for name, amount in spent(self.stages).items():  # a platform's amounts may stand in both
            total[name] = max(total.get(name, 0.0), amount)
        for cost in self.spent.values():
            for name, amount in cost.items():
                total[name] = total.get(name, 0.0) + amount
        return total

    @property
    def duration(self) -> datetime.timedelta | None:
        """From asking to closing; None before it is closed, or if the clock was set back in between."""
        if self.started is None or self.finished is None or self.finished < self.started:
            return None
        return self.finished - self.started
