"""The mixtures that a study may try: a simplex, cut by bounds, groups, a grid and a limit. Knows no Optuna."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from objectives.mixture import SUM_TOLERANCE, Mixture
from ratio_search.errors import SpaceError
from ratio_search.space.exchange import exchanges
from ratio_search.space.group import Group, check_groups
from ratio_search.space.parts import Parts
from ratio_search.space.supports import Supports
from ratio_search.space.walk import walk

SAME = 1e-4
"""Two mixtures count as one when no more than this part of the rows would have to change domain."""

MOST_UNITS = 100_000
"""Steps of the finest grid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimplexSpace:
    """All mixtures whose shares keep their bounds, and what else is asked of them.

    What is uniform, nearest or moved is meant in parts: a group with settled proportions is one part, and every other
    domain is one of its own.

    Attributes:
        names: the domains, in order.
        lower, upper: the smallest and the largest share that each domain can really have, given all that is asked.
        groups: domains with bounds on their sum, which are such as can really be reached too.
        at_most: so many domains may have a share above 0; None for any number.
        grid: shares are multiples of it, those inside a group with settled proportions aside, whose sum is one; None
            for any shares.
    """

    names: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    groups: tuple[Group, ...] = ()
    at_most: int | None = None
    grid: float | None = None
    _parts: Parts = field(init=False, repr=False, compare=False)
    _supports: Supports | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        bounds = dict(zip(self.names, zip(self.lower, self.upper, strict=True), strict=True))
        parts = Parts.of(bounds, self.groups).merged()
        sparse = self.at_most is not None and self.at_most < len(self.names)
        supports = Supports(parts=parts, at_most=self.at_most) if sparse and self.at_most is not None else None
        object.__setattr__(self, "_parts", parts)
        object.__setattr__(self, "_supports", supports)

    @classmethod
    def of(
        cls,
        bounds: Mapping[str, tuple[float, float]],
        *,
        groups: Sequence[Group] = (),
        at_most: int | None = None,
        grid: float | None = None,
    ) -> Self:
        """Takes bounds as they are stated and tightens them to what they leave possible.

        Args:
            bounds: domain to its inclusive (lowest, highest) share, 0 <= lowest <= highest <= 1.
            groups: disjoint sets of these domains.
            at_most: domains that may have a share above 0, >= 1.
            grid: 1/N for a whole N from 2 to 100,000; see `check_grid`.

        Raises:
            SpaceError: no mixture keeps all of that, or only one does, or it cannot be asked.
        """
        check_groups(groups, tuple(bounds))
        if at_most is not None and at_most < 1:
            raise SpaceError(f"expected at least 1 domain above 0, found {at_most}", "search.space.at_most")
        stated = Parts.of(bounds, groups)
        parts = stated.tightened()
        if grid is not None:
            check_grid(grid)
            try:
                parts = stated.on_grid(grid).tightened()
            except SpaceError as error:
                raise SpaceError(f"on a grid of {grid:g} {error}", error.at or "search.space.grid") from error
        if at_most is not None and at_most < len(bounds):
            parts = Supports(parts=parts, at_most=at_most).tightened()
        if grid is not None:
            # Sums of multiples are multiples, but for rounding.
            parts = parts.on_grid(grid)
        lower, upper = parts.spread(parts.lower), parts.spread(parts.upper)
        if np.all(upper - lower <= SAME):
            listed = ", ".join(f"{name} {share:g}" for name, share in zip(bounds, lower, strict=True))
            raise SpaceError(
                f"they leave one mixture only ({listed}), so there is nothing to search; "
                "widen the bounds of at least two domains"
            )
        sums = {name: (float(parts.lower[i]), float(parts.upper[i])) for i, name in enumerate(parts.names)}
        sums |= {f"group {b}": (float(parts.least[i]), float(parts.most[i])) for i, b in enumerate(parts.blocks)}
        found = [(group, sums[f"group {group.name}"]) for group in groups]
        return cls(
            names=tuple(bounds),
            lower=tuple(lower.tolist()),
            upper=tuple(upper.tolist()),
            groups=tuple(replace(group, lower=low, upper=high) for group, (low, high) in found),
            at_most=at_most,
            grid=grid,
        )

    @property
    def dimension(self) -> int:
        """How many numbers it takes to tell its mixtures apart: parts that can move, less what their sums settle."""
        parts = self._parts
        free = np.bincount(parts.block, weights=parts.upper - parts.lower > SAME, minlength=len(parts.blocks))
        settled = parts.most - parts.least <= SAME
        found = int(np.maximum(free - settled, 0).sum())
        if not settled.all():
            found -= 1
        if self._supports is not None:
            found = min(found, int(np.sum(np.cumsum(np.sort(parts.count)) <= self._supports.at_most)) - 1)
        return found

    def __contains__(self, mixture: Mixture) -> bool:
        """Whether a mixture over these domains keeps all that is asked, rounding aside."""
        shares = np.array([mixture[name] for name in self.names])
        if np.any((shares < np.array(self.lower) - SUM_TOLERANCE) | (shares > np.array(self.upper) + SUM_TOLERANCE)):
            return False
        parts = self._parts
        held = parts.gather(shares)
        if not parts.inside(held, SUM_TOLERANCE) or np.any(np.abs(parts.spread(held) - shares) > SUM_TOLERANCE):
            return False
        if self.at_most is not None and np.sum(shares > SUM_TOLERANCE) > self.at_most:
            return False
        return self.grid is None or bool(np.all(np.abs(held - np.rint(held * self._units) / self._units) <= 1e-9))

    def mixture(self, shares: ArrayLike) -> Mixture:
        """The mixture of shares that are right but for rounding: inside, with an exact sum.

        On a grid it is the nearest one by largest remainders, first of the groups' sums, then inside the groups: each
        part is less than one step from what it was. A grid's shares are the floats nearest to their multiples, but
        that one of them may take up the last bit of the sum.

        Args:
            shares: in the domains' order, (n_domains,).
        """
        held = self._parts.gather(np.asarray(shares, dtype=np.float64))
        return self._made(held, self._face(held))

    def project(self, mixture: Mixture) -> Mixture:
        """The mixture in this space that is nearest to another one, by the Euclidean distance of the shares.

        It is exact for bounds and groups. Where only some domains may be above 0, those are kept whose shares are
        largest, which is exact without bounds (Kyrillidis et al., "Sparse projections onto the simplex", ICML 2013)
        and a good choice with them; on a grid the nearest mixture is rounded as `mixture` does.

        Args:
            mixture: over the same domains, in any order.
        """
        parts = self._parts
        wanted = np.array([mixture[name] for name in self.names])
        stiffness = parts.gather(parts.proportion**2)
        wanted = parts.gather(wanted * parts.proportion) / stiffness
        upper = parts.upper
        if self._supports is not None:
            # What is lost with a part is its share's square.
            [support] = self._supports.choose((wanted * np.sqrt(stiffness))[None])
            upper = np.where(support, upper, 0.0)
        return self._made(parts.nearest(wanted, stiffness, upper), upper)

    def sample(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draws shares uniformly from the space; rows of (n, n_domains), for `mixture` to make exact.

        They are uniform in the shares of the parts, and not on the grid. Where only some domains may be above 0,
        which ones is drawn first: domains in random order, each taken as long as the rest can still follow; then the
        shares, uniformly among those that these domains can have.

        Args:
            n: draws, >= 0.
            rng: where they come from.
        """
        support = None
        if self._supports is not None:
            support = self._supports.choose(rng.random((n, len(self._parts.names))))
        return self._parts.spread(walk(self._parts, n, rng, support))

    def neighbours(self, shares: ArrayLike, amounts: Sequence[float]) -> NDArray[np.float64]:
        """What one transfer between two parts reaches, (m, n_domains), without the start itself.

        Every amount is moved where that is possible, and also all that the bounds let one part give to the other, so
        that 0 and other bounds are reached exactly. On a grid whole steps are moved, at least one. Where only some
        domains may be above 0, one that gives all it has makes room for another.

        Args:
            shares: inside, in the domains' order, (n_domains,).
            amounts: shares to move, above 0 each.
        """
        parts, held = self._parts, self._parts.gather(np.asarray(shares, dtype=np.float64))
        upper = self._face(held)
        held = np.clip(held, parts.lower, upper)
        if self.grid is not None:
            held = parts.whole(held, self._units, upper)
        units = 0 if self.grid is None else self._units
        at_most = 0 if self._supports is None else self._supports.at_most
        return parts.spread(exchanges(parts, held, amounts, units=units, at_most=at_most))

    @property
    def _units(self) -> int:
        assert self.grid is not None
        return round(1 / self.grid)

    def _face(self, held: NDArray[np.float64]) -> NDArray[np.float64]:
        """The parts' upper bounds, 0 for those that must be 0 beside what is held."""
        if self._supports is None:
            return self._parts.upper
        return np.where(self._supports.of(held[None])[0], self._parts.upper, 0.0)

    def _made(self, held: NDArray[np.float64], upper: NDArray[np.float64]) -> Mixture:
        """The mixture of the parts' shares, (n_parts,), which are right but for rounding."""
        parts = self._parts
        held = np.clip(held, parts.lower, upper)
        if not parts.inside(held, SUM_TOLERANCE / 10):
            held = parts.nearest(held, parts.gather(parts.proportion**2), upper)
        if self.grid is not None:
            held = parts.whole(held, self._units, upper)
        shares = _summing_to_1(parts.spread(held), parts.spread(parts.lower), parts.spread(upper))
        return Mixture.of(dict(zip(self.names, shares.tolist(), strict=True)))


def check_grid(grid: float) -> None:
    """Checks that 1 is a multiple of a grid.

    Raises:
        SpaceError: it is not, or the grid is too coarse or too fine.
    """
    units = round(1 / grid) if grid > 1 / (2 * MOST_UNITS) else 0
    if not 2 <= units <= MOST_UNITS or abs(grid * units - 1) > 1e-9:
        raise SpaceError(
            f"found {grid:g}, expected 1/N for a whole N from 2 to {MOST_UNITS:,}, such as 0.01 or 0.001, so that "
            "shares can sum to 1",
            "search.space.grid",
        )


def _summing_to_1(
    shares: NDArray[np.float64], lower: NDArray[np.float64], upper: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Shares that differ from others in the last bits, with an exact (`math.fsum`) sum of 1."""
    found = shares.copy()
    # One correction is nearly always enough; a second one may be needed when rounding goes against it.
    for _ in range(4):
        residual = 1.0 - math.fsum(found)
        if residual == 0:
            break
        room = upper - found if residual > 0 else found - lower
        # A share at a bound, above all one of 0, should stay there.
        between = (found > lower) & (found < upper) & (room >= abs(residual))
        best = np.where(between, found, 0.0) if between.any() else room
        found[int(best.argmax())] += residual
    return found
