"""What a search chooses among: mixtures, each with values of the hyperparameters that are searched with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Self

import numpy as np
from numpy.typing import NDArray

from objectives.base import Value
from objectives.mixture import Mixture
from ratio_search.hyperparameters import Hyperparameter
from ratio_search.space import SimplexSpace

Settings = Mapping[str, Value]
"""Values of hyperparameters, by name."""

AMOUNTS = (0.2, 0.1, 0.05, 0.02, 0.01, 0.005)
"""Shares that transfers move, beside all that is possible."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Points:
    """Mixtures with their settings, as many as there are rows.

    Attributes:
        shares: in the space's order of domains, (n, n_domains).
        settings: of each, (n,).
    """

    shares: NDArray[np.float64]
    settings: tuple[Settings, ...]

    def __len__(self) -> int:
        return len(self.settings)

    def __getitem__(self, places: slice | Sequence[int] | NDArray[np.intp]) -> Points:
        chosen = np.arange(len(self))[places]
        return Points(shares=self.shares[chosen], settings=tuple(self.settings[i] for i in chosen))

    @classmethod
    def joined(cls, parts: Sequence[Points]) -> Self:
        """All points of several."""
        return cls(
            shares=np.concatenate([part.shares for part in parts]),
            settings=tuple(settings for part in parts for settings in part.settings),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSpace:
    """The space of mixtures together with the hyperparameters' ranges.

    Attributes:
        simplex: the mixtures.
        hyperparameters: what is searched with them, by name.
    """

    simplex: SimplexSpace
    hyperparameters: Mapping[str, Hyperparameter] = field(default_factory=dict)

    @property
    def inputs(self) -> int:
        """How many coordinates a point has."""
        return len(self.simplex.names) + sum(kind.width for kind in self.hyperparameters.values())

    @property
    def parts(self) -> tuple[slice, ...]:
        """Which coordinates are the shares, and which are each hyperparameter's."""
        widths = [len(self.simplex.names), *(kind.width for kind in self.hyperparameters.values())]
        return tuple(slice(end - width, end) for width, end in zip(widths, accumulate(widths), strict=True))

    def coordinates(self, points: Points) -> NDArray[np.float64]:
        """What a model is told, (n, n_inputs): shares, then the hyperparameters' coordinates."""
        if not self.hyperparameters:
            return points.shares
        others = [
            [x for name, kind in self.hyperparameters.items() for x in kind.encode(settings[name])]
            for settings in points.settings
        ]
        return np.hstack([points.shares, np.array(others).reshape(len(points), self.inputs - points.shares.shape[1])])

    def points(self, mixtures: Sequence[Mixture], settings: Sequence[Settings]) -> Points:
        """Points of mixtures over the space's domains, in any order."""
        shares = np.array([[mixture[name] for name in self.simplex.names] for mixture in mixtures])
        return Points(shares=shares.reshape(len(mixtures), len(self.simplex.names)), settings=tuple(settings))

    def allows(self, shares: NDArray[np.float64], settings: Settings) -> bool:
        """Whether a point, its shares (n_domains,), may be tried."""
        mixture = Mixture.from_weights(dict(zip(self.simplex.names, shares.tolist(), strict=True)))
        kinds = self.hyperparameters.items()
        return mixture in self.simplex and all(settings[name] in kind for name, kind in kinds)

    def sample(self, n: int, rng: np.random.Generator) -> Points:
        """Draws that are uniform in shares and hyperparameters; the shares are not on the grid."""
        return Points(shares=self.simplex.sample(n, rng), settings=self._settings(n, rng))

    def around(self, centre: Points, n: int, rng: np.random.Generator) -> Points:
        """Points at all distances from another one, most of them near.

        Args:
            centre: one point.
            n: about how many; fewer where a sparse space has fewer.
            rng: where they come from.
        """
        own, settings = centre.shares[0], centre.settings[0]
        near = self.simplex.neighbours(own, AMOUNTS)
        near = near[rng.permutation(len(near))[: n // 2]]
        found = [near]
        if self.simplex.at_most is None:
            # Between two mixtures of a convex space all are allowed.
            far = self.simplex.sample(n - len(near), rng)
            step = rng.choice([0.02, 0.05, 0.1, 0.3], size=(len(far), 1))
            found.append(own + step * (far - own))
        else:
            for start in near[: max(1, n // 100)]:
                further = self.simplex.neighbours(start, AMOUNTS)
                found.append(further[rng.permutation(len(further))[:50]])
        shares = np.concatenate(found)
        moved = self._settings(len(shares), rng)
        stay = rng.random((len(shares), len(self.hyperparameters))) < 0.7
        kept = [
            {name: settings[name] if stay[i, j] else moved[i][name] for j, name in enumerate(self.hyperparameters)}
            for i in range(len(shares))
        ]
        return Points(shares=shares, settings=tuple(kept))

    def neighbours(self, start: Points, amounts: Sequence[float], most: int, rng: np.random.Generator) -> Points:
        """What one step from a point reaches: a transfer between two domains, or another value of a hyperparameter.

        Args:
            start: one point.
            amounts: shares to move, beside all that is possible.
            most: transfers; of more, a random part is taken.
            rng: takes that.
        """
        own, settings = start.shares[0], start.settings[0]
        shares = self.simplex.neighbours(own, amounts)
        if len(shares) > most:
            shares = shares[rng.choice(len(shares), most, replace=False)]
        others = [
            {**settings, name: value}
            for name, kind in self.hyperparameters.items()
            for value in kind.neighbours(settings[name])
        ]
        return Points(
            shares=np.concatenate([shares, np.tile(own, (len(others), 1))]),
            settings=(*[settings] * len(shares), *others),
        )

    def _settings(self, n: int, rng: np.random.Generator) -> tuple[Settings, ...]:
        kinds = self.hyperparameters.items()
        return tuple({name: kind.random(rng) for name, kind in kinds} for _ in range(n))
