"""Runs attempts on Ray: on this machine, or on a cluster."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from objectives.attempt import Attempt, Event, Failure, FailureKind
from objectives.backends import Blueprint
from objectives.base import Progress
from objectives.shipment import Shipment
from ratio_search.runner.actor import Actor
from ratio_search.runner.cluster import Cluster, ray
from ratio_search.runner.dispatch import Dispatch
from ratio_search.runner.order import Request
from ratio_search.runner.runner import WAITING, Report

PLACE_S = 5.0
"""An attempt that has no place in the cluster for as long says so."""


@dataclass(slots=True, kw_only=True)
class _Running:
    """An attempt under way: its slot, and the stream of its events.

    Attributes:
        stream: what its worker says.
        dispatch: answers that.
        mark: what tells a worker that it has the driver's disk; None where all have.
        fresh: whether the worker was started for it.
        begun: whether it has reported anything, and so has a place in the cluster.
        cancelled: whether it was asked to end.
        since: when it was submitted.
        told: whether it was said that it waits.
    """

    attempt: Attempt
    slot: int
    dispatch: Dispatch
    mark: str | None
    stream: Any = None
    fresh: bool = False
    begun: bool = False
    cancelled: bool = False
    since: float = field(default_factory=time.monotonic)
    told: bool = False


class RayRunner:
    """Runs attempts on long-lived Ray actors, one for each slot.

    Ray repeats nothing on its own, because it could not know what a fine-tune costs: an actor that dies is
    reported as a failure, and its slot gets a new one.
    """

    def __init__(self, blueprint: Blueprint, slots: int, address: str | None = None) -> None:
        """Prepares the runner; entering it starts or joins Ray.

        Args:
            blueprint: what workers build.
            slots: attempts at a time, >= 1.
            address: of a Ray cluster to join; None starts Ray on this machine alone.
        """
        self.slots = slots
        self.stuck = False
        self._blueprint = blueprint
        self._needs = blueprint.backend.resources
        self._cluster = Cluster(address)
        self._shipment: Shipment | None = None
        self._actors: list[Any] = [None] * slots
        self._running: list[_Running] = []

    def __enter__(self) -> Self:
        """Starts or joins Ray.

        Raises:
            RunnerError: it cannot be joined, or this machine has fewer GPUs than the attempts need.
        """
        try:
            self._cluster.enter(self._needs, self.slots)
        except KeyboardInterrupt:
            self.stuck = True  # it goes on starting
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stuck = True  # until it has ended, should an interrupt come in between
        for running in self._running:
            _close(running)
        self._running.clear()
        self.stuck = not self._cluster.leave()

    def submit(self, attempt: Attempt) -> None:
        """Sends the attempt to a free slot's actor, which is started on first use."""
        slot = min(self._free(), key=lambda slot: (self._actors[slot] is None, slot))
        dispatch = Dispatch(attempt, self._sent)
        running = _Running(attempt=attempt, slot=slot, dispatch=dispatch, mark=self._marked(attempt))
        self._begin(running)
        self._running.append(running)

    def reports(self, timeout_s: float) -> Iterator[Report]:
        """Events of running attempts, as they come; waits at most this long for the first."""
        if not self._running:
            return
        streams = [running.stream for running in self._running]
        ready, _ = ray.wait(streams, num_returns=1, timeout=timeout_s)
        if ready:
            # Whatever else is ready by now need not wait for its own turn.
            ready, _ = ray.wait(streams, num_returns=len(streams), timeout=0)
        for running in list(self._running):
            spoke = any(running.stream is stream for stream in ready)
            event = self._next(running) if spoke else self._waiting(running)
            if event is None:
                continue
            report = Report(attempt=running.attempt, event=running.dispatch.keep(event))
            if report.last:
                self._end(running)
            yield report

    def cancel(self) -> None:
        """Asks every running attempt to save a checkpoint and end; one that still waits for a place is taken back."""
        for running in self._running:
            running.cancelled = True
            if running.begun:
                self._actors[running.slot].cancel.remote(running.attempt.job.id, running.attempt.job.attempt)
            else:
                ray.kill(self._actors[running.slot], no_restart=True)

    def _free(self) -> set[int]:
        return set(range(self.slots)) - {running.slot for running in self._running}

    def _begin(self, running: _Running) -> None:
        running.fresh = self._actors[running.slot] is None
        if running.fresh:
            self._actors[running.slot] = (
                ray.remote(Actor)
                .options(
                    num_cpus=self._needs.cpus,
                    num_gpus=self._needs.gpus,
                    max_restarts=0,
                    max_task_retries=0,
                    max_concurrency=3,  # an attempt, an answer to it, and the call that cancels it
                )
                .remote(self._blueprint)
            )
        actor = self._actors[running.slot]
        running.stream = actor.run.options(num_returns="streaming").remote(running.attempt, running.mark)

    def _next(self, running: _Running) -> Event | None:
        """What the attempt reports next; None where its worker only wants an answer, or is replaced."""
        try:
            said: Event | Request = ray.get(next(running.stream))
        except StopIteration:
            return Failure(kind=FailureKind.OBJECTIVE, message="the worker ended the attempt without a last word")
        except ray.exceptions.OutOfMemoryError as error:
            self._drop(running.slot)
            return Failure(kind=FailureKind.OBJECTIVE, message=f"the machine ran out of memory: {error}")
        except ray.exceptions.RayTaskError as error:
            return Failure(kind=FailureKind.OBJECTIVE, message=f"the worker failed: {error.cause}", log=str(error))
        except ray.exceptions.RayError as error:
            return self._lost(running, error)
        running.begun = True
        if isinstance(said, Request):
            answer = running.dispatch.answer(said.what)
            self._actors[running.slot].answer.remote(said.number, answer)
            return None
        if isinstance(said, Failure) and said.kind is FailureKind.INFRASTRUCTURE:
            # A worker that survived what it ran on is good for nothing more.
            self._drop(running.slot)
        return said

    def _lost(self, running: _Running, error: Exception) -> Event | None:
        self._drop(running.slot)
        if running.begun:
            reason = " ".join(str(error).split())
            return Failure(kind=FailureKind.INFRASTRUCTURE, message=f"the worker was lost: {reason}")
        if running.cancelled:
            return Failure(kind=FailureKind.CANCELLED, message="cancelled before it was begun")
        if running.fresh:
            return Failure(kind=FailureKind.INFRASTRUCTURE, message=f"no worker could be started: {error}")
        # It was gone before it was asked for anything, such as with its machine: nothing is lost with it.
        self._begin(running)
        return None

    def _waiting(self, running: _Running) -> Progress | None:
        """Says once that an attempt has no place yet; the request stays, so that a cluster can grow by it."""
        if running.begun or time.monotonic() - running.since < PLACE_S:
            return None
        self._cluster.check_alive()
        if running.told or not self._cluster.joined:
            return None
        running.told = True
        self._make_room()
        lacking = self._cluster.lacks(self._needs)
        why = "" if lacking is None else f": no machine in it has {lacking} yet"
        return Progress(step=0, total=0, note=f"{WAITING}{why}")

    def _make_room(self) -> None:
        """Gives idle workers to attempts that have waited for long: they may hold the only places that there are."""
        idle = [slot for slot in sorted(self._free()) if self._actors[slot] is not None]
        waiting = [one for one in self._running if one.told and not one.begun and not one.cancelled]
        for slot, running in zip(idle, waiting, strict=False):
            self._drop(running.slot)
            running.slot = slot
            self._begin(running)

    def _drop(self, slot: int) -> None:
        """Gives up a slot's actor. One that only cannot be reached must not go on unseen."""
        with contextlib.suppress(ray.exceptions.RayError):
            ray.kill(self._actors[slot], no_restart=True)
        self._actors[slot] = None

    def _end(self, running: _Running) -> None:
        self._running.remove(running)
        _close(running)
        self._make_room()

    def _marked(self, attempt: Attempt) -> str | None:
        """A file in the attempt's folder that no other machine has, unless it has the folder."""
        if not self._cluster.joined:
            return None
        mark = f"mark-{secrets.token_hex(16)}"
        with contextlib.suppress(OSError):  # without it, nothing is run in place
            attempt.folder.mkdir(parents=True, exist_ok=True)
            (attempt.folder / mark).touch()
        return mark

    def _sent(self) -> Shipment:
        """The study's files, found and hashed when a worker first needs them."""
        if self._shipment is None:
            self._shipment = Shipment.of(self._blueprint)
        return self._shipment


def _close(running: _Running) -> None:
    running.dispatch.close()
    if running.mark is not None:
        with contextlib.suppress(OSError):
            (running.attempt.folder / running.mark).unlink(missing_ok=True)
