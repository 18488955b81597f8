"""What the metrics of a study are believed to be over all mixtures, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import qmc

from ratio_search.model.gaussian_process import GaussianProcess, Moments
from ratio_search.model.measurements import Array, Measurements
from ratio_search.model.prior import Prior
from ratio_search.model.triangular import diagonal, lower_solved, root_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Expert:
    """A way to model a metric.

    Attributes:
        power: of a share, as the process sees it. By 1/2 distances are Hellinger's: half a per cent of a rare domain
            is a step, and 0 is a place like any other, which logarithms cannot offer. By 1/4 the first per mille of a
            domain matter as much again.
        prior: what is believed beforehand.
    """

    power: float
    prior: Prior

    def see(self, x: Array, domains: int) -> Array:
        """Coordinates as the process sees them, (n, n_inputs).

        Args:
            x: shares, then the coordinates of hyperparameters, (n, n_inputs).
            domains: how many of them are shares.
        """
        return np.hstack([np.clip(x[:, :domains], 0, None) ** self.power, x[:, domains:]])


EXPERTS = (Expert(power=0.5, prior=Prior()), Expert(power=0.25, prior=Prior(spread=0.36)))
"""Each metric has one process by each of them, which count alike."""

WAYS, BOLD_WAYS, EFFORT = 8, 4, 160
"""Likely sets of hyperparameters by which an expert sees a metric: at most, at most by bold views, and by how many
trials together, as each set costs more the more of these there are.
"""

NOISY = 1 / 8
"""Where so much of what a metric varies by is noise, the most probable hyperparameters take too much of it for real."""

AS_LITTLE, COMPANY = 0.01, 2
"""A measurement may be doubted if so many others have no more of the metric's own domain, by this share."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What an expert fitted to trials.

    Attributes:
        expert: how it looks at a metric.
        domains: how many of the inputs are shares.
        peaks: the processes with the most probable hyperparameters, one for each metric.
        trials: how many it was fitted to.
    """

    expert: Expert
    domains: int
    peaks: tuple[GaussianProcess, ...]
    trials: int

    def view(self, *, bold: bool) -> View:
        """What the expert makes of it, boldly or with care; see `Surrogate`."""
        ways = min(max(EFFORT // self.trials, 1), BOLD_WAYS if bold else WAYS)
        likely = [peak.likely(ways) for peak in self.peaks]
        trust = [1.0 if bold else max(1 - fmean(one.noisiness for one in own) / NOISY, 0.0) for own in likely]
        return View(fit=self, ways=tuple(zip(*likely, strict=True)), trust=tuple(trust))


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What an expert makes of all metrics.

    Few trials leave hyperparameters open. With little noise the most probable ones predict best, and are far too sure
    of themselves; a few likely ones know how unsure that is, and their mean is led astray by each of them. With much
    noise it is the other way round: the most probable ones take noise for what mixtures do, and accidents of likely
    ones average out. So a metric's mean lies between both, and the likely ones say how far from it things may be.

    Attributes:
        fit: with the most probable hyperparameters.
        ways: the processes of several likely sets of hyperparameters each, which count alike, one for each metric.
        trust: how near each metric's mean is to that of its peak, from 0 to 1, where it is.
    """

    fit: Fit
    ways: tuple[tuple[GaussianProcess, ...], ...]
    trust: tuple[float, ...]

    def see(self, x: Array) -> Array:
        """Points as the processes see them, (n, n_inputs)."""
        return self.fit.expert.see(x, self.fit.domains)

    def moments(self, seen: Array) -> list[list[Moments]]:
        """The moments at points, for each way and metric, their means moved towards that of the peaks.

        Args:
            seen: points as the processes see them, (n, n_inputs).
        """
        found = [[process.moments(seen) for process in way] for way in self.ways]
        if len(self.ways) == 1:
            return found
        away = [
            trust * (peak.mean(seen) - np.mean([way[k].mean for way in found], axis=0))
            for k, (peak, trust) in enumerate(zip(self.fit.peaks, self.trust, strict=True))
        ]
        return [[replace(m, mean=m.mean + by) for m, by in zip(way, away, strict=True)] for way in found]


