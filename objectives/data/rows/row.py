"""A row: one conversation whose last message is trained on and scored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from objectives.data.rows.value import canonical_text, check_object, check_value
from objectives.errors import DataError


class Role(StrEnum):
    """Who speaks."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


# Every row passes where these stand, and looking up a member of an enumeration takes a tenth of making a message.
USER, ASSISTANT = Role.USER, Role.ASSISTANT


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The assistant's call of a tool.

    Attributes:
        name: the tool's name.
        arguments: a JSON object.
        id: what the tool's result refers to; None where only the order tells.

    Raises:
        DataError: the arguments are no JSON object.
    """

    name: str
    arguments: Mapping[str, Any]
    id: str | None = None

    def __post_init__(self) -> None:
        check_object(self.arguments, "a call's arguments")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn, or one part of it.

    Attributes:
        role: who speaks.
        text: what is said; may be empty.
        calls: the assistant's calls of tools, which follow its text.
        answers: the id of the call that a tool's message answers; None where only the order tells.
        name: the name of the tool, or of the participant.
        data: a tool's structured result, a JSON value, which stands in place of text; None where there is none.
        failed: whether a tool's message tells of an error.
        trained: whether an assistant's message that is not the last is trained on as well.

    Raises:
        DataError: something is set that a message of this role cannot have.
    """

    role: Role
    text: str = ""
    calls: tuple[Call, ...] = ()
    answers: str | None = None
    name: str | None = None
    data: Any = None
    failed: bool = False
    trained: bool = True

    def __post_init__(self) -> None:
        if self.calls and self.role is not Role.ASSISTANT:
            raise DataError(f"a message of the {self.role}'s has calls of tools; expected them in the assistant's only")
        # Most messages have nothing but text, so this question comes first.
        if self.data is None and self.answers is None and not self.failed:
            return
        if self.role is not Role.TOOL:
            raise DataError(f"a message of the {self.role}'s has a tool's result; expected it in a tool's only")
        if self.data is not None:
            check_value(self.data, "a tool's result")
            if self.text:
                raise DataError("a tool's message has text and structured data; expected one of them")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool that the assistant may call.

    Attributes:
        name: the tool's name.
        description: what it does.
        parameters: the JSON schema of its arguments; None where it takes none.

    Raises:
        DataError: the parameters are no JSON object.
    """

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.parameters is not None:
            check_object(self.parameters, "a tool's parameters")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One example.

    Attributes:
        messages: the conversation; the last message is the assistant's, which is trained on and scored.
        tools: the tools that the assistant may call.
        label: the class that `accuracy` and `f1` judge, with which the output begins; None for a text task.

    Raises:
        DataError: the last message is not the assistant's, or is not to be trained on.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    label: str | None = None

    def __post_init__(self) -> None:
        last = self.messages[-1] if self.messages else None
        if last is None or last.role is not ASSISTANT:
            found = "no message" if last is None else f"the {last.role}'s"
            raise DataError(f"the last message must be the assistant's, which is trained on, found {found}")
        if not last.trained:
            raise DataError("the last message is the one to train on, but it is marked as not to be trained on")

    @classmethod
    def of(cls, instruction: str, output: str, label: str | None = None, system: str | None = None) -> Row:
        """A plain row: one question and its answer, after a system message where there is one."""
        messages: tuple[Message, ...] = (Message(role=USER, text=instruction), Message(role=ASSISTANT, text=output))
        if system is not None:
            messages = (Message(role=Role.SYSTEM, text=system), *messages)
        return cls(messages=messages, label=label)

    @property
    def output(self) -> str:
        """The text of the last message."""
        return self.messages[-1].text

    @property
    def instruction(self) -> str:
        """The text of the last user message; empty if there is none."""
        return next((message.text for message in reversed(self.messages) if message.role is Role.USER), "")

    @property
    def system(self) -> str | None:
        """The text of the leading system message, if there is one."""
        first = self.messages[0]
        return first.text if first.role is Role.SYSTEM else None

    @property
    def plain(self) -> bool:
        """Whether the row is one user message and the answer, after at most one system message, and no more."""
        roles = tuple(message.role for message in self.messages)
        return (
            roles[-2:] == (Role.USER, Role.ASSISTANT)
            and roles[:-2] in ((), (Role.SYSTEM,))
            and not self.tools
            and not any(message.calls or message.name is not None for message in self.messages)
        )

    @property
    def text(self) -> str:
        """All that the row says, which is hashed, counted and compared.

        Tools come first, then the messages in order, each with its text, its calls and its data; these parts
        are joined by line feeds. Objects are compact JSON with sorted keys. Ids are left out, for two rows that
        differ by them say the same. A plain row without system message gives its instruction, a line feed, and
        its output.
        """
        return "\n".join(self._parts())

    def _parts(self) -> Iterator[str]:
        for tool in self.tools:
            yield canonical_text({"name": tool.name, "description": tool.description, "parameters": tool.parameters})
        for message in self.messages:
            if message.text or not (message.calls or message.data is not None):
                yield message.text
            for call in message.calls:
                yield canonical_text({"name": call.name, "arguments": call.arguments})
            if message.data is not None:
                yield canonical_text(message.data)
