"""A mixture with its fresh fine-tunes, and these as gains and scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from objectives.base import Measurement
from objectives.metrics import Comparison
from objectives.scorer import TIE, Metric, Scorer
from ratio_search.interval import Interval, Mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What a search expected of a mixture.

    Attributes:
        score: the balanced score.
        gains: for each metric; without ends where there was no model.
    """

    score: float
    gains: Mapping[str, Interval]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A mixture with its fresh fine-tunes.

    Attributes:
        name: what to call it, unique.
        runs: what each replicate measured; equal numbers are paired, across contenders. Empty where all of them failed.
        candidate: whether it may win; the others are there to be beaten.
        promise: what the search expected of it; None where it did not say.
    """

    name: str
    runs: Mapping[int, Measurement]
    candidate: bool = True
    promise: Promise | None = None


class Judged:
    """A contender's runs as gains and scores."""

    def __init__(self, contender: Contender, scorer: Scorer, baseline: Measurement | None) -> None:
        self.name = contender.name
        self.replicates = tuple(sorted(contender.runs))
        self.promise = contender.promise
        self.scorer = scorer
        self._baseline = baseline
        runs = [contender.runs[number] for number in self.replicates]
        scores = [scorer.score({m.name: run.metrics[m.name].value for m in scorer.metrics}) for run in runs]
        # Gains of each metric in each replicate, (n_metrics, n_replicates).
        self.gains = np.array([[score.gains[m.name] for score in scores] for m in scorer.metrics])
        self.balanced = np.array([score.balanced for score in scores])
        self.worth = scorer.utility(self.gains)
        self.errors = [_error(metric, runs) for metric in scorer.metrics]

        mean = self.gains.mean(axis=1)
        self.error_of_score = carried(lambda gains: balanced(scorer, gains), mean, self.errors)
        self.error_of_worth = carried(scorer.utility, mean, self.errors)

    @property
    def score(self) -> Interval:
        """The balanced score of a fine-tune, on average."""
        return Mean.alone(self.balanced, self.error_of_score).interval

    def among(self, replicates: Sequence[int]) -> list[int]:
        """Places of some replicates."""
        return [self.replicates.index(number) for number in replicates]

    def gain(self, k: int) -> Mean:
        """The gain of a metric on any rows of the kind, with the error of what it is measured from."""
        metric, own = self.scorer.metrics[k], self.errors[k]
        theirs = None
        if metric.reference is None and self._baseline is not None and metric.name in self._baseline.metrics:
            theirs = _error(metric, [self._baseline])
        error = own if theirs is None else theirs if own is None else math.hypot(own, theirs)
        return Mean.alone(self.gains[k], error)


def _error(metric: Metric, runs: Sequence[Measurement]) -> float | None:
    """Standard error of one run's gain from the finite test set, on average of some; None where one does not say."""
    found = []
    for run in runs:
        estimate = run.metrics[metric.name]
        if estimate.stderr is None:
            return None
        unit = abs(estimate.value) if metric.comparison is Comparison.LOG_RATIO else 1.0
        found.append((estimate.stderr / (unit * metric.scale)) ** 2)
    return math.sqrt(math.fsum(found) / len(found))


def balanced(scorer: Scorer, gains: NDArray[np.float64]) -> NDArray[np.float64]:
    """The balanced scores of gains, (...).

    Args:
        scorer: the judge.
        gains: (n_metrics, ...).
    """
    counted = [own for metric, own in zip(scorer.metrics, gains, strict=True) if metric.weight > 0]
    # A utility is a score, a trifle of the mean gain that decides between equals, and the price of broken guards.
    worth: NDArray[np.float64] = scorer.utility(gains) + scorer.price(gains) - TIE * np.mean(counted, axis=0)
    return worth


def carried(
    value: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    at: NDArray[np.float64],
    errors: Sequence[float | None],
) -> float | None:
    """What errors of gains amount to in a value of them, to first order and as if independent; None if one is unknown.

    Args:
        value: takes gains, (n_metrics, n), and gives (n,).
        at: where, (n_metrics,).
        errors: one for each gain.
    """
    known = [error for error in errors if error is not None]
    if len(known) < len(errors):
        return None
    steps = np.diag(np.array(known))
    return float(np.linalg.norm(value(at[:, None] + steps) - value(at[:, None] - steps))) / 2
