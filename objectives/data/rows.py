"""Rows of a domain: JSON lines with an instruction, an output and, where there is one, a label."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from objectives.errors import DataError

SHOWN_PROBLEMS = 10
"""How many bad lines an error message spells out; the rest are counted."""


SURROGATE = re.compile("[\ud800-\udfff]")
"""What JSON can escape but UTF-8, and so a tokenizer, has no place for."""


@dataclass(frozen=True, slots=True)
class Row:
    """One example.

    Attributes:
        instruction: the prompt.
        output: the response that is trained on and scored; begins with the label where there is one.
        label: the class that `accuracy` and `f1` judge; None for a text task.
    """

    instruction: str
    output: str
    label: str | None = None


def read_rows(paths: Iterable[Path]) -> tuple[Row, ...]:
    """Reads all rows of the files, in order; blank lines are skipped and further keys ignored.

    Raises:
        DataError: a file cannot be read, has a bad line, or the files hold no row at all. Every bad line is
            counted and the first ten are shown as file:line.
    """
    rows: list[Row] = []
    problems: list[str] = []
    files = tuple(paths)
    for path in files:
        for number, line in enumerate(_lines(path), start=1):
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if not line.strip():
                continue
            row = _parse(line)
            if isinstance(row, Row):
                rows.append(row)
            else:
                problems.append(f"{path}:{number}: {row}")
    if problems:
        raise DataError(_summary(problems))
    if not rows:
        raise DataError(f"no rows in {', '.join(map(str, files))}: expected JSON lines with instruction and output")
    return tuple(rows)


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{path}: cannot be read ({reason}); expected a file of JSON lines") from error


def _parse(line: bytes) -> Row | str:
    """The row, or what is wrong with the line."""
    try:
        data = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return f"not valid UTF-8 (byte {error.start + 1} of the line is 0x{line[error.start]:02x})"
    except (ValueError, RecursionError) as error:
        # The decoder counts lines within the line, which is not what a reader looks for.
        why = f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else error
        return f"not JSON ({why}), found {_excerpt(line.decode('utf-8').strip())}"
    if not isinstance(data, dict):
        return f"expected an object with instruction and output, found {_excerpt(data)}"
    for key in ("instruction", "output"):
        if key not in data:
            return f"lacks {key!r}, found the keys {', '.join(map(repr, data)) or 'none'}"
        if not isinstance(data[key], str):
            return f"{key!r} must be text, found {_excerpt(data[key])}"
        if SURROGATE.search(data[key]):
            return f"{key!r} has half of a surrogate pair, which is no character, found {_excerpt(data[key])}"
    if not data["output"].strip():
        return "'output' is empty, so there is nothing to train on"
    label = data.get("label")
    if label is not None:
        if not isinstance(label, str) or not label.strip():
            return f"'label' must be text or absent, found {_excerpt(label)}"
        if not data["output"].startswith(label):
            return f"'output' must begin with its label {label!r}, found {_excerpt(data['output'])}"
    return Row(data["instruction"], data["output"], label)


def _excerpt(found: object) -> str:
    text = repr(found)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _summary(problems: Sequence[str]) -> str:
    count = f"{len(problems)} bad line{'s' if len(problems) > 1 else ''}; correct or remove them:"
    shown = [f"  {problem}" for problem in problems[:SHOWN_PROBLEMS]]
    if len(problems) > SHOWN_PROBLEMS:
        shown.append(f"  and {len(problems) - SHOWN_PROBLEMS} more")
    return "\n".join([count, *shown])
