"""Which parts may be above 0, where only so many domains may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from objectives.mixture import SUM_TOLERANCE
from ratio_search.errors import SpaceError
from ratio_search.space.parts import DUST, Bools, Floats, Ints, Parts

_AT = "search.space.at_most"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Supports:
    """The sets of parts that may be above 0 together: at most so many domains, and enough to keep all bounds.

    Whether a set can still grow into such a one is decided exactly, by dynamic programming over the domains that
    may be added: the most that so many of them can hold, first in each block, then in all.

    Attributes:
        parts: with tightened bounds.
        at_most: domains above 0, at most.
    """

    parts: Parts
    at_most: int

    @property
    def forced(self) -> Bools:
        """The parts that every set must hold, (n_parts,)."""
        return self.parts.lower > 0

    def tightened(self) -> Parts:
        """The parts with the bounds that can really be reached, given that others must be 0.

        Raises:
            SpaceError: too few domains may be above 0 to keep all bounds.
        """
        parts = self.parts
        self._check()
        eye = np.eye(len(parts.names), dtype=np.bool_)
        possible = (parts.upper > 0) & (self.reach(eye, np.zeros_like(eye)) >= 1 - SUM_TOLERANCE)
        upper = np.where(possible, parts.upper, 0.0)
        spared = ~self.forced & (self.reach(np.zeros_like(eye), eye) >= 1 - SUM_TOLERANCE)
        lower = np.array([0.0 if free else self._lowest(i) for i, free in enumerate(spared)])
        ends = [self._ends(b) for b in range(len(parts.blocks))]
        least, most = (np.array(side) for side in zip(*ends, strict=True))
        return replace(parts, lower=np.minimum(lower, upper), upper=upper, least=least, most=most)

    def of(self, shares: Floats) -> Bools:
        """The set to keep for each row of shares, (n, n_parts): its own where that may be, else of its largest.

        Args:
            shares: of parts, (n, n_parts); what is smaller than rounding counts as 0.
        """
        held = (shares > DUST) | self.forced
        fits = (held @ self.parts.count <= self.at_most) & self._enough(held)
        if not fits.all():
            held[~fits] = self.choose(shares[~fits])
        return held

    def choose(self, scores: Floats) -> Bools:
        """The set that each row of scores leads to, (n, n_parts): the best part first, as long as the rest can follow.

        Args:
            scores: the higher, the earlier a part is taken, (n, n_parts).
        """
        order = np.argsort(-scores, axis=1, kind="stable")
        taken = self._first(order)
        # Where the first ones that fit are enough, no other choice was ever needed.
        failed = np.flatnonzero(~self._enough(taken))
        if len(failed):
            taken[failed] = self._careful(order[failed])
        return taken

    def reach(self, taken: Bools, left: Bools) -> Floats:
        """The largest sum of any set with some parts and without others, (n,); -inf where a block is too small.

        Args:
            taken: parts that it must hold, beside the forced ones, (n, n_parts).
            left: parts that it must not hold, (n, n_parts).
        """
        total = np.zeros((len(taken), self.at_most + 1))
        for b in range(len(self.parts.blocks)):
            inner = self._inner(b, taken | self.forced, left)
            total = _combined(total, self._capped(inner, b))
        most: Floats = total[:, -1]
        return most

    def _check(self) -> None:
        parts, forced = self.parts, np.flatnonzero(self.forced)
        needed = int(parts.count[forced].sum())
        if needed > self.at_most:
            listed = ", ".join(f"{parts.names[i]} {parts.lower[i]:g}" for i in forced)
            raise SpaceError(
                f"{needed} domains have a lowest share above 0 ({listed}), expected at most {self.at_most}; lower some "
                "of them to 0, or raise search.space.at_most",
                _AT,
            )
        none = np.zeros((1, len(parts.names)), dtype=np.bool_)
        [possible] = self.reach(none, none)
        # What is in no group needs nothing of its own but for the sum.
        loose = replace(parts, least=np.where(np.array(parts.blocks) == "", 0.0, parts.least))
        [most] = Supports(parts=loose, at_most=self.at_most).reach(none, none)
        if most == -np.inf:
            raise SpaceError(
                f"no {self.at_most} domains keep the lowest shares of all groups; lower these, or raise "
                "search.space.at_most",
                _AT,
            )
        if possible < 1 - SUM_TOLERANCE:
            total = most if possible == -np.inf else possible
            raise SpaceError(
                f"the highest shares of any {self.at_most} domains sum to at most {total:g}, "
                "expected at least 1; raise some of them, or raise search.space.at_most",
                _AT,
            )

    def _first(self, order: Ints) -> Bools:
        """The parts that fit, taken in order, (n, n_parts)."""
        parts, rows = self.parts, np.arange(len(order))
        taken = np.tile(self.forced, (len(order), 1))
        room = np.full(len(order), self.at_most - int(parts.count[self.forced].sum()))
        for place in order.T:
            fits = ~taken[rows, place] & (parts.count[place] <= room) & (parts.upper[place] > 0)
            taken[rows, place] |= fits
            room -= np.where(fits, parts.count[place], 0)
        return taken

    def _careful(self, order: Ints) -> Bools:
        """The parts after which the rest can still follow, taken in order, (n, n_parts)."""
        parts, rows = self.parts, np.arange(len(order))
        taken = np.tile(self.forced, (len(order), 1))
        left = np.tile(parts.upper <= 0, (len(order), 1))
        for place in order.T:
            taken[rows, place] |= ~left[rows, place]
            fits = self.reach(taken, left) >= 1 - SUM_TOLERANCE
            fits |= self.forced[place]
            taken[rows[~fits], place[~fits]] = False
            left[rows[~fits], place[~fits]] = True
        return taken

    def _enough(self, taken: Bools) -> Bools:
        """Whether sets of parts can keep the bounds of all blocks and sum to 1, (n,)."""
        most = self.parts.sums(np.where(taken, self.parts.upper, 0.0))
        keeps = np.all(most >= self.parts.least - SUM_TOLERANCE, axis=1)
        enough: Bools = keeps & (np.minimum(most, self.parts.most).sum(axis=1) >= 1 - SUM_TOLERANCE)
        return enough

    def _inner(self, b: int, taken: Bools, left: Bools) -> Floats:
        """The most that 0, 1, ... domains of a block can hold, (n, at_most + 1); -inf where they are too few."""
        best = np.zeros((len(taken), self.at_most + 1))
        for i in np.flatnonzero(self.parts.block == b):
            count, upper = int(self.parts.count[i]), self.parts.upper[i]
            with_it = np.full_like(best, -np.inf)
            if count <= self.at_most:
                with_it[:, count:] = best[:, : self.at_most + 1 - count] + upper
            either = np.where(left[:, i, None], best, np.maximum(best, with_it))
            best = np.where(taken[:, i, None], with_it, either)
        return best

    def _capped(self, inner: Floats, b: int) -> Floats:
        parts = self.parts
        return np.where(inner < parts.least[b] - SUM_TOLERANCE, -np.inf, np.minimum(inner, parts.most[b]))

    def _others(self, b: int) -> Floats:
        """The most that 0, 1, ... domains outside a block can hold, (at_most + 1,)."""
        none = np.zeros((1, len(self.parts.names)), dtype=np.bool_)
        total = np.zeros((1, self.at_most + 1))
        for other in range(len(self.parts.blocks)):
            if other != b:
                total = _combined(total, self._capped(self._inner(other, none | self.forced, none), other))
        best: Floats = total[0]
        return best

    def _lowest(self, i: int) -> float:
        """The smallest share of a part that every set holds: over all ways to add the most beside it."""
        parts, b = self.parts, int(self.parts.block[i])
        none = np.zeros((1, len(parts.names)), dtype=np.bool_)
        forced, left = none | self.forced, none | (np.arange(len(parts.names)) == i)
        [beside] = self._inner(b, forced & ~left, left)
        others = self._others(b)
        free = self.at_most - int(parts.count[i])
        found = [
            max(parts.lower[i], parts.least[b] - beside[j], 1 - others[free - j] - beside[j])
            for j in range(free + 1)
            if others[free - j] > -np.inf
            and beside[j] > -np.inf
            and 1 - others[free - j] <= parts.most[b] + SUM_TOLERANCE
        ]
        return float(min(found))

    def _ends(self, b: int) -> Sequence[float]:
        """The smallest and the largest sum over a block."""
        parts = self.parts
        none = np.zeros((1, len(parts.names)), dtype=np.bool_)
        [own] = self._capped(self._inner(b, none | self.forced, none), b)
        others = self._others(b)[::-1]
        fits = own + others >= 1 - SUM_TOLERANCE
        least = max(parts.least[b], float(np.min(1 - others[fits])))
        return min(least, parts.most[b]), min(parts.most[b], float(np.max(own[fits])))


def _combined(one: Floats, other: Floats) -> Floats:
    """The most that 0, 1, ... domains of two disjoint sets can hold together, (n, at_most + 1)."""
    best = np.full_like(one, -np.inf)
    for j in range(one.shape[1]):
        best[:, j:] = np.maximum(best[:, j:], one[:, : one.shape[1] - j] + other[:, j, None])
    return best
