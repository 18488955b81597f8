"""A driver's part in a study's account: its time, attempts that end without a result, and whether one more fits."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping

from objectives.attempt import Event, Failure
from objectives.base import Job
from ratio_search.account import Account, unreported
from ratio_search.budget import allowed, cost_so_far
from ratio_search.forecast import Forecast
from ratio_search.record import JobState, Record
from ratio_search.stages import spent
from ratio_search.standing import Standing
from ratio_search.study import Study

STORED_S = 10.0
"""Seconds of a driver, at most, that a study's account lacks when the driver is killed."""


def account_of(study: Standing, running: Mapping[str, float] | None = None, *, hours: float = 0.0) -> Account:
    """What a study has spent, and what is under way.

    Args:
        study: read only.
        running: ids of the jobs that are under way, each with the seconds since it began; None for all open ones, by
            what they left on disk.
        hours: wall-clock time of a driver that is not stored yet.
    """
    records, under_way = study.jobs(), {}
    for record in records:
        if record.state is JobState.RUNNING and (running is None or record.job.id in running):
            seconds = None if running is None else running[record.job.id]
            attempt = study.attempt(record.job)
            here = not record.stages
            under_way[record.job.id] = (
                cost_so_far(attempt, study.spec.backend, seconds) if here else spent(record.stages)
            )
    return Account.of(
        records,
        study.spec.budget,
        hours=study.driver_hours + hours,
        running=under_way,
        foreseen=study.foreseen.expected,
    )


def forecast_of_more(study: Standing, trials: int, parallel: int | None = None) -> Forecast:
    """What a study will have cost once it has so many trials.

    Args:
        study: read only.
        trials: finished fine-tunes in all.
        parallel: how many run side by side; None for as many as before.
    """
    wanted = {"trials": trials} if parallel is None else {"trials": trials, "parallel": parallel}
    spec = dataclasses.replace(study.spec, search=study.spec.search.model_copy(update=wanted))
    account, further = account_of(study, {}), max(0, trials - study.complete)
    return Forecast.of_more(spec, study.foreseen, account, further)


class Bookkeeper:
    """Keeps a study's account while a driver runs it."""

    def __init__(self, study: Study) -> None:
        """Begins to count the driver's time.

        Args:
            study: what is driven.
        """
        self._study = study
        self._since = time.monotonic()
        self._began: dict[str, float] = {}

    def began(self, job: Job) -> None:
        """Takes note of an attempt that was handed to a worker."""
        self._began[job.id] = time.monotonic()

    def ended(self, job: Job, event: Event) -> None:
        """Takes note of an attempt's end; what one without a measurement cost is stored, as far as that is known."""
        seconds = time.monotonic() - self._began.pop(job.id)
        if isinstance(event, Failure):
            self._study.note_spent(job, seconds)

    def pass_time(self) -> None:
        """Stores the driver's time now and then."""
        if time.monotonic() - self._since >= STORED_S:
            self.store()

    def store(self) -> None:
        """Stores the driver's time."""
        now = time.monotonic()
        self._study.spend((now - self._since) / 3600)
        self._since = now

    @property
    def account(self) -> Account:
        """What the study has spent, and what this driver runs."""
        now = time.monotonic()
        running = {job: now - began for job, began in self._began.items()}
        return account_of(self._study, running, hours=(now - self._since) / 3600)

    def allows_another(self) -> bool:
        """Whether one more job may start now, by the study's budget."""
        return not allowed(self._study.spec.budget) or self.account.allows_another

    def blind(self, record: Record) -> str | None:
        """Why nothing more should be run after a job: it did not report what a limit needs; None where all is well."""
        limit = unreported(record, self._study.spec.budget)
        if limit is None:
            return None
        return (
            f"{record.job.id} is finished, and did not report {limit.needs}, which budget.{limit} needs: without it, "
            f"more would be spent blindly. {limit.remedy}, or remove budget.{limit} from "
            f"{self._study.folder.study_file}; then resume the study; finished trials are kept"
        )
