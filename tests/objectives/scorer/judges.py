"""Metrics, and judges of plain gains, that the tests of the scorer share."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from objectives.metrics import Comparison, Goal
from objectives.scorer import Balance, BalanceKind, Metric, Score, Scorer

ACCURACY = Metric(name="support/accuracy", goal=Goal.MAXIMIZE, upper=1.0)
PERPLEXITY = Metric(name="legal/perplexity", goal=Goal.MINIMIZE, comparison=Comparison.LOG_RATIO)
LATENCY = Metric(name="manuals/latency", goal=Goal.MINIMIZE, scale=50.0)

WORST, WEIGHTED, TARGET = (Balance(kind=kind) for kind in (BalanceKind.WORST, BalanceKind.WEIGHTED, BalanceKind.TARGET))


def plain(name: str, **fields: object) -> Metric:
    """A metric whose values are their own gains, when the reference is 0."""
    return dataclasses.replace(Metric(name=name, goal=Goal.MAXIMIZE, reference=0.0), **fields)


def judged(
    *gains: float,
    weights: Sequence[float] | None = None,
    guards: Sequence[float | None] = (),
    targets: Sequence[float | None] = (),
    balance: Balance = WORST,
) -> Score:
    """The score of plain gains; guards and targets may be fewer than these."""
    none = [None] * len(gains)
    stated = zip(weights or [1.0] * len(gains), [*guards, *none], [*targets, *none], strict=False)
    metrics = [
        plain(f"d/m{i}", weight=weight, guard=guard, target=target)
        for i, (weight, guard, target) in zip(range(len(gains)), stated, strict=False)
    ]
    values = {metric.name: gain for metric, gain in zip(metrics, gains, strict=True)}
    return Scorer(metrics=metrics, balance=balance, baseline={}).score(values)
