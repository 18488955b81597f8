"""Rows of an instruction and an output, under these or other pairs of keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from objectives.data.rows import messages
from objectives.data.rows.content import Content
from objectives.data.rows.excerpt import excerpt
from objectives.data.rows.field import optional_text
from objectives.data.rows.format import FormatError
from objectives.data.rows.row import Message, Role, Row
from objectives.errors import DataError

PAIRS = (("instruction", "output"), ("prompt", "completion"), ("question", "answer"), ("input", "output"))
"""Keys of what is asked and what is answered; the first pair of which both are there is read."""


def pair_of(data: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first pair of keys that the object has."""
    return next((pair for pair in PAIRS if pair[0] in data and pair[1] in data), None)


def read(data: Mapping[str, Any]) -> Content:
    """Reads one question and its answer, or TRL's prompt and completion of messages.

    Raises:
        DataError: a value is not text.
    """
    pair = pair_of(data)
    assert pair is not None
    asked, answered = (data[key] for key in pair)
    if pair == ("prompt", "completion") and (isinstance(asked, list) or isinstance(answered, list)):
        return _conversation(data)
    for key in pair:
        if not isinstance(data[key], str):
            raise DataError(f"{key!r} must be text, found {excerpt(data[key])}")
    if pair[0] == "instruction":
        further = optional_text(data, "input", "row")
        if further is not None and further.strip():
            asked = f"{asked}\n\n{further}"
    system = optional_text(data, "system", "row")
    return Content(messages=Row.of(asked, answered, system=system).messages)


def _conversation(data: Mapping[str, Any]) -> Content:
    for key in ("prompt", "completion"):
        if not isinstance(data[key], list):
            raise DataError(f"'prompt' and 'completion' must be both text or both messages, found {excerpt(data[key])}")
    system = optional_text(data, "system", "row")
    before = () if system is None else (Message(role=Role.SYSTEM, text=system),)
    said = (message for key in ("prompt", "completion") for message in messages.read_messages(data, key))
    return Content(messages=(*before, *said), tools=messages.read_tools(data))


def write(row: Row) -> dict[str, Any]:
    """Writes a plain row and its label.

    Raises:
        FormatError: the row is not plain.
    """
    if not row.plain:
        raise FormatError(_excess(row))
    written = {"instruction": row.instruction, "output": row.output}
    if row.system is not None:
        written["system"] = row.system
    if row.label is not None:
        written["label"] = row.label
    return written


def _excess(row: Row) -> str:
    """What a row has that makes it more than plain."""
    if row.tools or any(message.calls or message.role is Role.TOOL for message in row.messages):
        return "tools, their calls and their results"
    if any(message.name is not None for message in row.messages):
        return "the names of participants"
    return "a conversation of other turns than system, user and assistant"
