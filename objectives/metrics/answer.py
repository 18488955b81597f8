"""Answers that a model wrote to test rows, as they are kept: metrics of text are computed from them, at any time."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from objectives.data.rows import Row
from objectives.errors import DataError

ANSWERS = "answers.jsonl"
"""What the file is called, in an attempt's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model wrote to a test row.

    Attributes:
        domain: whose test row.
        row: its number in the domain's test files, from 0, over all files.
        digest: of the row, by `row_digest`.
        expected: the right answer.
        generated: the model's.
    """

    domain: str
    row: int
    digest: str
    expected: str
    generated: str


def row_digest(row: Row) -> str:
    """A short name for what a row says, 16 hex digits."""
    return hashlib.blake2b(row.text.encode("utf-8", errors="surrogatepass"), digest_size=8).hexdigest()


def write_answers(path: Path, answers: Iterable[Answer]) -> None:
    """Writes answers as JSON lines, all of them or none."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            for answer in answers:
                # ASCII: a model can write halves of characters, which UTF-8 has no bytes for.
                file.write(json.dumps(asdict(answer)) + "\n")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_answers(path: Path) -> dict[str, list[Answer]]:
    """Domain to its answers, in the order of the file.

    Raises:
        DataError: the file cannot be read, or holds something else.
    """
    found: dict[str, list[Answer]] = {}
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                answer = _answer(line, f"{path}:{number}")
                found.setdefault(answer.domain, []).append(answer)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read ({why}); expected the answers that a trial left") from error
    return found


def check_rows(answers: Sequence[Answer], rows: Sequence[Row], what: str) -> None:
    """Checks that answers were given to rows.

    Args:
        answers: of one domain.
        rows: of its test files.
        what: what to call these in an error.

    Raises:
        DataError: they were given to others.
    """
    for answer in answers:
        if answer.row >= len(rows) or row_digest(rows[answer.row]) != answer.digest:
            raise DataError(
                f"{what}: row {answer.row} is not the one that was answered; expected the test files as they were then"
            )


def _answer(line: str, where: str) -> Answer:
    try:
        data = json.loads(line)
        answer = Answer(**{field.name: data[field.name] for field in fields(Answer)})
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{where}: expected an object with {', '.join(field.name for field in fields(Answer))}, "
            f"found {line.strip()[:80]!r}"
        ) from error
    texts = (answer.domain, answer.digest, answer.expected, answer.generated)
    if type(answer.row) is not int or answer.row < 0 or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{where}: expected a row's number and texts, found {line.strip()[:80]!r}")
    return answer
