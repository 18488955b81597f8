"""What a study's trials say, as the arrays that a model is fitted to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from objectives.base import Estimate
from objectives.metrics import Comparison
from objectives.scorer import Metric, Scorer
from ratio_search.model.points import Points, PointSpace
from ratio_search.record import JobState, Record

EXTREME = 1e60
"""Gains and their standard errors count as at most this, whose square can still be computed with."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """What was measured, what is being measured, and what could not be.

    Attributes:
        measured: mixtures that were really trained on, of trials that reported some judged metric.
        asked: the same trials' mixtures as they were asked for.
        gains: of these trials, NaN where a metric is missing, (n_measured, n_metrics).
        variances: squared standard errors of the gains; 0 where unknown, (n_measured, n_metrics).
        numbers: of these trials.
        pending: mixtures of trials that are still running.
        failed: mixtures of trials that failed.
        basis: numbers of all trials above.
    """

    measured: Points
    asked: Points
    gains: NDArray[np.float64]
    variances: NDArray[np.float64]
    numbers: tuple[int, ...]
    pending: Points
    failed: Points
    basis: tuple[int, ...]

    @classmethod
    def of(cls, records: Sequence[Record], scorer: Scorer, space: PointSpace) -> Self:
        """The evidence of trials.

        Args:
            records: of trials, in any state. One that failed still counts with those of its metrics that it reported.
            scorer: knows the judged metrics and their references.
            space: what is searched. Trials from outside it count, too; those without a value for one of its
                hyperparameters do not.
        """
        known = [record for record in records if set(space.hyperparameters) <= set(record.job.hyperparameters)]
        found = [(record, [_gain(record, metric, scorer) for metric in scorer.metrics]) for record in known]
        told = [(r, gains) for r, gains in found if r.state is not JobState.RUNNING and any(gains)]
        pending = [record for record in known if record.state is JobState.RUNNING]
        failed = [record for record in known if record.state is JobState.FAILED]
        table = np.array([[gain or (math.nan, 0.0) for gain in gains] for _, gains in told])
        table = table.reshape(len(told), len(scorer.metrics), 2)
        measured = [record for record, _ in told]
        return cls(
            measured=_points(space, measured, realised=True),
            asked=_points(space, measured),
            gains=table[:, :, 0],
            variances=table[:, :, 1],
            numbers=tuple(record.number for record in measured),
            pending=_points(space, pending),
            failed=_points(space, failed),
            basis=tuple(sorted({record.number for record in [*measured, *pending, *failed]})),
        )

    @property
    def complete(self) -> int:
        """Trials of which every judged metric is there."""
        return int(np.isfinite(self.gains).all(axis=1).sum())


def _points(space: PointSpace, records: Sequence[Record], *, realised: bool = False) -> Points:
    mixtures = []
    for record in records:
        mixture = record.job.mixture
        assert mixture is not None
        # What was trained on, where that is known to differ from what was asked.
        if realised and record.measurement is not None and record.measurement.realised is not None:
            trained = record.measurement.realised
            mixture = trained if set(trained) == set(mixture) else mixture
        mixtures.append(mixture)
    return space.points(mixtures, [record.job.hyperparameters for record in records])


def _gain(record: Record, metric: Metric, scorer: Scorer) -> tuple[float, float] | None:
    """A metric's gain with its known variance; None where it was not reported, or is no value of the metric."""
    estimate = None if record.measurement is None else record.measurement.metrics.get(metric.name)
    if estimate is None or not metric.possible(estimate.value):
        return None
    gain = metric.gain(estimate.value, scorer.reference(metric))
    return min(max(gain, -EXTREME), EXTREME), _variance(estimate, metric)


def _variance(estimate: Estimate, metric: Metric) -> float:
    """The variance of a gain, carried from the value to first order."""
    if estimate.stderr is None:
        return 0.0
    unit = estimate.value if metric.comparison is Comparison.LOG_RATIO else 1.0
    return min(estimate.stderr / unit / metric.scale, EXTREME) ** 2
