from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from objectives.data.rows import Format, Parsed, Problem, ProblemKind, Role, Row, dump, parse


def says(role: str, *parts: Any) -> dict[str, Any]:
    return {"role": role, "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}


def use(name: str, **further: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": {}, **further}}


def result(name: str, response: Any, **further: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": response, **further}}


def read(*said: Any, **further: Any) -> Parsed:
    parsed = parse(orjson.dumps({"contents": list(said), **further}))
    assert isinstance(parsed, Parsed), parsed
    assert parsed.format is Format.CONTENTS
    return parsed


class TestReading:
    def test_a_system_instruction_with_or_without_a_role(self) -> None:
        for role, verbatim in (({}, True), ({"role": "system"}, False)):
            instruction = {"parts": [{"text": "s"}], **role}
            parsed = read(says("user", "x"), says("model", "y"), systemInstruction=instruction)
            assert (parsed.row, parsed.verbatim) == (Row.of("x", "y", system="s"), verbatim)

    def test_results_find_their_calls_by_name_and_order(self) -> None:
        parsed = read(
            says("user", "x"),
            says("model", use("a"), use("b"), use("a")),
            says("user", result("b", {"output": "1"}), result("a", {"output": "2"}), result("a", {"k": 3})),
            says("model", "y"),
        )
        assert [call.id for call in parsed.row.messages[1].calls] == ["call-1", "call-2", "call-3"]
        told = [(message.answers, message.text, message.data) for message in parsed.row.messages[2:5]]
        assert told == [("call-2", "1", None), ("call-1", "2", None), ("call-3", "", {"k": 3})]
        assert parsed.verbatim

    def test_ids_that_the_order_does_not_tell_are_kept(self) -> None:
        parsed = read(
            says("user", "x"),
            says("model", use("a", id="p"), use("a", id="q")),
            says("user", result("a", {"output": "1"}, id="q"), result("a", {"output": "2"}, id="p")),
            says("model", "y"),
        )
        assert [message.answers for message in parsed.row.messages[2:4]] == ["q", "p"]
        assert parsed.verbatim
        assert b'"id":"q"' in dump(parsed.row, Format.CONTENTS)

    def test_the_role_function_and_missing_arguments(self) -> None:
        call = {"functionCall": {"name": "a"}}
        parsed = read(says("user", "x"), says("model", call), says("function", result("a", {})), says("model", "y"))
        assert parsed.row.messages[1].calls[0].arguments == {}
        assert (parsed.row.messages[2].role, parsed.row.messages[2].data) == (Role.TOOL, {})
        assert not parsed.verbatim

    @pytest.mark.parametrize(
        ("response", "text", "data", "failed"),
        [
            ({"output": "t"}, "t", None, False),
            ({"output": {"k": 1}}, "", {"k": 1}, False),
            ({"error": "t"}, "t", None, True),
            ({"output": "t", "k": 1}, "", {"output": "t", "k": 1}, False),
            ({"output": None}, "", {"output": None}, False),
        ],
    )
    def test_a_response_and_its_result(self, response: Any, text: str, data: Any, failed: bool) -> None:
        parsed = read(
            says("user", "x"), says("model", use("a")), says("user", result("a", response)), says("model", "y")
        )
        message = parsed.row.messages[2]
        assert (message.text, message.data, message.failed) == (text, data, failed)

    @pytest.mark.parametrize(
        ("said", "message"),
        [
            ([{"role": "user"}], "contents 1: 'parts' must be a list, found None"),
            ([says("assistant", "x")], "contents 1: expected the role user, model or function, found 'assistant'"),
            ([says("user", {"inlineData": {}})], "parts 1: expected one of text, functionResponse, .* 'inlineData'"),
            ([says("model", {"text": "x", "thought": True})], "found the keys 'text', 'thought'"),
            ([says("user", result("a", "x"))], "'response' must be an object, found 'x'"),
            ([says("user", {"functionResponse": {"response": {}}})], "lacks 'name', found the keys 'response'"),
            ([says("user", "x")], "the last message must be the assistant's"),
        ],
    )
    def test_problems(self, said: list[Any], message: str) -> None:
        found = parse(orjson.dumps({"contents": said}))
        assert isinstance(found, Problem) and found.kind is ProblemKind.NOT_A_ROW
        assert re.search(message, found.message), found.message

    @pytest.mark.parametrize(
        ("further", "message"),
        [
            ({"system_instruction": {}, "system": "s"}, "has 'system' beside contents; expected systemInstruction"),
            ({"systemInstruction": "s"}, "'systemInstruction' must be an object, found 's'"),
            ({"tools": [{"googleSearch": {}}]}, "expected one of functionDeclarations"),
            ({"label": "z"}, "must begin with its label"),
        ],
    )
    def test_problems_beside_the_contents(self, further: dict[str, Any], message: str) -> None:
        found = parse(orjson.dumps({"contents": [says("user", "x"), says("model", "y")], **further}))
        assert isinstance(found, Problem) and message in found.message

    def test_a_blank_output_has_its_own_kind(self) -> None:
        found = parse(orjson.dumps({"contents": [says("user", "x"), says("model", "\n")]}))
        assert isinstance(found, Problem) and found.kind is ProblemKind.EMPTY_OUTPUT
