"""The loop of a driver: ask, submit, wait, store, tell; until enough, told to stop, or failing."""

from __future__ import annotations

import collections
import contextlib
import enum
import time
from collections.abc import Callable
from typing import Protocol

from objectives.attempt import Failure, FailureKind
from objectives.base import Job, Measurement, Progress
from objectives.errors import AccessError
from ratio_search.agenda import MAX_FAILURES_IN_A_ROW, Agenda, Trials, unfetched
from ratio_search.bookkeeping import Bookkeeper
from ratio_search.errors import StudyFailed
from ratio_search.floor import DiskFloor
from ratio_search.keep import Keeper
from ratio_search.record import Record
from ratio_search.runner import Report, Runner
from ratio_search.stages import under_way
from ratio_search.storage import STORAGE_ERRORS
from ratio_search.study import Study

POLL_S = 0.5
"""How long the driver waits for a report before it looks whether it should stop."""


class Moment(enum.StrEnum):
    """The points of a job's life that a listener is told of, in this order; each is durable when it is told."""

    ASKED = "asked"
    """Its intent is stored."""
    SUBMITTED = "submitted"
    """A worker has it."""
    PROGRESS = "progress"
    """It reported how far it is."""
    REPORTED = "reported"
    """Its result file is complete."""
    STORED = "stored"
    """Its metrics are stored, but it is not closed."""
    CLOSED = "closed"
    """It is complete or failed."""
    LOST = "lost"
    """An attempt was lost to the infrastructure; the job is tried again."""
    PAUSED = "paused"
    """It ended early because the driver stops, or may do nothing; it goes on when the study is resumed."""
    UNFETCHED = "unfetched"
    """Its platform has it, and what it found cannot be fetched; it stays open for the next driver."""


class Ending(enum.StrEnum):
    """Why a driver ended."""

    DONE = "done"
    """All trials are finished, or one more is not worth it; then the study has an `early_stop`."""
    BUDGET = "budget"
    """One more job would go beyond a limit of the budget."""
    STOPPED = "stopped"
    """It was told to stop; the study can be resumed."""


class Listener(Protocol):
    """Is told what happens, for a display or a test."""

    def __call__(self, moment: Moment, job: Job, detail: Progress | Record | Failure | None) -> None:
        """Takes note; what it raises ends the driver."""
        ...


