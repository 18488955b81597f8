"""What a study is judged by, of the answers that a model wrote in an evaluation job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from objectives.base import Estimate
from objectives.data import Dataset, Row
from objectives.metrics import TEXTUAL, Answer, OwnMetric, WrittenLabels, judge, labelled
from objectives.scorer import Metric


def measured(
    answers: Mapping[str, Sequence[Answer]],
    tests: Mapping[str, Dataset],
    metrics: Sequence[Metric],
    root: Path,
    rng: np.random.Generator,
) -> dict[str, Estimate]:
    """All metrics of written answers: of text, of classes where all rows have labels, and those of the user's own.

    Args:
        answers: domain to the answers to all of its test rows.
        tests: domain to its test rows.
        metrics: what is judged.
        root: the study's folder, where functions of the user's own may lie.
        rng: draws the resamples of F1's standard error.

    Returns:
        `<domain>/<metric>` to its estimate.

    Raises:
        ObjectiveError: a function of the user's own fails.
        DataError, OptionsError: the rows changed, or a function is gone.
    """
    found: dict[str, Estimate] = {}
    for domain in sorted(answers):
        own, rows = answers[domain], tests[domain].rows()
        of_domain: dict[str, Estimate] = {name: judge(own, name) for name in TEXTUAL}
        if all(row.label is not None for row in rows):
            of_domain |= _of_labels(own, rows, rng)
        for metric in metrics:
            if metric.domain == domain and metric.function is not None:
                of_domain[metric.short] = judge(own, OwnMetric.load(metric.function, root), rows)
        found |= {f"{domain}/{name}": estimate for name, estimate in of_domain.items()}
    return found


def _of_labels(answers: Sequence[Answer], rows: Sequence[Row], rng: np.random.Generator) -> dict[str, Estimate]:
    labels = WrittenLabels.of(rows)
    truth = [rows[answer.row].label or "" for answer in answers]
    return labelled(truth, [labels.read(answer.generated) for answer in answers], rng)
