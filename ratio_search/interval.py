"""Means of a few numbers, and how far they can be believed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

CREDIBLE = 0.9
"""Probability that what is estimated lies within an interval."""

NORMAL = 1e6
"""Degrees of freedom with which Student's t is as good as normal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate, and between what it lies with a probability of `CREDIBLE`.

    Attributes:
        value: the estimate.
        low, high: its interval; None where nothing is known of its error.
    """

    value: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:+.4f}"
        return f"{self.value:+.4f} ({CREDIBLE:.0%} between {self.low:+.4f} and {self.high:+.4f})"

    @property
    def sd(self) -> float | None:
        """The standard deviation of a normal distribution that has this interval; None without ends."""
        if self.low is None or self.high is None:
            return None
        return (self.high - self.low) / (2 * float(stdtrit(NORMAL, (1 + CREDIBLE) / 2)))


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with Student's t around it.

    Attributes:
        value: the mean.
        stderr: its scale; None when nothing is known of it.
        freedom: degrees of freedom of that.
    """

    value: float
    stderr: float | None
    freedom: float

    @classmethod
    def paired(cls, values: NDArray[np.float64], likely: float) -> Mean:
        """The mean of differences between runs that were judged on the same rows.

        Args:
            values: one for each replicate, (n,), n >= 1.
            likely: the standard deviation of one of them by what else is known of it; 0 when nothing is.
        """
        n = len(values)
        own = float(values.var(ddof=1)) if n > 1 else 0.0
        variance = max(own, (likely**2 + (n - 1) * own) / n)
        known = n > 1 or likely > 0
        return cls(float(values.mean()), math.sqrt(variance / n) if known else None, max(n - 1, 1))

    @classmethod
    def alone(cls, values: NDArray[np.float64], evaluation: float | None) -> Mean:
        """The mean of what was judged on one set of rows, as an estimate of what it is on any such rows.

        More replicates do not make these rows more, so the evaluation's error stays whole. Degrees of freedom are
        those of Satterthwaite (An Approximate Distribution of Estimates of Variance Components, 1946).

        Args:
            values: one for each replicate, (n,), n >= 1.
            evaluation: standard error of one of them from the finite test set.
        """
        n = len(values)
        if n == 1:
            return cls.paired(values, evaluation or 0.0)
        own, stated = float(values.var(ddof=1)) / n, 0.0 if evaluation is None else evaluation**2
        # Where the spread is next to nothing beside it, the error is known, as a normal one is.
        known = own <= 1e-3 * stated
        freedom = NORMAL if known else (n - 1) * (1 + stated / own) ** 2 if own > 0 else n - 1
        return cls(float(values.mean()), math.sqrt(own + stated), freedom)

    @property
    def interval(self) -> Interval:
        """The interval that it lies in with a probability of `CREDIBLE`."""
        if self.stderr is None:
            return Interval(value=self.value, low=None, high=None)
        reach = float(stdtrit(self.freedom, (1 + CREDIBLE) / 2)) * self.stderr
        return Interval(value=self.value, low=self.value - reach, high=self.value + reach)

    def above(self, limit: float) -> float | None:
        """The probability that it is above a limit; None when nothing is known of its error."""
        if self.stderr is None:
            return None
        if self.stderr == 0:
            return 0.5 if self.value == limit else float(self.value > limit)
        return float(stdtr(self.freedom, (self.value - limit) / self.stderr))
