"""A judged set of metrics, and the order of such."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field


@functools.total_ordering
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Score:
    """A judged set of metrics. Larger is better: feasible before infeasible, then near to the targets, then balanced.

    Attributes:
        gains: per metric, in scales; more is better.
        violations: how far each broken guard is exceeded, in the metric's own units; empty when all hold.
        shortfall: the broken guards' sum in gain units; 0 when all hold.
        missed: how far each target is missed that is, in the metric's own units; empty when all are reached, or none
            is aimed at.
        lack: the missed targets' weighted sum in gain units; 0 when all are reached.
        balanced: the balance of the gains.
        mean: the plain mean of the balanced metrics' gains, which decides between equals.
    """

    gains: Mapping[str, float]
    violations: Mapping[str, float]
    shortfall: float
    missed: Mapping[str, float] = field(default_factory=dict)
    lack: float = 0.0
    balanced: float
    mean: float

    @property
    def feasible(self) -> bool:
        """Whether every guard holds."""
        return not self.violations

    @property
    def key(self) -> tuple[bool, float, float, float, float]:
        """What scores are ordered by."""
        return (self.feasible, -self.shortfall, -self.lack, self.balanced, self.mean)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Score) and self.key == other.key

    def __lt__(self, other: Score) -> bool:
        return self.key < other.key

    def __hash__(self) -> int:
        return hash(self.key)
