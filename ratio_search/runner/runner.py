"""What runs attempts and yields what they report; it knows neither Optuna nor scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from objectives.attempt import Attempt, Event
from objectives.base import Progress

WAITING = "waiting for a place in the cluster"
"""How the note of an attempt's progress begins that cannot be started yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One thing that an attempt reported.

    Attributes:
        attempt: who reports.
        event: progress, or last a measurement or a failure.
    """

    attempt: Attempt
    event: Event

    @property
    def last(self) -> bool:
        """Whether the attempt is over."""
        return not isinstance(self.event, Progress)


class Runner(Protocol):
    """Runs attempts, up to `slots` at a time. A context manager: leaving it ends everything that runs.

    Attributes:
        slots: attempts at a time.
        stuck: whether, after leaving it, something still waits for what is no longer there, so that this process
            would not end by itself.
    """

    slots: int
    stuck: bool

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def submit(self, attempt: Attempt) -> None:
        """Starts an attempt; there must be a free slot."""
        ...

    def reports(self, timeout_s: float) -> Iterator[Report]:
        """What running attempts have reported since the last call; waits at most this long for the first."""
        ...

    def cancel(self) -> None:
        """Asks all running attempts to save a checkpoint and end; each still reports its end."""
        ...
