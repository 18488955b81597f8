"""What a metric's name implies: which way is better, how two values compare, and what it is measured from."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Goal(enum.StrEnum):
    """Which way is better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


class Comparison(enum.StrEnum):
    """How two values of a metric are compared."""

    DIFFERENCE = "difference"
    """By their difference, in units of the metric's scale."""
    LOG_RATIO = "log-ratio"
    """By the logarithm of their ratio, as fits perplexities and losses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricKind:
    """What a metric's name implies.

    Attributes:
        goal: which way is better.
        comparison: how two values are compared.
        upper: largest possible value; None when there is no limit. The smallest is 0.
        needs_labels: whether the test rows must have labels.
        needs_answers: whether the model must write an answer to every test row.
    """

    goal: Goal
    comparison: Comparison
    upper: float | None = None
    needs_labels: bool = False
    needs_answers: bool = False


def _rate(*, needs_labels: bool = False, needs_answers: bool = False) -> MetricKind:
    return MetricKind(
        goal=Goal.MAXIMIZE,
        comparison=Comparison.DIFFERENCE,
        upper=1.0,
        needs_labels=needs_labels,
        needs_answers=needs_answers,
    )


BENCHMARK = _rate()
"""A public benchmark, as platforms run them."""

_LOSS = MetricKind(goal=Goal.MINIMIZE, comparison=Comparison.LOG_RATIO)

KINDS: dict[str, MetricKind] = {
    "accuracy": _rate(needs_labels=True),
    "f1": _rate(needs_labels=True),
    "micro_f1": _rate(needs_labels=True),
    "exact_match": _rate(),
    "token_f1": _rate(needs_answers=True),
    "rouge_l": _rate(needs_answers=True),
    "perplexity": _LOSS,
    "loss": _LOSS,
    "bits_per_byte": _LOSS,
}
"""Metrics whose goal and comparison follow from the name; any other must state its goal and scale."""
