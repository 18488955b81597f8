"""Judgement: raw metrics and their references become gains, guards and one balanced score. Pure.

```
metric    what is judged, how a value compares with its reference, and how far it may fall or is to rise
balance   how the gains of several metrics become one number
score     a judged set of metrics; scores have an order
scorer    judges: raw metrics -> scores, and gains -> a utility that can be averaged over what may happen
```
"""

from __future__ import annotations

from objectives.scorer.balance import TARGET_PRICE, Balance, BalanceKind
from objectives.scorer.metric import EXPECTED, FARTHEST, Metric
from objectives.scorer.score import Score
from objectives.scorer.scorer import GUARD_PRICE, ROUNDING, TIE, Scorer

__all__ = [
    "EXPECTED",
    "FARTHEST",
    "GUARD_PRICE",
    "ROUNDING",
    "TARGET_PRICE",
    "TIE",
    "Balance",
    "BalanceKind",
    "Metric",
    "Score",
    "Scorer",
]
