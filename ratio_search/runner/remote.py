"""Runs attempts on a platform: starts their stages by small calls, and watches them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from objectives.attempt import Attempt
from objectives.backends import Blueprint
from ratio_search.runner.course import Calls, Course, Journal
from ratio_search.runner.runner import Report


class RemoteRunner:
    """Runs attempts on a platform, as many at a time as there are slots.

    All that it knows is in its journal, and only the driver's thread writes there. Calls to the platform are made in
    threads, one at a time for each attempt, so that one without an answer holds up its own attempt alone.
    """

    def __init__(
        self, blueprint: Blueprint, slots: int, journal: Journal, cancelling: Callable[[], bool] = lambda: False
    ) -> None:
        """Prepares the runner.

        Args:
            blueprint: what it builds.
            slots: attempts at a time, >= 1.
            journal: where the stages of jobs are kept.
            cancelling: asked when the driver stops: whether stages that run are to be cancelled, as against left alone.
        """
        self.slots = slots
        self.stuck = False
        self._blueprint = blueprint
        self._journal = journal
        self._cancelling = cancelling
        self._calls = Calls(slots)
        self._stopping = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._reports: asyncio.Queue[Report | Exception] = asyncio.Queue()

    def __enter__(self) -> Self:
        """Builds the objective.

        Raises:
            DataError, OptionsError: it cannot be built.
        """
        self._objective = self._blueprint.connect()
        self._loop = asyncio.new_event_loop()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Turns away from whatever still runs; on the platform it goes on."""
        self._loop.run_until_complete(self._abandoned())
        self._loop.close()
        self.stuck = self._calls.close()

    def submit(self, attempt: Attempt) -> None:
        """Goes on with an attempt where its journal says that it is; its folder exists."""
        course = Course(
            attempt=attempt,
            objective=self._objective,
            journal=self._journal,
            call=self._calls,
            tell=lambda event: self._reports.put_nowait(Report(attempt=attempt, event=event)),
            stopping=self._stopping,
            cancelling=self._cancelling,
        )
        self._tasks[attempt.job.id] = self._loop.create_task(self._run(course))

    def reports(self, timeout_s: float) -> Iterator[Report]:
        """What attempts have come to since the last call; waits at most this long for the first."""
        if not self._tasks:
            return
        report = self._loop.run_until_complete(self._first(timeout_s))
        while report is not None:
            if isinstance(report, Exception):
                raise report
            if report.last:
                del self._tasks[report.attempt.job.id]
            yield report
            report = None if self._reports.empty() else self._reports.get_nowait()

    def cancel(self) -> None:
        """Begins no stage any more; those that run go on unwatched, or are cancelled where that is asked."""
        self._stopping.set()

    async def _abandoned(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _first(self, timeout_s: float) -> Report | Exception | None:
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(self._reports.get(), timeout_s)
        return None

    async def _run(self, course: Course) -> None:
        try:
            course.tell(await course.run())
        except Exception as error:  # the driver's own: the journal cannot be written, or the lease is lost
            self._reports.put_nowait(error)
