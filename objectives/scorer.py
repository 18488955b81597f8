"""Judgement: raw metrics and their references become gains, guards and one balanced score. Pure."""

from __future__ import annotations

import enum
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from objectives.errors import ScoreError
from objectives.metrics import Comparison, Goal

ROUNDING = 1e-9
"""How far a value may pass its guard, relative to it or to the reference, and still count as being at it."""


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
        return (difference if self.goal is Goal.MAXIMIZE else -difference) / self.scale

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
            balanced=self._balance(gains),
            mean=_mean([gains[m.name] for m in self.metrics if m.weight > 0]),
        )

    def _balance(self, gains: Mapping[str, float]) -> float:
        weighed = [(m.weight, gains[m.name]) for m in self.metrics if m.weight > 0]
        if self.balance.kind is BalanceKind.WEIGHTED:
            return math.fsum(w * g for w, g in weighed) / math.fsum(w for w, _ in weighed)
        heights = [g / w if g >= 0 else g * w for w, g in weighed]
        return min(heights) + self.balance.mean * _mean(heights)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
