"""What is believed of a process' hyperparameters once something is measured."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import minimize
from scipy.special import ndtri
from scipy.stats import qmc

from ratio_search.model.inputs import Inputs
from ratio_search.model.kernel import Kernel
from ratio_search.model.measurements import Array, Measurements
from ratio_search.model.prior import Prior
from ratio_search.model.trend import Trend
from ratio_search.model.triangular import diagonal, inverse_of, lower_solved, root_of, surprise_of

JITTER = 1e-8
"""Added to the variance of every measurement, in units of their spread squared, so that repeats can be factorised."""

TRIES, WIDER = 8, 1.2
"""Hyperparameters that are looked at for each that is chosen, and how much further apart they lie than a normal
distribution would have them."""

_ITERATIONS, _ENOUGH = 60, 1e-5
"""Steps towards the most probable ones, at most, and the part of the surprise that one must gain for another to follow.
"""

_STEP, _FLATTEST = 1e-3, 0.25
"""How far apart the slopes are that tell the curvature, and the least that it counts as."""


class Posterior:
    """The density of hyperparameters, given measurements that lie round a mean of 0 with a spread of 1."""

    def __init__(self, scaled: Measurements, prior: Prior, trend: Trend, inputs: Inputs) -> None:
        """Prepares it.

        Args:
            scaled: the measurements.
            prior: what is believed beforehand.
            trend: what is expected along the quantity's own input.
            inputs: what the measurements' coordinates are.
        """
        self._x, self._inputs = scaled.x, inputs
        self._y: Array = scaled.y - trend.mean(scaled.x)
        self._prior = prior
        self._believed = prior.believed(self._inputs)
        # What hyperparameters do not change.
        self._covariances = trend.between(scaled.x, scaled.x)
        diagonal(self._covariances)[:] += scaled.variance + JITTER

    def most_probable(self) -> Array:
        """The hyperparameters where it is highest, (n_hyperparameters,)."""
        found = minimize(
            self.surprise,
            self._prior.start(self._inputs),
            jac=True,
            method="L-BFGS-B",
            bounds=self._prior.bounds(self._inputs),
            options={"maxiter": _ITERATIONS, "maxcor": 20, "ftol": _ENOUGH},
        )
        theta: Array = found.x
        return theta

    def likely(self, peak: Array, n: int) -> Array:
        """Hyperparameters that are likely, equally so, (n, n_hyperparameters), the same ones each time.

        Drawn by importance resampling from a normal distribution that has the curvature of the density at its peak
        (Rubin, "Using the SIR algorithm", Bayesian Statistics 3, 1988).

        Args:
            peak: the most probable ones.
            n: how many.
        """
        even = qmc.Sobol(len(peak), rng=0).random(2 ** math.ceil(math.log2(TRIES * n)))
        normal = ndtri(np.clip(even, 1e-6, 1 - 1e-6))
        tries = peak + WIDER * normal @ self._deviations(peak).T
        tries = np.clip(tries, *np.array(self._prior.bounds(self._inputs)).T)
        surprises = np.array([self.surprising(theta) for theta in tries])
        weights = np.exp(surprises.min() - surprises + 0.5 * np.square(normal).sum(axis=1))
        reached = np.cumsum(weights / weights.sum())
        chosen: Array = tries[np.minimum(np.searchsorted(reached, (np.arange(n) + 0.5) / n), len(tries) - 1)]
        return chosen

    def surprise(self, theta: Array) -> tuple[float, Array]:
        """The negative logarithm of the density at hyperparameters, up to a constant, and its gradient."""
        kernel = Kernel.of(theta, self._prior, self._inputs)
        covariances, slopes = kernel.with_slopes(self._x)
        root = self._root(covariances, kernel)
        inverse = inverse_of(root)
        weights = inverse @ self._y
        value = surprise_of(root, float(self._y @ weights))
        inverse -= np.multiply.outer(weights, weights)
        inverse *= 0.5
        believed, gradient = self._believed.surprise(theta)
        together = self._inputs.shares if self._prior.spread is None else 0
        gradient += slopes.along(inverse, kernel.noise, together=together)
        return value + believed, gradient

    def surprising(self, theta: Array) -> float:
        """The same without its gradient."""
        kernel = Kernel.of(theta, self._prior, self._inputs)
        root = self._root(kernel.between(self._x, self._x), kernel)
        apart = lower_solved(root, self._y)
        return surprise_of(root, float(apart @ apart)) + self._believed.surprise(theta)[0]

    def _root(self, covariances: Array, kernel: Kernel) -> Array:
        """A root of the measurements' covariances, those of the curved part given."""
        covariances += self._covariances
        diagonal(covariances)[:] += kernel.noise
        return root_of(covariances)

    def _deviations(self, peak: Array) -> Array:
        """A root of the hyperparameters' covariances, by the curvature of the surprise at its lowest."""
        _, level = self.surprise(peak)
        curvature = np.array([self.surprise(peak + by)[1] - level for by in np.eye(len(peak)) * _STEP]) / _STEP
        values, directions = np.linalg.eigh((curvature + curvature.T) / 2)
        # At the bounds the surprise may not be at its lowest, and bend the other way.
        found: Array = directions / np.sqrt(np.maximum(values, _FLATTEST))
        return found
