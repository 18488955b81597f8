"""Where attempts are run: one built objective, and one attempt at a time on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from objectives.attempt import Attempt, Event, Failure
from objectives.backends import Blueprint
from objectives.base import Objective, Progress


class Workplace:
    """Builds the objective once, and runs attempts on it one at a time."""

    def __init__(self, blueprint: Blueprint) -> None:
        self._blueprint = blueprint
        self._objective: Objective | None = None

    def run(self, attempt: Attempt, cancelled: Callable[[], bool]) -> Iterator[Event]:
        """Runs one attempt; its failure, or the objective's, is its last event, and its first one comes at once."""
        yield Progress(step=0, total=0, note="begun" if self._objective else "loading model and data")
        with attempt.heartbeat():
            if self._objective is None:
                try:
                    self._objective = self._blueprint.build()
                except Exception as error:
                    yield Failure.of(error)
                    return
            yield from attempt.run(self._objective, cancelled)
