"""A long-lived worker on some machine of a cluster, which may have a disk in common with the driver, or not."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

from filelock import Timeout

from objectives.attempt import Attempt, Event, Failure
from objectives.backends import Blueprint
from objectives.base import Progress
from objectives.depot import Depot
from objectives.errors import Cancelled, OptionsError
from objectives.shipment import Item, Shipment
from ratio_search.runner.away import Away
from ratio_search.runner.order import Goods, Order, Request
from ratio_search.runner.parcel import Parcel, Seal
from ratio_search.runner.scratch import scratch
from ratio_search.runner.workplace import Workplace

LOOK_S = 0.5
"""Seconds between two looks whether an attempt should end, while the driver is asked for something."""

Said = Event | Request


class Refused(Exception):
    """The driver cannot give what was asked of it.

    Attributes:
        failure: why.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Actor:
    """Keeps its objective, and so the base model, loaded between attempts.

    Where it sees what the driver wrote into an attempt's folder, the attempt runs there. Else it asks the driver for
    the study's files, once for all workers of its machine, runs the attempt in a folder of its own, and sends back what
    that leaves.
    """

    def __init__(self, blueprint: Blueprint, cache: Path | None = None) -> None:
        """Prepares a worker; what is heavy is loaded by the first attempt.

        Args:
            blueprint: with paths as the driver has them.
            cache: for what it is sent; None for the user's cache on its machine.
        """
        if not blueprint.backend.resources.gpus:
            # Ray leaves all GPUs visible to a worker that asked for none.
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self._blueprint = blueprint
        self._cache = cache
        self._depot = Depot(cache)
        self._workplace: Workplace | None = None
        self._cancelled: set[tuple[str, int]] = set()
        self._lock = threading.Lock()
        self._answers: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        self._asked = 0

    def run(self, attempt: Attempt, mark: str | None) -> Iterator[Said]:
        """Runs one attempt; its failure is its last event, and its first one comes at once.

        Args:
            attempt: with folders as the driver has them.
            mark: a file that the driver wrote into the attempt's folder; None where all disks are the driver's.
        """
        key = (attempt.job.id, attempt.job.attempt)
        with self._lock:
            try:
                yield from self._run(attempt, mark, lambda: key in self._cancelled)
            except Refused as refused:
                yield refused.failure
            except Exception as error:
                yield Failure.of(error)

    def answer(self, number: int, answer: Any) -> None:
        """Answers a request."""
        self._answers.put((number, answer))

    def cancel(self, job_id: str, attempt: int) -> None:
        """Asks an attempt to end, whether it has begun or not."""
        self._cancelled.add((job_id, attempt))

    def _run(self, attempt: Attempt, mark: str | None, cancelled: Callable[[], bool]) -> Iterator[Said]:
        here = mark is None
        if mark is not None:
            yield Progress(step=0, total=0, note="has a place in the cluster")
            here = (attempt.folder / mark).is_file()
        if self._workplace is None:
            in_place = mark is None or (here and _all_there(self._blueprint))
            self._workplace = Workplace(self._blueprint if in_place else (yield from self._sent(cancelled)))
        if here:
            yield from self._workplace.run(attempt, cancelled)
            return
        with scratch(self._cache) as folder:
            local = Attempt(job=attempt.job, folder=folder / attempt.folder.name)
            yield from self._continued(local, cancelled)
            for said in Away(local).run(self._workplace.run(local, cancelled)):
                if isinstance(said, Parcel | Seal):
                    yield from self._ask(said)
                elif isinstance(said, Progress):
                    yield said
                else:
                    last = said
        # Who hears it may end this worker, and the folder would stay.
        yield last

    def _sent(self, cancelled: Callable[[], bool]) -> Generator[Said, None, Blueprint]:
        """Has the driver send what this machine lacks of the study; what is built from it."""
        shipment: Shipment = yield from self._ask(self._order(Goods.STUDY), cancelled)
        for item in shipment.items:
            yield from self._fetch(item, cancelled)
        self._depot.lay_out(shipment)
        return shipment.blueprint

    def _fetch(self, item: Item, cancelled: Callable[[], bool]) -> Iterator[Said]:
        if self._depot.has(item):
            return
        lock = self._depot.lock(item)
        while not lock.is_locked:
            try:
                lock.acquire(timeout=LOOK_S)
            except Timeout:
                if cancelled():
                    raise Cancelled(
                        "cancelled while another worker of the machine was sent the study's files"
                    ) from None
        try:
            if self._depot.has(item):
                return
            yield Progress(step=0, total=0, note=f"is sent {item.path.name}, {item.size:,} bytes")
            with self._depot.arriving(item) as arriving:
                while arriving.size < item.size:
                    order = self._order(Goods.STUDY, str(item.path), arriving.size)
                    arriving.add((yield from self._ask(order, cancelled)))
        finally:
            lock.release()

    def _continued(self, attempt: Attempt, cancelled: Callable[[], bool]) -> Iterator[Said]:
        """Has the driver send what the last attempt left, wherever it ran."""
        sizes: dict[str, int] = yield from self._ask(self._order(Goods.CHECKPOINT), cancelled)
        attempt.checkpoint.mkdir(parents=True)
        for name, size in sizes.items():
            path = attempt.checkpoint / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                while file.tell() < size:
                    order = self._order(Goods.CHECKPOINT, name, file.tell())
                    file.write((yield from self._ask(order, cancelled)))

    def _order(self, goods: Goods, name: str | None = None, offset: int = 0) -> Order:
        return Order(goods=goods, depot=self._depot.folder, name=name, offset=offset)

    def _ask(
        self, what: Order | Parcel | Seal, cancelled: Callable[[], bool] = lambda: False
    ) -> Generator[Said, None, Any]:
        """Says something to the driver, and gives its answer.

        Raises:
            Cancelled: it was no longer wanted.
            Refused: there is none.
        """
        self._asked += 1
        number = self._asked
        yield Request(number=number, what=what)
        while True:
            if cancelled():
                raise Cancelled("cancelled while the study's files were sent")
            try:
                answered, answer = self._answers.get(timeout=LOOK_S)
            except queue.Empty:
                continue
            if answered != number:
                continue  # to what an attempt asked that was cancelled
            if isinstance(answer, Failure):
                raise Refused(answer)
            return answer


def _all_there(blueprint: Blueprint) -> bool:
    """Whether this machine sees all files that are needed."""
    try:
        return all(path.is_file() for path in blueprint.files())
    except (OSError, OptionsError):
        return False
