"""What the metrics of a study are believed to be over all mixtures, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky
from scipy.special import ndtri
from scipy.stats import qmc

from ratio_search.model.gaussian_process import GaussianProcess, Moments, Prior, lower_solved
from ratio_search.model.measurements import Array, Measurements


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


EXPERTS = (Expert(power=0.5, prior=Prior()), Expert(power=0.25, prior=Prior(spread=0.8)))
"""Each metric has one process by each of them, which count alike."""

WAYS, EFFORT = 4, 160
"""Likely hyperparameters by which an expert sees a metric, at most, and that number times the trials."""

OWN = 1.2
"""By how much a metric's length scale for its own domain is expected to be shorter than for others, in logarithms.

What a domain is judged by depends on its own share first. At 10 trials that saves a fifth of the variance that is left
to explain, and at 40 nothing.
"""

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
class Team:
    """The experts with their processes.

    Attributes:
        experts: that count alike.
        domains: how many of the inputs are shares.
        processes: of each expert, one for each metric.
    """

    experts: tuple[Expert, ...]
    domains: int
    processes: tuple[tuple[GaussianProcess, ...], ...]

    def see(self, x: Array) -> list[tuple[tuple[GaussianProcess, ...], Array]]:
        """The processes of each expert, with points as they see them.

        Args:
            x: (n, n_inputs).
        """
        seen = [expert.see(x, self.domains) for expert in self.experts]
        return list(zip(self.processes, seen, strict=True))


class Surrogate:
    """One Gaussian process or several for each metric's gains, each metric for itself.

    Metrics are balanced only afterwards, draw by draw: each depends on few domains, their balance on all of them, so
    that it is far harder to learn. Another balance needs no new fit.

    Attributes:
        explained: for each metric, the part of its variance that the other trials predict, one by one, (n_metrics,).
            The hyperparameters are those of all trials, which flatters: pure noise has 0 to 0.3 at 10 to 20 trials.
        doubted: trials of which all that models a metric doubts what they measured, (n,).
        noise: for each metric, what a repeat varies by beyond its standard error, a standard deviation, (n_metrics,).
    """

    def __init__(self, team: Team, doubted: NDArray[np.bool_]) -> None:
        self._team = team
        self.doubted = doubted
        processes = team.processes
        self.explained = tuple(_explained(of_metric) for of_metric in zip(*processes, strict=True))
        self.noise = tuple(
            math.sqrt(sum(p.noise for p in of_metric) / len(of_metric)) for of_metric in zip(*processes, strict=True)
        )

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
        ways = min(max(EFFORT // len(x), 1), WAYS)
        processes: list[tuple[GaussianProcess, ...]] = []
        doubted = np.zeros((len(EXPERTS), *gains.shape), dtype=bool)
        for expert, wrong in zip(EXPERTS, doubted, strict=True):
            seen, of_metrics = expert.see(x, domains), []
            for k, known in enumerate(np.isfinite(gains).T):
                measured = Measurements(
                    x=seen, y=gains[:, k], variance=variances[:, k], doubtful=_accompanied(own[k], x)
                )[known]
                nearer = _nearer(own[k], x.shape[1])
                process = GaussianProcess.fit(measured, expert.prior, nearer)
                wrong[known, k] = process.doubted
                of_metrics.append(process.likely(ways, nearer))
            processes += zip(*of_metrics, strict=True)
        team = Team(
            experts=tuple(expert for expert in EXPERTS for _ in range(ways)),
            domains=domains,
            processes=tuple(processes),
        )
        by_all: NDArray[np.bool_] = np.all(doubted, axis=0).any(axis=1)
        return cls(team, by_all)

    def forecast(self, x: Array) -> Forecast:
        """Expected gains at points and their uncertainty, that about which expert is right included.

        Args:
            x: (n, n_inputs).
        """
        moments = [[process.moments(seen) for process in of] for of, seen in self._team.see(x)]
        means = np.stack([np.stack([m.mean for m in expert], axis=1) for expert in moments])
        variances = np.stack([np.stack([m.variance for m in expert], axis=1) for expert in moments])
        return Forecast(mean=means.mean(axis=0), sd=np.sqrt(variances.mean(axis=0) + means.var(axis=0)))

    def draws(self, base: Array, n: int, rng: np.random.Generator) -> Draws:
        """Draws of the gains at points, all points together, from which those at further points follow.

        Args:
            base: the points, (n_base, n_inputs), n_base >= 0.
            n: draws, an even number.
            rng: where they come from.
        """
        return Draws(self._team, base, _normal(n, len(base) + 1, len(self.explained), rng))


class Draws:
    """Functions drawn from a surrogate, known at some base points.

    Attributes:
        base: the gains of each draw at the base points, (n_metrics, n_base, n_draws).
    """

    def __init__(self, team: Team, base: Array, normal: Array) -> None:
        """Draws at the base points.

        Args:
            team: what to draw from; each expert has its part of the draws.
            base: (n_base, n_inputs).
            normal: standard normal numbers, (n_metrics, n_base + 1, n_draws).
        """
        self._team = team
        self._normal = np.array_split(normal, len(team.experts), axis=2)
        self._known = [
            [_Known.of(process, seen, z[k, :-1]) for k, process in enumerate(processes)]
            for (processes, seen), z in zip(team.see(base), self._normal, strict=True)
        ]
        self.base: Array = np.concatenate([np.stack([known.values for known in of]) for of in self._known], axis=2)

    def at(self, x: Array) -> Array:
        """Gains of each draw at further points, each of them alone beside the base, (n_metrics, n, n_draws).

        Args:
            x: (n, n_inputs).
        """
        parts = []
        for (processes, seen), known, z in zip(self._team.see(x), self._known, self._normal, strict=True):
            of_metrics = zip(processes, known, z, strict=True)
            parts.append(np.stack([own.further(process, seen, normal[-1]) for process, own, normal in of_metrics]))
        return np.concatenate(parts, axis=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """Draws of one process at the base points.

    Attributes:
        base: as the process sees them, (n_base, n_inputs).
        moments: of the base points.
        root: Cholesky factor of their covariances, (n_base, n_base).
        apart: the draws' differences from the mean over the root, (n_base, n_draws).
        values: the draws, (n_base, n_draws).
    """

    base: Array
    moments: Moments
    root: Array
    apart: Array
    values: Array

    @classmethod
    def of(cls, process: GaussianProcess, base: Array, normal: Array) -> Self:
        moments = process.moments(base)
        if not len(base):
            return cls(base=base, moments=moments, root=np.empty((0, 0)), apart=normal, values=normal)
        covariance = process.covariance((base, moments), (base, moments))
        covariance[np.diag_indices_from(covariance)] += process.jitter
        root: Array = cholesky(covariance, lower=True, check_finite=False)
        values = moments.mean[:, None] + root @ normal
        return cls(base=base, moments=moments, root=root, apart=normal, values=values)

    def further(self, process: GaussianProcess, x: Array, normal: Array) -> Array:
        """Draws at further points given those at the base, (n, n_draws)."""
        there = process.moments(x)
        if not len(self.base):
            return there.mean[:, None] + np.sqrt(there.variance)[:, None] * normal
        half = lower_solved(self.root, process.covariance((self.base, self.moments), (x, there)))
        left = np.sqrt(np.maximum(there.variance - np.square(half).sum(axis=0), 0))
        found: Array = there.mean[:, None] + half.T @ self.apart + left[:, None] * normal
        return found


def _nearer(own: int | None, inputs: int) -> Array:
    """What `OWN` says of each input."""
    found = np.zeros(inputs)
    if own is not None:
        found[own] = OWN
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
