"""What a Gaussian process is fitted to: one quantity, measured at some points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measurements:
    """Measurements of one quantity.

    Attributes:
        x: where it was measured, (n, n_inputs).
        y: what was found, (n,).
        variance: as far as it is known beforehand, (n,).
        doubtful: whether each may be doubted, where all others speak against it, (n,).
    """

    x: Array
    y: Array
    variance: Array
    doubtful: NDArray[np.bool_]

    @classmethod
    def of(cls, x: Array, y: Array, variance: Array | None = None) -> Self:
        """Measurements that may all be doubted, of no variance that is known unless it is stated."""
        variance = np.zeros(len(y)) if variance is None else variance
        return cls(x=x, y=y, variance=variance, doubtful=np.ones(len(y), dtype=bool))

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> Measurements:
        """Some of them."""
        return Measurements(
            x=self.x[chosen], y=self.y[chosen], variance=self.variance[chosen], doubtful=self.doubtful[chosen]
        )

    def spread_out(self, most: int) -> NDArray[np.intp]:
        """The places of at most so many of them: the latest, which lie near the best, and some of the others."""
        if len(self) <= most:
            return np.arange(len(self))
        late = most // 2
        early = np.linspace(0, len(self) - late - 1, most - late).astype(np.intp)
        return np.concatenate([early, np.arange(len(self) - late, len(self))])

    def scaled(self, mean: float, spread: float) -> Measurements:
        """The same with x round its mean, and y in spreads from its mean."""
        x, y, variance = self.x - self.x.mean(axis=0), (self.y - mean) / spread, self.variance / spread**2
        return Measurements(x=x, y=y, variance=variance, doubtful=self.doubtful)
