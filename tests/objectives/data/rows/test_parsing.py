"""What is wrong with a line, whatever it is."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.data.rows import Format, Parsed, Problem, ProblemKind, dump, of_mapping, parse, refusal
from tests.objectives.data.rows.strategies import conversations, rows

GOOD = b'{"instruction": "x", "output": "y"}'


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        (b"no JSON", ProblemKind.NOT_JSON, r"^not JSON \(invalid literal.*, column 1\), found 'no JSON'$"),
        (b'{"instruction": "x"', ProblemKind.NOT_JSON, "^not JSON"),
        (b"[" * 100_000, ProblemKind.NOT_JSON, "^not JSON .*depth"),
        (b'{"x":' * 2000 + b"1" + b"}" * 2000, ProblemKind.NOT_JSON, "^not JSON .*depth"),
        (b"1" * 10_000, ProblemKind.NOT_JSON, "^not JSON .*number"),
        (b"1" * 30, ProblemKind.NOT_A_ROW, "^expected an object with instruction and output .*, found 1.11"),
        (b"-0", ProblemKind.NOT_A_ROW, "^expected an object .*, found 0$"),
        (b'["x", "y"]', ProblemKind.NOT_A_ROW, r"found \['x', 'y'\]$"),
        (b'"x"', ProblemKind.NOT_A_ROW, "found 'x'$"),
        (b"{}", ProblemKind.NOT_A_ROW, "^fits no format, found the keys none; expected instruction and output"),
        (b'{"instruction": "x"}', ProblemKind.NOT_A_ROW, "^fits no format, found the keys 'instruction'; expected"),
        (b'{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1}', ProblemKind.NOT_A_ROW, "'e', 'f', 2 more; expected"),
        (b'{"instruction": "x", "output": "y", "n": NaN}', ProblemKind.NOT_JSON, "NaN, which JSON lacks; .*column 42"),
        (b'{"a":Infinity}', ProblemKind.NOT_JSON, r"\(Infinity, which JSON lacks"),
        ('{"ä":[-Infinity]}'.encode(), ProblemKind.NOT_JSON, r"\(-Infinity, which JSON lacks"),
        (b'{"instruction": "\\ud800", "output": "y"}', ProblemKind.NOT_JSON, "half of a surrogate pair"),
        (b'{"instruction": "\\udc00", "output": "y"}', ProblemKind.NOT_JSON, "half of a surrogate pair"),
        (b'{"instruction": "x\xff", "output": "y"}', ProblemKind.NOT_UTF8, r"\(byte 19 of the line is 0xff\)$"),
        (b'{"instruction": "\xed\xa0\x80"}', ProblemKind.NOT_UTF8, r"\(byte 18 of the line is 0xed\)$"),
        (b"\xef\xbb\xbf" + GOOD, ProblemKind.NOT_JSON, "BOM"),
        (b"", ProblemKind.NOT_JSON, "empty"),
        (
            b'{"instruction": "x", "output": " \\n"}',
            ProblemKind.EMPTY_OUTPUT,
            "^'output' is empty, so there is nothing",
        ),
        (b'{"prompt": "x", "completion": ""}', ProblemKind.EMPTY_OUTPUT, "^'completion' is empty"),
    ],
)
def test_a_problem_says_what_was_found(line: bytes, kind: ProblemKind, message: str) -> None:
    found = parse(line)
    assert isinstance(found, Problem)
    assert found.kind is kind
    assert re.search(message, found.message), found.message
    assert len(found.message) < 300


def test_unicode_line_separators_inside_text_are_text() -> None:
    parsed = parse('{"instruction": "a\u2028b\u0085c", "output": "d\u2029"}'.encode())
    assert isinstance(parsed, Parsed)
    assert (parsed.row.instruction, parsed.row.output) == ("a\u2028b\u0085c", "d\u2029")
    assert "a\u2028b\u0085c" in dump(parsed.row, Format.INSTRUCTION).decode()


def test_huge_numbers_and_deep_values_beside_a_row_do_no_harm() -> None:
    for value in (b"9" * 30, b"-0", b"1e-999", b"[" * 500 + b"]" * 500):
        parsed = parse(GOOD[:-1] + b', "further": ' + value + b"}")
        assert isinstance(parsed, Parsed) and not parsed.verbatim


def test_objects_that_did_not_come_from_our_decoder_do_no_harm() -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    for value in (deep, 10**5000, float("nan"), "\ud800", {1: 2}, None, b"x", {"instruction": deep, "output": "y"}):
        assert isinstance(of_mapping(value), Problem)
        assert isinstance(of_mapping({"messages": [{"role": value, "content": value}]}), Problem)


@pytest.mark.parametrize("length", [0, 299, 300, 10_000])
def test_a_message_that_is_too_long_is_cut(length: int) -> None:
    message = Problem(kind=ProblemKind.NOT_A_ROW, message="x" * length).message
    assert len(message) == min(length, 299)
    assert message.endswith("...") is (length > 299)


def check(line: bytes) -> None:
    """The line gives a row that can be written, or one printable line of a problem."""
    found = parse(line)
    if isinstance(found, Problem):
        assert found.message.isprintable() and len(found.message) < 300
        found.message.encode()
        return
    assert found.row.output.strip() or found.row.messages[-1].calls
    found.row.text.encode()
    if found.verbatim:
        assert parse(dump(found.row, found.format)) == found
    for format in Format:
        reason = refusal(found.row, format)
        assert reason is None or reason.isprintable()


@settings(max_examples=300)
@given(
    st.binary(max_size=40) | st.binary(max_size=20).map(lambda some: b'{"instruction":"' + some + b'","output":"y"}')
)
def test_any_bytes(line: bytes) -> None:
    check(line)


KEYS = [
    "instruction",
    "output",
    "prompt",
    "completion",
    "question",
    "answer",
    "input",
    "system",
    "label",
    "messages",
    "contents",
    "schemaVersion",
    "toolConfig",
    "tools",
    "role",
    "content",
    "parts",
    "text",
    "type",
    "function",
    "name",
    "arguments",
    "tool_calls",
    "tool_call_id",
    "weight",
    "id",
    "toolUse",
    "toolUseId",
    "toolResult",
    "json",
    "status",
    "toolSpec",
    "inputSchema",
    "functionCall",
    "functionResponse",
    "args",
    "response",
    "functionDeclarations",
    "systemInstruction",
    "parameters",
    "description",
]
_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["user", "assistant", "model", "tool", "system", "text", "function", "{}"])
)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)


@settings(max_examples=300)
@given(st.recursive(_scalars, _nested, max_leaves=15))
def test_any_json(value: Any) -> None:
    check(json.dumps(value).encode())
    found = of_mapping(value)
    assert isinstance(found, Parsed) or found.message.isprintable()


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A good row in which one value is another, or one key is missing or another."""
    row = draw(rows | conversations())
    able = [format for format in Format if refusal(row, format) is None]
    data = orjson.loads(dump(row, draw(st.sampled_from(able)))) if able else {}
    place = data
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return data
        key = draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and draw(st.integers(0, 3)):
            place = place[key]
            continue
        change = draw(st.sampled_from(["drop", "replace", "rename"]))
        value = place.pop(key) if change != "replace" else None
        if change == "replace":
            place[key] = draw(
                _scalars | st.lists(_scalars, max_size=2) | st.dictionaries(st.sampled_from(KEYS), _scalars)
            )
        elif change == "rename" and isinstance(place, dict):
            place[draw(st.sampled_from(KEYS))] = value
        return data


@settings(max_examples=500)
@given(mutated())
def test_good_rows_with_one_fault(data: Any) -> None:
    check(json.dumps(data).encode())


@settings(max_examples=150)
@given(rows, st.sampled_from(Format), st.integers(0, 10_000), st.binary(max_size=3))
def test_good_lines_with_some_bytes_changed(row: Any, format: Format, place: int, some: bytes) -> None:
    if refusal(row, format) is None:
        line = dump(row, format)
        place %= len(line)
        check(line[:place] + some + line[place + len(some) :])
