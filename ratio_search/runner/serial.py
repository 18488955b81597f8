"""Runs attempts one after another in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from objectives.attempt import Attempt
from objectives.backends import Blueprint
from ratio_search.runner.runner import Report
from ratio_search.runner.workplace import Workplace


class SerialRunner:
    """Runs one attempt at a time in this process. For debugging, and for objectives that are over at once."""

    slots = 1
    stuck = False

    def __init__(self, blueprint: Blueprint, stopping: Callable[[], bool] = lambda: False) -> None:
        """Prepares the runner.

        Args:
            blueprint: what it builds.
            stopping: becomes true when the attempt should end; nobody else can tell it while it runs.
        """
        self._workplace = Workplace(blueprint)
        self._stopping = stopping
        self._waiting: list[Attempt] = []
        self._cancelled = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.clear()

    def submit(self, attempt: Attempt) -> None:
        """Keeps the attempt until `reports` runs it."""
        assert not self._waiting, "no free slot"
        self._waiting.append(attempt)

    def reports(self, timeout_s: float) -> Iterator[Report]:
        """Runs the submitted attempt to its end, yielding what it reports as it comes."""
        while self._waiting:
            attempt = self._waiting.pop()
            for event in self._workplace.run(attempt, lambda: self._cancelled or self._stopping()):
                yield Report(attempt=attempt, event=event)

    def cancel(self) -> None:
        """Asks the attempt that runs, and those that follow, to end."""
        self._cancelled = True
