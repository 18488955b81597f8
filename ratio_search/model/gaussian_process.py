"""A Gaussian process over few, noisy and expensive measurements of one quantity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, lapack
from scipy.optimize import minimize

Array = NDArray[np.float64]

ROOT5 = math.sqrt(5)
JITTER = 1e-8
"""Added to the variance of every measurement, in units of their spread squared, so that repeats can be factorised."""

FIT_AT_MOST, KEEP_AT_MOST = 160, 600
"""Measurements that hyperparameters are fitted to, and that a process rests on; more of them change little, and cost
their number cubed."""

_ITERATIONS = 60
_START_LENGTH, _START_NOISE = 0.3, 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What is believed of a process before anything is measured; inputs are of the order of 1, the output has spread 1.

    Every logarithm has a normal distribution, given as mean and standard deviation.

    Attributes:
        length: of the length scales' common mean.
        spread: standard deviation of each length scale round it, in logarithms; None for one length scale for all.
        signal: of the variance of the curved part.
        noise: of the variance of a measurement that is run again.
        slope: of the variance of the linear part's slopes; None for no linear part.
    """

    length: tuple[float, float] = (0.35, 1.0)
    spread: float | None = 1.0
    signal: tuple[float, float] = (0.7, 1.0)
    noise: tuple[float, float] = (-3.0, 1.5)
    slope: tuple[float, float] | None = None


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
    """A quantity as the sum of a constant, perhaps a linear part, and a curved part with a Matern 5/2 kernel.

    Hyperparameters are the most probable ones given the measurements and the prior (Rasmussen and Williams, Gaussian
    Processes for Machine Learning, 2006, chapter 5): a length scale for each input, held together by a common mean
    that is itself unknown, or one for all. The noise that is learned comes on top of the stated variances. The search
    for them starts from short length scales: started from long ones it can end where all is noise.

    Attributes:
        lengths: the length scale of each input.
        noise: learned variance of a measurement, in the quantity's units squared.
        jitter: variance in the same units that counts as rounding: no smaller one is told apart from it.
        residuals: of each measurement, its difference from what the others predict, (n_measured,).
        naive: likewise its difference from the mean of the others, which is the yardstick.
    """

    def __init__(
        self, x: Array, y: Array, variance: Array, prior: Prior, theta: Array, scale: tuple[float, float]
    ) -> None:
        self._prior = prior
        self._scale = scale
        self._centre = x.mean(axis=0)
        self._x = x - self._centre
        self._theta = theta
        self.lengths: Array = np.exp(np.broadcast_to(theta[: _lengths(x, prior)], x.shape[1:]))
        mean, spread = scale
        self.noise = float(_noise(theta, prior)) * spread**2
        self.jitter = JITTER * spread**2
        kernel = self._kernel(self._x, self._x)
        kernel[np.diag_indices_from(kernel)] += variance / spread**2 + _noise(theta, prior) + JITTER
        self._root: Array = cholesky(kernel, lower=True, check_finite=False)
        inverse = _inverse(self._root)
        self._weights = inverse @ ((y - mean) / spread)
        self.residuals: Array = self._weights / inverse.diagonal() * spread
        self.naive: Array = (y - mean) * len(y) / max(len(y) - 1, 1)

    @classmethod
    def fit(cls, x: Array, y: Array, variance: Array, prior: Prior, nearer: Array | None = None) -> Self:
        """Fits a process, of very many measurements to the latest and an even part of the others.

        Args:
            x: inputs of the measurements, (n, n_inputs), n >= 1.
            y: what was measured, (n,).
            variance: of each measurement, as far as it is known; 0 where it is not, (n,).
            prior: what is believed beforehand.
            nearer: by how much each input's length scale is expected to be shorter than the common mean, as a
                difference of logarithms; None for not at all, (n_inputs,).
        """
        shift = np.zeros(x.shape[1]) if nearer is None else -nearer
        kept = _spread_out(len(y), KEEP_AT_MOST)
        x, y, variance = x[kept], y[kept], variance[kept]
        scale = (float(y.mean()), float(y.std()))
        if scale[1] <= 1e-9 * max(1.0, float(np.abs(y).max())):
            # Differences that are rounding are none.
            scale = (scale[0], 1.0)
            y = np.full(len(y), scale[0])
        few = _spread_out(len(y), FIT_AT_MOST)
        theta = _most_probable(
            x[few] - x[few].mean(axis=0), (y[few] - scale[0]) / scale[1], variance[few] / scale[1] ** 2, prior, shift
        )
        return cls(x, y, variance, prior, theta, scale)

    def mean(self, x: Array) -> Array:
        """The expected quantity at points, (n,).

        Args:
            x: (n, n_inputs).
        """
        mean, spread = self._scale
        found: Array = self._kernel(x - self._centre, self._x) @ self._weights * spread + mean
        return found

    def moments(self, x: Array) -> Moments:
        """The expected quantity at points, and how uncertain it is.

        Args:
            x: (n, n_inputs).
        """
        mean, spread = self._scale
        at = x - self._centre
        cross = self._kernel(self._x, at)
        reduced = lower_solved(self._root, cross)
        own = np.full(len(at), self._signal + 1.0)
        if self._slope is not None:
            own += self._slope * np.square(at).sum(axis=1)
        left = np.maximum(own - np.square(reduced).sum(axis=0), JITTER)
        return Moments(mean=cross.T @ self._weights * spread + mean, variance=left * spread**2, reduced=reduced)

    def covariance(self, a: tuple[Array, Moments], b: tuple[Array, Moments]) -> Array:
        """How the quantity at some points goes with that at others, (n_a, n_b).

        Args:
            a: points, (n_a, n_inputs), with their moments.
            b: others, (n_b, n_inputs), with theirs.
        """
        prior = self._kernel(a[0] - self._centre, b[0] - self._centre)
        found: Array = (prior - a[1].reduced.T @ b[1].reduced) * self._scale[1] ** 2
        return found

    @property
    def _signal(self) -> float:
        return math.exp(self._theta[_lengths(self._x, self._prior)])

    @property
    def _slope(self) -> float | None:
        return None if self._prior.slope is None else math.exp(self._theta[-1])

    def _kernel(self, a: Array, b: Array) -> Array:
        scales = ROOT5 / self.lengths
        root = np.sqrt(_squares(a * scales, b * scales))
        found: Array = root * root
        found /= 3
        found += root
        found += 1
        np.negative(root, out=root)
        found *= np.exp(root, out=root)
        found *= self._signal
        found += 1.0
        if self._slope is not None:
            found += self._slope * (a @ b.T)
        return found


