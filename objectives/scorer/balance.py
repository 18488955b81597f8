"""How the gains of several metrics become one number."""

from __future__ import annotations

import enum
import functools
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TARGET_PRICE = 10.0
"""What each unit of gain that a target lacks takes from the balance `target`."""


class BalanceKind(enum.StrEnum):
    """How the gains of several metrics become one number."""

    WORST = "worst"
    """The smallest weighted gain, so that every domain is lifted."""
    WEIGHTED = "weighted"
    """The weighted mean of the gains."""
    TARGET = "target"
    """The targets first, then the weighted mean of the gains of metrics that have none."""
    PARETO = "pareto"
    """All trade-offs: the search looks for mixtures that no other one beats in every gain. One that is to be chosen
    from them is chosen as `worst` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """How the gains of several metrics become one number.

    `target` is goal programming with weights (Charnes and Cooper, Management Models, 1961) whose priorities are prices,
    so that it can be averaged: what the targets lack, weighed and added up, costs `TARGET_PRICE` times as much as the
    mean of the other gains brings. Goal programming alone is content with mixtures that others beat, once the targets
    are reached; as in Wierzbicki's achievement functions ("The use of reference objectives in multiobjective
    optimization", 1980), a little of the mean of all gains is added for that: see `TIE` of the scorer.

    Attributes:
        kind: the rule.
        mean: for `worst`, how much of the mean weighted gain is added to the smallest one, >= 0. At 0 the mean
            only decides between equals, and raising a weight never lowers that metric at the optimum; above 0
            it can, by as much as the mean term is worth.
    """

    kind: BalanceKind = BalanceKind.WORST
    mean: float = 0.0

    def of(self, gains: Sequence[Array], weights: Sequence[float], aspired: Sequence[float]) -> Array:
        """The balance of many gains at once, (...).

        Args:
            gains: of each metric that counts, (n_counted, ...).
            weights: of these metrics, > 0.
            aspired: the gains at their targets, minus infinity without one; `target` alone looks at them.
        """
        if self.kind is BalanceKind.WEIGHTED:
            return _weighted(gains, weights)
        if self.kind is BalanceKind.TARGET:
            free = [k for k, aim in enumerate(aspired) if aim == -math.inf]
            lacking = lack(
                [np.maximum(aim - own, 0) for aim, own in zip(aspired, gains, strict=True)], weights, aspired
            )
            beyond = _weighted([gains[k] for k in free], [weights[k] for k in free]) if free else 0.0
            found: Array = beyond - TARGET_PRICE * lacking
            return found
        heights = [
            own if w == 1 else np.where(own >= 0, own / w, own * w) for w, own in zip(weights, gains, strict=True)
        ]
        worst: Array = functools.reduce(np.minimum, heights)
        return worst + self.mean * mean(heights) if self.mean else worst


def lack(short: Sequence[Any], weights: Sequence[float], aspired: Sequence[float]) -> Any:
    """What the targets lack: a sum in gain units, in which the weights count by their ratio to the mean one.

    Args:
        short: how far each metric is from its target, >= 0: numbers, or arrays of one shape.
        weights: of these metrics, > 0.
        aspired: the gains at their targets, minus infinity without one.
    """
    aimed = [(w, s) for w, s, aim in zip(weights, short, aspired, strict=True) if aim > -math.inf]
    if not aimed:
        return 0.0
    usual = mean([w for w, _ in aimed])
    return functools.reduce(operator.add, [s * (w / usual) for w, s in aimed])


def mean(values: Sequence[Any]) -> Any:
    """The mean of numbers, or of arrays, element by element."""
    return functools.reduce(operator.add, values) / len(values)


def _weighted(gains: Sequence[Array], weights: Sequence[float]) -> Array:
    """The weighted mean, (...)."""
    found: Array = mean([w * own for w, own in zip(weights, gains, strict=True)]) / mean(weights)
    return found
