"""What the driver does for an attempt elsewhere: sends it files, takes in what it leaves, keeps what it reports."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from objectives.attempt import Attempt, Event, Failure, write_json
from objectives.base import Measurement, Progress
from objectives.errors import DataError, ResultError
from objectives.shipment import Item, Shipment
from ratio_search.runner.order import Goods, Order
from ratio_search.runner.parcel import PARCEL_BYTES, Arrival, Box, Parcel, Seal, inside


class Dispatch:
    """Answers what the worker of an attempt asks for. It does nothing for one that has the driver's disk.

    A checkpoint, a measurement and whatever else the attempt leaves appear in its folder whole or not at all, and
    before they are reported.
    """

    def __init__(self, attempt: Attempt, shipment: Callable[[], Shipment]) -> None:
        """Prepares for an attempt.

        Args:
            attempt: which.
            shipment: gives the study's files; asked only if a worker needs them.
        """
        self._attempt = attempt
        self._shipment = shipment
        self._arrivals: dict[Box, Arrival | None] = {}
        self._open = contextlib.ExitStack()
        self._away = False

    def answer(self, what: Order | Parcel | Seal) -> Any:
        """What the worker is to hear; a failure where it cannot be given what it asks for."""
        if not isinstance(what, Order):
            self._take(what)
            return None
        try:
            return self._study(what) if what.goods is Goods.STUDY else self._checkpoint(what)
        except Exception as error:
            return Failure.of(error)

    def keep(self, event: Event) -> Event:
        """Writes down what an attempt elsewhere reports; what is to be told of it."""
        if self._away and isinstance(event, Progress):
            self._attempt.note(event)
        if self._away and isinstance(event, Measurement):
            with contextlib.suppress(OSError):  # it will be stored, if there is room by then
                write_json(self._attempt.result_file, event.to_json())
        return event

    def close(self) -> None:
        """Ends what is under way; what has come of it in part is removed."""
        self._open.close()
        for box in Box:
            shutil.rmtree(self._attempt.folder / box.value, ignore_errors=True)
        self._arrivals.clear()

    def _study(self, order: Order) -> Shipment | bytes:
        shipment = self._shipment()
        if order.name is None:
            return shipment.bound_for(order.depot)
        return _item(shipment, order.name).piece(order.offset, PARCEL_BYTES)

    def _checkpoint(self, order: Order) -> dict[str, int] | bytes:
        folder = self._attempt.checkpoint
        if order.name is None:
            self._away = True
            self._open.enter_context(self._attempt.heartbeat())
            self._attempt.prepare()
            files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
            return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
        with (folder / inside(order.name)).open("rb") as file:
            file.seek(order.offset)
            return file.read(PARCEL_BYTES)

    def _take(self, what: Parcel | Seal) -> None:
        try:
            if what.box not in self._arrivals:
                self._arrivals[what.box] = Arrival(self._attempt.folder / what.box.value)
            arrival = self._arrivals[what.box]
            if arrival is not None and isinstance(what, Parcel):
                arrival.take(what)
            if arrival is not None and isinstance(what, Seal):
                self._unpack(what.box, arrival.whole(what))
        except (OSError, ResultError):
            # Such as a full disk. The fine-tune goes on; what it measures counts without what it leaves.
            self._arrivals[what.box] = None
        if isinstance(what, Seal):
            del self._arrivals[what.box]

    def _unpack(self, box: Box, folder: Path) -> None:
        if box is Box.CHECKPOINT:
            self._attempt.replace_checkpoint(folder)
            return
        for path in sorted(folder.iterdir()):
            there = self._attempt.folder / path.name
            if there.is_dir():
                shutil.rmtree(there)
            path.rename(there)
        folder.rmdir()


def _item(shipment: Shipment, name: str) -> Item:
    for item in shipment.items:
        if str(item.path) == name:
            return item
    raise DataError(f"a worker asked for {name!r}, which is not among the study's files")