def _most_probable(x: Array, y: Array, variance: Array, prior: Prior, shift: Array) -> Array:
    """The logarithms of lengths, signal, noise and slope, in this order.

    The arguments are those of `fit`, with `shift` for what is expected of each length scale beside the common mean.
    """
    q = _lengths(x, prior)
    start = [*[math.log(_START_LENGTH)] * q, 0.0, math.log(_START_NOISE)]
    bounds = [*[(-3.5, 5.0)] * q, (-6.0, 4.0), (-14.0, 3.0)]
    if prior.slope is not None:
        start.append(prior.slope[0])
        bounds.append((-10.0, 4.0))
    found = minimize(
        _surprise,
        np.array(start),
        args=(x, y, variance, prior, shift),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": _ITERATIONS, "maxcor": 20},
    )
    theta: Array = found.x
    return theta


def _surprise(theta: Array, x: Array, y: Array, variance: Array, prior: Prior, shift: Array) -> tuple[float, Array]:
    """The negative logarithm of the posterior density of hyperparameters, up to a constant, and its gradient."""
    q = _lengths(x, prior)
    signal, noise = math.exp(theta[q]), float(_noise(theta, prior))
    scaled = x * np.exp(-theta[:q])
    squares = _squares(scaled, scaled)
    root = ROOT5 * np.sqrt(squares)
    decay = signal * np.exp(-root)
    curved = (1 + root + 5 / 3 * squares) * decay
    kernel = curved + 1.0
    if prior.slope is not None:
        linear = math.exp(theta[-1]) * (x @ x.T)
        kernel += linear
    kernel[np.diag_indices_from(kernel)] += variance + noise + JITTER
    factor = cholesky(kernel, lower=True, check_finite=False)
    inverse = _inverse(factor)
    weights = inverse @ y
    value = 0.5 * float(y @ weights) + float(np.log(factor.diagonal()).sum())
    pull = 0.5 * (inverse - np.outer(weights, weights))
    gradient = np.zeros_like(theta)
    # The kernel moves with the logarithm of a length by 5/3 (1 + root) decay times the squared scaled difference;
    # summed over pairs that takes two products instead of a matrix for each input.
    moved = pull * (5 / 3 * (1 + root) * decay)
    by_input = 2 * (moved.sum(axis=1) @ np.square(scaled) - (scaled * (moved @ scaled)).sum(axis=0))
    gradient[:q] = by_input if prior.spread is not None else by_input.sum()
    gradient[q] = float((pull * curved).sum())
    gradient[q + 1] = float(pull.trace()) * noise
    if prior.slope is not None:
        gradient[-1] = float((pull * linear).sum())
    return value + _add_prior(theta, prior, shift[:q], gradient), gradient


