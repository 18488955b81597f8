"""What a worker that has no disk in common with the driver asks of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path

from ratio_search.runner.parcel import Parcel, Seal


class Goods(enum.Enum):
    """What can be had."""

    STUDY = enum.auto()
    """The study's files, and what is built of them."""
    CHECKPOINT = enum.auto()
    """What the last attempt left, to go on from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Asks for a list, or for the next part of a file on it.

    Attributes:
        goods: on which list.
        depot: where the worker keeps what it is sent.
        name: of the file; None asks for the list.
        offset: where the part begins.
    """

    goods: Goods
    depot: Path
    name: str | None = None
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a worker says to the driver, and waits until it is answered.

    Attributes:
        number: which of the worker's requests it is; the answer has the same.
        what: an order, or what is to be taken in.
    """

    number: int
    what: Order | Parcel | Seal
