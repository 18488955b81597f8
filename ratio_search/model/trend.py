"""What a quantity is expected to do along its own input before anything is measured: to rise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from ratio_search.model.measurements import Array
from ratio_search.model.prior import Prior

NARROWEST = 0.1
"""Inputs that vary by less than this, a standard deviation, say too little of how far a quantity rises along them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A straight line along one input, whose slope has a normal distribution with a mean of its own.

    A Gaussian process alone expects of each metric that it may as well fall where its domain gets more of the rows. Few
    trials of many domains do not contradict that for each metric, though hardly any falls. (Explicit basis functions
    with a normal prior of their coefficients: Rasmussen and Williams, 2006, section 2.7.)

    Attributes:
        own: the place of the input; None where there is none, and no line.
        slope: what is expected of it, in the quantity's spreads for a unit of the input.
        sd: how far the slope may be from that, a standard deviation.
    """

    own: int | None
    slope: float
    sd: float

    @classmethod
    def of(cls, x: Array, prior: Prior, own: int | None) -> Self:
        """What is expected along an input, of the measurements at some points.

        Args:
            x: the points, (n, n_inputs).
            prior: what is believed beforehand.
            own: the place of the input; None where there is none.
        """
        if own is None:
            return cls(own=None, slope=0.0, sd=0.0)
        unit = max(float(x[:, own].std()), NARROWEST)
        slope, sd = prior.slope
        return cls(own=own, slope=slope / unit, sd=sd / unit)

    def mean(self, x: Array) -> Array:
        """What is expected at points, (n,), that lie round the measured ones' mean, (n, n_inputs)."""
        return np.zeros(len(x)) if self.own is None else self.slope * x[:, self.own]

    def variance(self, x: Array) -> Array:
        """How unsure that is, (n,), at points, (n, n_inputs)."""
        return np.zeros(len(x)) if self.own is None else np.square(self.sd * x[:, self.own])

    def between(self, a: Array, b: Array) -> Array:
        """Covariances of the line at some points with itself at others, (n_a, n_b).

        Args:
            a: points, (n_a, n_inputs).
            b: others, (n_b, n_inputs).
        """
        if self.own is None:
            return np.zeros((len(a), len(b)))
        found: Array = np.multiply.outer(self.sd * a[:, self.own], self.sd * b[:, self.own])
        return found