def _add_prior(theta: Array, prior: Prior, shift: Array, gradient: Array) -> float:
    """The prior's part of the surprise; its gradient is added to the given one."""
    value, q = 0.0, len(shift)
    mean, sd = prior.length
    if prior.spread is None:
        value += 0.5 * ((theta[0] - mean) / sd) ** 2
        gradient[0] += (theta[0] - mean) / sd**2
    else:
        # The common mean at its own most probable value, where the surprise does not move with it.
        precise, loose = 1 / prior.spread**2, 1 / sd**2
        centred = theta[:q] - shift
        common = (centred.sum() * precise + mean * loose) / (q * precise + loose)
        apart = centred - common
        value += 0.5 * precise * float(apart @ apart) + 0.5 * loose * (common - mean) ** 2
        gradient[:q] += precise * apart
    rest = [prior.signal, prior.noise, *([prior.slope] if prior.slope is not None else [])]
    for i, (centre, width) in enumerate(rest, start=q):
        value += 0.5 * ((theta[i] - centre) / width) ** 2
        gradient[i] += (theta[i] - centre) / width**2
    return float(value)


def _lengths(x: Array, prior: Prior) -> int:
    return 1 if prior.spread is None else x.shape[1]


def _noise(theta: Array, prior: Prior) -> float:
    place = -1 if prior.slope is None else -2
    return math.exp(theta[place])


def _squares(a: Array, b: Array) -> Array:
    found: Array = a @ (-2 * b.T)
    found += np.square(a).sum(axis=1)[:, None]
    found += np.square(b).sum(axis=1)
    np.maximum(found, 0, out=found)
    return found


def lower_solved(root: Array, right: Array) -> Array:
    """The solution of root x = right with a lower triangular root, (n, m); LAPACK itself, as it is called so often."""
    found, info = lapack.dtrtrs(root, right, lower=1)
    assert info == 0, info
    solved: Array = found
    return solved


def _inverse(root: Array) -> Array:
    """The inverse of a matrix whose lower Cholesky factor is given."""
    half, info = lapack.dpotri(root, lower=1)
    assert info == 0, info
    lower = np.tril(half)
    found: Array = lower + np.tril(half, -1).T
    return found


def _spread_out(n: int, most: int) -> NDArray[np.intp]:
    """Places of at most `most` of `n` measurements: the latest, which lie near the best, and some of the others."""
    if n <= most:
        return np.arange(n)
    late = most // 2
    return np.concatenate([np.linspace(0, n - late - 1, most - late).astype(np.intp), np.arange(n - late, n)])
