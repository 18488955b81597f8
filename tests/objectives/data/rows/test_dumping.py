"""What a format cannot hold, and how it says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from objectives.data.rows import Call, Format, FormatError, Message, Role, Row, Tool, dump, refusal
from objectives.errors import DataError

ASK, SAY = Message(role=Role.USER, text="x"), Message(role=Role.ASSISTANT, text="y")
CALL = Message(role=Role.ASSISTANT, calls=(Call(name="find", arguments={}, id="a"),))
TOLD = Message(role=Role.TOOL, text="r", answers="a")
TURNS = (Format.CONVERSE, Format.CONTENTS)
EVERY = tuple(Format)


def row(*messages: Message, **further: Any) -> Row:
    return Row(messages=messages, **further)


@pytest.mark.parametrize(
    ("kept", "formats", "reason"),
    [
        (row(ASK, SAY, ASK, SAY), [Format.INSTRUCTION], "a conversation of other turns than system, user and assist"),
        (row(ASK, SAY, tools=(Tool(name="find"),)), [Format.INSTRUCTION], "tools, their calls and their results"),
        (row(ASK, CALL), [Format.INSTRUCTION], "tools, their calls and their results"),
        (row(replace(ASK, name="Ann"), SAY), [Format.INSTRUCTION], "the names of participants"),
        (row(replace(ASK, name="Ann"), SAY), TURNS, "the name of a message of the user's"),
        (row(Message(role=Role.SYSTEM, text="s", name="Ann"), ASK, SAY), TURNS, "the name of a system message"),
        (row(ASK, Message(role=Role.SYSTEM, text="s"), SAY), TURNS, "a system message that is not the only one, at"),
        (row(*[Message(role=Role.SYSTEM, text="s")] * 2, ASK, SAY), TURNS, "a system message that is not the only"),
        (row(ASK, replace(SAY, trained=False), ASK, SAY), TURNS, "an assistant's message that is not to be trained on"),
        (row(SAY), TURNS, "a conversation that begins with the assistant and not with the user"),
        (row(ASK, ASK, SAY), TURNS, "two messages of the user's in a row"),
        (row(ASK, SAY, SAY), TURNS, "two messages of the assistant's in a row"),
        (row(ASK, CALL, TOLD, replace(TOLD, answers=None), SAY), [Format.MESSAGES, Format.CONVERSE], "answers no call"),
        (row(ASK, CALL, replace(TOLD, name="other"), SAY), [Format.CONVERSE], "under another name than that of the"),
        (row(ASK, CALL, replace(TOLD, answers="b"), SAY), [Format.CONTENTS], "without the tool's name"),
        (row(ASK, CALL, replace(TOLD, failed=True), SAY), [Format.MESSAGES], "that a tool's result is an error"),
        (Row.of("\ud800", "y"), EVERY, "what JSON has no place for"),
    ],
)
def test_a_refusal_says_what_cannot_be_held(kept: Row, formats: list[Format], reason: str) -> None:
    for format in formats:
        with pytest.raises(FormatError) as caught:
            dump(kept, format)
        message = str(caught.value)
        assert message == refusal(kept, format)
        assert message.startswith(f"the format {format} cannot hold ") and reason in message
        able = [other for other in Format if refusal(kept, other) is None]
        advice = f"{' or '.join(able)} can; choose one of these" if able else "no format can"
        assert advice in message


def test_which_formats_can_is_told() -> None:
    assert refusal(row(ASK, SAY, ASK, SAY), Format.INSTRUCTION) == (
        "the format instruction cannot hold a conversation of other turns than system, user and assistant; "
        "messages or converse or contents can; choose one of these or leave the row out"
    )


def test_labels_are_no_reason_to_refuse() -> None:
    labelled = Row.of("x", "yes, it is", "yes")
    assert [b"label" in dump(labelled, format) for format in Format] == [True, False, False, False]


def test_ids_that_are_missing_are_made_up_and_do_not_clash() -> None:
    taken = Call(name="find", arguments={}, id="call-2")
    free = Call(name="find", arguments={})
    calls = Message(role=Role.ASSISTANT, calls=(free, free, taken))
    told = Message(role=Role.TOOL, text="r")
    line = dump(row(ASK, calls, told, told, told, SAY), Format.CONVERSE)
    assert [line.count(f'"toolUseId":"call-{n}"'.encode()) for n in (1, 2, 3)] == [2, 2, 2]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "a number that JSON lacks, found nan"),
        (2**64, "a number of more than 64 bits"),
        ({1: 2}, "a key that is not text, found 1"),
        ("\ud800", "half of a surrogate pair"),
        ({"\udc00": 1}, "half of a surrogate pair"),
        ((1,), "a value that JSON lacks"),
        (-(2**63) - 1, "a number of more than 64 bits"),
    ],
)
def test_values_that_json_cannot_say_are_refused_where_they_enter(value: Any, message: str) -> None:
    for make in (
        lambda: Call(name="f", arguments={"a": [value]}),
        lambda: Tool(name="f", parameters={"a": value}),
        lambda: Message(role=Role.TOOL, data=value),
    ):
        with pytest.raises(DataError, match=message):
            make()


def test_messages_and_rows_that_contradict_themselves_are_refused() -> None:
    for wrong, message in (
        (lambda: replace(ASK, calls=CALL.calls), "expected them in the assistant's only"),
        (lambda: replace(SAY, answers="a"), "expected it in a tool's only"),
        (lambda: Message(role=Role.TOOL, text="x", data=1), "text and structured data"),
        (lambda: Call(name="f", arguments=[]), "must be a JSON object"),  # type: ignore[arg-type]
        (lambda: row(ASK), "found the user's"),
        (lambda: row(), "found no message"),
        (lambda: row(ASK, replace(SAY, trained=False)), "marked as not to be trained on"),
    ):
        with pytest.raises(DataError, match=message):
            wrong()


def test_the_text_of_a_row_is_all_that_it_says() -> None:
    told = Message(role=Role.TOOL, data={"b": 1, "a": None}, answers="a")
    whole = row(ASK, replace(CALL, text="t"), told, SAY, tools=(Tool(name="find"),))
    assert whole.text.split("\n") == [
        '{"description":null,"name":"find","parameters":null}',
        "x",
        "t",
        '{"arguments":{},"name":"find"}',
        '{"a":null,"b":1}',
        "y",
    ]
    assert Row.of("x", "y").text == "x\ny"
    assert not whole.plain and Row.of("x", "y", "y", "s").plain


def test_plain_rows_can_be_members_of_sets() -> None:
    assert len({Row.of("x", "y"), Row.of("x", "y"), Row.of("x", "z")}) == 2
