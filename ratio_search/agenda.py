"""What a driver works off, and what follows when it fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from objectives.attempt import Failure
from objectives.base import Job, JobKind
from ratio_search.health import pattern
from ratio_search.record import JobState, Record
from ratio_search.spec import StudySpec
from ratio_search.study import Study

MAX_FAILURES_IN_A_ROW = 3
"""Jobs that may fail one after another before a driver stops: money would be burnt."""


class Agenda(Protocol):
    """What a driver works off: which jobs come next, and what follows when they fail.

    Attributes:
        noun: what to call its jobs, several of them.
    """

    noun: str

    @property
    def spec(self) -> StudySpec:
        """What the jobs are run by."""
        ...

    @property
    def planned(self) -> int:
        """How many jobs are wanted in all, as far as that is known."""
        ...

    @property
    def complete(self) -> int:
        """How many of them are finished."""
        ...

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        ...

    def unfinished(self) -> list[Job]:
        """Settles what a dead driver left open, and gives the jobs that need another attempt."""
        ...

    def ask(self) -> Job | None:
        """The next new job, its intent stored; None when enough are asked for."""
        ...

    def closed(self, record: Record) -> str | None:
        """Takes note of a job's end; why nothing more should be run, if so."""
        ...


class Trials:
    """The agenda of a search: the untuned baseline, then as many trials as the study wants."""

    noun = "trials"

    def __init__(self, study: Study) -> None:
        self._study = study
        self._failures: list[Failure] = []
        self._succeeded = False

    @property
    def spec(self) -> StudySpec:
        """The study's."""
        return self._study.spec

    @property
    def planned(self) -> int:
        """Trials that the study wants."""
        return self._study.spec.search.trials

    @property
    def complete(self) -> int:
        """Trials that are finished."""
        return self._study.complete

    @property
    def done(self) -> bool:
        """See `Standing.done`."""
        return self._study.done

    def unfinished(self) -> list[Job]:
        """See `Study.unfinished`."""
        return self._study.unfinished()

    def ask(self) -> Job | None:
        """See `Study.ask`."""
        return self._study.ask()

    def closed(self, record: Record) -> str | None:
        """A failing baseline ends it, as do the first two trials that fail in the same way, or three in a row."""
        if record.state is JobState.COMPLETE:
            if record.job.kind is JobKind.TRIAL:
                self._failures.clear()
                self._succeeded = True
            return None
        assert record.failure is not None
        if record.job.kind is JobKind.BASELINE:
            return because("the untuned baseline cannot be evaluated", record.failure)
        self._failures.append(record.failure)
        if len(self._failures) >= MAX_FAILURES_IN_A_ROW:
            return because(f"{len(self._failures)} trials failed in a row, the last one", record.failure)
        if not self._succeeded and len(self._failures) == 2 and _same_cause(*self._failures):
            return because("the first two trials failed in the same way", record.failure)
        return None


def _same_cause(first: Failure, second: Failure) -> bool:
    """Whether two failures would happen again; numbers in the messages of one cause often differ."""
    messages = {pattern(failure.message) for failure in (first, second)}
    return first.kind is second.kind and first.kind.deterministic and len(messages) == 1


def because(what: str, failure: Failure, then: str = "resume the study; finished trials are kept") -> str:
    """Why a study stopped, in words.

    Args:
        what: what failed.
        failure: how.
        then: what to do when its cause is repaired.
    """
    log = f"\n{failure.log.strip()}" if failure.log.strip() else ""
    return f"{what}: {failure.message}{log}\nrepair the cause, then {then}"


def unfetched(jobs: Sequence[tuple[Job, Failure]]) -> str:
    """Why a study is not done whose jobs are open only because their platform does not hand them out, in words.

    Args:
        jobs: these jobs, each with what is missing and why.
    """
    lines = "".join(f"\n  {job.id}: {failure.message}" for job, failure in jobs)
    return (
        f"what the platform has of {len(jobs)} {'job' if len(jobs) == 1 else 'jobs'} cannot be fetched:{lines}\n"
        "paid for, they stay open and are not run again; repair the cause, then resume the study"
    )
