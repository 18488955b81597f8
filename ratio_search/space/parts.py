"""What a space divides: parts with bounds of their own and together, as arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from objectives.mixture import SUM_TOLERANCE
from ratio_search.errors import SpaceError
from ratio_search.space.group import Group

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]

DUST = 1e-12
"""What rounding may do to a share."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """Shares of parts that sum to 1, with bounds on each and on the sum over each block.

    A group whose proportions are settled is one part; every other domain is one of its own. Blocks are disjoint and
    hold all parts: one for each other group, and one for all that is in none. Such a set is the base of a
    polymatroid. Hence its edges are exchanges between two parts, rounding to whole units never leaves it, and the
    bounds that follow below can all be reached (Schrijver, Combinatorial Optimization, 2003, chapter 44).

    Attributes:
        names: of the parts, as errors list them; (n_parts,).
        blocks: of the blocks likewise; empty for what is in no group; (n_blocks,).
        owner: which part each domain belongs to, (n_domains,).
        proportion: what it holds of that part, (n_domains,).
        count: domains in each part, (n_parts,).
        block: which block each part belongs to, (n_parts,).
        lower, upper: bounds of each part, (n_parts,).
        least, most: bounds of the sum over each block, (n_blocks,).
    """

    names: tuple[str, ...]
    blocks: tuple[str, ...]
    owner: Ints
    proportion: Floats
    count: Ints
    block: Ints
    lower: Floats
    upper: Floats
    least: Floats
    most: Floats

    @classmethod
    def of(cls, bounds: Mapping[str, tuple[float, float]], groups: Sequence[Group]) -> Self:
        """The parts of domains with bounds, some of them in groups.

        Raises:
            SpaceError: settled proportions contradict the bounds of their domains.
        """
        grouped = {domain: group for group in groups for domain in group.domains}
        free = [group.name for group in groups if group.proportions is None]
        blocks = [*free, ""] if any(_block(grouped.get(name)) == "" for name in bounds) else free
        places: dict[str, int] = {}
        limits, owner, proportion, block = [], [], [], []
        for name, limit in bounds.items():
            group = grouped.get(name)
            whole = group is not None and group.proportions is not None
            label = f"group {group.name}" if whole and group is not None else name
            if label not in places:
                places[label] = len(places)
                limits.append(_frozen(group, bounds) if whole and group is not None else limit)
                block.append(blocks.index(_block(group)))
            owner.append(places[label])
            proportion.append(1.0 if not whole or group is None else _proportion(group, name))
        by_name = {group.name: (group.lower, group.upper) for group in groups}
        sums = [by_name.get(name, (0.0, 1.0)) for name in blocks]
        lower, upper = np.array(limits, dtype=np.float64).T.copy()
        least, most = np.array(sums, dtype=np.float64).T.copy()
        return cls(
            names=tuple(places),
            blocks=tuple(blocks),
            owner=np.array(owner, dtype=np.intp),
            proportion=np.array(proportion),
            count=np.bincount(owner, minlength=len(places)),
            block=np.array(block, dtype=np.intp),
            lower=lower,
            upper=upper,
            least=least,
            most=most,
        )

    def on_grid(self, grid: float) -> Self:
        """The same parts with each bound moved inwards to a multiple of the grid.

        Raises:
            SpaceError: there is none between two bounds.
        """
        units = round(1 / grid)
        found = []
        groups = tuple(f"group {name}" for name in self.blocks)
        for low, high, labels in ((self.lower, self.upper, self.names), (self.least, self.most, groups)):
            # No -0.0, which ceil makes of what is just below 0.
            first = np.ceil(low * units - 1e-6) / units + 0.0
            last = np.floor(high * units + 1e-6) / units
            for i in np.flatnonzero(first > last)[:1]:
                raise SpaceError(
                    f"no share lies from {low[i]:g} to {high[i]:g}, the bounds of {labels[i]}; widen them, or choose a "
                    "finer search.space.grid",
                    _path(labels[i]),
                )
            found += [first, last]
        return replace(self, lower=found[0], upper=found[1], least=found[2], most=found[3])

    def tightened(self) -> Self:
        """The same parts with the bounds that can really be reached, given all others.

        Raises:
            SpaceError: no shares keep them all.
        """
        low, high = self.sums(self.lower), self.sums(self.upper)
        least, most = np.maximum(self.least, low), np.minimum(self.most, high)
        self._check_blocks(low, high)
        self._check_total(least, most, low, high)
        # What one can have follows from what all the others must leave it, or must take: first among the blocks,
        # then inside each.
        top = np.minimum(most, 1 - (least.sum() - least))
        bottom = np.minimum(np.maximum(least, 1 - (most.sum() - most)), top)
        upper = np.minimum(self.upper, top[self.block] - (low[self.block] - self.lower))
        upper = np.maximum(upper, self.lower)
        lower = np.maximum(self.lower, bottom[self.block] - (high[self.block] - self.upper))
        lower = np.minimum(lower, upper)
        # What rounding leaves of nothing would count as a share.
        lower, upper = (np.where(side < DUST, 0.0, side) for side in (lower, upper))
        return replace(self, lower=lower, upper=upper, least=bottom, most=top)

    def merged(self) -> Self:
        """The same parts without the blocks whose bounds follow from those of the parts."""
        low, high = self.sums(self.lower), self.sums(self.upper)
        implied_low = np.maximum(low, 1 - (high.sum() - high))
        implied_high = np.minimum(high, 1 - (low.sum() - low))
        binding = (self.least > implied_low + DUST) | (self.most < implied_high - DUST)
        binding &= np.array(self.blocks) != ""
        if binding.all():
            return self
        kept = np.flatnonzero(binding)
        place = np.full(len(self.blocks), len(kept))
        place[kept] = np.arange(len(kept))
        block = place[self.block]
        rest = np.any(block == len(kept))
        return replace(
            self,
            blocks=tuple(self.blocks[i] for i in kept) + (("",) if rest else ()),
            block=block,
            least=np.append(self.least[kept], [0.0] if rest else []),
            most=np.append(self.most[kept], [1.0] if rest else []),
        )

    def sums(self, shares: Floats) -> Floats:
        """Sums over the blocks, (..., n_blocks), of shares of parts, (..., n_parts)."""
        if shares.ndim == 1:
            return _totals(self.block, shares, len(self.blocks))
        member: Floats = (self.block[:, None] == np.arange(len(self.blocks))).astype(np.float64)
        return shares @ member

    def gather(self, shares: Floats) -> Floats:
        """Shares of parts, (n_parts,), from shares of domains, (n_domains,)."""
        return _totals(self.owner, shares, len(self.names))

    def spread(self, shares: Floats) -> Floats:
        """Shares of domains, (..., n_domains), from shares of parts, (..., n_parts)."""
        if len(self.names) == len(self.owner):
            return shares
        spread: Floats = shares[..., self.owner] * self.proportion
        return spread

    def inside(self, shares: Floats, tolerance: float = DUST) -> bool:
        """Whether shares of parts that keep their own bounds keep those of the blocks and sum to 1, too."""
        if abs(1 - math.fsum(shares)) > tolerance:
            return False
        if len(self.blocks) == 1:
            return True
        sums = self.sums(shares)
        return bool(np.all((sums >= self.least - tolerance) & (sums <= self.most + tolerance)))

    def start(self, upper: Floats) -> Floats:
        """Shares inside, which divide by the room above what the lower bounds leave; (n, n_parts).

        Args:
            upper: upper bounds for each row, (n, n_parts); some shares keep them.
        """
        low, high = self.sums(self.lower), self.sums(upper)
        least, most = np.maximum(self.least, low), np.minimum(self.most, high)
        room = most - least
        sums = least + room * _ratio(1 - least.sum(axis=-1), room.sum(axis=-1))[:, None]
        return self.lower + (upper - self.lower) * _ratio(sums - low, high - low)[:, self.block]

    def nearest(self, wanted: Floats, stiffness: Floats, upper: Floats) -> Floats:
        """The shares inside with the smallest sum of stiffness x (share - wanted)^2, (n_parts,).

        They are the wanted ones less one common amount, over the stiffness, cut at the bounds (Held, Wolfe and
        Crowder, Mathematical Programming 6, 1974); a block whose sum would leave its bounds has an amount of its
        own. As functions of the amount all sums are piecewise linear, so the amounts are exact.

        Args:
            wanted: any numbers, (n_parts,).
            stiffness: above 0, (n_parts,).
            upper: upper bounds, (n_parts,); some shares keep them.
        """
        amounts = np.sort(np.concatenate([(wanted - upper) * stiffness, (wanted - self.lower) * stiffness]))

        def sums_at(amounts: Floats) -> Floats:
            return self.sums(_clipped(wanted - amounts[:, None] / stiffness, self.lower, upper))

        sums = sums_at(amounts)
        if len(self.blocks) == 1:
            amount = np.interp(1.0, sums[::-1, 0], amounts[::-1])
            return _clipped(wanted - amount / stiffness, self.lower, upper)
        ends = [
            np.array([np.interp(bound, sums[::-1, b], amounts[::-1]) for b, bound in enumerate(bounds)])
            for bounds in (self.most, self.least)
        ]
        amounts = np.sort(np.concatenate([amounts, *ends]))
        total = np.clip(sums_at(amounts), self.least, self.most).sum(axis=1)
        common = np.interp(1.0, total[::-1], amounts[::-1])
        own = _clipped(common, *ends)
        return _clipped(wanted - own[self.block] / stiffness, self.lower, upper)

    def whole(self, shares: Floats, units: int, upper: Floats) -> Floats:
        """Shares that are multiples of a grid, each less than one step from what it was, (n_parts,).

        Largest remainders, first of the blocks' sums, then inside each block; equal ones go to the earlier.

        Args:
            shares: inside, (n_parts,).
            units: steps of the grid from 0 to 1; all bounds are multiples of it.
            upper: upper bounds, (n_parts,); multiples too.
        """
        exact = shares * units
        exact = np.where(np.abs(exact - np.rint(exact)) < 1e-6, np.rint(exact), exact)
        low, high = np.rint(self.lower * units), np.rint(upper * units)
        least = np.maximum(np.rint(self.least * units), self.sums(low))
        most = np.minimum(np.rint(self.most * units), self.sums(high))
        sums = _remainders(self.sums(exact), least, most, units)
        found = np.empty(len(exact))
        for b, total in enumerate(sums):
            members = self.block == b
            found[members] = _remainders(exact[members], low[members], high[members], round(total))
        return found / units

    def _check_blocks(self, low: Floats, high: Floats) -> None:
        for b, name in enumerate(self.blocks):
            at = f"search.space.groups.{name}.share"
            members = np.flatnonzero(self.block == b)
            if name and low[b] > self.most[b] + SUM_TOLERANCE:
                raise SpaceError(
                    f"the lowest shares in group {name!r} sum to {low[b]:g} ({self._listed(members, self.lower)}), "
                    f"expected at most {self.most[b]:g}, its highest; lower some of them, or raise that",
                    at,
                )
            if name and high[b] < self.least[b] - SUM_TOLERANCE:
                raise SpaceError(
                    f"the highest shares in group {name!r} sum to {high[b]:g} ({self._listed(members, self.upper)}), "
                    f"expected at least {self.least[b]:g}, its lowest; raise some of them, or lower that",
                    at,
                )

    def _check_total(self, least: Floats, most: Floats, low: Floats, high: Floats) -> None:
        if math.fsum(least) > 1 + SUM_TOLERANCE:
            listed = self._listed_blocks(self.lower, least, least > low + DUST)
            raise SpaceError(
                f"the lowest shares sum to {math.fsum(least):g} ({listed}), expected at most 1; lower some of them"
            )
        if math.fsum(most) < 1 - SUM_TOLERANCE:
            listed = self._listed_blocks(self.upper, most, most < high - DUST)
            raise SpaceError(
                f"the highest shares sum to {math.fsum(most):g} ({listed}), expected at least 1; raise some of them"
            )

    def _listed_blocks(self, shares: Floats, sums: Floats, whole: Bools) -> str:
        """What a sum is made of: the groups whose own bounds count, and every part of the others."""
        items = {}
        for i, b in enumerate(self.block):
            label, share = (f"group {self.blocks[b]}", sums[b]) if whole[b] else (self.names[i], shares[i])
            items[label] = f"{label} {share:g}"
        return ", ".join(items.values())

    def _listed(self, places: Ints, shares: Floats) -> str:
        return ", ".join(f"{self.names[i]} {shares[i]:g}" for i in places)


def _block(group: Group | None) -> str:
    return "" if group is None or group.proportions is not None else group.name


def _path(label: str) -> str:
    name = label.removeprefix("group ")
    return f"domains.{label}.share" if name == label else f"search.space.groups.{name}.share"


def _proportion(group: Group, name: str) -> float:
    assert group.proportions is not None
    return group.proportions[group.domains.index(name)]


def _frozen(group: Group, bounds: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
    """The sums of a group with settled proportions that keep its bounds and those of its domains."""
    assert group.proportions is not None
    own = f"group {group.name}"
    # The group's own bounds stand first, and others count only beyond rounding.
    lows, highs = [(group.lower, own)], [(group.upper, own)]
    for name, part in zip(group.domains, group.proportions, strict=True):
        low, high = bounds[name]
        lows.append((low / part if low / part > group.lower + DUST else group.lower, name))
        highs.append((high / part if high / part < group.upper - DUST else group.upper, name))
    low, because = max(lows, key=lambda item: item[0])
    high, limit = min(highs, key=lambda item: item[0])
    if low > high + SUM_TOLERANCE:
        raise SpaceError(
            f"with these proportions the lowest share of {because} takes group {group.name!r} to {low:g}, but the "
            f"highest share of {limit} allows {high:g}; change the proportions, or widen these bounds",
            f"search.space.groups.{group.name}.proportions",
        )
    return min(low, high), high


def _totals(of: Ints, shares: Floats, n: int) -> Floats:
    """The sums of shares over what they belong to, (n,)."""
    return np.asarray(np.bincount(of, weights=shares, minlength=n), dtype=np.float64)


def _clipped(shares: Floats | np.floating, lower: Floats, upper: Floats) -> Floats:
    """Shares cut at their bounds."""
    found: Floats = np.minimum(np.maximum(shares, lower), upper)
    return found


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Their quotient; 0 where there is no room to divide."""
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole > DUST)


def _remainders(exact: Floats, low: Floats, high: Floats, total: int) -> Floats:
    """Whole numbers within bounds with a given sum, nearest to others: largest remainders."""
    found = np.clip(np.floor(exact), low, high)
    order = np.argsort(found - exact, kind="stable")
    missing = round(total - found.sum())
    while missing:
        step = 1 if missing > 0 else -1
        places = order if step > 0 else order[::-1]
        places = places[found[places] < high[places]] if step > 0 else places[found[places] > low[places]]
        assert len(places), (exact, low, high, total)
        found[places[: abs(missing)]] += step
        missing = round(total - found.sum())
    return found
