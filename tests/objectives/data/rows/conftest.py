from __future__ import annotations

from typing import Any

import pytest

from objectives.data.rows import Call, Format, Message, Role, Row, Tool

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.fixture
def structured() -> Row:
    """A row with one call whose result is structured."""
    return Row(
        messages=(
            Message(role=Role.USER, text="Where?"),
            Message(role=Role.ASSISTANT, calls=(Call(name="find", arguments={}),)),
            Message(role=Role.TOOL, data={"b": 2.5, "a": [1, None]}),
            Message(role=Role.ASSISTANT, text="There."),
        )
    )


@pytest.fixture
def conversation() -> dict[str, Any]:
    """One conversation of several turns with parallel calls: its row, and by hand how each format writes it."""
    call = [Call(name="weather", arguments={"city": city}, id=f"call-{i}") for i, city in enumerate("AB", start=1)]
    row = Row(
        messages=(
            Message(role=Role.SYSTEM, text="Be brief."),
            Message(role=Role.USER, text="Hello"),
            Message(role=Role.ASSISTANT, text="Hi"),
            Message(role=Role.USER, text="Weather in A and B?"),
            Message(role=Role.ASSISTANT, text="I look.", calls=tuple(call)),
            Message(role=Role.TOOL, text="sun", answers="call-1", name="weather"),
            Message(role=Role.TOOL, text="rain", answers="call-2", name="weather"),
            Message(role=Role.USER, text="Well?"),
            Message(role=Role.ASSISTANT, text="Sun and rain ☂"),
        ),
        tools=(Tool(name="weather", description="Tells the weather", parameters=SCHEMA), Tool(name="stop")),
    )
    return {"row": row, Format.MESSAGES: _messages(), Format.CONVERSE: _converse(), Format.CONTENTS: _contents()}


def _messages() -> dict[str, Any]:
    calls = [
        {"id": f"call-{i}", "type": "function", "function": {"name": "weather", "arguments": f'{{"city":"{city}"}}'}}
        for i, city in enumerate("AB", start=1)
    ]
    weather = {"name": "weather", "description": "Tells the weather", "parameters": SCHEMA}
    return {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi"},
            {"role": "user", "content": "Weather in A and B?"},
            {"role": "assistant", "content": "I look.", "tool_calls": calls},
            {"role": "tool", "content": "sun", "tool_call_id": "call-1"},
            {"role": "tool", "content": "rain", "tool_call_id": "call-2"},
            {"role": "user", "content": "Well?"},
            {"role": "assistant", "content": "Sun and rain ☂"},
        ],
        "tools": [{"type": "function", "function": weather}, {"type": "function", "function": {"name": "stop"}}],
    }


def _converse() -> dict[str, Any]:
    def says(role: str, *blocks: Any) -> dict[str, Any]:
        return {"role": role, "content": [{"text": block} if isinstance(block, str) else block for block in blocks]}

    def use(number: int, city: str) -> dict[str, Any]:
        return {"toolUse": {"toolUseId": f"call-{number}", "name": "weather", "input": {"city": city}}}

    def result(number: int, said: str) -> dict[str, Any]:
        return {"toolResult": {"toolUseId": f"call-{number}", "content": [{"text": said}]}}

    weather = {"name": "weather", "description": "Tells the weather", "inputSchema": {"json": SCHEMA}}
    stop = {"name": "stop", "inputSchema": {"json": {"type": "object", "properties": {}}}}
    return {
        "schemaVersion": "bedrock-conversation-2024",
        "system": [{"text": "Be brief."}],
        "messages": [
            says("user", "Hello"),
            says("assistant", "Hi"),
            says("user", "Weather in A and B?"),
            says("assistant", "I look.", use(1, "A"), use(2, "B")),
            says("user", result(1, "sun"), result(2, "rain"), "Well?"),
            says("assistant", "Sun and rain ☂"),
        ],
        "toolConfig": {"tools": [{"toolSpec": weather}, {"toolSpec": stop}]},
    }


def _contents() -> dict[str, Any]:
    def says(role: str, *parts: Any) -> dict[str, Any]:
        return {"role": role, "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}

    def use(city: str) -> dict[str, Any]:
        return {"functionCall": {"name": "weather", "args": {"city": city}}}

    def result(said: str) -> dict[str, Any]:
        return {"functionResponse": {"name": "weather", "response": {"output": said}}}

    weather = {"name": "weather", "description": "Tells the weather", "parameters": SCHEMA}
    return {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            says("user", "Hello"),
            says("model", "Hi"),
            says("user", "Weather in A and B?"),
            says("model", "I look.", use("A"), use("B")),
            says("user", result("sun"), result("rain"), "Well?"),
            says("model", "Sun and rain ☂"),
        ],
        "tools": [{"functionDeclarations": [weather, {"name": "stop"}]}],
    }
