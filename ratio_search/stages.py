"""What is known of the stages of a job on a platform: enough to find each again, and to have none done twice."""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from objectives.attempt import Failure
from objectives.base import Job

LONGEST_NAME = 63
"""Characters that a platform allows in a name."""

DIGEST = 12
"""Characters of a digest that stand for a name's beginning where it is too long."""


class StageState(enum.StrEnum):
    """Where one attempt at a stage stands, as far as the study knows.

    ```
    NAMED ──> SUBMITTED ──> DONE
                  ├───────> FAILED      its job is closed as failed
                  ├───────> LOST        the platform lost it: its job goes on with another attempt
                  └───────> CANCELLED   likewise, once the study is resumed
    ```
    """

    NAMED = "named"
    """The platform may have been asked for it."""
    SUBMITTED = "submitted"
    """The platform has it; it runs, or is over by now."""
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"
    CANCELLED = "cancelled"
    """It was to be cancelled. Where the platform never heard of that, or was done before, it counts as submitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRecord:
    """One attempt at a stage of a job.

    Attributes:
        stage: which one.
        attempt: from 1; one more each time the stage has to be repeated.
        name: what the platform was asked to call it.
        handle: what the platform calls it; None before its answer is stored.
        state: where it stands.
        cost: what it cost so far, as named amounts.
        failure: why it ended early; None otherwise.
    """

    stage: str
    attempt: int
    name: str
    handle: str | None = None
    state: StageState = StageState.NAMED
    cost: Mapping[str, float] = field(default_factory=dict)
    failure: Failure | None = None

    @property
    def left(self) -> bool:
        """Whether it may still run on the platform, and cost."""
        return self.state in (StageState.NAMED, StageState.SUBMITTED)

    def to_json(self) -> dict[str, Any]:
        """The record as plain data."""
        return {
            "stage": self.stage,
            "attempt": self.attempt,
            "name": self.name,
            "handle": self.handle,
            "state": self.state.value,
            "cost": dict(self.cost),
            "failure": None if self.failure is None else self.failure.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The record that `to_json` wrote."""
        failure = data["failure"]
        return cls(
            stage=data["stage"],
            attempt=data["attempt"],
            name=data["name"],
            handle=data["handle"],
            state=StageState(data["state"]),
            cost=dict(data["cost"]),
            failure=None if failure is None else Failure.from_json(failure),
        )


def stage_name(study: str, identifier: str, job: Job, stage: str, attempt: int) -> str:
    """What a platform calls an attempt at a stage: the same whenever it is asked for, and no other one's.

    Args:
        study: its name, for people.
        identifier: the study's own, by which studies of one name differ.
        job: whose stage it is.
        stage: which one.
        attempt: at the stage, from 1.
    """
    # Stages, jobs and identifiers have no sign that is replaced; of a study, its identifier says all.
    plain = re.sub("[^a-zA-Z0-9]+", "-", study).strip("-")
    name = f"{plain}-{identifier}-{job.id}-{stage}-a{attempt}".lstrip("-")
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:DIGEST]
    return f"{digest}-{name[DIGEST + 1 - LONGEST_NAME :]}"


def under_way(stages: Sequence[StageRecord]) -> bool:
    """Whether a job's platform has it, or has been asked for it, and nothing of it has to be repeated."""
    return bool(stages) and (stages[-1].left or stages[-1].state is StageState.DONE)


def latest(stages: Iterable[StageRecord], stage: str) -> StageRecord | None:
    """The last attempt at a stage; None where there was none."""
    return max((one for one in stages if one.stage == stage), key=lambda one: one.attempt, default=None)


def spent(stages: Iterable[StageRecord]) -> dict[str, float]:
    """What stages cost so far, all attempts together, by the name of the amount."""
    total: dict[str, float] = {}
    for one in stages:
        for name, amount in one.cost.items():
            total[name] = total.get(name, 0.0) + amount
    return total
