"""Metrics of a test set, each with its standard error, and what their names mean.

Standard errors speak of the finite test set: how far the value would move had other rows of the same kind
been drawn. They do not include the luck of a training run.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from objectives.base import Estimate

BOOTSTRAP_SAMPLES = 200
"""Resamples behind the standard error of F1: its own relative error is about 1 / sqrt(2 x 200) = 5 %."""


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
    """

    goal: Goal
    comparison: Comparison
    upper: float | None = None
    needs_labels: bool = False


RATE = MetricKind(goal=Goal.MAXIMIZE, comparison=Comparison.DIFFERENCE, upper=1.0)

KINDS: dict[str, MetricKind] = {
    "accuracy": MetricKind(goal=Goal.MAXIMIZE, comparison=Comparison.DIFFERENCE, upper=1.0, needs_labels=True),
    "f1": MetricKind(goal=Goal.MAXIMIZE, comparison=Comparison.DIFFERENCE, upper=1.0, needs_labels=True),
    "exact_match": RATE,
    "perplexity": MetricKind(goal=Goal.MINIMIZE, comparison=Comparison.LOG_RATIO),
    "loss": MetricKind(goal=Goal.MINIMIZE, comparison=Comparison.LOG_RATIO),
}
"""Metrics whose goal and comparison follow from the name; any other must state its goal and scale."""


def rate(hits: Sequence[bool] | NDArray[np.bool_]) -> Estimate:
    """Share of rows that are right, with its standard error.

    The error is the standard deviation of what a binomial rate can be after these rows, a Beta(hits + 1,
    misses + 1). It is close to sqrt(p (1 - p) / n), but not 0 where all rows are right, or none.

    Args:
        hits: one value per row, (n_rows,), n_rows >= 1.
    """
    n, right = len(hits), int(np.count_nonzero(hits))
    middle = (right + 1) / (n + 2)
    return Estimate(value=right / n, stderr=math.sqrt(middle * (1 - middle) / (n + 3)), rows=n)


def macro_f1(labels: Sequence[str], predictions: Sequence[str], rng: np.random.Generator) -> Estimate:
    """Mean of the classes' F1 over the classes that occur among `labels`, with a bootstrap standard error.

    A prediction outside those classes is simply wrong.

    Args:
        labels: the right class per row, (n_rows,), n_rows >= 1.
        predictions: the predicted class per row, (n_rows,).
        rng: draws the resamples.
    """
    # Takes a second to import, and the check of a study file needs only names.
    from sklearn.metrics import f1_score

    classes = sorted(set(labels))
    value = float(f1_score(labels, predictions, labels=classes, average="macro", zero_division=0))
    index = {name: i for i, name in enumerate(classes)}
    true = np.array([index[label] for label in labels])
    predicted = np.array([index.get(label, len(classes)) for label in predictions])
    # Drawing rows with replacement is one multinomial draw of how often each (class, prediction) occurs.
    cells, counts = np.unique(np.stack([true, predicted]), axis=1, return_counts=True)
    draws = rng.multinomial(len(true), counts / len(true), size=BOOTSTRAP_SAMPLES)

    def totals(of: NDArray[np.int64], chosen: NDArray[np.bool_] | slice = slice(None)) -> NDArray[np.float64]:
        """Draws of the chosen cells, added up by class, (n_samples, n_classes)."""
        added = np.zeros((len(classes) + 1, BOOTSTRAP_SAMPLES))
        np.add.at(added, of[chosen], draws.T[chosen])
        return added[:-1].T

    hits, support = totals(cells[0], cells[0] == cells[1]), totals(cells[0])
    denominator = support + totals(cells[1])
    per_class = np.divide(2.0 * hits, denominator, out=np.zeros(hits.shape), where=denominator > 0)
    # A class that a resample misses has no F1 there; averaging it in as 0 would inflate the spread.
    present = support > 0
    resampled = (per_class * present).sum(axis=1) / present.sum(axis=1)
    return Estimate(value=value, stderr=float(resampled.std(ddof=1)), rows=len(true))


def perplexity(nll: NDArray[np.float64], tokens: NDArray[np.int64]) -> Estimate:
    """Exponential of the mean negative log-likelihood per token, with rows as the units that vary.

    The standard error is that of a ratio estimator (Cochran, Sampling Techniques, 3rd ed., section 2.11),
    carried through the exponential.

    Args:
        nll: summed over each row's response tokens, nats, (n_rows,).
        tokens: response tokens of each row, (n_rows,), at least one in all.
    """
    n, total = len(nll), float(tokens.sum())
    mean = float(nll.sum()) / total
    value = math.exp(mean)
    if n < 2:
        return Estimate(value=value, stderr=None, rows=n)
    residual = nll - mean * tokens
    stderr = value * math.sqrt(n / (n - 1) * float(np.square(residual).sum())) / total
    return Estimate(value=value, stderr=stderr, rows=n)
