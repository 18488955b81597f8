"""One attempt's way through the stages of its job on a platform.

Whatever is about to be asked of the platform is on record before: a name, then the handle that came back, then that the
stage is done. So whoever goes on with a study, after anything, finds what is under way and has nothing done twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from objectives.attempt import Attempt, Event, Failure, FailureKind, write_json
from objectives.base import Job, Measurement, Progress
from objectives.errors import AccessError, NameInUse, RatioSearchError, ResultError, ServiceError
from objectives.remote import RemoteObjective, StageRequest, StageStatus
from ratio_search.stages import StageRecord, StageState, latest, spent

LONGEST_PAUSE_S = 300.0
"""Most seconds between two calls to a platform that did not answer the last one."""

FETCH_TRIES = 6
"""How often a result is asked for before the job is left open without it."""

NAME_TRIES = 6
"""How often a name may be in use and yet not be found."""

CANCEL_TRIES, CANCEL_PAUSE_S = 5, 1.0
"""How often a platform is asked to cancel a stage, and the first pause between: somebody waits for it."""

T = TypeVar("T")


class Journal(Protocol):
    """What is known of the stages of open jobs; what it takes is durable when the call returns."""

    def stages(self, job_id: str) -> tuple[StageRecord, ...]:
        """All attempts at the job's stages, in order."""
        ...

    def stage_name(self, job: Job, stage: str, attempt: int) -> str:
        """What the platform is to call an attempt at a stage."""
        ...

    def keep_stage(self, job_id: str, stage: StageRecord) -> None:
        """Takes an attempt at a stage, in place of what was known of it."""
        ...

    def check_lease(self) -> None:
        """Checks that this driver may still have anything begun.

        Raises:
            LeaseError: it may not.
        """
        ...


