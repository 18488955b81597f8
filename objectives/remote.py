"""The function where a platform runs it: an objective whose jobs are started and watched by small calls.

A platform gets a job in stages, such as upload, train and evaluate, each under a name that says which one it is. The
names are settled before anything is asked for, so that whoever comes later, with nothing but names and handles as
texts, finds what is under way and never has it done twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from objectives.attempt import Failure
from objectives.base import Job, Measurement, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRequest:
    """One stage of a job, as a platform is asked for it.

    Attributes:
        stage: which one.
        name: unique on the platform: at most 63 letters, digits and hyphens.
        job: whose stage it is.
        handles: of the job's earlier stages, which are done.
        folder: an existing folder of the attempt's own, for files that are made on the way.
    """

    stage: str
    name: str
    job: Job
    handles: Mapping[str, str]
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStatus:
    """How a stage is, as a platform tells it.

    Attributes:
        ended: whether it is over.
        failure: why it failed; its kind says whose fault that is: `INFRASTRUCTURE` where it was preempted or lost and
            is worth another attempt, `CANCELLED` where somebody stopped it. None while it runs, and where it succeeded.
        progress: how far it is; None where that is not known.
        cost: what it cost so far, as named amounts that never shrink.
    """

    ended: bool
    failure: Failure | None = None
    progress: Progress | None = None
    cost: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Something that a finished job left on its platform, and that may cost as long as it is there.

    Attributes:
        what: what it is, in a word or two: `checkpoint`, `model package`.
        place: what the platform calls it.
        command: how a person deletes it, as one line for a shell.
    """

    what: str
    place: str
    command: str


class RemoteObjective(Protocol):
    """Fine-tunes on a mixture and evaluates every domain, on a platform.

    It keeps nothing of its own: one that was built later, or elsewhere, knows the same names and handles. Calls may
    come from several threads at a time, but one at a time for each job. Each is small, or as long as what it uploads;
    it ends by itself, also where nobody answers, and waits for nothing that the platform still does.

    All may raise `ServiceError`, for what may be asked again: the platform cannot be reached, asks for fewer calls, or
    has no room. That is waited out, and fails no job. All may raise `AccessError`, for what somebody has to repair
    before anything more can be done: the driver ends, and every job stays as it is. Whatever else they raise is meant
    for good.

    Attributes:
        poll_s: seconds between two looks at a stage; pauses after a `ServiceError` begin with it, and grow.
    """

    poll_s: float

    def stages(self, job: Job) -> tuple[str, ...]:
        """The job's stages, in order: lower-case letters, digits and hyphens. The untuned model trains nothing."""
        ...

    def submit(self, request: StageRequest) -> str:
        """Starts a stage; its handle, by which the platform knows it from then on.

        Raises:
            ServiceError: ask again; the platform may have started it all the same.
            NameInUse: the platform has a stage of this name, which may be this very one.
            ObjectiveError, OptionsError, DataError: it is refused, and would be so again.
        """
        ...

    def find(self, request: StageRequest) -> str | None:
        """The handle of the stage of this name, whether it runs or is over; None where the platform knows none.

        Raises:
            NameInUse: what has this name was asked for something else.
        """
        ...

    def poll(self, stage: str, handle: str) -> StageStatus:
        """How a stage is."""
        ...

    def cancel(self, stage: str, handle: str) -> None:
        """Asks a stage to end; one that is over stays as it is. It may go on for a while, as `poll` tells."""
        ...

    def result(self, job: Job, handles: Mapping[str, str], folder: Path) -> Measurement:
        """What a job found, all of whose stages are done; the same however often it is asked for.

        What its stages cost need not be in it.

        Args:
            job: whose result it is.
            handles: of all its stages.
            folder: an existing folder of the attempt's own, for files that are fetched.

        Raises:
            ResultError: it was fetched, and cannot be used.
        """
        ...

    def leftovers(self, artefacts: Mapping[str, str]) -> tuple[Leftover, ...]:
        """What a job left on the platform; asks the platform nothing.

        Args:
            artefacts: of its measurement; of a job that has none, the handles of its stages that were done, by stage.
        """
        ...

    def discard(self, leftover: Leftover) -> None:
        """Deletes what a job left; what is gone already is no error."""
        ...
