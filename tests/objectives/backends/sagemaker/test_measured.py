from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from objectives.backends.sagemaker.answered import answered
from objectives.backends.sagemaker.measured import measured
from objectives.backends.sagemaker.questions import Questions
from objectives.base import Estimate
from objectives.data import Dataset, Row, read_rows
from objectives.errors import ObjectiveError
from objectives.metrics import (
    ANSWERS,
    LABELLED,
    TEXTUAL,
    Answer,
    Goal,
    OwnMetric,
    accuracy,
    macro_f1,
    read_answers,
    remeasured,
    rouge_l,
    write_answers,
)
from objectives.scorer import Metric

VOC = [
    {"instruction": f"Feedback {i}", "output": leaf, "label": leaf, "system": "Name the leaf."}
    for i, leaf in enumerate(["app/crash", "app/search", "delivery/late", "delivery/late", "service"])
]
SUPPORT = [
    {"instruction": "Where is it?", "output": "It is on its way to you."},
    {"instruction": "And the other?", "output": "It will be late.", "label": "It"},
]
WRITTEN = {
    "voc": ["App/crash.", "**app/search**", "It is delivery/late", "delivery/late\nas it came on Monday", "app/menu"],
    "support": ["It is on its way.", "Perhaps"],
}
READ = ["app/crash", "app/search", "", "delivery/late", ""]


def politeness(generated: list[str]) -> list[bool]:
    return ["way" in answer for answer in generated]


def surplus(rows: list[Row], generated: list[str]) -> list[int]:
    return [len(row.instruction) - len(answer) for row, answer in zip(rows, generated, strict=True)]


def broken(expected: list[str]) -> float:
    raise ValueError("no")


def own(name: str, function: str) -> Metric:
    return Metric(name=name, goal=Goal.MAXIMIZE, function=f"{__name__}:{function}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, rows in (("voc", VOC), ("support", SUPPORT)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.fixture
def tests(root: Path) -> dict[str, Dataset]:
    return {name: Dataset.open([root / f"{name}.jsonl"]) for name in ("voc", "support")}


@pytest.fixture
def answers(tests: Mapping[str, Dataset]) -> dict[str, list[Answer]]:
    """What the service gives back of what it was given, through and through."""
    questions = Questions.of(tests)
    lines: list[dict[str, Any]] = [json.loads(line) for line in questions.content.splitlines()]
    for line in lines:
        key = json.loads(line["metadata"])
        line["inference"] = WRITTEN[key["domain"]][key["row"]]
    return answered([json.dumps(line).encode() for line in reversed(lines)], questions)


def of(
    answers: Mapping[str, list[Answer]], tests: Mapping[str, Dataset], root: Path, *metrics: Metric, seed: int = 0
) -> dict[str, Estimate]:
    return measured(answers, tests, metrics, root, np.random.default_rng(seed))


def test_text_is_judged_in_all_domains_and_classes_where_every_row_has_one(
    answers: dict[str, list[Answer]], tests: dict[str, Dataset], root: Path
) -> None:
    found = of(answers, tests, root)
    assert set(found) == {f"{domain}/{metric}" for domain in ("support", "voc") for metric in TEXTUAL} | {
        f"voc/{metric}" for metric in LABELLED
    }
    assert found["voc/exact_match"].value == 0
    expected = [row["output"] for row in SUPPORT]
    assert found["support/rouge_l"] == rouge_l(expected, WRITTEN["support"])
    assert all(estimate.rows == (5 if name.startswith("voc") else 2) for name, estimate in found.items())
    assert all((estimate.stderr or 0) > 0 for estimate in found.values())


def test_classes_are_what_the_model_wrote_and_wrong_where_it_wrote_none(
    answers: dict[str, list[Answer]], tests: dict[str, Dataset], root: Path
) -> None:
    found, truth = of(answers, tests, root, seed=3), [row["label"] for row in VOC]
    assert found["voc/accuracy"] == accuracy(truth, READ)
    assert found["voc/accuracy"].value == pytest.approx(3 / 5)
    assert found["voc/f1"] == macro_f1(truth, READ, np.random.default_rng(3))
    assert found["voc/f1"].value == pytest.approx((1 + 1 + 2 / 3 + 0) / 4)


def test_functions_of_the_users_own_judge_their_domains(
    answers: dict[str, list[Answer]], tests: dict[str, Dataset], root: Path
) -> None:
    asked = [own("support/way", "politeness"), own("voc/surplus", "surplus")]
    found = of(answers, tests, root, *asked)
    assert found["support/way"].value == 0.5
    assert found["voc/surplus"].value == np.mean([len("Feedback 0") - len(text) for text in WRITTEN["voc"]])
    assert not {"voc/way", "support/surplus"} & set(found)


def test_a_function_that_fails_is_named(
    answers: dict[str, list[Answer]], tests: dict[str, Dataset], root: Path
) -> None:
    with pytest.raises(ObjectiveError, match=r"the metric '.*:broken' fails: ValueError: no"):
        of(answers, tests, root, own("voc/x", "broken"))


def test_kept_answers_can_be_judged_again_without_the_model(
    answers: dict[str, list[Answer]], tests: dict[str, Dataset], root: Path
) -> None:
    found = of(answers, tests, root, own("voc/surplus", "surplus"))
    attempt = root / "runs" / "voc-nova" / "jobs" / "trial-0001" / "attempt-1"
    attempt.mkdir(parents=True)
    write_answers(attempt / ANSWERS, [answer for domain in answers for answer in answers[domain]])
    assert read_answers(attempt / ANSWERS) == answers
    function = OwnMetric.load(f"{__name__}:surplus", root)
    rows = {name: read_rows([root / f"{name}.jsonl"]) for name in ("voc", "support")}
    again = remeasured(attempt / ANSWERS, ["rouge_l", "exact_match", function], rows)
    assert again["voc/surplus"] == found["voc/surplus"]
    assert again["support/rouge_l"] == found["support/rouge_l"]
    assert again["voc/exact_match"] == found["voc/exact_match"]