class Calls:
    """Calls of the objective, each in a thread."""

    def __init__(self, most: int) -> None:
        self._pool = ThreadPoolExecutor(max_workers=most, thread_name_prefix="platform")
        self._pending: set[Future[Any]] = set()

    async def __call__(self, function: Callable[..., T], *arguments: object) -> T:
        """What the function returns.

        Raises:
            AccessError, ServiceError, NameInUse: it raised that.
            _Refused: it raised anything else.
        """
        call = self._pool.submit(function, *arguments)
        self._pending = {other for other in self._pending if not other.done()} | {call}
        try:
            return await asyncio.wrap_future(call)
        except (AccessError, ServiceError, NameInUse):
            raise
        except Exception as error:
            raise _Refused(error) from error

    def close(self) -> bool:
        """Makes no more calls; whether one is still under way."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        return any(not call.done() for call in self._pending)


@dataclasses.dataclass(slots=True, kw_only=True)
class Course:
    """One attempt on its way through the stages of its job.

    Attributes:
        attempt: whose way it is.
        objective, journal, call: what is asked, what is known, and how to ask.
        tell: takes what the attempt reports.
        stopping: set once the driver stops.
        cancelling: see `RemoteRunner`.
        shown: the last progress that was reported.
    """

    attempt: Attempt
    objective: RemoteObjective
    journal: Journal
    call: Calls
    tell: Callable[[Event], None]
    stopping: asyncio.Event
    cancelling: Callable[[], bool]
    shown: Progress | None = None

    @property
    def job(self) -> Job:
        """Whose stages they are."""
        return self.attempt.job

    async def run(self) -> Measurement | Failure:
        """Has every stage done that is not, and fetches the result; why not, if it comes to neither.

        Where the platform lets nobody do anything, the other attempts stop, too: they would fare no better.
        """
        try:
            self._check_stop()
            handles = {stage: await self._done(stage) for stage in self.objective.stages(self.job)}
            return await self._result(handles)
        except _Stop:
            return await self._stopped()
        except _End as end:
            return end.failure
        except AccessError as error:
            self.stopping.set()
            return Failure.of(error)

    async def _done(self, stage: str) -> str:
        """The handle of a stage, once it is done."""
        while True:
            record, fresh = self._record(stage)
            if record.handle is None:
                record = await self._submitted(record, asked=not fresh)
            if record.state in (StageState.SUBMITTED, StageState.CANCELLED):
                ours = record.state is StageState.CANCELLED
                record = await self._watched(record)
                if record.state is StageState.CANCELLED and ours:
                    continue
            if record.state is StageState.DONE:
                assert record.handle is not None
                return record.handle
            assert record.failure is not None
            raise _End(record.failure)

    def _record(self, stage: str) -> tuple[StageRecord, bool]:
        """The attempt at a stage that is to go on, and whether it is a new one, whose name is stored just now."""
        last = latest(self.journal.stages(self.job.id), stage)
        repeated = last is not None and (
            last.state is StageState.LOST or (last.state is StageState.CANCELLED and last.failure is not None)
        )
        if last is not None and not repeated:
            return last, False
        self._check_stop()
        attempt = 1 if last is None else last.attempt + 1
        record = StageRecord(stage=stage, attempt=attempt, name=self.journal.stage_name(self.job, stage, attempt))
        self.journal.keep_stage(self.job.id, record)
        return record, True

    async def _submitted(self, record: StageRecord, *, asked: bool) -> StageRecord:
        """The same attempt at a stage, once the platform has it.

        Args:
            record: the attempt, whose name is stored.
            asked: whether the platform may have been asked for it before, so that it is looked up first.
        """
        request, in_use = self._request(record), 0
        for pause in _pauses(self.objective.poll_s):
            try:
                handle = await self._found(request) if asked else None
                if handle is None:
                    self.journal.check_lease()
                    asked = True
                    handle = await self.call(self.objective.submit, request)
                return self._kept(record, handle=handle, state=StageState.SUBMITTED)
            except NameInUse as error:
                in_use += 1
                if in_use == NAME_TRIES:
                    message = f"{record.stage}: {error}; and yet the platform finds none of this name"
                    raise self._failed(record, Failure(kind=FailureKind.OBJECTIVE, message=message)) from error
                await self._wait(pause, f"{record.stage}: {error}")
            except ServiceError as error:
                await self._wait(pause, f"{record.stage}: {error}")
            except _Refused as refused:
                if not isinstance(refused.error, RatioSearchError):  # a mistake of the objective's: it may have begun
                    what = f"whether its platform has {record.stage} {record.name}"
                    raise _End(self._unfetched(what, refused)) from refused
                raise self._failed(record, Failure.of(refused.error)) from refused
        raise AssertionError("pauses never end")

    async def _found(self, request: StageRequest) -> str | None:
        """The handle of what the platform has under a stage's name."""
        try:
            return await self.call(self.objective.find, request)
        except NameInUse as error:
            raise _End(Failure(kind=FailureKind.OBJECTIVE, message=f"{request.stage}: {error}")) from error
        except _Refused as refused:
            raise _End(
                self._unfetched(f"whether its platform has {request.stage} {request.name}", refused)
            ) from refused

    async def _watched(self, record: StageRecord) -> StageRecord:
        """The same attempt at a stage, once it is over."""
        while True:
            try:
                status = await self._patiently(record.stage, self.objective.poll, record.stage, record.handle)
            except _Refused as refused:
                raise _End(self._unfetched(f"how {record.stage} {record.name} is", refused)) from refused
            if status.ended:
                state = _STATES[None if status.failure is None else status.failure.kind]
                return self._kept(record, state=state, cost=status.cost, failure=status.failure)
            if dict(status.cost) != dict(record.cost):
                record = self._kept(record, cost=status.cost)
            self._show(record.stage, status)
            await self._pause(self.objective.poll_s)

    async def _result(self, handles: Mapping[str, str]) -> Measurement | Failure:
        """What the job found; it is in its file before it is given."""
        try:
            found = await self._patiently(
                "result", self.objective.result, self.job, handles, self.attempt.folder, tries=FETCH_TRIES
            )
            cost = {**found.cost, **spent(self.journal.stages(self.job.id))}
            found = Measurement.from_json(dataclasses.replace(found, cost=cost).to_json())
        except ResultError as error:
            return Failure.of(error)
        except ServiceError as error:
            return self._unfetched("what it found", error)
        except _Refused as refused:
            if isinstance(refused.error, ResultError):
                return Failure.of(refused.error)
            return self._unfetched("what it found", refused)
        write_json(self.attempt.result_file, found.to_json())
        return found

    async def _patiently(
        self, what: str, function: Callable[..., T], *arguments: object, tries: int | None = None
    ) -> T:
        """What the platform answers, however long it takes; with `tries`, the last `ServiceError` is raised."""
        for i, pause in enumerate(_pauses(self.objective.poll_s), 1):
            try:
                return await self.call(function, *arguments)
            except ServiceError as error:
                if i == tries:
                    raise
                await self._wait(pause, f"{what}: {error}")
        raise AssertionError("pauses never end")

    async def _stopped(self) -> Failure:
        """How an attempt ends whose driver stops: left on its platform, or cancelled there."""
        record = next((one for one in self.journal.stages(self.job.id) if one.left), None)
        if record is None:
            message = "it has nothing under way on its platform"
        elif self.cancelling():
            message = await self._cancelled(record)
        else:
            message = f"left on its platform: {record.stage} {record.name}"
        return Failure(kind=FailureKind.CANCELLED, message=message)

    async def _cancelled(self, record: StageRecord) -> str:
        """Cancels a stage on the platform; what came of it, in words. That it was to be is on record before."""
        kept, what = record, f"{record.stage} {record.name}"
        for i, pause in enumerate(_pauses(min(CANCEL_PAUSE_S, self.objective.poll_s)), 1):
            try:
                handle = kept.handle or await self.call(self.objective.find, self._request(record))
                if handle is None:
                    return f"{what} was never begun"
                kept = self._kept(record, handle=handle, state=StageState.CANCELLED)
                await self.call(self.objective.cancel, record.stage, handle)
                return f"cancelled: {what}"
            except (AccessError, ServiceError, NameInUse, _Refused) as error:
                if i == CANCEL_TRIES or not isinstance(error, ServiceError):
                    self._kept(record, handle=kept.handle)
                    return f"could not be cancelled, so that it may still run and cost: {what}: {error}"
                await asyncio.sleep(pause)
        raise AssertionError("pauses never end")

    def _request(self, record: StageRecord) -> StageRequest:
        done = (one for one in self.journal.stages(self.job.id) if one.state is StageState.DONE)
        handles = {one.stage: one.handle for one in done if one.handle is not None}
        return StageRequest(
            stage=record.stage, name=record.name, job=self.job, handles=handles, folder=self.attempt.folder
        )

    def _kept(self, record: StageRecord, **changes: object) -> StageRecord:
        record = dataclasses.replace(record, **changes)  # type: ignore[arg-type]
        self.journal.keep_stage(self.job.id, record)
        return record

    def _failed(self, record: StageRecord, failure: Failure) -> _End:
        self._kept(record, state=_STATES[failure.kind], failure=failure)
        return _End(failure)

    def _unfetched(self, what: str, error: Exception) -> Failure:
        message = f"{what} cannot be fetched: {error}"
        return Failure(kind=FailureKind.UNFETCHED, message=message)

    def _show(self, stage: str, status: StageStatus) -> None:
        """Reports how far a stage is, and what the job cost so far, where that is news."""
        said = status.progress or Progress(step=0, total=0)
        note = f"{stage}: {said.note}" if said.note else stage
        cost = spent(self.journal.stages(self.job.id))
        self._tell(Progress(step=said.step, total=said.total, note=note, cost=cost))

    def _tell(self, progress: Progress) -> None:
        if progress != self.shown:
            self.shown = progress
            write_json(self.attempt.progress_file, dataclasses.asdict(progress))
            self.tell(progress)

    async def _wait(self, seconds: float, why: str) -> None:
        """Pauses before the platform is asked again, and says so."""
        shown = self.shown or Progress(step=0, total=0)
        self._tell(dataclasses.replace(shown, note=f"waiting for the platform: {why}"))
        await self._pause(seconds)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)
        self._check_stop()

    def _check_stop(self) -> None:
        if self.stopping.is_set():
            raise _Stop


_STATES = {
    None: StageState.DONE,
    FailureKind.INFRASTRUCTURE: StageState.LOST,
    FailureKind.CANCELLED: StageState.CANCELLED,
    FailureKind.OBJECTIVE: StageState.FAILED,
    FailureKind.RESULT: StageState.FAILED,
}
"""Where a stage stands that is over, by whose fault it failed."""


class _Refused(Exception):
    """The objective raised something that asking again would not change."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error) or type(error).__name__)
        self.error = error


class _End(Exception):
    """An attempt ends with a failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class _Stop(Exception):
    """The driver stops."""


def _pauses(first_s: float) -> Iterator[float]:
    """Seconds between calls that get no answer: longer each time, and without end."""
    return (min(first_s * 2**i, LONGEST_PAUSE_S) for i in itertools.chain(range(64), itertools.repeat(64)))
