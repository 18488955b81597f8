"""The mixtures that a study may try: the simplex over its domains, cut by bounds on each share. Knows no Optuna."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from objectives.mixture import SUM_TOLERANCE, Mixture
from ratio_search.errors import SpaceError

SAME = 1e-4
"""Two mixtures count as one when no more than this part of the rows would have to change domain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimplexSpace:
    """All mixtures whose shares keep their bounds.

    Attributes:
        names: the domains, in order.
        lower, upper: the smallest and the largest share that each domain can really have, given all bounds.
    """

    names: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]

    @classmethod
    def of(cls, bounds: Mapping[str, tuple[float, float]]) -> Self:
        """Takes bounds as they are stated and tightens them to what they leave possible.

        Args:
            bounds: domain to its inclusive (lowest, highest) share, 0 <= lowest <= highest <= 1.

        Raises:
            SpaceError: no mixture keeps them, or only one does.
        """
        low, high = (np.array(side, dtype=np.float64) for side in zip(*bounds.values(), strict=True))
        if math.fsum(low) > 1 + SUM_TOLERANCE:
            raise SpaceError(
                f"the lowest shares sum to {math.fsum(low):g} ({_listed(bounds, low)}), expected at most 1; "
                "lower some of them"
            )
        if math.fsum(high) < 1 - SUM_TOLERANCE:
            raise SpaceError(
                f"the highest shares sum to {math.fsum(high):g} ({_listed(bounds, high)}), expected at least 1; "
                "raise some of them"
            )
        # What one domain can have follows from what all the others must leave it, or must take.
        upper = np.minimum(high, 1 - (low.sum() - low))
        lower = np.minimum(np.maximum(low, 1 - (high.sum() - high)), upper)
        if np.all(upper - lower <= SAME):
            raise SpaceError(
                f"they leave one mixture only ({_listed(bounds, lower)}), so there is nothing to search; "
                "widen the bounds of at least two domains"
            )
        return cls(names=tuple(bounds), lower=tuple(lower.tolist()), upper=tuple(upper.tolist()))

    def __contains__(self, mixture: Mixture) -> bool:
        """Whether a mixture over these domains keeps the bounds, rounding aside."""
        return all(
            low - SUM_TOLERANCE <= mixture[name] <= high + SUM_TOLERANCE
            for name, low, high in zip(self.names, self.lower, self.upper, strict=True)
        )

    def mixture(self, shares: ArrayLike) -> Mixture:
        """The mixture of shares that are right but for rounding: within the bounds, with an exact sum.

        Args:
            shares: in the domains' order, (n_domains,).
        """
        lower, upper = np.array(self.lower), np.array(self.upper)
        inside = np.clip(np.asarray(shares, dtype=np.float64), lower, upper)
        # One correction is nearly always enough; a second one may be needed when rounding goes against it.
        for _ in range(4):
            residual = 1.0 - math.fsum(inside)
            if residual == 0:
                break
            room = upper - inside if residual > 0 else inside - lower
            inside[int(room.argmax())] += residual
        return Mixture.of(dict(zip(self.names, inside.tolist(), strict=True)))

    def project(self, mixture: Mixture) -> Mixture:
        """The mixture in this space that is nearest to another one, by the Euclidean distance of the shares.

        It is the shares less one common amount, cut at the bounds (Held, Wolfe and Crowder, Mathematical
        Programming 6, 1974). As a function of that amount the sum is piecewise linear, so the amount is exact.

        Args:
            mixture: over the same domains, in any order.
        """
        wanted = np.array([mixture[name] for name in self.names])
        lower, upper = np.array(self.lower), np.array(self.upper)
        amounts = np.sort(np.concatenate([wanted - upper, wanted - lower]))
        sums = np.clip(wanted - amounts[:, None], lower, upper).sum(axis=1)
        amount = np.interp(1.0, sums[::-1], amounts[::-1])
        return self.mixture(wanted - amount)

    def sample(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draws shares uniformly from the space; rows of (n, n_domains), for `mixture` to make exact.

        Pairs of domains exchange what they hold: of all divisions of their sum that keep both bounds, each is
        as likely. That leaves the uniform distribution as it is, and reaches it within a multiple of log(n_domains)
        rounds (Smith, "A Gibbs sampler on the n-simplex", Annals of Applied Probability 24, 2014); one wide domain
        among narrow ones must meet each of them, which is why their number counts here too. The cost does not
        depend on how much of the simplex the bounds cut away, as it would if draws were rejected.

        Args:
            n: draws, >= 0.
            rng: where they come from.
        """
        lower, upper = np.array(self.lower), np.array(self.upper)
        free = np.flatnonzero(upper > lower)
        half = len(free) // 2
        # Any point inside will do to start from: this one divides what the lower bounds leave by the room above.
        start = lower + (upper - lower) * (1 - lower.sum()) / (upper - lower).sum()
        shares = np.tile(start, (n, 1))
        for _ in range(40 + 2 * len(free)):
            order = rng.permutation(free)
            a, b = order[:half], order[half : 2 * half]
            total = shares[:, a] + shares[:, b]
            least = np.maximum(lower[a], total - upper[b])
            most = np.minimum(upper[a], total - lower[b])
            shares[:, a] = least + (most - least) * rng.random((n, half))
            shares[:, b] = total - shares[:, a]
        return shares


def _listed(names: Iterable[str], shares: NDArray[np.float64]) -> str:
    return ", ".join(f"{name} {share:g}" for name, share in zip(names, shares, strict=True))
