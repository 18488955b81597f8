"""Judgement: raw metrics and their references become gains, guards and one balanced score. Pure."""

from __future__ import annotations

import enum
import functools
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives.errors import ScoreError
from objectives.metrics import Comparison, Goal

ROUNDING = 1e-9
"""How far a value may pass its guard, relative to it or to the reference, and still count as being at it."""

GUARD_PRICE = 10.0
"""Utility that is lost for each unit of gain that a guard lacks."""

TIE = 1e-3
"""How much of the mean gain a utility adds to the worst one, so that equals are decided by the mean."""

FARTHEST = 300.0
"""Logarithm of the largest ratio to its reference that a value is told by: more could not be computed with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric that a study is judged by.

    Attributes:
        name: `<domain>/<metric>`.
        goal: which way is better.
        comparison: how a value is compared with its reference.
        scale: units of the comparison that count as a gain of 1, > 0.
        weight: importance in the balance; 0 means that the metric is only guarded.
        reference: the value that gains are measured from; None for the untuned baseline's.
        guard: how far the value may fall behind its reference, in the metric's own units; None for no guard.
        upper: largest possible value; None when there is no limit. The smallest is 0 where there is one.
    """

    name: str
    goal: Goal
    comparison: Comparison = Comparison.DIFFERENCE
    scale: float = 1.0
    weight: float = 1.0
    reference: float | None = None
    guard: float | None = None
    upper: float | None = None

    @property
    def domain(self) -> str:
        """The domain whose test set it judges."""
        return self.name.partition("/")[0]

    def gain(self, value: float, reference: float) -> float:
        """How much better `value` is than `reference`, in scales; negative when it is worse.

        Raises:
            ScoreError: a value is outside the metric's range.
        """
        self.check(value)
        self.check(reference)
        # Two logarithms: a quotient of extreme values would overflow.
        ratio = self.comparison is Comparison.LOG_RATIO
        difference = math.log(value) - math.log(reference) if ratio else value - reference
        # Adding 0 turns -0 into 0.
        return (difference if self.goal is Goal.MAXIMIZE else -difference) / self.scale + 0.0

    def value(self, gain: float, reference: float) -> float:
        """The value that is better than `reference` by a gain, as near to that as the metric can be."""
        step = (gain if self.goal is Goal.MAXIMIZE else -gain) * self.scale
        if self.comparison is Comparison.LOG_RATIO:
            return reference * math.exp(min(max(step, -FARTHEST), FARTHEST))
        return reference + step if self.upper is None else min(max(reference + step, 0.0), self.upper)

    def check(self, value: float) -> None:
        """Checks that a value can be one of this metric.

        Raises:
            ScoreError: it cannot; the message says what to state in the study file.
        """
        if not math.isfinite(value):
            raise ScoreError(f"{self.name}: expected a finite value, found {value}")
        if self.comparison is Comparison.LOG_RATIO and value <= 0:
            raise ScoreError(
                f"{self.name}: expected a value above 0, found {value:g}; "
                "state a scale for this metric to compare by difference"
            )
        if self.upper is not None and not 0 <= value <= self.upper:
            raise ScoreError(
                f"{self.name}: expected a value from 0 to {self.upper:g}, found {value:g}; report a rate, "
                "or state a scale for this metric to use other units"
            )

    def possible(self, value: float) -> bool:
        """Whether a value can be one of this metric."""
        try:
            self.check(value)
        except ScoreError:
            return False
        return True

    def limit(self, reference: float) -> float | None:
        """The worst value that keeps the guard; None without a guard."""
        if self.guard is None:
            return None
        return reference - self.guard if self.goal is Goal.MAXIMIZE else reference + self.guard


