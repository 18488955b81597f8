"""The team's own test rows as questions of an evaluation job: a file of the service's task `gen_qa`.

Its rules are from the Amazon Nova user guide, "customize-fine-tune-evaluate-recipe-examples" (bring your own dataset).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from objectives.data import ESTIMATE, SHOWN, Dataset, Row
from objectives.data.tokens import BYTES_PER_TOKEN
from objectives.domain import Domain
from objectives.errors import DataError
from objectives.metrics import LABELLED, WrittenLabels, row_digest
from objectives.scorer import Metric

FILE = "gen_qa.jsonl"
"""What the file must be called."""

CONTEXT = 3_500
"""Tokens that system text and query together must stay below."""


NAMED = 5
"""Questions of an error that are named; the rest are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A test row, as it is put to a model.

    Attributes:
        domain: whose row.
        row: its number in the domain's test files, from 0, over all files.
        digest: of the row, by `row_digest`.
        query: what is asked.
        response: the right answer.
        system: what is said before; None for nothing.
    """

    domain: str
    row: int
    digest: str
    query: str
    response: str
    system: str | None

    @classmethod
    def of(cls, domain: str, number: int, row: Row) -> Self:
        """The question that a row asks; the row is not refused.

        Args:
            domain: whose row.
            number: the row's.
            row: it.
        """
        return cls(
            domain=domain,
            row=number,
            digest=row_digest(row),
            query=row.instruction,
            response=row.output,
            system=row.system,
        )

    @property
    def key(self) -> tuple[str, int]:
        """Whose row it is, and which."""
        return self.domain, self.row

    @property
    def line(self) -> str:
        """The question as the file has it, without line end.

        ASCII: Unicode has ends of lines of its own, which a careless reader would split a row at.
        """
        asked = {"query": self.query, "response": self.response}
        if self.system is not None:
            asked["system"] = self.system
        asked["metadata"] = json.dumps({"domain": self.domain, "row": self.row})
        return json.dumps(asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """The questions of an evaluation job.

    Attributes:
        asked: they, by domain and number.
    """

    asked: tuple[Question, ...]

    @classmethod
    def of(cls, tests: Mapping[str, Dataset]) -> Self:
        """All rows of some test sets as questions; the same whatever order the domains are in.

        Args:
            tests: domain to its test rows.

        Raises:
            DataError: rows cannot be asked; the message counts them, and says why of the first of each domain.
        """
        asked: list[Question] = []
        errors = []
        for domain in sorted(tests):
            refused = []
            for number, row in enumerate(tests[domain]):
                if (why := refusal(row)) is None:
                    asked.append(Question.of(domain, number, row))
                else:
                    refused.append((number, why))
            if refused:
                errors.append(_told(domain, tests[domain], refused))
        if errors:
            raise DataError("\n".join(errors))
        return cls(asked=tuple(asked))

    @property
    def domains(self) -> tuple[str, ...]:
        """Whose rows are asked, sorted."""
        return tuple(dict.fromkeys(question.domain for question in self.asked))

    @property
    def content(self) -> bytes:
        """The file; the same for the same rows."""
        return "".join(f"{question.line}\n" for question in self.asked).encode("ascii")

    @property
    def sha256(self) -> str:
        """Of the file."""
        return hashlib.sha256(self.content).hexdigest()

    def write(self, folder: Path) -> Path:
        """Writes the file, all of it or nothing; where it is.

        Args:
            folder: an existing one.
        """
        path = folder / FILE
        partial = path.with_name(f".{FILE}.{os.getpid()}.partial")
        try:
            partial.write_bytes(self.content)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return path


def refusal(row: Row) -> str | None:
    """Why a row cannot be asked; None where it can."""
    if row.tools or any(message.calls for message in row.messages):
        return "has tools, which an evaluation job offers to nobody"
    if not row.plain:
        return "has several turns, or names of those who speak"
    if not row.instruction.strip():
        return "asks nothing"
    text = (row.system or "") + row.instruction
    tokens = -(-len(text.encode()) // BYTES_PER_TOKEN)
    if tokens >= CONTEXT:
        return f"asks with {tokens:,} tokens ({ESTIMATE}), and must have less than {CONTEXT:,}"
    return None


def named(questions: Sequence[Question]) -> str:
    """Questions in words, such as `row 3 of 'voc'`; the first of many."""
    shown = ", ".join(f"row {question.row} of {question.domain!r}" for question in questions[:NAMED])
    return shown if len(questions) <= NAMED else f"{shown} and {len(questions) - NAMED:,} more"


def check_questions(domains: Sequence[Domain], root: Path, metrics: Sequence[Metric]) -> None:
    """Checks that all test rows can be asked, and their labels be read out of answers.

    Args:
        domains: what can be tested.
        root: folder that relative paths refer to.
        metrics: what is judged; labels only matter where one of theirs is.

    Raises:
        DataError: rows cannot, or a file cannot be read.
    """
    tests = {domain.name: Dataset.open([root / path for path in domain.test]) for domain in domains if domain.test}
    Questions.of(tests)
    for name in dict.fromkeys(metric.domain for metric in metrics if metric.short in LABELLED):
        rows = tests[name].rows() if name in tests else []
        try:
            WrittenLabels.of(rows).check(rows)
        except DataError as error:
            raise DataError(f"domains.{name}.test: {error}") from error


def _told(domain: str, data: Dataset, refused: Sequence[tuple[int, str]]) -> str:
    count = len(refused)
    lines = [
        f"domains.{domain}.test: {count:,} row{'s' if count > 1 else ''} that no evaluation job can ask, which puts "
        "one query to a model after at most one system text; change or remove them:",
        *(f"  {data.place(number)}: {why}" for number, why in refused[:SHOWN]),
    ]
    if count > SHOWN:
        lines.append(f"  and {count - SHOWN:,} more")
    return "\n".join(lines)
