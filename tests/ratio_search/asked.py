"""Random spaces with all that can be asked of one, and what that means, written down a second time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

from objectives.mixture import Mixture
from ratio_search.errors import SpaceError
from ratio_search.space import Group, SimplexSpace


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is stated of a space."""

    bounds: dict[str, tuple[float, float]]
    groups: tuple[Group, ...] = ()
    at_most: int | None = None
    grid: float | None = None

    @property
    def space(self) -> SimplexSpace:
        return SimplexSpace.of(self.bounds, groups=self.groups, at_most=self.at_most, grid=self.grid)

    @property
    def parts(self) -> dict[str, dict[str, float]]:
        """What moves as one: the proportions of its domains."""
        frozen = [group for group in self.groups if group.proportions is not None]
        grouped = {name for group in frozen for name in group.domains}
        found = {name: {name: 1.0} for name in self.bounds if name not in grouped}
        for group in frozen:
            found[group.name] = dict(zip(group.domains, group.proportions or (), strict=True))
        return found

    def direction(self, part: dict[str, float]) -> NDArray[np.float64]:
        return np.array([part.get(name, 0.0) for name in self.bounds])

    def wrong(self, mixture: Mixture, tolerance: float = 2e-9) -> list[str]:
        """What a mixture does not keep."""
        found = [
            name
            for name, (low, high) in self.bounds.items()
            if not low - tolerance <= mixture[name] <= high + tolerance
        ]
        for group in self.groups:
            total = sum(mixture[name] for name in group.domains)
            if not group.lower - tolerance <= total <= group.upper + tolerance:
                found.append(group.name)
            for name, proportion in zip(group.domains, group.proportions or (), strict=False):
                if abs(mixture[name] - total * proportion) > tolerance:
                    found.append(f"{group.name}.{name}")
        if self.at_most is not None and sum(share > tolerance for share in mixture.shares) > self.at_most:
            found.append("at_most")
        if self.grid is not None:
            for name, part in self.parts.items():
                units = sum(mixture[domain] for domain in part) / self.grid
                if abs(units - round(units)) * self.grid > tolerance:
                    found.append(f"grid {name}")
        return found

    def least(self, costs: NDArray[np.float64]) -> float:
        """The smallest costs @ shares that there is, found by branch and bound."""
        parts, n = list(self.parts.values()), len(self.parts)
        spread = np.array([self.direction(part) for part in parts]).T
        units = 1 if self.grid is None else round(1 / self.grid)
        # Variables: the share of each part, in units on a grid, then whether it is above 0.
        rows, low, high = [np.ones(n)], [float(units)], [float(units)]
        for row, (least, most) in zip(spread, self.bounds.values(), strict=True):
            rows, low, high = [*rows, row], [*low, least * units - 1e-9], [*high, most * units + 1e-9]
        names = list(self.bounds)
        for group in self.groups:
            row = spread[[names.index(name) for name in group.domains]].sum(axis=0)
            rows.append(row)
            low, high = [*low, group.lower * units - 1e-9], [*high, group.upper * units + 1e-9]
        matrix = np.hstack([np.array(rows), np.zeros((len(rows), n))])
        limits = [
            LinearConstraint(matrix, low, high),
            LinearConstraint(np.hstack([np.eye(n), -units * np.eye(n)]), ub=0),
        ]
        if self.at_most is not None:
            count = np.concatenate([np.zeros(n), [len(part) for part in parts]])
            limits.append(LinearConstraint(count[None], ub=self.at_most))
        whole = np.concatenate([np.full(n, self.grid is not None), np.ones(n)])
        within = Bounds(0, np.concatenate([np.full(n, units), np.ones(n)]))
        solved = milp(
            np.concatenate([costs @ spread, np.zeros(n)]), constraints=limits, integrality=whole, bounds=within
        )
        assert solved.success, solved.message
        return float(solved.fun) / units


@st.composite
def asked(
    draw: st.DrawFn,
    *,
    most: int = 7,
    grids: tuple[float | None, ...] = (None, 0.1, 0.01, 1 / 7),
    sparse: bool = True,
) -> Asked:
    """Anything that leaves more than one mixture: bounds round one that keeps them."""
    names = [f"d{i}" for i in range(draw(st.integers(2, most)))]
    grid = draw(st.sampled_from(grids))
    units = 1000 if grid is None else round(1 / grid)
    of = {name: draw(st.sampled_from(["", "", "g", "h", "k"])) for name in names}
    members = {group: tuple(name for name in names if of[name] == group) for group in ("g", "h", "k")}
    weights = {name: draw(st.integers(1, 3)) for name in names}
    frozen = {group: draw(st.booleans()) for group in members}
    parts: list[tuple[str, ...]] = [(name,) for name in names if not of[name] or not frozen[of[name]]]
    parts += [inside for group, inside in members.items() if inside and frozen[group]]
    held = draw(st.lists(st.integers(0, 9), min_size=len(parts), max_size=len(parts)).filter(any))
    counts = Mixture.from_weights({str(i): weight for i, weight in enumerate(held)}).counts(units)
    shares: dict[str, float] = {}
    for part, count in zip(parts, counts.values(), strict=True):
        total = sum(weights[name] for name in part)
        shares |= {name: count / units * (weights[name] / total) for name in part}

    def around(share: float) -> tuple[float, float]:
        below, above = (draw(st.sampled_from([0.0, 0.001, 0.2, 1.0, 1.0])) for _ in "ab")
        return max(0.0, share * (1 - below)), min(1.0, share + above * (1 - share))

    groups = []
    for group, inside in members.items():
        if inside:
            proportions = {name: weights[name] for name in inside} if frozen[group] else None
            groups.append(Group.of(group, inside, around(sum(shares[name] for name in inside)), proportions))
    above = sum(share > 0 for share in shares.values())
    at_most = draw(st.none() | st.integers(above, len(names))) if sparse else None
    found = Asked(
        bounds={name: around(shares[name]) for name in names}, groups=tuple(groups), at_most=at_most, grid=grid
    )
    try:
        _ = found.space
    except SpaceError as error:
        assert "one mixture only" in str(error), error
        assume(False)
    return found


def exact(mixture: Mixture) -> bool:
    return math.fsum(mixture.shares) == 1.0
