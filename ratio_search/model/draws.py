"""Functions drawn from what is believed of all metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from ratio_search.model.gaussian_process import GaussianProcess, Moments
from ratio_search.model.measurements import Array
from ratio_search.model.triangular import diagonal, lower_solved, root_of
from ratio_search.model.view import View


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