class Search:
    """Drives a study to its end. The caller holds the study's lease and has entered the runner."""

    def __init__(
        self,
        study: Study,
        runner: Runner,
        listener: Listener = lambda moment, job, detail: None,
        stopping: Callable[[], bool] = lambda: False,
        agenda: Agenda | None = None,
        floor: DiskFloor | None = None,
    ) -> None:
        """Prepares a driver.

        Args:
            study: what to drive.
            runner: runs the jobs.
            listener: told of every moment.
            stopping: asked in every round; once true, nothing new is asked, and running jobs are told to save a
                checkpoint and end.
            agenda: what to work off; None for the study's trials.
            floor: below it nothing new is started; None asks for no room.
        """
        self._study = study
        self._agenda = agenda or Trials(study)
        self._runner = runner
        self._keeper = Keeper(study)
        self._listener = listener
        self._stopping = stopping
        self._floor = floor
        self._waiting: collections.deque[Job] = collections.deque()
        self._running: dict[str, Job] = {}
        self._ending: Ending | None = None
        self._fatal: str | None = None
        self._denied: str | None = None  # why the platform lets nobody do anything
        self._unfetched: list[tuple[Job, Failure]] = []
        self._in_a_row = 0  # without one in between that could be fetched
        self._books = Bookkeeper(study)

    def run(self) -> Ending:
        """Runs until the study is done, its budget allows no more, or it is told to stop.

        Raises:
            StudyFailed: its work fails, as the agenda decides.
            AccessError: its platform lets this driver do nothing; every job stays open.
        """
        self._study.begin()
        try:
            self._waiting.extend(self._agenda.unfinished())
            while True:
                self._decide()
                # Asked once: room that is made meanwhile must not look like a study with nothing left to do.
                held_up = self._fill()
                if not self._running and not (held_up and self._waits_for_room()):
                    break
                for report in self._runner.reports(POLL_S):
                    self._decide()
                    self._take(report)
        except BaseException as error:
            with contextlib.suppress(*STORAGE_ERRORS):  # what ended it counts, and not what that prevents
                self._end(f"{type(error).__name__}: {error}")
            raise
        if self._ending is not Ending.STOPPED and self._unfetched:
            self._fatal = unfetched(self._unfetched)
        self._end(self._denied or self._fatal or (self._ending or Ending.DONE).value)
        if self._denied is not None:
            raise AccessError(self._denied)
        if self._fatal is not None:
            raise StudyFailed(self._fatal)
        return self._ending or Ending.DONE

    def _end(self, why: str) -> None:
        self._books.store()
        self._study.folder.log("ended", why=why)

    def _decide(self) -> None:
        """Whether anything new may be asked for."""
        over = self._fatal is not None or self._denied is not None
        if self._ending is not Ending.STOPPED and (self._stopping() or over):
            self._ending = Ending.STOPPED
            self._runner.cancel()
        self._books.pass_time()

    def _waits_for_room(self) -> bool:
        """Waits a moment for room for what is left to do; whether that is worth it."""
        assert self._floor is not None, "nothing else holds a study up"
        why = self._floor.hopeless()
        if why is not None:
            self._fatal = f"{why}; then: ratio-search resume {self._study.folder.path}"
            return False
        time.sleep(POLL_S)
        return True

    def _held_up(self) -> bool:
        """Whether there is something left to do, and no room on the disk for it."""
        if self._floor is None:
            return False
        if not self._floor.low():
            self._floor.go_on()
            return False
        if not self._waiting and self._agenda.complete >= self._agenda.planned:
            return False
        self._floor.pause()
        return True

    def _fill(self) -> bool:
        """Starts what may be started; whether room is lacking for more."""
        while self._ending is None and len(self._running) < self._runner.slots:
            if self._held_up():
                return True
            job = self._paid()
            if job is None and not self._books.allows_another():
                if not self._running and not self._agenda.done:
                    self._ending = Ending.BUDGET
                return False
            if job is None:
                job = self._waiting.popleft() if self._waiting else self._agenda.ask()
            if job is None:
                return False
            self._listener(Moment.ASKED, job, None)
            self._runner.submit(self._study.start(job))
            self._running[job.id] = job
            self._books.began(job)
            self._listener(Moment.SUBMITTED, job, None)
        return False

    def _paid(self) -> Job | None:
        """A job that only waits to be watched on its platform, which costs nothing more; None where there is none."""
        if not self._study.spec.backend.REMOTE:
            return None
        paid = next((job for job in self._waiting if under_way(self._study.stages(job.id))), None)
        if paid is not None:
            self._waiting.remove(paid)
        return paid

    def _take(self, report: Report) -> None:
        job, event = report.attempt.job, report.event
        if isinstance(event, Progress):
            self._listener(Moment.PROGRESS, job, event)
            return
        del self._running[job.id]
        if isinstance(event, Failure) and event.kind is FailureKind.ACCESS:
            self._denied = self._denied or event.message
        if job.attempt > 1 or (isinstance(event, Failure) and event.kind is FailureKind.INFRASTRUCTURE):
            # An earlier attempt finished after all, or this one did before its worker died.
            found = self._study.found(job)
            event = found if isinstance(found, Measurement) else event
        self._books.ended(job, event)
        if isinstance(event, Measurement):
            self._finish(job, event)
        elif event.kind is FailureKind.CANCELLED and self._ending is Ending.STOPPED:
            self._listener(Moment.PAUSED, job, event)
        elif event.kind is FailureKind.INFRASTRUCTURE and self._study.lost(job):
            self._waiting.appendleft(self._study.again(job))
            self._listener(Moment.LOST, job, event)
        elif event.kind is FailureKind.UNFETCHED:
            self._leave_open(job, event)
        elif event.kind is FailureKind.ACCESS:
            self._listener(Moment.PAUSED, job, event)
        else:
            self._closed(self._study.fail(job.id, event))

    def _leave_open(self, job: Job, failure: Failure) -> None:
        self._study.leave_open(job.id, failure)
        self._unfetched.append((job, failure))
        self._in_a_row += 1
        if job.mixture is None or self._in_a_row >= MAX_FAILURES_IN_A_ROW:  # money would be spent blindly
            self._fatal = self._fatal or unfetched(self._unfetched)
        self._listener(Moment.UNFETCHED, job, failure)

    def _finish(self, job: Job, measurement: Measurement) -> None:
        self._in_a_row = 0
        self._listener(Moment.REPORTED, job, None)
        wrong = self._study.store(job.id, measurement)
        self._listener(Moment.STORED, job, wrong)
        self._closed(self._study.close(job.id) if wrong is None else self._study.fail(job.id, wrong))

    def _closed(self, record: Record) -> None:
        self._listener(Moment.CLOSED, record.job, record)
        self._books.store()
        self._keeper.tidy()
        self._fatal = self._agenda.closed(record) or self._books.blind(record) or self._fatal
