"""The loop of a driver: ask, submit, wait, store, tell; until enough, told to stop, or failing."""

from __future__ import annotations

import collections
import enum
import time
from collections.abc import Callable
from typing import Protocol

from objectives.attempt import Failure, FailureKind
from objectives.base import Job, Measurement, Progress
from objectives.errors import ResultError
from ratio_search.agenda import Agenda, Trials
from ratio_search.errors import StudyFailed
from ratio_search.keep import keep_best
from ratio_search.record import Record
from ratio_search.runner import Report, Runner
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
    """It ended early because the driver stops; it goes on when the study is resumed."""


class Ending(enum.StrEnum):
    """Why a driver ended."""

    DONE = "done"
    """All trials are finished, or one more is not worth it; then the study has an `early_stop`."""
    BUDGET = "budget"
    """The hours are spent."""
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
    ) -> None:
        """Prepares a driver.

        Args:
            study: what to drive.
            runner: runs the jobs.
            listener: told of every moment.
            stopping: asked in every round; once true, nothing new is asked, and running jobs are told to save a
                checkpoint and end.
            agenda: what to work off; None for the study's trials.
        """
        self._study = study
        self._agenda = agenda or Trials(study)
        self._runner = runner
        self._listener = listener
        self._stopping = stopping
        self._waiting: collections.deque[Job] = collections.deque()
        self._running: dict[str, Job] = {}
        self._ending: Ending | None = None
        self._fatal: str | None = None
        self._since = time.monotonic()

    def run(self) -> Ending:
        """Runs until the study is done, its hours are spent, or it is told to stop.

        Raises:
            StudyFailed: its work fails, as the agenda decides.
        """
        self._study.begin()
        try:
            self._waiting.extend(self._agenda.unfinished())
            while True:
                self._decide()
                self._fill()
                if not self._running:
                    break
                for report in self._runner.reports(POLL_S):
                    self._decide()
                    self._take(report)
        except BaseException as error:
            self._end(f"{type(error).__name__}: {error}")
            raise
        self._end(self._fatal or (self._ending or Ending.DONE).value)
        if self._fatal is not None:
            raise StudyFailed(self._fatal)
        return self._ending or Ending.DONE

    def _end(self, why: str) -> None:
        self._account()
        self._study.folder.log("ended", why=why)

    def _decide(self) -> None:
        """Whether anything new may be asked for."""
        if self._ending is not Ending.STOPPED and (self._stopping() or self._fatal is not None):
            self._ending = Ending.STOPPED
            self._runner.cancel()
        hours = self._study.spec.hours
        if self._ending is None and hours is not None:
            self._account()
            if self._study.driver_hours >= hours:
                self._ending = Ending.BUDGET

    def _account(self) -> None:
        now = time.monotonic()
        self._study.spend((now - self._since) / 3600)
        self._since = now

    def _fill(self) -> None:
        while self._ending is None and len(self._running) < self._runner.slots:
            job = self._waiting.popleft() if self._waiting else self._agenda.ask()
            if job is None:
                return
            self._listener(Moment.ASKED, job, None)
            self._runner.submit(self._study.start(job))
            self._running[job.id] = job
            self._listener(Moment.SUBMITTED, job, None)

    def _take(self, report: Report) -> None:
        job, event = report.attempt.job, report.event
        if isinstance(event, Progress):
            self._listener(Moment.PROGRESS, job, event)
            return
        del self._running[job.id]
        if isinstance(event, Failure) and event.kind is FailureKind.INFRASTRUCTURE:
            event = self._result_after_all(report) or event
        if isinstance(event, Measurement):
            self._finish(job, event)
        elif event.kind is FailureKind.CANCELLED and self._ending is Ending.STOPPED:
            self._listener(Moment.PAUSED, job, event)
        elif event.kind is FailureKind.INFRASTRUCTURE and self._study.lost(job):
            self._waiting.appendleft(self._study.again(job))
            self._listener(Moment.LOST, job, event)
        else:
            self._closed(self._study.fail(job.id, event))

    def _result_after_all(self, report: Report) -> Measurement | None:
        """The result of a worker that died after it had written it."""
        try:
            return report.attempt.result()
        except ResultError:
            return None

    def _finish(self, job: Job, measurement: Measurement) -> None:
        self._listener(Moment.REPORTED, job, None)
        wrong = self._study.store(job.id, measurement)
        self._listener(Moment.STORED, job, wrong)
        self._closed(self._study.close(job.id) if wrong is None else self._study.fail(job.id, wrong))

    def _closed(self, record: Record) -> None:
        self._listener(Moment.CLOSED, record.job, record)
        self._account()
        keep_best(self._study)
        self._fatal = self._agenda.closed(record) or self._fatal
