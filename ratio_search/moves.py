"""How a mixture can be moved inside its space: one share up or down, what the others give or take in proportion."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from objectives.mixture import Mixture
from ratio_search.space import SimplexSpace

Array = NDArray[np.float64]

STEP = 0.05
"""Share that is moved to either side, where the space allows it."""

FAR, NEAR = 25, 21
"""Places on the way through all that is possible, and on that through the middle of it, twice `STEP` to either side."""

SMALL = 1e-3
"""A share that moves by less than this does not move."""

OWN = 0.5 - 1e-6
"""Of all that moves, a part's own share must be at least so much, or it is another one that was moved."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """What moves as one: a domain, or a group with settled proportions.

    Attributes:
        name: of the domain or the group.
        domains: their names.
        places: their places in the space.
    """

    name: str
    domains: tuple[str, ...]
    places: NDArray[np.intp]

    def share(self, shares: Array) -> Array:
        """The part's share, (...), of shares, (..., n_domains)."""
        total: Array = shares[..., self.places].sum(axis=-1)
        return total


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """A move of a part to either side of a mixture.

    Attributes:
        below, above: the mixtures, (n_domains,); the same one where nothing can move.
        down, up: how much less and more the part has there.
    """

    below: Array
    above: Array
    down: float
    up: float

    @property
    def possible(self) -> bool:
        """Whether anything moves."""
        return self.down + self.up > 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moves:
    """The moves from one mixture.

    A move gives a part another share, and scales all others alike. Where the space does not allow that, it is the
    nearest mixture that the space does allow, if it is still the part's share that mostly moves. Where only some
    domains may be above 0, no other one takes the place of one that is. A grid is no hindrance: a model is asked
    between its points, too.

    Attributes:
        start: the mixture's shares, (n_domains,).
        space: the mixtures that are allowed.
        parts: what can move.
    """

    start: Array
    space: SimplexSpace
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, start: Array, space: SimplexSpace) -> Self:
        """The moves in a space from one of its mixtures, (n_domains,)."""
        settled = {name: group for group in space.groups if group.proportions is not None for name in group.domains}
        names: dict[str, tuple[str, ...]] = {}
        for name in space.names:
            group = settled.get(name)
            names.setdefault(name if group is None else group.name, (name,) if group is None else group.domains)
        parts = [
            Part(name=name, domains=domains, places=np.array([space.names.index(domain) for domain in domains]))
            for name, domains in names.items()
        ]
        return cls(start=start, space=space, parts=tuple(parts))

    def step(self, part: Part) -> Step:
        """The moves of a part by `STEP`, or as far as it goes."""
        own = float(part.share(self.start))
        below, above = (self._moved(part, own + amount) for amount in (-STEP, STEP))
        return Step(
            below=below,
            above=above,
            down=max(own - float(part.share(below)), 0.0),
            up=max(float(part.share(above)) - own, 0.0),
        )

    def way(self, part: Part) -> Array:
        """Mixtures from the smallest share of a part to the largest one, (n, n_domains), the start among them."""
        lower, upper = (part.share(np.array(bounds)) for bounds in (self.space.lower, self.space.upper))
        own = float(part.share(self.start))
        near = np.linspace(own - 2 * STEP, own + 2 * STEP, NEAR)
        wanted = [*np.linspace(lower, upper, FAR), *near[(near > lower) & (near < upper)]]
        found = [self.start, *(self._moved(part, share) for share in wanted)]
        shares = np.unique(np.array(found), axis=0)
        return shares[np.argsort(part.share(shares), kind="stable")]

    def _moved(self, part: Part, wanted: float) -> Array:
        """The mixture with another share of a part; the start where there is none."""
        own = float(part.share(self.start))
        wanted = min(max(wanted, 0.0), 1.0)
        inside = np.zeros(len(self.start), dtype=bool)
        inside[part.places] = True
        raw = np.where(inside, _scaled(self.start * inside, inside, wanted), 0.0)
        raw += _scaled(self.start * ~inside, ~inside, 1 - wanted)
        mixture = Mixture.from_weights(dict(zip(self.space.names, raw.tolist(), strict=True)))
        space = self._room(part)
        if mixture not in space:
            mixture = space.project(mixture)
        shares = np.array(mixture.shares)
        moved, apart = abs(float(part.share(shares)) - own), 0.5 * np.abs(shares - self.start).sum()
        return shares if moved >= SMALL and moved >= OWN * apart else self.start

    def _room(self, part: Part) -> SimplexSpace:
        """The mixtures that a move of a part may lead to."""
        if self.space.at_most is None:
            return dataclasses.replace(self.space, grid=None)
        held = self.start > 0
        new = part.places[~held[part.places]]
        if held.sum() + len(new) <= self.space.at_most:
            held[new] = True
        upper = np.where(held, self.space.upper, 0.0)
        return dataclasses.replace(self.space, grid=None, at_most=None, upper=tuple(upper.tolist()))


def _scaled(shares: Array, among: NDArray[np.bool_], total: float) -> Array:
    """Shares with another sum; where there are none, all of those among which it is to be divided get the same."""
    own = shares.sum()
    found: Array = shares * (total / own) if own > SMALL**2 else among * (total / among.sum())
    return found
