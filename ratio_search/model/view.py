"""What a way to look at metrics expects, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import fmean
from typing import Self

import numpy as np

from ratio_search.model.fit import Fit
from ratio_search.model.gaussian_process import GaussianProcess, Moments
from ratio_search.model.measurements import Array

WAYS, EFFORT = 8, 160
"""Likely sets of hyperparameters by which an expert sees a metric with care: at most, and by how many trials together,
as each set costs more the more of these there are.
"""

NOISY = 1 / 8
"""Where so much of what a metric varies by is noise, the most probable hyperparameters take too much of it for real."""


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
    """

    fit: Fit
    ways: tuple[tuple[GaussianProcess, ...], ...]

    @classmethod
    def of(cls, fit: Fit, *, bold: bool) -> Self:
        """What the expert makes of it, boldly or with care; see `Surrogate`."""
        likely = [peak.likely(1 if bold else min(max(EFFORT // fit.trials, 1), WAYS)) for peak in fit.peaks]
        return cls(fit=fit, ways=tuple(zip(*likely, strict=True)))

    @property
    def trust(self) -> tuple[float, ...]:
        """How near each metric's mean is to that of its peak, from 0 to 1."""
        noisiness = (fmean(one.noisiness for one in own) for own in zip(*self.ways, strict=True))
        return tuple(max(1 - part / NOISY, 0.0) for part in noisiness)

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
