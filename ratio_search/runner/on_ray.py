"""Runs attempts on Ray: on this machine, or on a cluster. The only module that imports Ray."""

from __future__ import annotations

import logging
import math
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from objectives.attempt import Attempt, Event, Failure, FailureKind
from objectives.backends import Blueprint
from ratio_search.errors import RunnerError
from ratio_search.runner.runner import Report
from ratio_search.runner.workplace import Workplace

# Read at import. A user's study is nobody else's business, and signals are the driver's.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_DISABLE_FAILURE_SIGNAL_HANDLER", "1")

import ray
import ray.exceptions

OBJECT_STORE_BYTES = 100 * 2**20
"""Room for what crosses between processes, which is small JSON; Ray's default takes a third of the memory."""


SHUTDOWN_S = 15.0
"""How long Ray may take to end."""

ANSWER_S = 5.0
"""How long a cluster's head may take to answer."""


class Worker:
    """A long-lived process that keeps its objective, and so the base model, loaded between attempts."""

    def __init__(self, blueprint: Blueprint) -> None:
        if not blueprint.backend.resources.gpus:
            # Ray leaves all GPUs visible to a worker that asked for none.
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self._workplace = Workplace(blueprint)
        self._cancelled: set[tuple[str, int]] = set()
        self._lock = threading.Lock()

    def run(self, attempt: Attempt) -> Iterator[Event]:
        """Runs one attempt; its failure is its last event."""
        key = (attempt.job.id, attempt.job.attempt)
        with self._lock:
            yield from self._workplace.run(attempt, lambda: key in self._cancelled)

    def cancel(self, job_id: str, attempt: int) -> None:
        """Asks an attempt to end, whether it has begun or not."""
        self._cancelled.add((job_id, attempt))


