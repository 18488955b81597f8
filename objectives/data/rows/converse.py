"""Rows of Bedrock's Converse, on which Nova is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from objectives.data.rows.content import Content
from objectives.data.rows.excerpt import excerpt
from objectives.data.rows.field import object_field, objects, only_key, optional_text, text_field
from objectives.data.rows.format import FormatError
from objectives.data.rows.linking import NO_PARAMETERS
from objectives.data.rows.row import Call, Message, Role, Row, Tool
from objectives.data.rows.turns import assistant_turn, turns, user_turn
from objectives.errors import DataError

SCHEMA = "bedrock-conversation-2024"
"""The version of the format that is written; any is read."""


def read(data: Mapping[str, Any]) -> Content:
    """Reads the system text, the messages and the tools.

    Raises:
        DataError: they are not of this format, or hold more than text, calls of tools and their results.
    """
    said: list[Message] = []
    system = [text_field(block, "text", where) for where, block in objects(data, "system", "row")]
    if system:
        said.append(Message(role=Role.SYSTEM, text="".join(system)))
    for where, message in objects(data, "messages", "row"):
        role = text_field(message, "role", where)
        if not isinstance(message.get("content"), list):
            raise DataError(f"{where}: 'content' must be a list of blocks, found {excerpt(message.get('content'))}")
        if role == "assistant":
            said.append(assistant_turn(_said_by_assistant(message, where)))
        elif role == "user":
            said.extend(user_turn(_said_by_user(message, where)))
        else:
            raise DataError(f"{where}: expected the role user or assistant, found {excerpt(role)}")
    return Content(messages=tuple(said), tools=tuple(_tools(data)))


def _said_by_assistant(message: dict[str, Any], where: str) -> Iterator[str | Call]:
    for place, block in objects(message, "content", where):
        if only_key(block, ("text", "toolUse"), place) == "text":
            yield text_field(block, "text", place)
            continue
        use = object_field(block, "toolUse", place)
        name, number = text_field(use, "name", place), optional_text(use, "toolUseId", place)
        yield Call(name=name, arguments=object_field(use, "input", place), id=number)


def _said_by_user(message: dict[str, Any], where: str) -> Iterator[str | Message]:
    for place, block in objects(message, "content", where):
        if only_key(block, ("text", "toolResult"), place) == "text":
            yield text_field(block, "text", place)
        else:
            yield _result(object_field(block, "toolResult", place), place)


def _result(data: dict[str, Any], where: str) -> Message:
    status = optional_text(data, "status", where)
    if status not in (None, "success", "error"):
        raise DataError(f"{where}: 'status' must be success or error, found {excerpt(status)}")
    blocks = list(objects(data, "content", where))
    kinds = [only_key(block, ("text", "json"), place) for place, block in blocks]
    if "json" in kinds and len(kinds) > 1:
        raise DataError(f"{where}: a result must be text or one json, found {len(kinds)} blocks of both or several")
    return Message(
        role=Role.TOOL,
        text="" if "json" in kinds else "".join(text_field(block, "text", place) for place, block in blocks),
        data=blocks[0][1]["json"] if "json" in kinds else None,
        answers=optional_text(data, "toolUseId", where),
        failed=status == "error",
    )


def _tools(data: Mapping[str, Any]) -> Iterator[Tool]:
    if data.get("toolConfig") is None:
        return
    for where, tool in objects(object_field(data, "toolConfig", "row"), "tools", "row: toolConfig"):
        only_key(tool, ("toolSpec",), where)
        spec = object_field(tool, "toolSpec", where)
        schema = object_field(spec, "inputSchema", where) if spec.get("inputSchema") is not None else None
        yield Tool(
            name=text_field(spec, "name", where),
            description=optional_text(spec, "description", where),
            parameters=None if schema is None else object_field(schema, "json", where),
        )


def write(row: Row) -> dict[str, Any]:
    """Writes the system text, the turns and the tools.

    Raises:
        FormatError: the row does not come in turns, or has a result that answers no call of its name.
    """
    system, spoken = turns(row)
    written: dict[str, Any] = {"schemaVersion": SCHEMA}
    if system is not None:
        written["system"] = [{"text": system}]
    names: dict[str | None, str] = {}
    messages = written["messages"] = []
    for turn in spoken:
        names.update((call.id, call.name) for message in turn for call in message.calls)
        role = "assistant" if turn[0].role is Role.ASSISTANT else "user"
        messages.append({"role": role, "content": [block for message in turn for block in _blocks(message, names)]})
    if row.tools:
        written["toolConfig"] = {"tools": [_written_tool(tool) for tool in row.tools]}
    return written


def _blocks(message: Message, names: Mapping[str | None, str]) -> Iterator[dict[str, Any]]:
    if message.role is Role.TOOL:
        if message.answers is None:
            raise FormatError("a tool's result that answers no call")
        if message.name is not None and message.name != names.get(message.answers):
            raise FormatError("a tool's result under another name than that of the call it answers")
        content = {"text": message.text} if message.data is None else {"json": message.data}
        result: dict[str, Any] = {"toolUseId": message.answers, "content": [content]}
        if message.failed:
            result["status"] = "error"
        yield {"toolResult": result}
        return
    if message.text or not message.calls:
        yield {"text": message.text}
    for call in message.calls:
        yield {"toolUse": {"toolUseId": call.id, "name": call.name, "input": call.arguments}}


def _written_tool(tool: Tool) -> dict[str, Any]:
    spec: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        spec["description"] = tool.description
    # The schema is demanded, even of a tool that takes nothing.
    spec["inputSchema"] = {"json": NO_PARAMETERS if tool.parameters is None else tool.parameters}
    return {"toolSpec": spec}
