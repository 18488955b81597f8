"""Metrics of text: judges answers as they were written, by a model just now or long ago."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from objectives.base import Estimate
from objectives.data.rows import Row
from objectives.errors import OptionsError
from objectives.metrics.answer import Answer, check_rows, read_answers
from objectives.metrics.exact_match import exact_match
from objectives.metrics.own import OwnMetric
from objectives.metrics.rouge_l import rouge_l
from objectives.metrics.token_f1 import token_f1

TEXTUAL: Mapping[str, Callable[[Sequence[str], Sequence[str]], Estimate]] = {
    "exact_match": exact_match,
    "token_f1": token_f1,
    "rouge_l": rouge_l,
}
"""What can be said of expected and generated answers alone, by the metric's name."""


def judge(answers: Sequence[Answer], metric: str | OwnMetric, rows: Sequence[Row] = ()) -> Estimate:
    """A metric of the answers to a test set.

    Args:
        answers: of one domain, at least one.
        metric: one of `TEXTUAL`, or the user's own.
        rows: of the domain's test files, all of them; only for a function that asks for rows.

    Raises:
        OptionsError: the metric is not one of text, or asks for rows that are not there.
        ObjectiveError: the user's own function fails.
        DataError: the rows are not those that were answered.
    """
    expected, generated = [answer.expected for answer in answers], [answer.generated for answer in answers]
    if isinstance(metric, str):
        if metric not in TEXTUAL:
            raise OptionsError(f"{metric!r} cannot be told from answers; those that can are {', '.join(TEXTUAL)}")
        return TEXTUAL[metric](expected, generated)
    if "rows" not in metric.asked:
        return metric.measure(expected, generated, ())
    check_rows(answers, rows, f"the metric {metric.path!r} asks for the rows of {answers[0].domain!r}")
    return metric.measure(expected, generated, [rows[answer.row] for answer in answers])


def remeasured(
    answers: Path,
    metrics: Collection[str | OwnMetric] = tuple(TEXTUAL),
    rows: Mapping[str, Sequence[Row]] | None = None,
) -> dict[str, Estimate]:
    """Metrics of answers that a trial left, without its model.

    Args:
        answers: the trial's `answers.jsonl`.
        metrics: what to compute for each domain that has answers.
        rows: domain to the rows of its test files, for functions that ask for them.

    Returns:
        `<domain>/<metric>` to its estimate; the user's own is called by its function's name.

    Raises:
        DataError: the file cannot be used, or the rows are not those that were answered.
        OptionsError, ObjectiveError: a metric cannot be computed.
    """
    return {
        f"{domain}/{metric if isinstance(metric, str) else metric.path.partition(':')[2]}": judge(
            own, metric, (rows or {}).get(domain, ())
        )
        for domain, own in read_answers(answers).items()
        for metric in metrics
    }
