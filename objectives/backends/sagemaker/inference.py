"""A line of `inference_output.jsonl`: what a model wrote to a question, and what the service tells of that.

Its fields are from the Amazon Nova user guide, "nova-model-evaluation": `prompt`, as it was submitted in the end;
`inference`; `gold`, the response asked for; `metadata`, as it was given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from objectives.backends.sagemaker.questions import Question
from objectives.errors import ResultError


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """What a model wrote to a question.

    Attributes:
        line: number of the line, from 1, over all files of a job.
        text: what the model wrote.
        gold: the response asked for, without white space around it; None where it is not told.
        prompt: what the model was given; None likewise.
        key: domain and row of the question, by the metadata; None likewise.
    """

    line: int
    text: str
    gold: str | None
    prompt: str | None
    key: tuple[str, int] | None

    @classmethod
    def of(cls, number: int, line: bytes) -> Self:
        """Reads a line.

        Args:
            number: the line's.
            line: it.

        Raises:
            ResultError: it is no object, or has no inference.
        """
        try:
            data = json.loads(line)
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            raise ResultError(f"line {number} of the answers is no JSON object, or is torn: {line[:80]!r}")
        text, gold = _text(data.get("inference")), _text(data.get("gold"))
        if text is None:
            raise ResultError(
                f"line {number} of the answers has no inference: expected a text, found {data.get('inference')!r:.80}"
            )
        return cls(
            line=number,
            text=text,
            gold=None if gold is None else gold.strip(),
            prompt=_text(data.get("prompt")),
            key=_key(data.get("metadata")),
        )

    def expects(self, question: Question) -> bool:
        """Whether its right answer is that of a question, as far as it is told."""
        return self.gold is None or self.gold == question.response.strip()

    def __str__(self) -> str:
        return f"prompt {self.prompt!r:.120}, gold {self.gold!r:.80}"


def _text(value: Any) -> str | None:
    """A text, which may stand in a list of one, or be spread over a list of messages."""
    if isinstance(value, list) and value and all(isinstance(part, Mapping) for part in value):
        return "\n".join(_text(part.get("content", part.get("text"))) or "" for part in value)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, str) else None


def _key(metadata: Any) -> tuple[str, int] | None:
    """Domain and row, from metadata as an object or as text; None where these are not ours."""
    for _ in range(2):  # text, or text of text
        if isinstance(metadata, str):
            try:
                metadata = json.loads(metadata)
            except (ValueError, RecursionError):
                return None
    if not isinstance(metadata, Mapping):
        return None
    domain, row = metadata.get("domain"), str(metadata.get("row"))
    return (domain, int(row)) if isinstance(domain, str) and row.isascii() and row.isdecimal() else None