class Surrogate:
    """One Gaussian process or several for each metric's gains, each metric for itself.

    Metrics are balanced only afterwards, draw by draw: each depends on few domains, their balance on all of them, so
    that it is far harder to learn. Another balance needs no new fit.

    What is told to people, and recommended, is believed with care; what is tried next is chosen by `bold`.

    Attributes:
        explained: for each metric, the part of its variance that the other trials predict, one by one, (n_metrics,).
            The hyperparameters are those of all trials, which flatters: pure noise has 0 to 0.3 at 10 to 20 trials.
        doubted: trials of which all that models a metric doubts what they measured, (n,).
    """

    def __init__(self, fits: Sequence[Fit], doubted: NDArray[np.bool_], *, bold: bool = False) -> None:
        self._fits = tuple(fits)
        self._bold = bold
        self.doubted = doubted
        self.explained = tuple(_explained(peaks) for peaks in zip(*(fit.peaks for fit in fits), strict=True))

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
        doubted, fits = np.zeros((len(EXPERTS), *gains.shape), dtype=bool), []
        for expert, wrong in zip(EXPERTS, doubted, strict=True):
            seen, peaks = expert.see(x, domains), []
            for k, known in enumerate(np.isfinite(gains).T):
                measured = Measurements(
                    x=seen, y=gains[:, k], variance=variances[:, k], doubtful=_accompanied(own[k], x)
                )[known]
                peaks.append(GaussianProcess.fit(measured, expert.prior, own[k]))
                wrong[known, k] = peaks[-1].doubted
            fits.append(Fit(expert=expert, domains=domains, peaks=tuple(peaks), trials=len(x)))
        by_all: NDArray[np.bool_] = np.all(doubted, axis=0).any(axis=1)
        return cls(fits, by_all)

    @cached_property
    def bold(self) -> Surrogate:
        """The same with every mean that of the most probable hyperparameters, for proposals.

        A trial tests the belief that proposed it, so that boldness is put right soon; nothing puts a recommendation
        right.
        """
        return Surrogate(self._fits, self.doubted, bold=True)

    @cached_property
    def noise(self) -> tuple[float, ...]:
        """For each metric, what a repeat varies by beyond its standard error, a standard deviation, (n_metrics,)."""
        of_metrics = zip(*(way for view in self._views for way in view.ways), strict=True)
        return tuple(math.sqrt(sum(p.noise for p in found) / len(found)) for found in of_metrics)

    @cached_property
    def _views(self) -> tuple[View, ...]:
        # Only when they are wanted: either kind takes its time.
        return tuple(fit.view(bold=self._bold) for fit in self._fits)

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
        return Draws(self._views, base, _normal(n, len(base) + 1, len(self.explained), rng))


class Draws:
    """Functions drawn from a surrogate, known at some base points.

    Attributes:
        base: the gains of each draw at the base points, (n_metrics, n_base, n_draws).
    """

    def __init__(self, views: Sequence[View], base: Array, normal: Array) -> None:
        """Draws at the base points.

        Args:
            views: what to draw from; each way of each has its part of the draws.
            base: (n_base, n_inputs).
            normal: standard normal numbers, (n_metrics, n_base + 1, n_draws).
        """
        parts = iter(np.array_split(normal, sum(len(view.ways) for view in views), axis=2))
        self._views = [(view, [next(parts) for _ in view.ways]) for view in views]
        self._known = [_known(view, view.see(base), own) for view, own in self._views]
        ways = [way for known in self._known for way in known]
        self.base: Array = np.concatenate([np.stack([known.values for known in way]) for way in ways], axis=2)

    def at(self, x: Array) -> Array:
        """Gains of each draw at further points, each of them alone beside the base, (n_metrics, n, n_draws).

        Args:
            x: (n, n_inputs).
        """
        found = []
        for (view, parts), known in zip(self._views, self._known, strict=True):
            seen = view.see(x)
            for way, there, normal in zip(known, view.moments(seen), parts, strict=True):
                of_metrics = zip(way, there, normal, strict=True)
                found.append(np.stack([own.further(seen, moments, z[-1]) for own, moments, z in of_metrics]))
        return np.concatenate(found, axis=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """Draws of one process at the base points.

    Attributes:
        process: what is drawn from.
        base: as the process sees them, (n_base, n_inputs).
        moments: of the base points.
        root: Cholesky factor of their covariances, (n_base, n_base).
        apart: the draws' differences from the mean over the root, (n_base, n_draws).
        values: the draws, (n_base, n_draws).
    """

    process: GaussianProcess
    base: Array
    moments: Moments
    root: Array
    apart: Array
    values: Array

    @classmethod
    def of(cls, process: GaussianProcess, base: Array, moments: Moments, normal: Array) -> Self:
        root = np.empty((0, 0))
        if len(base):
            covariance = process.covariance((base, moments), (base, moments))
            diagonal(covariance)[:] += process.jitter
            root = root_of(covariance)
        values = moments.mean[:, None] + root @ normal
        return cls(process=process, base=base, moments=moments, root=root, apart=normal, values=values)

    def further(self, x: Array, there: Moments, normal: Array) -> Array:
        """Draws at further points, of which the moments are given, given those at the base, (n, n_draws)."""
        if not len(self.base):
            return there.mean[:, None] + np.sqrt(there.variance)[:, None] * normal
        half = lower_solved(self.root, self.process.covariance((self.base, self.moments), (x, there)))
        left = np.sqrt(np.maximum(there.variance - np.square(half).sum(axis=0), 0))
        found: Array = there.mean[:, None] + half.T @ self.apart + left[:, None] * normal
        return found


def _known(view: View, base: Array, parts: Sequence[Array]) -> list[list[_Known]]:
    """The draws of each way of a view for each metric at base points, (n_base, n_inputs), as the view sees them."""
    found = []
    for way, moments, normal in zip(view.ways, view.moments(base), parts, strict=True):
        of_metrics = zip(way, moments, normal, strict=True)
        found.append([_Known.of(process, base, there, z[:-1]) for process, there, z in of_metrics])
    return found


def _accompanied(own: int | None, x: Array) -> NDArray[np.bool_]:
    """Which trials have others beside them with as little of a metric's own domain, so that these can speak, (n,).

    Where a domain is absent its metrics often fall off a cliff, which nothing elsewhere tells of.
    """
    if own is None:
        return np.ones(len(x), dtype=bool)
    shares = x[:, own]
    found: NDArray[np.bool_] = (shares[None] <= shares[:, None] + AS_LITTLE).sum(axis=1) > COMPANY
    return found


def _explained(processes: tuple[GaussianProcess, ...]) -> float:
    """The part of a metric's variance that its processes together predict, each trial from the others."""
    trusted = np.all([process.doubt == 0 for process in processes], axis=0)
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