@dataclass(slots=True)
class _Running:
    """An attempt under way: its slot, and the stream of its events.

    Attributes:
        begun: whether it has reported anything, and so has a place in the cluster.
        cancelled: whether it was asked to end.
    """

    attempt: Attempt
    slot: int
    stream: Any
    begun: bool = False
    cancelled: bool = False


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
        self._address = address
        # Outside of the main thread Ray leaves the process's signal handlers alone; and its own processes end with the
        # thread that started them.
        self._keeper = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ray")
        self._actors: list[Any] = [None] * slots
        self._running: list[_Running] = []

    def __enter__(self) -> Self:
        """Starts or joins Ray.

        Raises:
            RunnerError: it cannot be joined, or has fewer GPUs than an attempt needs.
        """
        needs = self._blueprint.backend.resources
        options: dict[str, Any] = {}
        if self._address is None:
            # Slots are a promise of the user's, also where there are fewer cores; Ray would wait for ever.
            options["num_cpus"] = max(os.cpu_count() or 1, math.ceil(self.slots * needs.cpus))
            options["object_store_memory"] = OBJECT_STORE_BYTES
            options["include_dashboard"] = False
        else:
            check_answers(self._address)
        try:
            self._keeper.submit(
                ray.init, self._address or "local", log_to_driver=False, logging_level=logging.ERROR, **options
            ).result()
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise RunnerError(
                f"Ray at {self._address or 'this machine'} cannot be reached: {error}. For a cluster that asks for a "
                "token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
            ) from error
        found = ray.cluster_resources().get("GPU", 0)  # type: ignore[no-untyped-call]
        if self._address is None and self.slots > (places := _places(found, needs.gpus)):
            self._shut_down()
            raise RunnerError(
                f"found {found:g} GPUs, which have room for {places:g} trials at a time with {needs.gpus:g} each, none "
                f"of them divided among two; expected room for {self.slots}; lower search.parallel or "
                "objective.resources.gpus"
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.clear()
        self._shut_down()

    def _shut_down(self) -> None:
        # Where Ray's own processes were killed it waits a minute for them, and then ends this one.
        ended = self._keeper.submit(ray.shutdown)
        self.stuck = not wait([ended], timeout=SHUTDOWN_S).done
        self._keeper.shutdown(wait=False)

    def submit(self, attempt: Attempt) -> None:
        """Sends the attempt to a free slot's actor, which is started on first use."""
        slot = min(set(range(self.slots)) - {running.slot for running in self._running})
        if self._actors[slot] is None:
            needs = self._blueprint.backend.resources
            self._actors[slot] = (
                ray.remote(Worker)
                .options(
                    num_cpus=needs.cpus,
                    num_gpus=needs.gpus,
                    max_restarts=0,
                    max_task_retries=0,
                    max_concurrency=2,  # an attempt, and the call that cancels it
                )
                .remote(self._blueprint)
            )
        stream = self._actors[slot].run.options(num_returns="streaming").remote(attempt)
        self._running.append(_Running(attempt=attempt, slot=slot, stream=stream))

    def reports(self, timeout_s: float) -> Iterator[Report]:
        """Events of running attempts, as they come; waits at most this long for the first."""
        if not self._running:
            return
        streams = [running.stream for running in self._running]
        ready, _ = ray.wait(streams, num_returns=1, timeout=timeout_s)
        if ready:
            # Whatever else is ready by now need not wait for its own turn.
            ready, _ = ray.wait(streams, num_returns=len(streams), timeout=0)
        for running in [r for r in self._running if any(r.stream is stream for stream in ready)]:
            event = self._next(running)
            running.begun = True
            report = Report(attempt=running.attempt, event=event)
            if report.last:
                self._running.remove(running)
            yield report

    def cancel(self) -> None:
        """Asks every running attempt to save a checkpoint and end; one that still waits for a place is taken back."""
        for running in self._running:
            running.cancelled = True
            if running.begun:
                self._actors[running.slot].cancel.remote(running.attempt.job.id, running.attempt.job.attempt)
            else:
                ray.kill(self._actors[running.slot], no_restart=True)

    def _next(self, running: _Running) -> Event:
        try:
            event: Event = ray.get(next(running.stream))
            if isinstance(event, Failure) and event.kind is FailureKind.INFRASTRUCTURE:
                # A worker that survived what it ran on is good for nothing more.
                ray.kill(self._actors[running.slot], no_restart=True)
                self._actors[running.slot] = None
            return event
        except StopIteration:
            return Failure(kind=FailureKind.OBJECTIVE, message="the worker ended the attempt without a last word")
        except ray.exceptions.OutOfMemoryError as error:
            self._actors[running.slot] = None
            return Failure(kind=FailureKind.OBJECTIVE, message=f"the machine ran out of memory: {error}")
        except ray.exceptions.RayTaskError as error:
            return Failure(kind=FailureKind.OBJECTIVE, message=f"the worker failed: {error.cause}", log=str(error))
        except ray.exceptions.RayError as error:
            self._actors[running.slot] = None
            if running.cancelled and not running.begun:
                return Failure(kind=FailureKind.CANCELLED, message="cancelled before it was begun")
            return Failure(kind=FailureKind.INFRASTRUCTURE, message=f"the worker was lost: {error}")


def _places(gpus: float, each: float) -> float:
    """Attempts that have room on some GPUs at a time; a part of a GPU is always that of a single one."""
    if each == 0:
        return math.inf
    return math.floor(gpus / each) if each >= 1 else math.floor(gpus) * math.floor(1 / each + 1e-9)


def check_answers(address: str) -> None:
    """Checks that there is anyone at a cluster's address: Ray itself would try for twenty minutes.

    Raises:
        RunnerError: it is no address, or nobody answers there.
    """
    if address == "auto":
        return
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        raise RunnerError(f"--ray-address: expected host:port of a Ray cluster's head, or auto, found {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise RunnerError(
            f"nobody answers at {address} ({error}); expected the head of a running Ray cluster, as `ray status` on "
            "it shows"
        ) from error
