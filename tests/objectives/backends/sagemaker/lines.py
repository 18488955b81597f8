"""What the service may make of questions: lines of its files of answers, as they are documented and otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from objectives.backends.sagemaker.answered import answered
from objectives.backends.sagemaker.questions import Question, Questions
from objectives.data import Row
from objectives.metrics import Answer

VOC = [
    Row.of("The app shuts down.", "app/crash", system="Name the leaf."),
    Row.of("It is late.", "delivery/late", system="Name the leaf."),
    Row.of("It is late. Very late.", "delivery/late", system="Name the leaf."),
]
SUPPORT = [Row.of("It is late.", "On its way."), Row.of("Where is it?", "On its way.")]

Line = dict[str, Any]


def asked(**rows: Sequence[Row]) -> Questions:
    return Questions(
        asked=tuple(Question.of(domain, i, row) for domain in sorted(rows) for i, row in enumerate(rows[domain]))
    )


def written(question: Question) -> str:
    """What the model wrote to a question."""
    return f"to {question.domain} {question.row}"


def line(question: Question) -> Line:
    """A line as the documentation has it."""
    return {"prompt": templated(question), **json.loads(question.line), "inference": written(question)} | {
        "gold": question.response
    }


def templated(question: Question) -> str:
    system = "" if question.system is None else f"<|system|>{question.system}<|end|>"
    return f"{system}<|user|>{question.query}<|end|><|assistant|>"


def messages(question: Question) -> list[dict[str, str]]:
    system = [] if question.system is None else [{"role": "system", "content": question.system}]
    return [*system, {"role": "user", "content": question.query}]


PROMPTS: dict[str, Callable[[Question], Any]] = {
    "template": templated,
    "python": lambda question: str(messages(question)),
    "json": lambda question: json.dumps(messages(question)),
    "messages": messages,
    "query": lambda question: question.query.strip(),
}
"""How a service may tell what a model was given."""


def bare(questions: Questions, prompt: str = "template") -> list[Line]:
    """Lines of a service that drops the metadata."""
    return [
        {"prompt": PROMPTS[prompt](question), "inference": written(question), "gold": question.response}
        for question in questions.asked
    ]


def of(lines: Sequence[Line], questions: Questions) -> dict[str, list[Answer]]:
    return answered([json.dumps(line).encode() + b"\n" for line in lines], questions)


def whole(questions: Questions) -> dict[str, list[Answer]]:
    """The answers to all questions."""
    found: dict[str, list[Answer]] = {}
    for question in questions.asked:
        found.setdefault(question.domain, []).append(
            Answer(
                domain=question.domain,
                row=question.row,
                digest=question.digest,
                expected=question.response,
                generated=written(question),
            )
        )
    return found
