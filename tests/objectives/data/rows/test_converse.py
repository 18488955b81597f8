from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from objectives.data.rows import Format, Message, Parsed, Problem, ProblemKind, Role, Row, dump, parse


def says(role: str, *blocks: Any) -> dict[str, Any]:
    return {"role": role, "content": [{"text": block} if isinstance(block, str) else block for block in blocks]}


def use(number: str = "a", **further: Any) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": number, "name": "find", "input": {}, **further}}


def result(*content: Any, **further: Any) -> dict[str, Any]:
    return {"toolResult": {"toolUseId": "a", "content": list(content), **further}}


def read(*said: Any, **further: Any) -> Parsed:
    parsed = parse(orjson.dumps({"schemaVersion": "bedrock-conversation-2024", "messages": list(said), **further}))
    assert isinstance(parsed, Parsed), parsed
    assert parsed.format is Format.CONVERSE
    return parsed


class TestReading:
    @pytest.mark.parametrize("further", [{"schemaVersion": "x"}, {"system": [{"text": "s"}]}, {"toolConfig": {}}, {}])
    def test_is_known_by_its_keys_or_its_blocks(self, further: dict[str, Any]) -> None:
        parsed = parse(orjson.dumps({"messages": [says("user", "x"), says("assistant", "y")], **further}))
        assert isinstance(parsed, Parsed) and parsed.format is Format.CONVERSE
        assert not parsed.verbatim
        assert parsed.row == Row.of("x", "y", system="s" if "system" in further else None)

    def test_blocks_of_text_are_one_text_and_calls_follow_it(self) -> None:
        parsed = read(says("user", "a", "b"), says("assistant", "c", use(), "d"))
        assert parsed.row.instruction == "ab"
        assert (parsed.row.output, len(parsed.row.messages[-1].calls)) == ("cd", 1)
        assert not parsed.verbatim

    def test_a_turn_of_results_and_text_is_several_messages_in_their_order(self) -> None:
        turn = says("user", "before", result({"text": "t"}), result({"json": {"k": 1}}), "after")
        parsed = read(says("user", "x"), says("assistant", use()), turn, says("assistant", "y"))
        said = [(message.role, message.text, message.data) for message in parsed.row.messages[2:-1]]
        assert said == [
            (Role.USER, "before", None),
            (Role.TOOL, "t", None),
            (Role.TOOL, "", {"k": 1}),
            (Role.USER, "after", None),
        ]
        assert parsed.verbatim

    @pytest.mark.parametrize(("status", "failed"), [("success", False), ("error", True), (None, False)])
    def test_a_status(self, status: str | None, failed: bool) -> None:
        turn = says("user", result({"text": "t"}, status=status))
        parsed = read(says("user", "x"), says("assistant", use()), turn, says("assistant", "y"))
        assert parsed.row.messages[2].failed is failed
        assert parsed.verbatim is failed

    def test_null_keys_of_blocks_are_none(self) -> None:
        block = {"text": "x", "toolUse": None, "toolResult": None}
        assert read(says("user", block), says("assistant", {**block, "text": "y"})).row == Row.of("x", "y")

    @pytest.mark.parametrize(
        ("said", "message"),
        [
            ([{"role": "user", "content": "x"}], "messages 1: 'content' must be a list of blocks, found 'x'"),
            ([says("system", "x")], "messages 1: expected the role user or assistant, found 'system'"),
            ([says("user", {"image": {}})], "content 1: expected one of text, toolResult, .* found the keys 'image'"),
            ([says("assistant", {"reasoningContent": {}})], "expected one of text, toolUse"),
            ([says("user", {"text": "x", "cachePoint": {}})], "found the keys 'text', 'cachePoint'"),
            ([says("user", {})], "found the keys none"),
            ([says("user", {"text": 1})], "'text' must be text, found 1"),
            ([says("assistant", use(input="{}"))], "'input' must be an object, found '{}'"),
            ([says("user", result({"json": 1}, {"text": "x"}))], "a result must be text or one json"),
            ([says("user", result({"json": None}))], "expected one of text, json"),
            ([says("user", result(status="odd"))], "'status' must be success or error, found 'odd'"),
            ([says("user", "x")], "the last message must be the assistant's"),
        ],
    )
    def test_problems(self, said: list[Any], message: str) -> None:
        found = parse(orjson.dumps({"schemaVersion": "", "messages": said}))
        assert isinstance(found, Problem) and found.kind is ProblemKind.NOT_A_ROW
        assert re.search(message, found.message), found.message

    @pytest.mark.parametrize(
        ("further", "message"),
        [
            ({"system": "s"}, "'system' must be a list of objects, found 's'"),
            ({"toolConfig": {"tools": [{"cachePoint": {}}]}}, "expected one of toolSpec"),
            ({"toolConfig": {"tools": [{"toolSpec": {"name": "x", "inputSchema": {}}}]}}, "'json' must be an object"),
        ],
    )
    def test_problems_beside_the_messages(self, further: dict[str, Any], message: str) -> None:
        data = {"schemaVersion": "", "messages": [says("user", "x"), says("assistant", "y")], **further}
        found = parse(orjson.dumps(data))
        assert isinstance(found, Problem) and message in found.message


def test_a_line_that_does_not_alternate_is_read_but_not_verbatim() -> None:
    parsed = read(says("user", "x"), says("user", "z"), says("assistant", "y"))
    assert [message.text for message in parsed.row.messages] == ["x", "z", "y"]
    assert not parsed.verbatim


def test_results_after_results_in_turns_of_their_own_are_one_turn() -> None:
    turns = [says("user", result({"text": "1"})), says("user", result({"text": "2"}))]
    parsed = read(says("user", "x"), says("assistant", use()), *turns, says("assistant", "y"))
    assert not parsed.verbatim
    written = orjson.loads(dump(parsed.row, Format.CONVERSE))["messages"]
    assert [len(message["content"]) for message in written] == [1, 1, 2, 1]
    assert parsed.row.messages[3] == Message(role=Role.TOOL, text="2", answers="a", name="find")
