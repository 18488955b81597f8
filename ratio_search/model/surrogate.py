"""What the metrics of a study are believed to be over all mixtures, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import qmc

from ratio_search.model.draws import Draws
from ratio_search.model.fit import Expert, Fit
from ratio_search.model.gaussian_process import GaussianProcess
from ratio_search.model.measurements import Array
from ratio_search.model.prior import Prior
from ratio_search.model.view import View

EXPERTS = (Expert(power=0.5, prior=Prior()), Expert(power=0.25, prior=Prior(spread=0.36)))
"""Each metric has one process by each of them, which count alike."""

COMMON = 0.5
"""Correlation of the errors that the processes of different metrics make.

Were they independent, the mean of many metrics would look certain when each of them is not.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is expected of a metric at some points.

    Attributes:
        mean: expected gains, (n, n_metrics).
        sd: their standard deviations, without the noise of a new measurement, (n, n_metrics).
    """

    mean: Array
    sd: Array


class Surrogate:
    """One Gaussian process or several for each metric's gains, each metric for itself.

    Metrics are balanced only afterwards, draw by draw: each depends on few domains, their balance on all of them, so
    that it is far harder to learn. Another balance needs no new fit.

    What is told to people, and recommended, is believed with care; what is tried next is chosen by `bold`.
    """

    def __init__(self, fits: Sequence[Fit], gains: Array, *, bold: bool = False) -> None:
        self._fits = tuple(fits)
        self._gains = gains
        self._bold = bold

    @classmethod
    def fit(
        cls, x: Array, gains: Array, variances: Array, *, domains: int, own: Sequence[int | None] | None = None
    ) -> Self:
        """Fits all processes.

        Args:
            x: shares of the trials, then the coordinates of hyperparameters, of the order of 1, (n, n_inputs).
            gains: what was measured; NaN where a metric is missing, at least one value of each, (n, n_metrics).
            variances: their known part, squared standard errors; 0 where unknown, (n, n_metrics).
            domains: how many of the inputs are shares.
            own: for each metric, the place of the domain that it judges; None where it is of none of them.
        """
        own = own or [None] * gains.shape[1]
        trials = x, gains, variances
        return cls([Fit.of(*trials, expert=one, domains=domains, own=own) for one in EXPERTS], gains)

    def further(self, x: Array, gains: Array, variances: Array) -> Surrogate:
        """The same with the hyperparameters that it has, and more trials.

        Args:
            x: all trials, those that it was fitted to first, (n, n_inputs).
            gains: (n, n_metrics).
            variances: (n, n_metrics).
        """
        return Surrogate([fit.further(x, gains, variances) for fit in self._fits], gains)

    def surprises(self, x: Array, gains: Array, variances: Array) -> Array:
        """By how many standard deviations trials that it does not know differ from what was expected, at most, (n,).

        Args:
            x: (n, n_inputs).
            gains: (n, n_metrics).
            variances: (n, n_metrics).
        """
        found: Array = np.max([fit.surprises(x, gains, variances) for fit in self._fits], axis=(0, 2))
        return found

    @cached_property
    def bold(self) -> Surrogate:
        """The same with every mean that of the most probable hyperparameters, for proposals.

        A trial tests the belief that proposed it, so that boldness is put right soon; nothing puts a recommendation
        right.
        """
        return Surrogate(self._fits, self._gains, bold=True)

    @cached_property
    def doubted(self) -> NDArray[np.bool_]:
        """Trials of which all that models a metric doubts what they measured, (n,)."""
        found: NDArray[np.bool_] = np.all([fit.doubted(self._gains) for fit in self._fits], axis=0).any(axis=1)
        return found

    @cached_property
    def explained(self) -> tuple[float, ...]:
        """For each metric, the part of its variance that the other trials predict, one by one, (n_metrics,).

        The hyperparameters are those of all trials, which flatters: pure noise has 0 to 0.3 at 10 to 20 trials.
        """
        return tuple(_explained(peaks) for peaks in zip(*(fit.peaks for fit in self._fits), strict=True))

    @cached_property
    def noise(self) -> tuple[float, ...]:
        """For each metric, what a repeat varies by beyond its standard error, a standard deviation, (n_metrics,)."""
        of_metrics = zip(*(way for view in self._views for way in view.ways), strict=True)
        return tuple(math.sqrt(sum(p.noise for p in found) / len(found)) for found in of_metrics)

    @cached_property
    def _views(self) -> tuple[View, ...]:
        # Only when they are wanted: either kind takes its time.
        return tuple(View.of(fit, bold=self._bold) for fit in self._fits)

    def forecast(self, x: Array) -> Forecast:
        """Expected gains at points and their uncertainty, that about which expert is right included.

        Args:
            x: (n, n_inputs).
        """
        moments = [way for view in self._views for way in view.moments(view.see(x))]
        means = np.stack([np.stack([m.mean for m in way], axis=1) for way in moments])
        variances = np.stack([np.stack([m.variance for m in way], axis=1) for way in moments])
        return Forecast(mean=means.mean(axis=0), sd=np.sqrt(variances.mean(axis=0) + means.var(axis=0)))

    def draws(self, base: Array, n: int, rng: np.random.Generator) -> Draws:
        """Draws of the gains at points, all points together, from which those at further points follow.

        Args:
            base: the points, (n_base, n_inputs), n_base >= 0.
            n: draws, an even number.
            rng: where they come from.
        """
        return Draws(self._views, base, _normal(n, len(base) + 1, self._gains.shape[1], rng))


def _explained(processes: tuple[GaussianProcess, ...]) -> float:
    """The part of a metric's variance that its processes together predict, each trial from the others."""
    trusted = np.all([process.doubt[process.kept] == 0 for process in processes], axis=0)
    wrong = np.mean([process.residuals for process in processes], axis=0)[trusted]
    naive = processes[0].naive[trusted]
    return 1 - float(np.square(wrong).sum() / np.square(naive).sum()) if np.any(naive) else 0.0


def _normal(n: int, points: int, metrics: int, rng: np.random.Generator) -> Array:
    """Standard normal numbers, (metrics, points, n), evenly spread, correlated by `COMMON` among the metrics."""
    dimensions = points * (metrics + 1)
    if dimensions <= qmc.Sobol.MAXDIM:
        even: NDArray[np.float64] = qmc.Sobol(dimensions, rng=rng).random(n)
        # The first point of a scrambled sequence can be 0 in some coordinate.
        flat = ndtri(np.clip(even, 1e-6, 1 - 1e-6)).T
    else:
        flat = rng.standard_normal((dimensions, n))
    z = flat.reshape(metrics + 1, points, n)
    found: Array = math.sqrt(COMMON) * z[:1] + math.sqrt(1 - COMMON) * z[1:]
    return found
