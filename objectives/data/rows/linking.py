"""Calls of tools and their results, linked: formats differ in whether ids, names or the order tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count

from objectives.data.rows.row import Call, Message, Role, Row, Tool

NO_PARAMETERS = {"type": "object", "properties": {}}
"""The schema of a tool that takes no arguments; the same as no schema."""


def linked(row: Row) -> Row:
    """The row with all that follows from its order said, and what says nothing left out.

    - A call without an id gets "call-1", "call-2" and so on, by its place among the row's calls; ids that are
      taken are skipped.
    - A tool's message that says not what it answers gets the id of the first call before it that has no
      answer yet and, where the message has a name, has this name.
    - A tool's message without a name gets that of the call it answers.
    - A structured result that is a JSON string is text.
    - A blank system message is left out.
    - A tool's schema without any property is left out.

    A row that is linked stays as it is.
    """
    blank = any(message.role is Role.SYSTEM and not message.text.strip() for message in row.messages)
    if not blank and not row.tools and not _has_calls(row):
        return row
    said = [message for message in row.messages if message.role is not Role.SYSTEM or message.text.strip()]
    return replace(row, messages=tuple(_linked(said)), tools=tuple(map(_slim, row.tools)))


def unlinked(row: Row) -> Row:
    """The linked row without its ids where they follow from the order; otherwise as it is."""
    if not _has_calls(row):
        return row
    bare = replace(
        row,
        messages=tuple(
            replace(message, answers=None, calls=tuple(replace(call, id=None) for call in message.calls))
            for message in row.messages
        ),
    )
    return bare if linked(bare) == row else row


def _has_calls(row: Row) -> bool:
    return any(message.calls or message.role is Role.TOOL for message in row.messages)


@dataclass(slots=True, kw_only=True)
class _Asked:
    """A call, and whether it has its answer."""

    call: Call
    answered: bool = False


def _linked(messages: list[Message]) -> Iterator[Message]:
    taken = {call.id for message in messages for call in message.calls} | {message.answers for message in messages}
    places = count(1)
    asked: list[_Asked] = []
    for message in messages:
        if message.calls:
            calls = tuple(_numbered(call, next(places), taken) for call in message.calls)
            asked.extend(_Asked(call=call) for call in calls)
            yield replace(message, calls=calls)
        elif message.role is Role.TOOL:
            yield _answering(message, asked)
        else:
            yield message


def _numbered(call: Call, place: int, taken: set[str | None]) -> Call:
    if call.id is not None:
        return call
    free = next(name for number in count(place) if (name := f"call-{number}") not in taken)
    taken.add(free)
    return replace(call, id=free)


def _answering(message: Message, asked: list[_Asked]) -> Message:
    if isinstance(message.data, str):
        message = replace(message, text=message.data, data=None)
    if message.answers is None:
        fitting = (one for one in asked if not one.answered and message.name in (None, one.call.name))
    else:
        # An id may come again in a later turn, and then it means the latest call.
        fitting = (one for one in reversed(asked) if one.call.id == message.answers)
    found = next(fitting, None)
    if found is None:
        return message
    found.answered = True
    return replace(message, answers=found.call.id, name=found.call.name if message.name is None else message.name)


def _slim(tool: Tool) -> Tool:
    return replace(tool, parameters=None) if tool.parameters == NO_PARAMETERS else tool
