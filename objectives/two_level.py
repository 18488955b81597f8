"""Mixtures as some platforms want them: how much each side gets, and what each side is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from objectives.errors import MixtureError
from objectives.mixture import Mixture

PERCENT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Some of a mixture's domains, as a whole and inside.

    Attributes:
        share: what they hold together, 0 to 1.
        inner: what each is of that, over these domains; stated even where the share is 0.
    """

    share: float
    inner: Mixture


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoLevel:
    """A mixture in two levels: shares of its sides, and a mixture inside each.

    Attributes:
        names: the domains, in the mixture's order.
        sides: by name; each domain is in one of them, and their shares sum to 1.
    """

    names: tuple[str, ...]
    sides: tuple[tuple[str, Side], ...]

    @classmethod
    def of(
        cls,
        mixture: Mixture,
        sides: Mapping[str, Sequence[str]],
        defaults: Mapping[str, Mapping[str, float]] | None = None,
    ) -> Self:
        """The two levels of a mixture; `mixture()` gives it back.

        Args:
            mixture: over the domains of all sides.
            sides: disjoint sets of domains that hold all of them.
            defaults: weights of the domains inside a side, for when its share is 0 and the mixture does not tell;
                without them all are alike.

        Raises:
            MixtureError: a domain is in no side, in two, or in none of the mixture's, or defaults do not fit.
        """
        _check(mixture.names, sides)
        whole = Mixture.from_weights({side: sum(mixture[name] for name in names) for side, names in sides.items()})
        found = []
        for side, names in sides.items():
            weights: Mapping[str, float] = {name: mixture[name] for name in names}
            if whole[side] == 0:
                weights = (defaults or {}).get(side) or dict.fromkeys(names, 1.0)
                if set(weights) != set(names):
                    raise MixtureError(
                        f"the default proportions of side {side!r} must be of its domains {', '.join(names)}, found "
                        f"{', '.join(weights)}"
                    )
                weights = {name: weights[name] for name in names}
            found.append((side, Side(share=whole[side], inner=Mixture.from_weights(weights))))
        return cls(names=mixture.names, sides=tuple(found))

    def mixture(self) -> Mixture:
        """The flat mixture: 0 where a side has nothing, with an exact (`math.fsum`) sum of 1."""
        flat = {name: side.share * part for _, side in self.sides for name, part in side.inner.items()}
        return Mixture.from_weights({name: flat[name] for name in self.names})

    def rounded(self, decimals: int) -> RoundedTwoLevel:
        """The two levels as percentages of so many decimals: largest remainders, among the sides and inside each.

        Args:
            decimals: digits after the point, 0 to 6.
        """
        assert 0 <= decimals <= 6, decimals
        units = PERCENT * 10**decimals
        shares = Mixture.of({name: side.share for name, side in self.sides}).counts(units)
        inner = {name: side.inner.counts(units) for name, side in self.sides}
        return RoundedTwoLevel(
            decimals=decimals,
            names=self.names,
            units=tuple(shares.items()),
            inner=tuple((name, tuple(inside.items())) for name, inside in inner.items()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundedTwoLevel:
    """Percentages in whole units, such as tenths, that sum to exactly 100 among the sides and inside each.

    Attributes:
        decimals: digits after the point.
        names: the domains, in the mixture's order.
        units: of each side, 10^-decimals per cent each.
        inner: of each domain inside its side, likewise.
    """

    decimals: int
    names: tuple[str, ...]
    units: tuple[tuple[str, int], ...]
    inner: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]

    @property
    def percent(self) -> dict[str, str]:
        """The sides' percentages, as fixed-point decimals."""
        return {name: fixed_point(units, self.decimals) for name, units in self.units}

    @property
    def inner_percent(self) -> dict[str, dict[str, str]]:
        """The percentages inside each side, as fixed-point decimals."""
        return {
            side: {name: fixed_point(units, self.decimals) for name, units in inside} for side, inside in self.inner
        }

    def mixture(self) -> Mixture:
        """The flat mixture that these percentages make, with an exact (`math.fsum`) sum of 1."""
        units = dict(self.units)
        flat = {name: units[side] * inner for side, inside in self.inner for name, inner in inside}
        return Mixture.from_weights({name: flat[name] for name in self.names})


def _check(names: Sequence[str], sides: Mapping[str, Sequence[str]]) -> None:
    owner: dict[str, str] = {}
    for side, members in sides.items():
        if not members:
            raise MixtureError(f"side {side!r} has no domains, expected one or more")
        for name in members:
            if name not in names:
                raise MixtureError(f"side {side!r} names {name!r}, which is none of the mixture's {', '.join(names)}")
            if name in owner:
                raise MixtureError(f"{name!r} is in side {owner[name]!r} and in side {side!r}, expected it in one")
            owner[name] = side
    missing = [name for name in names if name not in owner]
    if missing:
        raise MixtureError(f"each domain must be in a side, found none for {', '.join(missing)}")


def fixed_point(units: int, decimals: int) -> str:
    """Units of 10^-decimals as a decimal: 125 of one decimal as "12.5"; without decimals there is no point.

    Args:
        units: how many, >= 0.
        decimals: digits after the point, >= 0.
    """
    whole, part = divmod(units, 10**decimals)
    return f"{whole}.{part:0{decimals}d}" if decimals else str(whole)
