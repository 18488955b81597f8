"""A Gaussian process over few, noisy and expensive measurements of one quantity."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.linalg import cholesky, lapack
from scipy.optimize import minimize
from scipy.special import ndtri
from scipy.stats import qmc

from ratio_search.model.measurements import Array, Measurements

ROOT5 = math.sqrt(5)
JITTER = 1e-8
"""Added to the variance of every measurement, in units of their spread squared, so that repeats can be factorised."""

FIT_AT_MOST, KEEP_AT_MOST = 160, 600
"""Measurements that hyperparameters are fitted to, and that a process rests on; more of them change little, and cost
their number cubed."""

DOUBT = 6.0
"""By how much, in logarithms, a doubt makes all that was measured more probable if it is to stay: one trial in hundreds
may go wrong."""

TOGETHER = 2
"""Measurements that may back each other, so that only a doubt of all of them helps."""

TRIES, WIDER = 8, 1.2
"""Hyperparameters that are looked at for each that is chosen, and how much further apart they lie than a normal
distribution would have them."""

_ITERATIONS = 60
_START_LENGTH, _START_NOISE = 0.3, 0.1
_STEP, _FLATTEST = 1e-3, 0.25


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
    noise: tuple[float, float] = (-2.5, 2.0)
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
    Processes for Machine Learning, 2006, chapter 5), or others that are likely, too (`likely`): a length scale for
    each input, held together by a common mean that is itself unknown, or one for all. The noise that is learned comes
    on top of the stated variances. The search for them starts from short length scales: started from long ones it can
    end where all is noise.

    A measurement that all others speak against, as that of a fine-tune that diverged, gets a noise of its own where
    that makes the whole more probable by `DOUBT`, one after another (Ament et al., "Robust Gaussian processes via
    relevance pursuit", NeurIPS 2024).

    Attributes:
        lengths: the length scale of each input.
        noise: learned variance of a measurement, in the quantity's units squared.
        jitter: variance in the same units that counts as rounding: no smaller one is told apart from it.
        residuals: of each measurement, its difference from what the others predict, (n_measured,).
        naive: likewise its difference from the mean of the others, which is the yardstick.
        doubt: the variance of each measurement's own noise, in the same units, mostly 0, (n_measured,).
        doubted: which of all that it was fitted to have one, those that it does not rest on included, (n,).
    """

    def __init__(
        self, measured: Measurements, prior: Prior, theta: Array, scale: tuple[float, float], doubt: Array | None = None
    ) -> None:
        self._measured = measured
        self._prior = prior
        self._scale = mean, spread = scale
        self._centre = measured.x.mean(axis=0)
        self._theta = theta
        self.doubt: Array = np.zeros(len(measured)) if doubt is None else doubt
        self.doubted = self.doubt > 0
        self.lengths: Array = np.exp(np.broadcast_to(theta[: _lengths(measured.x, prior)], measured.x.shape[1:]))
        self.noise = float(_noise(theta, prior)) * spread**2
        self.jitter = JITTER * spread**2
        scaled = measured.scaled(mean, spread)
        self._x = scaled.x
        kernel = self._kernel(self._x, self._x)
        kernel[np.diag_indices_from(kernel)] += scaled.variance + self.doubt / spread**2 + _noise(theta, prior) + JITTER
        self._root: Array = cholesky(kernel, lower=True, check_finite=False)
        inverse = _inverse(self._root)
        self._weights = inverse @ scaled.y
        self.residuals: Array = self._weights / inverse.diagonal() * spread
        self._doubtful = measured.doubtful
        self._surprises: Array = np.abs(self._weights) / np.sqrt(inverse.diagonal())
        self.naive: Array = (measured.y - mean) * len(measured) / max(len(measured) - 1, 1)

    @classmethod
    def fit(cls, measured: Measurements, prior: Prior, nearer: Array | None = None) -> Self:
        """Fits a process, of very many measurements to the latest and an even part of the others.

        Args:
            measured: at least one.
            prior: what is believed beforehand.
            nearer: by how much each input's length scale is expected to be shorter than the common mean, as a
                difference of logarithms; None for not at all, (n_inputs,).
        """
        shift = np.zeros(measured.x.shape[1]) if nearer is None else -nearer
        kept = measured.spread_out(KEEP_AT_MOST)
        everything, measured = len(measured), measured[kept]
        found, surprise = cls._doubting(measured, np.zeros(len(measured)), prior, shift)
        tentative = found
        for _ in range(len(measured) // 5):
            doubt = tentative._doubted_further()
            further = 0 if doubt is None else np.count_nonzero(doubt) - np.count_nonzero(found.doubt)
            if doubt is None or further > TOGETHER or not _differ(measured.y[doubt == 0]):
                break
            tentative, less = cls._doubting(measured, doubt, prior, shift)
            if surprise - less >= DOUBT * further:
                found, surprise = tentative, less
        found.doubted = np.isin(np.arange(everything), kept[found.doubt > 0])
        return found

    def likely(self, n: int, nearer: Array | None = None) -> list[GaussianProcess]:
        """Processes with hyperparameters that are likely, equally so; for n = 1 this one, with the most probable ones.

        Few noisy measurements leave it open what is noise, and the most probable answer alone is far too sure of
        itself. Drawn by importance resampling from a normal distribution that has the curvature of the posterior
        density at its peak (Rubin, "Using the SIR algorithm", Bayesian Statistics 3, 1988), the same way each time.

        Args:
            n: how many.
            nearer: as it was fitted with.
        """
        if n == 1:
            return [self]
        shift = np.zeros(self._x.shape[1]) if nearer is None else -nearer
        measured, doubt = self._measured, self.doubt
        doubted = dataclasses.replace(measured, variance=measured.variance + doubt)
        scaled = doubted[doubted.spread_out(FIT_AT_MOST)].scaled(*self._scale)
        thetas = _likely(self._theta, scaled, self._prior, shift, n)
        return [GaussianProcess(measured, self._prior, theta, self._scale, doubt) for theta in thetas]

    @classmethod
    def _doubting(cls, measured: Measurements, doubt: Array, prior: Prior, shift: Array) -> tuple[Self, float]:
        """The process that doubts some measurements, and how surprising they are to it, in logarithms."""
        trusted = measured.y[doubt == 0]
        scale = (float(trusted.mean()), float(trusted.std()))
        if not _differ(trusted):
            # Differences that are rounding are none.
            scale = (scale[0], 1.0)
            measured = dataclasses.replace(measured, y=np.full(len(measured), scale[0]))
        doubted = dataclasses.replace(measured, variance=measured.variance + doubt)
        theta = _most_probable(doubted[doubted.spread_out(FIT_AT_MOST)].scaled(*scale), prior, shift)
        surprise, _ = _surprise(theta, doubted.scaled(*scale), prior, shift)
        return cls(measured, prior, theta, scale, doubt), surprise + len(measured) * math.log(scale[1])

    def _doubted_further(self) -> Array | None:
        """The doubt with the oddest other measurement; None where none is odder than some of so many would be."""
        odd = np.where(self._doubtful & (self.doubt == 0), self._surprises, 0.0)
        oddest = int(odd.argmax())
        if odd[oddest] < math.sqrt(2 * math.log(len(odd))):
            return None
        doubt = self.doubt.copy()
        doubt[oddest] = self.residuals[oddest] ** 2
        return doubt

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


def _most_probable(scaled: Measurements, prior: Prior, shift: Array) -> Array:
    """The logarithms of lengths, signal, noise and slope, in this order.

    Args:
        scaled: round a mean of 0, with a spread of 1.
        prior: what is believed beforehand.
        shift: what is expected of each length scale beside the common mean, (n_inputs,).
    """
    q = _lengths(scaled.x, prior)
    start = [*[math.log(_START_LENGTH)] * q, 0.0, math.log(_START_NOISE)]
    if prior.slope is not None:
        start.append(prior.slope[0])
    found = minimize(
        _surprise,
        np.array(start),
        args=(scaled, prior, shift),
        jac=True,
        method="L-BFGS-B",
        bounds=_bounds(q, prior),
        options={"maxiter": _ITERATIONS, "maxcor": 20},
    )
    theta: Array = found.x
    return theta


def _bounds(q: int, prior: Prior) -> list[tuple[float, float]]:
    """The lowest and the highest value of each hyperparameter, of which q are lengths."""
    return [*[(-3.5, 5.0)] * q, (-6.0, 4.0), (-14.0, 3.0), *([(-10.0, 4.0)] if prior.slope is not None else [])]


def _likely(peak: Array, scaled: Measurements, prior: Prior, shift: Array, n: int) -> Array:
    """Draws of the hyperparameters, (n, n_hyperparameters), round the most probable ones; see `likely`."""
    even = qmc.Sobol(len(peak), rng=0).random(2 ** math.ceil(math.log2(TRIES * n)))
    normal = ndtri(np.clip(even, 1e-6, 1 - 1e-6))
    tries = peak + WIDER * normal @ _deviations(peak, scaled, prior, shift).T
    tries = np.clip(tries, *np.array(_bounds(_lengths(scaled.x, prior), prior)).T)
    surprises = np.array([_surprise(theta, scaled, prior, shift)[0] for theta in tries])
    weights = np.exp(surprises.min() - surprises + 0.5 * np.square(normal).sum(axis=1))
    reached = np.cumsum(weights / weights.sum())
    chosen: Array = tries[np.minimum(np.searchsorted(reached, (np.arange(n) + 0.5) / n), len(tries) - 1)]
    return chosen


def _deviations(peak: Array, scaled: Measurements, prior: Prior, shift: Array) -> Array:
    """A root of the hyperparameters' covariances, by the curvature of the surprise at its lowest."""
    moved = np.eye(len(peak)) * _STEP
    slopes = [
        _surprise(peak + by, scaled, prior, shift)[1] - _surprise(peak - by, scaled, prior, shift)[1] for by in moved
    ]
    curvature = np.array(slopes) / (2 * _STEP)
    values, directions = np.linalg.eigh((curvature + curvature.T) / 2)
    # At the bounds the surprise may not be at its lowest, and bend the other way.
    found: Array = directions / np.sqrt(np.maximum(values, _FLATTEST))
    return found


def _surprise(theta: Array, seen: Measurements, prior: Prior, shift: Array) -> tuple[float, Array]:
    """The negative logarithm of the posterior density of hyperparameters, up to a constant, and its gradient."""
    x, q = seen.x, _lengths(seen.x, prior)
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
    kernel[np.diag_indices_from(kernel)] += seen.variance + noise + JITTER
    factor = cholesky(kernel, lower=True, check_finite=False)
    inverse = _inverse(factor)
    weights = inverse @ seen.y
    value = 0.5 * float(seen.y @ weights) + float(np.log(factor.diagonal()).sum())
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


def _differ(y: Array) -> bool:
    """Whether measurements differ by more than rounding."""
    return float(y.std()) > 1e-9 * max(1.0, float(np.abs(y).max()))
