"""Rows of chat messages, as OpenAI has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from objectives.data.rows.content import Content
from objectives.data.rows.excerpt import excerpt
from objectives.data.rows.field import as_object, object_field, objects, optional_text, text_field
from objectives.data.rows.format import FormatError
from objectives.data.rows.row import Call, Message, Role, Row, Tool
from objectives.data.rows.value import canonical_text
from objectives.errors import DataError

ROLES = {**{role.value: role for role in Role}, "developer": Role.SYSTEM}
"""What a role is called. Newer models say developer for system."""

UNREADABLE = ("audio", "function_call", "refusal")
"""Keys of a message that say something which a row has no place for."""


def read(data: Mapping[str, Any]) -> Content:
    """Reads the messages and the tools.

    Raises:
        DataError: they are not of this format, or hold more than text, calls of functions and their results.
    """
    if data.get("system"):
        raise DataError(
            f"'system' stands beside chat messages, found {excerpt(data['system'])}; expected it as the first message"
        )
    return Content(messages=tuple(read_messages(data, "messages")), tools=read_tools(data))


def read_messages(data: Mapping[str, Any], key: str) -> Iterator[Message]:
    """The chat messages in the list under the key.

    Raises:
        DataError: as for `read`.
    """
    return (_message(message, where) for where, message in objects(data, key, "row"))


def read_tools(data: Mapping[str, Any]) -> tuple[Tool, ...]:
    """The tools of the row.

    Raises:
        DataError: as for `read`.
    """
    return tuple(_tool(tool, where) for where, tool in objects(data, "tools", "row"))


def _message(data: dict[str, Any], where: str) -> Message:
    said = text_field(data, "role", where)
    role = ROLES.get(said)
    if role is None:
        raise DataError(f"{where}: expected one of the roles {', '.join(ROLES)}, found {excerpt(said)}")
    for key in UNREADABLE:
        if data.get(key) is not None:
            raise DataError(f"{where}: has {key!r}, which cannot be read; expected text and tool_calls only")
    calls = tuple(_call(call, place) for place, call in objects(data, "tool_calls", where))
    return Message(
        role=role,
        text=_text(data, role, where),
        calls=calls,
        answers=optional_text(data, "tool_call_id", where),
        name=optional_text(data, "name", where),
        trained=_trained(data, role, where),
    )


def _text(data: dict[str, Any], role: Role, where: str) -> str:
    content = data.get("content")
    if isinstance(content, str):
        return content
    if content is None and role is Role.ASSISTANT:
        return ""
    if not isinstance(content, list):
        raise DataError(f"{where}: 'content' must be text or a list of parts, found {excerpt(content)}")
    parts = []
    for place, part in objects(data, "content", where):
        kind = text_field(part, "type", place)
        if kind != "text":
            raise DataError(f"{place}: parts of the type {excerpt(kind)} cannot be read; expected text only")
        parts.append(text_field(part, "text", place))
    return "".join(parts)


def _call(data: dict[str, Any], where: str) -> Call:
    kind = data.get("type")
    if kind not in (None, "function"):
        raise DataError(f"{where}: calls of the type {excerpt(kind)} cannot be read; expected function")
    function = object_field(data, "function", where)
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = orjson.loads(arguments)
        except orjson.JSONDecodeError as error:
            raise DataError(f"{where}: the arguments are not JSON ({error.msg}), found {excerpt(arguments)}") from None
    return Call(
        name=text_field(function, "name", where),
        arguments=as_object(arguments, f"{where}: the arguments"),
        id=optional_text(data, "id", where),
    )


def _trained(data: dict[str, Any], role: Role, where: str) -> bool:
    weight = data.get("weight")
    if weight is None or role is not Role.ASSISTANT:
        return True
    if isinstance(weight, bool) or weight not in (0, 1):
        raise DataError(f"{where}: 'weight' must be 0 or 1, found {excerpt(weight)}")
    return bool(weight)


def _tool(data: dict[str, Any], where: str) -> Tool:
    kind = data.get("type")
    if kind not in (None, "function"):
        raise DataError(f"{where}: tools of the type {excerpt(kind)} cannot be read; expected function")
    function = object_field(data, "function", where)
    parameters = function.get("parameters")
    return Tool(
        name=text_field(function, "name", where),
        description=optional_text(function, "description", where),
        parameters=None if parameters is None else as_object(parameters, f"{where}: the parameters"),
    )


def write(row: Row) -> dict[str, Any]:
    """Writes the messages and the tools; structured results of tools as their JSON text.

    Raises:
        FormatError: the row has a result that answers no call, or one that tells of an error.
    """
    written: dict[str, Any] = {"messages": [_written(message) for message in row.messages]}
    _drop_known_names(row, written["messages"])
    if row.tools:
        written["tools"] = [{"type": "function", "function": declaration(tool)} for tool in row.tools]
    return written


def _written(message: Message) -> dict[str, Any]:
    if message.role is Role.TOOL and message.answers is None:
        raise FormatError("a tool's result that answers no call")
    if message.failed:
        raise FormatError("that a tool's result is an error")
    content: str | None = message.text if message.data is None else canonical_text(message.data)
    if message.calls and not content:
        content = None
    written: dict[str, Any] = {"role": message.role.value, "content": content}
    if message.calls:
        written["tool_calls"] = [_written_call(call) for call in message.calls]
    if message.answers is not None:
        written["tool_call_id"] = message.answers
    if message.name is not None:
        written["name"] = message.name
    if not message.trained:
        written["weight"] = 0
    return written


def _written_call(call: Call) -> dict[str, Any]:
    arguments = orjson.dumps(call.arguments).decode()
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _drop_known_names(row: Row, written: list[dict[str, Any]]) -> None:
    """Leaves the names of tools out where their call tells them: chat messages of tools have ids only."""
    names: dict[str | None, str] = {}
    for message, data in zip(row.messages, written, strict=True):
        names.update((call.id, call.name) for call in message.calls)
        if message.role is Role.TOOL and names.get(message.answers) == message.name:
            data.pop("name", None)


def declaration(tool: Tool) -> dict[str, Any]:
    """A tool as a function with its schema, which Gemini's tools are too."""
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    return function


def keep_spelling(written: dict[str, Any], data: Mapping[str, Any]) -> None:
    """Gives the calls that were written the spelling of their arguments in the object that was read.

    Their spacing is the author's own and no reason to write a row anew.
    """
    for message, original in zip(written["messages"], data["messages"], strict=False):
        calls = zip(message.get("tool_calls", ()), original.get("tool_calls") or (), strict=False)
        for call, spelled in calls:
            arguments = spelled["function"]["arguments"]
            if isinstance(arguments, str):
                call["function"]["arguments"] = arguments
