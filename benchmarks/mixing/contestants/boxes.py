"""Two ways to give a box sampler a simplex.

The product's own (ratio_search/sampler/box.py) also keep bounds. These stand by themselves, so that what a peer did
stays valid when the product changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..problems import Floats


class Box(Protocol):
    """A map from the unit box to mixtures under which uniform points become uniform mixtures."""

    @property
    def size(self) -> int:
        """The box's dimensions."""
        ...

    def shares(self, point: Floats) -> Floats:
        """The mixture, (n_domains,), of a point, (size,)."""
        ...

    def centre(self) -> Floats:
        """A point whose mixture is uniform, (size,)."""
        ...


@dataclass(frozen=True, slots=True)
class Proportions:
    """Optuna's FAQ, "How do I suggest variables which represent the proportion": -log(u), divided by the sum."""

    domains: int

    @property
    def size(self) -> int:
        """One for each domain."""
        return self.domains

    def shares(self, point: Floats) -> Floats:
        """The mixture of a point."""
        lengths = -np.log(np.clip(point, 1e-300, 1 - 1e-12))
        result: Floats = lengths / lengths.sum()
        return result

    def centre(self) -> Floats:
        """The medians."""
        return np.full(self.domains, 0.5)


@dataclass(frozen=True, slots=True)
class Sticks:
    """Stick-breaking: each domain in turn takes a Beta-distributed part of what is left."""

    domains: int

    @property
    def size(self) -> int:
        """One fewer than domains: the last takes the rest."""
        return self.domains - 1

    def shares(self, point: Floats) -> Floats:
        """The mixture of a point."""
        after = self.domains - 1 - np.arange(self.size)
        kept = (1 - point) ** (1 / after)
        left = np.concatenate([[1.0], np.cumprod(kept)])
        broken = left * np.append(1 - kept, 1.0)
        shares: Floats = broken / broken.sum()
        return shares

    def centre(self) -> Floats:
        """Where each takes as much as the later ones."""
        after = self.domains - 1 - np.arange(self.size)
        centre: Floats = 1 - (1 - 1 / (after + 1)) ** after
        return centre
