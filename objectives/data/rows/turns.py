"""Turns: the form in which user and assistant speak in strict alternation, as Converse and Gemini demand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise

from objectives.data.rows.format import FormatError
from objectives.data.rows.row import Call, Message, Role, Row


def turns(row: Row) -> tuple[str | None, list[list[Message]]]:
    """The system text, and the turns in order, the user's first.

    A turn of the assistant's is one message. A turn of the user's is any run of results of tools and the user's
    messages, in which no two of the latter follow each other, for their texts would run together.

    Raises:
        FormatError: the row cannot be written in such turns.
    """
    system, messages = row.system, row.messages
    if system is not None:
        if messages[0].name is not None:
            raise FormatError("the name of a system message")
        messages = messages[1:]
    for message in messages:
        if message.role is Role.SYSTEM:
            raise FormatError("a system message that is not the only one, at the beginning")
        if message.name is not None and message.role is not Role.TOOL:
            raise FormatError(f"the name of a message of the {message.role}'s")
        if not message.trained:
            raise FormatError("an assistant's message that is not to be trained on")
    if messages[0].role is not Role.USER:
        raise FormatError(f"a conversation that begins with the {messages[0].role} and not with the user")
    for one, other in pairwise(messages):
        if one.role is other.role and one.role is not Role.TOOL:
            raise FormatError(f"two messages of the {one.role}'s in a row")
    return system, _grouped(messages)


def _grouped(messages: Sequence[Message]) -> list[list[Message]]:
    return [list(turn) for _, turn in groupby(messages, key=lambda message: message.role is Role.ASSISTANT)]


def assistant_turn(parts: Iterable[str | Call]) -> Message:
    """The assistant's message of these parts: its texts joined, and then its calls."""
    texts: list[str] = []
    calls: list[Call] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        else:
            calls.append(part)
    return Message(role=Role.ASSISTANT, text="".join(texts), calls=tuple(calls))


def user_turn(parts: Iterable[str | Message]) -> Iterator[Message]:
    """The messages of a user's turn: texts that follow each other joined, and the results of tools between them."""
    texts: list[str] = []
    empty = True
    for part in parts:
        empty = False
        if isinstance(part, str):
            texts.append(part)
            continue
        if texts:
            yield Message(role=Role.USER, text="".join(texts))
            texts = []
        yield part
    if texts or empty:
        yield Message(role=Role.USER, text="".join(texts))
