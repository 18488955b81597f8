"""The argument of every objective: how much of each domain to train on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from objectives.errors import MixtureError

SUM_TOLERANCE = 1e-9
"""How far a sum of shares may be from 1 before it is an error and not rounding."""


@dataclass(frozen=True, slots=True)
class Mixture(Mapping[str, float]):
    """An immutable point of the simplex over named domains: shares >= 0 that sum to 1.

    It reads like a mapping from domain to share, in the domains' order. An invalid one cannot exist.

    Attributes:
        parts: (domain, share) pairs.

    Raises:
        MixtureError: a share is negative or not finite, a name repeats, or the sum is not 1.
    """

    parts: tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        names = [name for name, _ in self.parts]
        if not names:
            raise MixtureError("a mixture needs at least one domain, found none")
        if len(set(names)) != len(names):
            raise MixtureError(f"each domain may appear once in a mixture, found {', '.join(names)}")
        for name, share in self.parts:
            if not 0 <= share <= 1 + SUM_TOLERANCE:
                raise MixtureError(f"the share of {name!r} must be a number from 0 to 1, found {share!r}")
        total = math.fsum(share for _, share in self.parts)
        if abs(total - 1) > SUM_TOLERANCE:
            listed = ", ".join(f"{name} {share:g}" for name, share in self.parts)
            raise MixtureError(f"shares must sum to 1, found {total:.9g} ({listed})")

    @classmethod
    def of(cls, shares: Mapping[str, float]) -> Mixture:
        """Takes shares that already sum to 1, as given."""
        return cls(tuple((name, float(share)) for name, share in shares.items()))

    @classmethod
    def from_weights(cls, weights: Mapping[str, float]) -> Mixture:
        """Divides non-negative weights by their sum; the result's exact (`math.fsum`) sum is 1.0.

        Raises:
            MixtureError: a weight is negative or not finite, or all are 0.
        """
        for name, weight in weights.items():
            if not math.isfinite(weight) or weight < 0:
                raise MixtureError(f"the weight of {name!r} must be a number >= 0, found {weight!r}")
        if not 0 < sum(weights.values()) < math.inf:
            raise MixtureError(f"weights must have a positive finite sum, found {sum(weights.values()):g}")
        total = math.fsum(weights.values())
        shares = {name: float(weight) / total for name, weight in weights.items()}
        largest = max(shares, key=shares.__getitem__)
        # One correction is nearly always enough; a second one may be needed when rounding goes against it.
        for _ in range(4):
            residual = 1.0 - math.fsum(shares.values())
            if residual == 0:
                break
            shares[largest] += residual
        return cls.of(shares)

    @classmethod
    def uniform(cls, names: Iterable[str]) -> Mixture:
        """The same share for every domain."""
        return cls.from_weights(dict.fromkeys(names, 1.0))

    @property
    def names(self) -> tuple[str, ...]:
        """The domains, in order."""
        return tuple(name for name, _ in self.parts)

    @property
    def shares(self) -> tuple[float, ...]:
        """The shares, in the domains' order."""
        return tuple(share for _, share in self.parts)

    def __getitem__(self, name: str) -> float:
        for known, share in self.parts:
            if known == name:
                return share
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.parts)

    def __str__(self) -> str:
        return " ".join(f"{name}={share:.3f}" for name, share in self.parts)

    def counts(self, total: int) -> dict[str, int]:
        """Whole rows per domain that sum to `total`, each within one of share x total.

        Largest remainders (Hamilton's method); equal remainders go to the earlier domain.

        Args:
            total: rows to divide, >= 0.
        """
        assert total >= 0, total
        scale = total / math.fsum(self.shares)
        exact = [share * scale for share in self.shares]
        counts = [math.floor(rows) for rows in exact]
        by_remainder = sorted(range(len(exact)), key=lambda i: (counts[i] - exact[i], i))
        for i in by_remainder[: total - sum(counts)]:
            counts[i] += 1
        return dict(zip(self.names, counts, strict=True))

    def distance(self, other: Mixture) -> float:
        """Total variation, 0 to 1: the share of rows that would have to change domain.

        Args:
            other: a mixture over the same domains, in any order.
        """
        assert set(self.names) == set(other.names), (self.names, other.names)
        return 0.5 * math.fsum(abs(share - other[name]) for name, share in self.parts)
