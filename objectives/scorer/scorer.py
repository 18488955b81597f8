"""Judges raw metrics against their references, guards and targets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from objectives.errors import ScoreError
from objectives.scorer.balance import TARGET_PRICE, Balance, BalanceKind, lack, mean
from objectives.scorer.metric import Metric
from objectives.scorer.score import Score

ROUNDING = 1e-9
"""How far a value may pass its guard, or miss its target, relative to it or to the reference, and count as at it."""

GUARD_PRICE = 10.0
"""Utility that is lost for each unit of gain that a guard lacks."""

TIE = 1e-3
"""How much of the mean gain a utility adds to the worst one, so that equals are decided by the mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """Judges raw metrics against their references.

    Attributes:
        metrics: what is judged, at least one of them with a positive weight.
        balance: how gains become one number.
        baseline: the untuned model's values, for metrics that state no reference.

    Raises:
        ScoreError: a metric has neither a stated reference nor a baseline value.
    """

    metrics: Sequence[Metric]
    balance: Balance
    baseline: Mapping[str, float]

    def __post_init__(self) -> None:
        missing = [m.name for m in self.metrics if m.reference is None and m.name not in self.baseline]
        if missing:
            raise ScoreError(
                f"no reference for {', '.join(missing)}: expected the untuned baseline's value or a stated one"
            )
        assert any(m.weight > 0 for m in self.metrics)

    def reference(self, metric: Metric) -> float:
        """The value that a metric's gains are measured from."""
        return self.baseline[metric.name] if metric.reference is None else metric.reference

    def score(self, values: Mapping[str, float]) -> Score:
        """Judges one set of values, one for each metric.

        Raises:
            ScoreError: a value is missing or outside its metric's range.
        """
        missing = [metric.name for metric in self.metrics if metric.name not in values]
        if missing:
            raise ScoreError(f"no value for {', '.join(missing)}; found {', '.join(values) or 'none'}")
        gains = {m.name: m.gain(values[m.name], self.reference(m)) for m in self.metrics}
        violations: dict[str, float] = {}
        shortfall = 0.0
        for metric in self.metrics:
            limit = metric.limit(self.reference(metric))
            excess = 0.0 if limit is None else self._behind(metric, values[metric.name], limit)
            if limit is not None and excess:
                violations[metric.name] = excess
                shortfall -= metric.gain(values[metric.name], limit)
        missed, lacking = self._missed(values)
        return Score(
            gains=gains,
            violations=violations,
            shortfall=shortfall,
            missed=missed,
            lack=lacking,
            balanced=float(self._balanced(np.array(list(gains.values())))),
            mean=mean([gains[m.name] for m in self.metrics if m.weight > 0]),
        )

    def utility(self, gains: NDArray[np.float64]) -> NDArray[np.float64]:
        """What many gains at once are worth, (...): the balanced score, less a price for what the guards lack.

        It can be averaged over what may happen, as an order of scores cannot. The price is exact in the sense of
        Nocedal and Wright (Numerical Optimization, 2006, section 17.2): where a gain can be traded for a guard at a
        rate of less than the price, the best utility keeps every guard. It rises with every gain that counts.

        Args:
            gains: of each metric, (n_metrics, ...).
        """
        counted = [own for metric, own in zip(self.metrics, gains, strict=True) if metric.weight > 0]
        worth: NDArray[np.float64] = self._balanced(gains) + TIE * mean(counted) - self.price(gains)
        return worth

    def price(self, gains: NDArray[np.float64]) -> NDArray[np.float64]:
        """What many gains lack of the guards, times `guard_price`, (...); see `utility`."""
        lacking = np.zeros(gains.shape[1:])
        for limit, own in zip(self.guarded, gains, strict=True):
            if limit > -math.inf:
                lacking += np.maximum(limit - own, 0)
        return self.guard_price * lacking

    @property
    def guard_price(self) -> float:
        """Utility that is lost for each unit of gain that a guard lacks: guards come before targets, too."""
        return GUARD_PRICE * (TARGET_PRICE if self.balance.kind is BalanceKind.TARGET else 1.0)

    @property
    def guarded(self) -> tuple[float, ...]:
        """The gain at which each metric's guard begins to break, minus infinity without one."""
        found = []
        for metric in self.metrics:
            reference = self.reference(metric)
            limit = metric.limit(reference)
            # A guard beyond what the metric can be is never broken.
            never = limit is None or not metric.possible(limit)
            found.append(-math.inf if limit is None or never else metric.gain(limit, reference))
        return tuple(found)

    @property
    def aspired(self) -> tuple[float, ...]:
        """The gain at which each metric reaches its target, minus infinity where none is aimed at."""
        aiming = self.balance.kind is BalanceKind.TARGET
        return tuple(
            m.gain(m.target, self.reference(m)) if aiming and m.weight and m.target is not None else -math.inf
            for m in self.metrics
        )

    def _balanced(self, gains: NDArray[np.float64]) -> NDArray[np.float64]:
        """The balanced scores of many gains, (...), those of metrics first, (n_metrics, ...)."""
        counted = [k for k, metric in enumerate(self.metrics) if metric.weight > 0]
        aspired = self.aspired
        return self.balance.of(
            [gains[k] for k in counted], [self.metrics[k].weight for k in counted], [aspired[k] for k in counted]
        )

    def _missed(self, values: Mapping[str, float]) -> tuple[dict[str, float], float]:
        """How far values miss each target that they miss, in the metrics' own units, and what all targets lack."""
        aspired = self.aspired
        missed: dict[str, float] = {}
        short = [0.0] * len(self.metrics)
        for k, metric in enumerate(self.metrics):
            if metric.target is None or aspired[k] == -math.inf:
                continue
            excess = self._behind(metric, values[metric.name], metric.target)
            if excess:
                missed[metric.name] = excess
                short[k] = metric.gain(metric.target, values[metric.name])
        return missed, float(lack(short, [m.weight for m in self.metrics], aspired))

    def _behind(self, metric: Metric, value: float, limit: float) -> float:
        """How far a value is on the wrong side of a limit, in the metric's own units; 0 at it, but for rounding."""
        at = math.isclose(value, limit, rel_tol=ROUNDING, abs_tol=ROUNDING * abs(self.reference(metric)))
        return 0.0 if at else max(metric.behind(value, limit), 0.0)
