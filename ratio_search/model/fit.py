"""What a way to look at metrics makes of trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ratio_search.model.gaussian_process import GaussianProcess
from ratio_search.model.inputs import Inputs
from ratio_search.model.measurements import Array, Measurements
from ratio_search.model.prior import Prior

AS_LITTLE, COMPANY = 0.01, 2
"""A measurement may be doubted if so many others have no more of the metric's own domain, by this share."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What an expert fitted to trials.

    Attributes:
        expert: how it looks at a metric.
        domains: how many of the inputs are shares.
        own: for each metric, the place of the domain that it judges; None where it is of none of them.
        peaks: the processes with the most probable hyperparameters, one for each metric.
        trials: how many they rest on.
    """

    expert: Expert
    domains: int
    own: tuple[int | None, ...]
    peaks: tuple[GaussianProcess, ...]
    trials: int

    @classmethod
    def of(
        cls, x: Array, gains: Array, variances: Array, *, expert: Expert, domains: int, own: Sequence[int | None]
    ) -> Self:
        """Fits a process to each metric.

        Args:
            x: shares of the trials, then the coordinates of hyperparameters, (n, n_inputs).
            gains: NaN where a metric is missing, (n, n_metrics).
            variances: their known part, (n, n_metrics).
            expert: how to look at a metric.
            domains: how many of the inputs are shares.
            own: for each metric, the place of its own domain.
        """
        measured = _measured(x, expert.see(x, domains), gains, variances, own)
        inputs = [Inputs(shares=domains, settings=x.shape[1] - domains, own=place) for place in own]
        peaks = tuple(GaussianProcess.fit(one, expert.prior, of) for one, of in zip(measured, inputs, strict=True))
        return cls(expert=expert, domains=domains, own=tuple(own), peaks=peaks, trials=len(x))

    def further(self, x: Array, gains: Array, variances: Array) -> Self:
        """The same with the same hyperparameters, and more trials; see `Surrogate.further`."""
        measured = zip(self.peaks, self._measured(x, gains, variances), strict=True)
        return replace(self, peaks=tuple(peak.further(one) for peak, one in measured), trials=len(x))

    def surprises(self, x: Array, gains: Array, variances: Array) -> Array:
        """By how many standard deviations metrics differ from what was expected, 0 where missing, (n, n_metrics)."""
        found = np.zeros(gains.shape)
        measured = self._measured(x, gains, variances)
        for known, peak, one, of_metric in zip(np.isfinite(gains).T, self.peaks, measured, found.T, strict=True):
            of_metric[known] = peak.surprises(one)
        return found

    def doubted(self, gains: Array) -> NDArray[np.bool_]:
        """Which of the measurements it doubts, (n, n_metrics).

        Args:
            gains: those that it rests on, NaN where a metric is missing, (n, n_metrics).
        """
        found = np.zeros(gains.shape, dtype=bool)
        for known, peak, of_metric in zip(np.isfinite(gains).T, self.peaks, found.T, strict=True):
            of_metric[known] = peak.doubt > 0
        return found

    def _measured(self, x: Array, gains: Array, variances: Array) -> list[Measurements]:
        return _measured(x, self.expert.see(x, self.domains), gains, variances, self.own)


def _measured(x: Array, seen: Array, gains: Array, variances: Array, own: Sequence[int | None]) -> list[Measurements]:
    """What was measured of each metric, where it was, at trials as an expert sees them, (n, n_inputs)."""
    return [
        Measurements(x=seen, y=y, variance=variance, doubtful=_accompanied(place, x))[np.isfinite(y)]
        for y, variance, place in zip(gains.T, variances.T, own, strict=True)
    ]


def _accompanied(own: int | None, x: Array) -> NDArray[np.bool_]:
    """Which trials have others beside them with as little of a metric's own domain, so that these can speak, (n,).

    Where a domain is absent its metrics often fall off a cliff, which nothing elsewhere tells of.
    """
    if own is None:
        return np.ones(len(x), dtype=bool)
    shares = x[:, own]
    found: NDArray[np.bool_] = (shares[None] <= shares[:, None] + AS_LITTLE).sum(axis=1) > COMPANY
    return found
