"""What is believed of a Gaussian process before anything is measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ratio_search.model.inputs import Inputs
from ratio_search.model.measurements import Array

Normal = tuple[float, float]
"""Mean and standard deviation."""

_START_LENGTH, _START_SIGNAL, _START_NOISE = 0.3, 1.0, 0.1
_START_ALONE, _START_ALONE_LENGTH = 0.5, 0.5
_LENGTHS, _SIGNALS, _NOISES, _ALONE = (-3.5, 5.0), (-6.0, 4.0), (-14.0, 3.0), (-8.0, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What is believed of a process before anything is measured; inputs are of the order of 1, the output has spread 1.

    Every logarithm has a normal distribution. In this order, logarithms make up a process' hyperparameters `theta`: the
    length scale of each share, or one for all; that of each coordinate of a hyperparameter; the variances of the curved
    part and of a measurement that is run again; where the quantity has an input of its own, variance and length scale
    of the part that depends on it alone.

    Attributes:
        length: of the common mean of the shares' length scales.
        spread: standard deviation of each of these round it, in logarithms; None for one length scale for all shares.
        setting: of the length scale of each coordinate of a hyperparameter, which shares say nothing of.
        signal: of the variance of the curved part.
        noise: of the variance of a measurement that is run again.
        own_length: of the length scale of the quantity's own input, which the common mean says nothing of.
        alone: of the variance of the part that depends on the own input alone.
        alone_length: of the length scale of that part.
        slope: of the straight line along the own input, by spreads of the output for one of the input (`Trend`). It is
            no hyperparameter: a normal distribution of it is part of the process.
    """

    length: Normal = (1.0, 1.0)
    spread: float | None = 0.45
    setting: Normal = (0.3, 1.0)
    signal: Normal = (0.7, 1.0)
    noise: Normal = (-2.5, 2.0)
    own_length: Normal = (-0.3, 0.8)
    alone: Normal = (0.0, 1.5)
    alone_length: Normal = (0.0, 1.0)
    slope: Normal = (0.3, 0.4)

    def lengths(self, inputs: Inputs) -> int:
        """How many length scales there are."""
        return (1 if self.spread is None else inputs.shares) + inputs.settings

    def start(self, inputs: Inputs) -> Array:
        """Hyperparameters to search for better ones from: from longer length scales it can end where all is noise."""
        start = [*[_START_LENGTH] * self.lengths(inputs), _START_SIGNAL, _START_NOISE]
        return np.log([*start, *([] if inputs.own is None else [_START_ALONE, _START_ALONE_LENGTH])])

    def bounds(self, inputs: Inputs) -> list[tuple[float, float]]:
        """The lowest and the highest value of each hyperparameter."""
        alone = [] if inputs.own is None else [_ALONE, _LENGTHS]
        return [*[_LENGTHS] * self.lengths(inputs), _SIGNALS, _NOISES, *alone]

    def believed(self, inputs: Inputs) -> Belief:
        """What is believed of hyperparameters together."""
        spread, own = self.spread, inputs.own
        shares = [self.length] * (self.lengths(inputs) - inputs.settings)
        rest = [self.signal, self.noise, *([] if own is None else [self.alone, self.alone_length])]
        mean, sd = np.array([*shares, *[self.setting] * inputs.settings, *rest]).T
        if spread is None:
            return Belief(mean=mean, precision=np.diag(1 / sd**2))
        alike = np.arange(inputs.shares) if own is None else np.delete(np.arange(inputs.shares), own)
        sd[alike] = spread
        if own is not None:
            mean[own], sd[own] = self.own_length
        precision = np.diag(1 / sd**2)
        # The common mean is unknown, and goes with them: that adds its variance to all of their covariances.
        precision[np.ix_(alike, alike)] -= spread**-4 / (len(alike) / spread**2 + 1 / self.length[1] ** 2)
        return Belief(mean=mean, precision=precision)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Belief:
    """A normal distribution of a process' hyperparameters.

    Attributes:
        mean: (n_hyperparameters,).
        precision: the inverse of their covariances, (n_hyperparameters, n_hyperparameters).
    """

    mean: Array
    precision: Array

    def surprise(self, theta: Array) -> tuple[float, Array]:
        """The negative logarithm of its density at hyperparameters, up to a constant, and its gradient."""
        away = theta - self.mean
        gradient: Array = self.precision @ away
        return 0.5 * float(away @ gradient), gradient
