"""Reading one line: which format it is of, and which row it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import orjson

from objectives.data.rows import messages
from objectives.data.rows.codecs import CODECS
from objectives.data.rows.excerpt import excerpt, keys
from objectives.data.rows.format import Format, FormatError
from objectives.data.rows.instruction import PAIRS, pair_of
from objectives.data.rows.linking import linked
from objectives.data.rows.problem import Problem, ProblemKind
from objectives.data.rows.row import Row
from objectives.errors import DataError

EXPECTED = (
    "instruction and output (or prompt and completion, question and answer, input and output), messages, or contents"
)
"""The keys by which a row is known, for messages."""

SIMPLE: Mapping[tuple[str, ...], tuple[str, str, Format, bool]] = MappingProxyType(
    {shape: (*pair, Format.INSTRUCTION, pair == PAIRS[0]) for pair in PAIRS for shape in (pair, pair[::-1])}
)
"""Objects that hold a pair and nothing else, by their keys in order: the keys of what is asked and of what is
answered, the format, and whether it writes these keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What a line holds.

    Attributes:
        row: the row.
        format: the format it is written in.
        verbatim: whether the line, as it is, could stand in a training file of this format. True only if the
            object is just what `dump` writes, up to the order of keys, the spacing and how characters are escaped.
    """

    row: Row
    format: Format
    verbatim: bool


def parse(line: bytes) -> Parsed | Problem:
    """The row of one line, or what is wrong with it."""
    try:
        data = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return _undecodable(line, error)
    parsed = of_mapping(data)
    # JSON takes these for spaces, and a file of lines does not.
    if (b"\n" in line or b"\r" in line) and isinstance(parsed, Parsed):
        return Parsed(row=parsed.row, format=parsed.format, verbatim=False)
    return parsed


def of_mapping(data: Any) -> Parsed | Problem:
    """The row of one decoded object, or what is wrong with it; anything but an object is a problem.

    `verbatim` then speaks of a line that holds this object and no more.
    """
    # Most rows are of this shape, and this short way to them is what makes reading fast.
    if type(data) is dict and (pair := SIMPLE.get(tuple(data))) is not None:
        ask, answer, format, written = pair
        asked, answered = data[ask], data[answer]
        if type(asked) is str and type(answered) is str and answered and not answered.isspace():
            return Parsed(row=Row.of(asked, answered), format=format, verbatim=written)
    if not isinstance(data, dict):
        return Problem(kind=ProblemKind.NOT_A_ROW, message=f"expected an object with {EXPECTED}, found {excerpt(data)}")
    try:
        return _read(data)
    except DataError as error:
        return Problem(kind=ProblemKind.NOT_A_ROW, message=str(error))


def plain_text(data: dict[str, Any]) -> tuple[str, str] | None:
    """The instruction and the output of a decoded object that has these and nothing else, as `parse` reads them.

    None says only that this short way is not open: another key, a value that is no text, a blank output.
    """
    if len(data) == 2 and "instruction" in data and "output" in data:
        instruction, output = data["instruction"], data["output"]
        if type(instruction) is str and type(output) is str and output and not output.isspace():
            return instruction, output
    return None


def _read(data: dict[str, Any]) -> Parsed | Problem:
    format = _recognise(data)
    content = CODECS[format].read(data)
    row = linked(Row(messages=content.messages, tools=content.tools, label=_label(data)))
    if not row.output.strip() and not row.messages[-1].calls:
        pair = pair_of(data) if format is Format.INSTRUCTION else None
        name = "the last message" if pair is None else repr(pair[1])
        return Problem(kind=ProblemKind.EMPTY_OUTPUT, message=f"{name} is empty, so there is nothing to train on")
    if row.label is not None and not row.output.startswith(row.label):
        raise DataError(f"the output must begin with its label {excerpt(row.label)}, found {excerpt(row.output)}")
    return Parsed(row=row, format=format, verbatim=_verbatim(row, format, data))


def _recognise(data: dict[str, Any]) -> Format:
    """The format by the keys that have a value; a conversation goes before a pair, which is often left beside it."""
    if data.get("messages") is not None:
        if data.get("contents") is not None:
            raise DataError("has both messages and contents, which contradict each other; leave one of them out")
        return Format.CONVERSE if _is_converse(data) else Format.MESSAGES
    if data.get("contents") is not None:
        return Format.CONTENTS
    if pair_of(data) is not None:
        return Format.INSTRUCTION
    raise DataError(f"fits no format, found the keys {keys(data)}; expected {EXPECTED}")


def _is_converse(data: dict[str, Any]) -> bool:
    """Whether messages are Converse's: its own keys beside them, or content in blocks without a type."""
    if data.get("schemaVersion") is not None or data.get("toolConfig") is not None:
        return True
    if isinstance(data.get("system"), list):
        return True
    said = data["messages"]
    first = said[0].get("content") if isinstance(said, list) and said and isinstance(said[0], dict) else None
    return isinstance(first, list) and bool(first) and isinstance(first[0], dict) and "type" not in first[0]


def _label(data: dict[str, Any]) -> str | None:
    label = data.get("label")
    if label is None:
        return None
    if not isinstance(label, str) or not label.strip():
        raise DataError(f"'label' must be text or absent, found {excerpt(label)}")
    return label


def _verbatim(row: Row, format: Format, data: dict[str, Any]) -> bool:
    try:
        written = CODECS[format].write(row)
    except FormatError:
        return False
    if format is Format.MESSAGES:
        messages.keep_spelling(written, data)
    return written == data


def _undecodable(line: bytes, error: orjson.JSONDecodeError) -> Problem:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as wrong:
        where = f"byte {wrong.start + 1} of the line is 0x{line[wrong.start]:02x}"
        return Problem(kind=ProblemKind.NOT_UTF8, message=f"not valid UTF-8 ({where})")
    why = error.msg
    if "surrogate" in why:
        why = "half of a surrogate pair, which is no character"
    elif number := re.match(r"-?(NaN|Infinity)", text[max(error.pos - 1, 0) :].lstrip(" \t[:,")):
        why = f"{number.group()}, which JSON lacks; write null or leave it out"
    # The decoder counts lines within the line, which is not what a reader looks for.
    message = f"not JSON ({why}, column {error.colno}), found {excerpt(text.strip())}"
    return Problem(kind=ProblemKind.NOT_JSON, message=message)
