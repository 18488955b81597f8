"""A Gaussian process over few, noisy and expensive measurements of one quantity."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from ratio_search.model.inputs import Inputs
from ratio_search.model.kernel import Kernel
from ratio_search.model.measurements import Array, Measurements
from ratio_search.model.posterior import JITTER, Posterior
from ratio_search.model.prior import Prior
from ratio_search.model.trend import Trend
from ratio_search.model.triangular import diagonal, inverse_of, lower_solved, root_of, surprise_of

FIT_AT_MOST, KEEP_AT_MOST = 160, 600
"""Measurements that hyperparameters are fitted to, and that a process rests on; more of them change little, and cost
their number cubed."""

DOUBT = 6.0
"""By how much, in logarithms, a doubt makes all that was measured more probable if it is to stay: one trial in hundreds
may go wrong."""

TOGETHER = 2
"""Measurements that may back each other, so that only a doubt of all of them helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """What a process says of some points.

    Attributes:
        mean: (n,).
        variance: of the quantity itself, without the noise of a measurement, (n,).
        reduced: the points' covariances with the measurements, over the root of those' own, (n_measured, n).
    """

    mean: Array
    variance: Array
    reduced: Array


class GaussianProcess:
    """A quantity as the sum of a constant and a curved part, and perhaps a line and a curve along one input alone.

    Hyperparameters are the most probable ones given the measurements and the prior (Rasmussen and Williams, Gaussian
    Processes for Machine Learning, 2006, chapter 5), or others that are likely, too (`likely`): a length scale for
    each input, held together by a common mean that is itself unknown, or one for all. The noise that is learned comes
    on top of the stated variances.

    A measurement that all others speak against, as that of a fine-tune that diverged, gets a noise of its own where
    that makes the whole more probable by `DOUBT`, one after another (Ament et al., "Robust Gaussian processes via
    relevance pursuit", NeurIPS 2024).

    Attributes:
        lengths: the length scale of each input.
        noise: learned variance of a measurement, in the quantity's units squared.
        noisiness: that and the stated variances' mean, by the variance of what was measured.
        surprise: the negative logarithm of the density of hyperparameters and measurements, up to a constant.
        jitter: variance in the same units that counts as rounding: no smaller one is told apart from it.
        doubt: the variance of each measurement's own noise, in the same units, mostly 0, (n,).
        kept: the places of those that it rests on, (n_kept,): all, but for very many.
        residuals: of each of these, its difference from what the others of them predict, (n_kept,).
        naive: likewise its difference from the mean of the others, which is the yardstick.
    """

    def __init__(
        self,
        measured: Measurements,
        prior: Prior,
        inputs: Inputs,
        theta: Array,
        scale: tuple[float, float],
        doubt: Array | None = None,
    ) -> None:
        self._measured = measured
        self._prior = prior
        self._inputs = inputs
        self._scale = mean, spread = scale
        self._theta = theta
        self.doubt: Array = np.zeros(len(measured)) if doubt is None else doubt
        self.kept = measured.spread_out(KEEP_AT_MOST)
        measured, doubt = measured[self.kept], self.doubt[self.kept]
        self._trend = Trend.of(measured.x, prior, inputs.own)
        self._centre = measured.x.mean(axis=0)
        self._kernel = Kernel.of(theta, prior, inputs)
        self.lengths = self._kernel.lengths
        self.noise = self._kernel.noise * spread**2
        self.jitter = JITTER * spread**2
        scaled = measured.scaled(mean, spread)
        self.noisiness = self._kernel.noise + float(scaled.variance.mean())
        self._x = scaled.x
        kernel = self._between(self._x, self._x)
        own_noise = scaled.variance + doubt / spread**2
        diagonal(kernel)[:] += own_noise + self._kernel.noise + JITTER
        self._root = root_of(kernel)
        inverse = inverse_of(self._root)
        apart = scaled.y - self._trend.mean(self._x)
        self._weights = inverse @ apart
        believed, _ = prior.believed(inputs).surprise(theta)
        self.surprise = (
            surprise_of(self._root, float(apart @ self._weights)) + believed + len(measured) * math.log(spread)
        )
        self.residuals: Array = self._weights / inverse.diagonal() * spread
        # By how many standard deviations each that may be doubted, and is not yet, differs from that.
        odd: Array = np.abs(self._weights) / np.sqrt(inverse.diagonal())
        self._odd = np.where(measured.doubtful & (doubt == 0), odd, 0.0)
        self.naive: Array = (measured.y - mean) * len(measured) / max(len(measured) - 1, 1)

    @classmethod
    def fit(cls, measured: Measurements, prior: Prior, inputs: Inputs) -> Self:
        """Fits a process, of very many measurements to the latest and an even part of the others.

        Args:
            measured: at least one.
            prior: what is believed beforehand.
            inputs: what the measurements' coordinates are.
        """
        found = tentative = cls._doubting(measured, np.zeros(len(measured)), prior, inputs)
        for _ in range(len(measured) // 5):
            doubt = tentative._doubted_further()
            further = 0 if doubt is None else np.count_nonzero(doubt) - np.count_nonzero(found.doubt)
            if doubt is None or further > TOGETHER or not _differ(measured.y[doubt == 0]):
                break
            tentative = cls._doubting(measured, doubt, prior, inputs)
            if found.surprise - tentative.surprise >= DOUBT * further:
                found = tentative
        return found

    def further(self, measured: Measurements) -> GaussianProcess:
        """The same with the same hyperparameters and doubts, and more measurements.

        Args:
            measured: those that it was fitted to, and more behind them.
        """
        doubt = np.concatenate([self.doubt, np.zeros(len(measured) - len(self.doubt))])
        return GaussianProcess(measured, self._prior, self._inputs, self._theta, self._scale, doubt)

    def surprises(self, measured: Measurements) -> Array:
        """By how many standard deviations measurements that it does not know differ from what it expects, (n,)."""
        expected = self.moments(measured.x)
        found: Array = np.abs(measured.y - expected.mean) / np.sqrt(expected.variance + self.noise + measured.variance)
        return found

    def likely(self, n: int) -> list[GaussianProcess]:
        """Processes with hyperparameters that are likely, equally so; for n = 1 this one, with the most probable ones.

        Few noisy measurements leave it open what is noise, and the most probable answer alone is far too sure of
        itself. The same ones each time.

        Args:
            n: how many.
        """
        if n == 1:
            return [self]
        measured, prior, inputs = self._measured, self._prior, self._inputs
        doubted = dataclasses.replace(measured, variance=measured.variance + self.doubt)
        scaled = doubted[doubted.spread_out(FIT_AT_MOST)].scaled(*self._scale)
        thetas = Posterior(scaled, prior, self._trend, inputs).likely(self._theta, n)
        return [GaussianProcess(measured, prior, inputs, theta, self._scale, self.doubt) for theta in thetas]

    @classmethod
    def _doubting(cls, measured: Measurements, doubt: Array, prior: Prior, inputs: Inputs) -> Self:
        """The process that doubts some measurements, with the most probable hyperparameters."""
        trusted = measured.y[doubt == 0]
        scale = (float(trusted.mean()), float(trusted.std()))
        if not _differ(trusted):
            # Differences that are rounding are none.
            scale = (scale[0], 1.0)
            measured = dataclasses.replace(measured, y=np.full(len(measured), scale[0]))
        doubted = dataclasses.replace(measured, variance=measured.variance + doubt)
        trend = Trend.of(measured.x, prior, inputs.own)
        few = doubted[doubted.spread_out(FIT_AT_MOST)].scaled(*scale)
        theta = Posterior(few, prior, trend, inputs).most_probable()
        return cls(measured, prior, inputs, theta, scale, doubt)

    def _doubted_further(self) -> Array | None:
        """The doubt with the oddest other measurement; None where none is odder than some of so many would be."""
        oddest = int(self._odd.argmax())
        if self._odd[oddest] < math.sqrt(2 * math.log(len(self._odd))):
            return None
        doubt = self.doubt.copy()
        doubt[self.kept[oddest]] = self.residuals[oddest] ** 2
        return doubt

    def mean(self, x: Array) -> Array:
        """The expected quantity at points, (n,).

        Args:
            x: (n, n_inputs).
        """
        mean, spread = self._scale
        at = x - self._centre
        found: Array = (self._between(at, self._x) @ self._weights + self._trend.mean(at)) * spread + mean
        return found

    def moments(self, x: Array) -> Moments:
        """The expected quantity at points, and how uncertain it is.

        Args:
            x: (n, n_inputs).
        """
        mean, spread = self._scale
        at = x - self._centre
        cross = self._between(self._x, at)
        reduced = lower_solved(self._root, cross)
        left = self._kernel.variance + self._trend.variance(at) - np.square(reduced).sum(axis=0)
        return Moments(
            mean=(cross.T @ self._weights + self._trend.mean(at)) * spread + mean,
            variance=np.maximum(left, JITTER) * spread**2,
            reduced=reduced,
        )

    def covariance(self, a: tuple[Array, Moments], b: tuple[Array, Moments]) -> Array:
        """How the quantity at some points goes with that at others, (n_a, n_b).

        Args:
            a: points, (n_a, n_inputs), with their moments.
            b: others, (n_b, n_inputs), with theirs.
        """
        prior = self._between(a[0] - self._centre, b[0] - self._centre)
        found: Array = (prior - a[1].reduced.T @ b[1].reduced) * self._scale[1] ** 2
        return found

    def _between(self, a: Array, b: Array) -> Array:
        """Covariances before anything was measured, (n_a, n_b), in spreads, of points round the measured ones' mean."""
        return self._kernel.between(a, b) + self._trend.between(a, b)


def _differ(y: Array) -> bool:
    """Whether measurements differ by more than rounding."""
    return float(y.std()) > 1e-9 * max(1.0, float(np.abs(y).max()))