class BalanceKind(enum.StrEnum):
    """How the gains of several metrics become one number."""

    WORST = "worst"
    """The smallest weighted gain, so that every domain is lifted."""
    WEIGHTED = "weighted"
    """The weighted mean of the gains."""
    PARETO = "pareto"
    """All trade-offs: the search looks for mixtures that no other one beats in every gain. One that is to be chosen
    from them is chosen as `worst` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """How the gains of several metrics become one number.

    Attributes:
        kind: the rule.
        mean: for `worst`, how much of the mean weighted gain is added to the smallest one, >= 0. At 0 the mean
            only decides between equals, and raising a weight never lowers that metric at the optimum; above 0
            it can, by as much as the mean term is worth.
    """

    kind: BalanceKind = BalanceKind.WORST
    mean: float = 0.0


@functools.total_ordering
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Score:
    """A judged set of metrics. Larger is better: feasible before infeasible, then by the balance.

    Attributes:
        gains: per metric, in scales; more is better.
        violations: how far each broken guard is exceeded, in the metric's own units; empty when all hold.
        shortfall: the broken guards' sum in gain units; 0 when all hold.
        balanced: the balance of the gains.
        mean: the plain mean of the balanced metrics' gains, which decides between equals.
    """

    gains: Mapping[str, float]
    violations: Mapping[str, float]
    shortfall: float
    balanced: float
    mean: float

    @property
    def feasible(self) -> bool:
        """Whether every guard holds."""
        return not self.violations

    @property
    def key(self) -> tuple[bool, float, float, float]:
        """What scores are ordered by."""
        return (self.feasible, -self.shortfall, self.balanced, self.mean)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Score) and self.key == other.key

    def __lt__(self, other: Score) -> bool:
        return self.key < other.key

    def __hash__(self) -> int:
        return hash(self.key)


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
        gains: dict[str, float] = {}
        violations: dict[str, float] = {}
        shortfall = 0.0
        for metric in self.metrics:
            value, reference = values[metric.name], self.reference(metric)
            gains[metric.name] = metric.gain(value, reference)
            limit = metric.limit(reference)
            if limit is None or math.isclose(value, limit, rel_tol=ROUNDING, abs_tol=ROUNDING * abs(reference)):
                continue
            excess = limit - value if metric.goal is Goal.MAXIMIZE else value - limit
            if excess > 0:
                violations[metric.name] = excess
                shortfall -= metric.gain(value, limit)
        return Score(
            gains=gains,
            violations=violations,
            shortfall=shortfall,
            balanced=float(self._balanced(np.array(list(gains.values())))),
            mean=_mean([gains[m.name] for m in self.metrics if m.weight > 0]),
        )

    def utility(self, gains: NDArray[np.float64]) -> NDArray[np.float64]:
        """What many gains at once are worth, (...): the balanced score, less a price for what the guards lack.

        It can be averaged over what may happen, as an order of scores cannot. The price is exact in the sense of
        Nocedal and Wright (Numerical Optimization, 2006, section 17.2): where a gain can be traded for a guard at a
        rate of less than `GUARD_PRICE`, the best utility keeps every guard.

        Args:
            gains: of each metric, (n_metrics, ...).
        """
        counted = [own for metric, own in zip(self.metrics, gains, strict=True) if metric.weight > 0]
        worth: NDArray[np.float64] = self._balanced(gains) + TIE * _mean(counted) - self.price(gains)
        return worth

    def price(self, gains: NDArray[np.float64]) -> NDArray[np.float64]:
        """What many gains lack of the guards, times `GUARD_PRICE`, (...); see `utility`."""
        lacking = np.zeros(gains.shape[1:])
        for limit, own in zip(self.guarded, gains, strict=True):
            if limit > -math.inf:
                lacking += np.maximum(limit - own, 0)
        return GUARD_PRICE * lacking

    def _balanced(self, gains: NDArray[np.float64]) -> NDArray[np.float64]:
        """The balanced scores of many gains, (...), those of metrics first, (n_metrics, ...)."""
        weighed = [(m.weight, own) for m, own in zip(self.metrics, gains, strict=True) if m.weight > 0]
        if self.balance.kind is BalanceKind.WEIGHTED:
            mean: NDArray[np.float64] = _mean([w * own for w, own in weighed]) / _mean([w for w, _ in weighed])
            return mean
        heights = [own if w == 1 else np.where(own >= 0, own / w, own * w) for w, own in weighed]
        worst: NDArray[np.float64] = functools.reduce(np.minimum, heights)
        return worst + self.balance.mean * _mean(heights) if self.balance.mean else worst

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


def _mean(values: Sequence[Any]) -> Any:
    """The mean of numbers, or of arrays, element by element."""
    return functools.reduce(operator.add, values) / len(values)
