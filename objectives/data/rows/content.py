"""Content: what a format's reader finds in an object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from objectives.data.rows.row import Message, Row, Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is said and with which tools; not yet known to make a row.

    Attributes:
        messages: the conversation as it stands there.
        tools: the tools.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()


class Codec(Protocol):
    """A format's reader and writer."""

    def read(self, data: Mapping[str, Any]) -> Content:
        """What the object holds.

        Raises:
            DataError: it is not of this format, or holds what a row cannot.
        """
        ...

    def write(self, row: Row) -> dict[str, Any]:
        """The object that holds the linked row, with its keys in their fixed order.

        Raises:
            FormatError: the format cannot hold it; the message names what it cannot hold, and no more.
        """
        ...
