from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from objectives.data.rows import Call, Format, Message, Parsed, Problem, ProblemKind, Role, Row, dump, parse

ASK: dict[str, Any] = {"role": "user", "content": "x"}
SAY: dict[str, Any] = {"role": "assistant", "content": "y"}


def call(arguments: Any = "{}", **further: Any) -> dict[str, Any]:
    function = {"name": "find", "arguments": arguments}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "a", "type": "function", "function": function, **further}],
    }


def read(*said: Any, **further: Any) -> Parsed:
    parsed = parse(orjson.dumps({"messages": list(said), **further}))
    assert isinstance(parsed, Parsed), parsed
    assert parsed.format is Format.MESSAGES
    return parsed


class TestReading:
    def test_a_developer_is_the_system(self) -> None:
        parsed = read({"role": "developer", "content": "s"}, ASK, SAY)
        assert (parsed.row, parsed.verbatim) == (Row.of("x", "y", system="s"), False)

    def test_parts_of_text_are_one_text(self) -> None:
        parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
        parsed = read({"role": "user", "content": parts}, SAY)
        assert (parsed.row, parsed.verbatim) == (Row.of("ab", "y"), False)

    def test_a_call_without_text_may_be_the_output(self) -> None:
        parsed = read(ASK, call('{ "q" : [1] }'))
        last = parsed.row.messages[-1]
        assert last == Message(role=Role.ASSISTANT, calls=(Call(name="find", arguments={"q": [1]}, id="a"),))
        assert parsed.verbatim
        assert b'"arguments":"{\\"q\\":[1]}"' in dump(parsed.row, Format.MESSAGES)

    def test_arguments_that_are_an_object_already(self) -> None:
        parsed = read(ASK, call({"q": 1}))
        assert parsed.row.messages[-1].calls[0].arguments == {"q": 1}
        assert not parsed.verbatim

    def test_weights_and_names(self) -> None:
        parsed = read({**ASK, "name": "Ann"}, {**SAY, "weight": 0}, ASK, SAY)
        assert [message.trained for message in parsed.row.messages] == [True, False, True, True]
        assert parsed.row.messages[0].name == "Ann"
        assert parsed.verbatim

    def test_nulls_are_no_keys(self) -> None:
        empty = {"tool_calls": None, "name": None, "tool_call_id": None, "weight": None}
        parsed = read({**ASK, **empty}, {**SAY, **empty}, tools=None, system=None, contents=None)
        assert (parsed.row, parsed.verbatim) == (Row.of("x", "y"), False)

    @pytest.mark.parametrize("further", [{"id": 1}, {"label": "y"}, {"parallel_tool_calls": False}])
    def test_further_keys_are_ignored_but_not_verbatim(self, further: dict[str, Any]) -> None:
        assert read(ASK, SAY).verbatim
        parsed = read(ASK, SAY, **further)
        assert (parsed.row, parsed.verbatim) == (Row.of("x", "y", further.get("label")), False)
        assert dump(parsed.row, Format.MESSAGES) == orjson.dumps({"messages": [ASK, SAY]})

    def test_a_result_gets_its_name_from_its_call(self) -> None:
        result = {"role": "tool", "content": "r", "tool_call_id": "a"}
        parsed = read(ASK, call(), result, SAY)
        assert parsed.row.messages[2].name == "find"
        assert parsed.verbatim
        named = read(ASK, call(), {**result, "name": "find"}, SAY)
        assert (named.row, named.verbatim) == (parsed.row, False)
        other = read(ASK, call(), {**result, "name": "other"}, SAY)
        assert (other.row.messages[2].name, other.verbatim) == ("other", True)

    def test_a_conversation_is_richer_than_a_pair_beside_it(self) -> None:
        assert read(ASK, SAY, prompt="p", completion="c").row == Row.of("x", "y")


class TestProblems:
    @pytest.mark.parametrize(
        ("said", "message"),
        [
            ("x", "row: 'messages' must be a list of objects, found 'x'"),
            ([], "the last message must be the assistant's, which is trained on, found no message"),
            ([1], "row: messages 1 must be an object, found 1"),
            ([ASK], "must be the assistant's, which is trained on, found the user's"),
            ([ASK, {"content": "y"}], "row: messages 2: lacks 'role', found the keys 'content'"),
            ([ASK, {"role": "bot", "content": "y"}], "messages 2: expected one of the roles system, user, .*'bot'"),
            ([{"role": "user"}, SAY], "messages 1: 'content' must be text or a list of parts, found None"),
            ([{"role": "user", "content": [{"type": "image_url"}]}, SAY], "type 'image_url' cannot be read"),
            ([{**ASK, "tool_calls": call()["tool_calls"]}, SAY], "a message of the user's has calls of tools"),
            ([{**ASK, "tool_call_id": "a"}, SAY], "a message of the user's has a tool's result"),
            ([ASK, {**SAY, "function_call": {}}], "has 'function_call', which cannot be read"),
            ([ASK, {**SAY, "weight": 0}], "the last message is the one to train on, but it is marked"),
            ([ASK, {**SAY, "weight": 0.5}], "'weight' must be 0 or 1, found 0.5"),
            ([ASK, {**SAY, "weight": True}], "'weight' must be 0 or 1, found True"),
            ([ASK, call("{")], r"messages 2: tool_calls 1: the arguments are not JSON \(.*\), found '{'"),
            ([ASK, call("[1]")], r"tool_calls 1: the arguments must be an object, found \[1\]"),
            ([ASK, call("[" * 500 + "]" * 500)], "the arguments must be an object"),
            ([ASK, call('{"a":' * 101 + "1" + "}" * 101)], "cannot have more than 100 levels"),
            ([ASK, call(type="custom")], "calls of the type 'custom' cannot be read"),
        ],
    )
    def test_say_where_and_what_was_found(self, said: Any, message: str) -> None:
        found = parse(orjson.dumps({"messages": said}))
        assert isinstance(found, Problem) and found.kind is ProblemKind.NOT_A_ROW
        assert re.search(message, found.message), found.message

    def test_a_blank_output_has_its_own_kind(self) -> None:
        for said in ({**SAY, "content": " "}, {"role": "assistant"}, {**SAY, "content": []}):
            found = parse(orjson.dumps({"messages": [ASK, said]}))
            assert found == Problem(
                kind=ProblemKind.EMPTY_OUTPUT, message="the last message is empty, so there is nothing to train on"
            )

    @pytest.mark.parametrize(
        ("further", "message"),
        [
            ({"system": "s"}, "'system' stands beside chat messages, found 's'"),
            ({"contents": []}, "has both messages and contents"),
            ({"tools": [{"type": "web_search"}]}, "tools of the type 'web_search' cannot be read"),
            ({"tools": [{"type": "function"}]}, "tools 1: 'function' must be an object, found None"),
            ({"tools": {}}, "'tools' must be a list of objects, found {}"),
            ({"label": "no"}, "must begin with its label 'no'"),
        ],
    )
    def test_keys_beside_the_messages(self, further: dict[str, Any], message: str) -> None:
        found = parse(orjson.dumps({"messages": [ASK, SAY], **further}))
        assert isinstance(found, Problem) and message in found.message
