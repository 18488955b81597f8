"""The space as samplers see it that know only boxes: points of the unit cube that stand for mixtures, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from objectives.mixture import Mixture
from ratio_search.space import SimplexSpace

_TINY = float(np.finfo(np.float64).tiny)


class Box(Protocol):
    """A way to write the mixtures of a space as points of the unit cube; shares that are fixed take no part.

    Whatever else the space demands, the nearest mixture that keeps it is taken.
    """

    @property
    def dimensions(self) -> int:
        """How many coordinates a point has."""
        ...

    def mixture(self, point: ArrayLike) -> Mixture:
        """The mixture that a point stands for, inside the space.

        Args:
            point: coordinates from 0 to 1, (dimensions,).
        """
        ...

    def point(self, mixture: Mixture, rng: np.random.Generator) -> NDArray[np.float64]:
        """A point that stands for a mixture, (dimensions,); for one outside the bounds, for some mixture near it.

        Args:
            mixture: over the space's domains, in any order.
            rng: decides where many points stand for the same mixture.
        """
        ...


@dataclass(frozen=True, slots=True)
class ExponentialBox:
    """One coordinate u for each free domain, whose part of what the lower bounds leave is -log(u) over their sum.

    That is how Optuna's FAQ suggests proportions. Uniform points give uniform mixtures above the lower bounds, and
    0 can be reached. Many points stand for one mixture: all multiples of the logarithms do. Upper bounds are kept
    by taking the nearest mixture, so that much of a box may end up on the edge of a narrow space.

    Attributes:
        space: the mixtures to stand for.
    """

    space: SimplexSpace

    @property
    def dimensions(self) -> int:
        """How many domains are free."""
        return len(_free(self.space))

    def mixture(self, point: ArrayLike) -> Mixture:
        """The mixture that a point stands for, inside the space.

        Args:
            point: coordinates from 0 to 1, (dimensions,).
        """
        weights = -np.log(np.clip(np.asarray(point, dtype=np.float64), _TINY, 1))
        parts = weights / weights.sum() if weights.sum() > 0 else np.full(len(weights), 1 / len(weights))
        shares = np.array(self.space.lower)
        shares[_free(self.space)] += (1 - shares.sum()) * parts
        return _inside(self.space, shares)

    def point(self, mixture: Mixture, rng: np.random.Generator) -> NDArray[np.float64]:
        """A point that stands for a mixture, (dimensions,); for one outside the bounds, for some mixture near it.

        Of all such points, one is drawn as uniform draws from the box would have it: there, the sum of the
        logarithms says nothing about their proportions, and is Gamma(dimensions, 1) distributed.

        Args:
            mixture: over the space's domains, in any order.
            rng: draws the sum of the logarithms.
        """
        parts = np.clip(_shares(self.space, mixture) - self.space.lower, 0, None)[_free(self.space)]
        parts = parts / parts.sum() if parts.sum() > 0 else np.full(len(parts), 1 / len(parts))
        point: NDArray[np.float64] = np.exp(-parts * max(rng.gamma(len(parts)), _TINY))
        return point


@dataclass(frozen=True, slots=True)
class StickBreakingBox:
    """One coordinate for each free domain but the last: where, in what the domains before leave, its share lies.

    Each point stands for one mixture and each mixture has one point, so far as shares have bounds only. Coordinates
    are quantiles of Beta(1, domains still to come), cut to what the bounds allow, in falling order: 1 is the least
    share and 0 the largest. So uniform points give uniform mixtures while there are no upper bounds (Connor and
    Mosimann, Journal of the American Statistical Association 64, 1969); with them, the order of the domains counts.

    Attributes:
        space: the mixtures to stand for.
    """

    space: SimplexSpace

    @property
    def dimensions(self) -> int:
        """How many domains are free, less one."""
        return len(_free(self.space)) - 1

    def mixture(self, point: ArrayLike) -> Mixture:
        """The mixture that a point stands for, inside the space.

        Args:
            point: coordinates from 0 to 1, (dimensions,).
        """
        free = _free(self.space)
        shares = np.array(self.space.lower)
        rooms = (np.array(self.space.upper) - shares)[free]
        left = 1 - shares.sum()
        for i, u in enumerate(np.asarray(point, dtype=np.float64)):
            least, most = _interval(rooms, i, left)
            later = len(free) - 1 - i
            # What the share leaves to later domains, to the power of their number, is uniform.
            high, low = (1 - least) ** later, (1 - most) ** later
            part = np.clip(1 - (low + u * (high - low)) ** (1 / later), least, most)
            shares[free[i]] += part * left
            left -= part * left
        shares[free[-1]] += left
        return _inside(self.space, shares)

    def point(self, mixture: Mixture, rng: np.random.Generator) -> NDArray[np.float64]:
        """The point that stands for a mixture, (dimensions,); for one outside the bounds, for some mixture near it.

        Args:
            mixture: over the space's domains, in any order.
            rng: not needed, as there is one point only; where nothing is left to choose, its coordinate is 0.5.
        """
        free = _free(self.space)
        lower = np.array(self.space.lower)
        rooms = (np.array(self.space.upper) - lower)[free]
        above = (_shares(self.space, mixture) - lower)[free]
        left = 1 - lower.sum()
        point = np.full(self.dimensions, 0.5)
        for i in range(self.dimensions):
            least, most = _interval(rooms, i, left)
            later = len(free) - 1 - i
            part = np.clip(above[i] / left, least, most) if left > 0 else 0.0
            high, low = (1 - least) ** later, (1 - most) ** later
            if high > low:
                point[i] = np.clip(((1 - part) ** later - low) / (high - low), 0, 1)
            left -= part * left
        return point


def _free(space: SimplexSpace) -> NDArray[np.intp]:
    """Positions of the domains whose share is not fixed, at least two."""
    return np.flatnonzero(np.array(space.upper) > np.array(space.lower))


def _shares(space: SimplexSpace, mixture: Mixture) -> NDArray[np.float64]:
    return np.array([mixture[name] for name in space.names])


def _inside(space: SimplexSpace, shares: NDArray[np.float64]) -> Mixture:
    weights = dict(zip(space.names, np.clip(shares, 0, None).tolist(), strict=True))
    return space.project(Mixture.from_weights(weights))


def _interval(rooms: NDArray[np.float64], i: int, left: float) -> tuple[float, float]:
    """The least and the most of what is left, as parts of it, that a free domain can take above its lower bound."""
    if left <= 0:
        return 0.0, 0.0
    least = max(0.0, 1 - float(rooms[i + 1 :].sum()) / left)
    return least, max(least, min(1.0, float(rooms[i]) / left))
