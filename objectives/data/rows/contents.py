"""Rows of contents, as Vertex AI has them for Gemini."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from objectives.data.rows.content import Content
from objectives.data.rows.excerpt import excerpt
from objectives.data.rows.field import object_field, objects, only_key, optional_text, text_field
from objectives.data.rows.format import FormatError
from objectives.data.rows.linking import unlinked
from objectives.data.rows.messages import declaration
from objectives.data.rows.row import Call, Message, Role, Row, Tool
from objectives.data.rows.turns import assistant_turn, turns, user_turn
from objectives.errors import DataError

UNREADABLE = ("system", "system_instruction")
"""Keys that would say something under another name, and are easily lost."""


def read(data: Mapping[str, Any]) -> Content:
    """Reads the system instruction, the contents and the tools.

    Raises:
        DataError: they are not of this format, or hold more than text, calls of functions and their results.
    """
    for key in UNREADABLE:
        if data.get(key):
            raise DataError(f"has {key!r} beside contents; expected systemInstruction")
    said: list[Message] = []
    if data.get("systemInstruction") is not None:
        parts = objects(object_field(data, "systemInstruction", "row"), "parts", "row: systemInstruction")
        texts = [text_field(part, "text", where) for where, part in parts]
        said.extend([Message(role=Role.SYSTEM, text="".join(texts))] if texts else [])
    for where, content in objects(data, "contents", "row"):
        role = text_field(content, "role", where)
        if not isinstance(content.get("parts"), list):
            raise DataError(f"{where}: 'parts' must be a list, found {excerpt(content.get('parts'))}")
        if role == "model":
            said.append(assistant_turn(_said_by_model(content, where)))
        elif role in ("user", "function"):
            said.extend(user_turn(_said_by_user(content, where)))
        else:
            raise DataError(f"{where}: expected the role user, model or function, found {excerpt(role)}")
    return Content(messages=tuple(said), tools=tuple(_tools(data)))


def _said_by_model(content: dict[str, Any], where: str) -> Iterator[str | Call]:
    for place, part in objects(content, "parts", where):
        if only_key(part, ("text", "functionCall"), place) == "text":
            yield text_field(part, "text", place)
            continue
        call = object_field(part, "functionCall", place)
        name, number = text_field(call, "name", place), optional_text(call, "id", place)
        yield Call(
            name=name, arguments={} if call.get("args") is None else object_field(call, "args", place), id=number
        )


def _said_by_user(content: dict[str, Any], where: str) -> Iterator[str | Message]:
    for place, part in objects(content, "parts", where):
        if only_key(part, ("text", "functionResponse"), place) == "text":
            yield text_field(part, "text", place)
        else:
            yield _result(object_field(part, "functionResponse", place), place)


def _result(data: dict[str, Any], where: str) -> Message:
    response: Any = object_field(data, "response", where)
    key = _wrapping(response)
    found = response if key is None else response[key]
    return Message(
        role=Role.TOOL,
        text=found if isinstance(found, str) else "",
        data=None if isinstance(found, str) else found,
        answers=optional_text(data, "id", where),
        name=text_field(data, "name", where),
        failed=key == "error",
    )


def _wrapping(response: Mapping[str, Any]) -> str | None:
    """The key under which a response holds its result; None where the response is the result itself."""
    return next((key for key in ("output", "error") if response.keys() == {key} and response[key] is not None), None)


def _tools(data: Mapping[str, Any]) -> Iterator[Tool]:
    for where, tool in objects(data, "tools", "row"):
        only_key(tool, ("functionDeclarations",), where)
        for place, function in objects(tool, "functionDeclarations", where):
            schema = function.get("parameters") is not None
            yield Tool(
                name=text_field(function, "name", place),
                description=optional_text(function, "description", place),
                parameters=object_field(function, "parameters", place) if schema else None,
            )


def write(row: Row) -> dict[str, Any]:
    """Writes the system instruction, the turns and the tools; ids only where the order does not tell.

    Raises:
        FormatError: the row does not come in turns, or has a result without the function's name.
    """
    system, spoken = turns(unlinked(row))
    written: dict[str, Any] = {}
    if system is not None:
        written["systemInstruction"] = {"parts": [{"text": system}]}
    written["contents"] = [
        {
            "role": "model" if turn[0].role is Role.ASSISTANT else "user",
            "parts": [part for message in turn for part in _parts(message)],
        }
        for turn in spoken
    ]
    if row.tools:
        written["tools"] = [{"functionDeclarations": [declaration(tool) for tool in row.tools]}]
    return written


def _parts(message: Message) -> Iterator[dict[str, Any]]:
    if message.role is Role.TOOL:
        if message.name is None:
            raise FormatError("a tool's result without the tool's name")
        yield {"functionResponse": _with_id({"name": message.name, "response": _response(message)}, message.answers)}
        return
    if message.text or not message.calls:
        yield {"text": message.text}
    for call in message.calls:
        yield {"functionCall": _with_id({"name": call.name, "args": call.arguments}, call.id)}


def _with_id(data: dict[str, Any], number: str | None) -> dict[str, Any]:
    return data if number is None else {"id": number, **data}


def _response(message: Message) -> Any:
    found = message.text if message.data is None else message.data
    if message.failed:
        return {"error": found}
    # An object stands for itself unless it would be read as one that holds the result.
    return found if isinstance(found, dict) and _wrapping(found) is None else {"output": found}
