"""What is judged: a metric, how its values compare with a reference, its guard and its target."""

from __future__ import annotations

import math
from dataclasses import dataclass

from objectives.errors import ScoreError
from objectives.metrics import Comparison, Goal

FARTHEST = 300.0
"""Logarithm of the largest ratio to its reference that a value is told by: more could not be computed with."""

EXPECTED = 0.5
"""The confidence of a guard that is to hold on expectation, as likely as not at its edge."""


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
        confidence: the probability that the guard is to hold with, from `EXPECTED` to below 1.
        target: the value that the balance `target` aims at, in the metric's own units; None for none.
        upper: largest possible value; None when there is no limit. The smallest is 0 where there is one.
        function: import path of the user's own function that measures it; None where its name says how.
    """

    name: str
    goal: Goal
    comparison: Comparison = Comparison.DIFFERENCE
    scale: float = 1.0
    weight: float = 1.0
    reference: float | None = None
    guard: float | None = None
    confidence: float = EXPECTED
    target: float | None = None
    upper: float | None = None
    function: str | None = None

    @property
    def domain(self) -> str:
        """The domain whose test set it judges."""
        return self.name.partition("/")[0]

    @property
    def short(self) -> str:
        """Its name without the domain."""
        return self.name.partition("/")[2]

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

    def behind(self, value: float, other: float) -> float:
        """How much worse a value is than another one, in the metric's own units; negative when it is better."""
        return other - value if self.goal is Goal.MAXIMIZE else value - other

    def limit(self, reference: float) -> float | None:
        """The worst value that keeps the guard; None without a guard."""
        if self.guard is None:
            return None
        return reference - self.guard if self.goal is Goal.MAXIMIZE else reference + self.guard
