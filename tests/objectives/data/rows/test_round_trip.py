"""What was written is read, whatever the format, and through any other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings

from objectives.data.rows import Format, Message, Parsed, Role, Row, dump, parse, refusal
from objectives.data.rows.linking import linked
from objectives.data.rows.value import canonical_text
from tests.objectives.data.rows.strategies import conversations, rows

STRUCTURED = tuple(format for format in Format if format is not Format.INSTRUCTION)


def read(row: Row, format: Format) -> Row:
    parsed = parse(dump(row, format))
    assert isinstance(parsed, Parsed), parsed
    assert parsed.format is format
    assert parsed.verbatim
    return parsed.row


def textual(row: Row) -> Row:
    """The row with the structured results that chat messages hold as text."""
    return replace(
        row,
        messages=tuple(
            message if message.data is None else replace(message, data=None, text=canonical_text(message.data))
            for message in row.messages
        ),
    )


def expected(row: Row, formats: Iterable[Format]) -> Row:
    """The row after these formats, with no more than the documented normalisations."""
    row = linked(row)
    for format in formats:
        row = row if format is Format.INSTRUCTION else replace(row, label=None)
        row = textual(row) if format is Format.MESSAGES else row
    return row


def exactly(row: Row) -> bytes:
    """All of a row, types included: equality takes True, 1 and 1.0 for the same."""
    return orjson.dumps(row, option=orjson.OPT_SORT_KEYS)


@pytest.mark.parametrize("format", Format)
@settings(max_examples=150)
@given(row=rows)
def test_what_is_not_refused_comes_back(format: Format, row: Row) -> None:
    if refusal(row, format) is None:
        assert exactly(read(row, format)) == exactly(expected(row, [format]))


@pytest.mark.parametrize("back", STRUCTURED)
@pytest.mark.parametrize("through", Format)
@settings(max_examples=50)
@given(row=conversations())
def test_another_format_and_back_changes_nothing(through: Format, back: Format, row: Row) -> None:
    if refusal(row, through) is None and refusal(row, back) is None:
        there = read(row, through)
        assert exactly(read(there, back)) == exactly(expected(row, [through, back]))
        if through is not Format.MESSAGES:
            assert dump(there, back) == dump(row, back)


@settings(max_examples=150)
@given(row=rows)
def test_a_linked_row_stays_as_it_is(row: Row) -> None:
    assert linked(linked(row)) == linked(row)


@settings(max_examples=150)
@given(row=rows)
def test_a_dump_is_one_object_on_one_line(row: Row) -> None:
    for format in Format:
        if refusal(row, format) is None:
            line = dump(row, format)
            assert line.startswith(b"{") and b"\n" not in line and b"\r" not in line
            assert b"\\u" not in line.replace(b"\\u00", b"").replace(b"\\\\", b"")
            assert orjson.dumps(orjson.loads(line)) == line


@settings(max_examples=150)
@given(row=rows)
def test_plain_rows_without_tools_fit_everywhere(row: Row) -> None:
    if row.plain:
        assert [refusal(row, format) for format in Format] == [None] * len(Format)


@pytest.mark.parametrize("format", STRUCTURED)
def test_a_conversation_with_calls_is_held_by_each(format: Format, conversation: dict[str, Any]) -> None:
    row = conversation["row"]
    assert orjson.loads(dump(row, format)) == conversation[format]
    for other in STRUCTURED:
        parsed = parse(orjson.dumps(conversation[other]))
        assert isinstance(parsed, Parsed)
        assert parsed == Parsed(row=row, format=other, verbatim=True)
        assert dump(parsed.row, format) == dump(row, format)


def test_structured_results_are_text_in_messages_and_data_elsewhere(structured: Row) -> None:
    for format in (Format.CONVERSE, Format.CONTENTS):
        assert read(structured, format).messages[2] == linked(structured).messages[2]
    message = read(structured, Format.MESSAGES).messages[2]
    assert (message.text, message.data) == ('{"a":[1,null],"b":2.5}', None)


@pytest.mark.parametrize("format", [Format.CONVERSE, Format.CONTENTS])
@pytest.mark.parametrize("data", [{"output": "x"}, {"error": "x"}, {"output": None}, {"output": {"output": 1}}, [], 0])
def test_results_that_look_like_their_wrapping_come_back(format: Format, data: Any, structured: Row) -> None:
    asked, called, told, said = structured.messages
    row = replace(structured, messages=(asked, called, replace(told, data=data), said))
    assert exactly(read(row, format)) == exactly(linked(row))


def test_a_failed_result_is_told_where_it_can_be(structured: Row) -> None:
    asked, called, told, said = structured.messages
    for failed in (replace(told, failed=True), Message(role=Role.TOOL, text="no such place", failed=True)):
        row = replace(structured, messages=(asked, called, failed, said))
        assert orjson.loads(dump(row, Format.CONVERSE))["messages"][2]["content"][0]["toolResult"]["status"] == "error"
        assert read(row, Format.CONTENTS).messages[2].failed and read(row, Format.CONVERSE).messages[2].failed
        assert refusal(row, Format.MESSAGES) is not None
