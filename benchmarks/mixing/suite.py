"""Which problems a run of the benchmark is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from objectives.scorer import BalanceKind

from .laws import DRAWS, SIZES, laws
from .pile import WHERE as NO_PILE
from .pile import pile
from .problems import Landscape, Noise, Problem
from .quickstart import WHERE as NO_QUICKSTART
from .quickstart import quickstart

BALANCES = (BalanceKind.WORST, BalanceKind.WEIGHTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Landscapes, each met with both of `BALANCES` and some levels of noise.

    Attributes:
        law_seed: of the laws' draws.
        sizes: numbers of domains that laws are drawn for.
        draws: laws for each.
        tables: whether the problems fitted to tables belong to it.
        noises: how noisy.
    """

    law_seed: int = 0
    sizes: tuple[int, ...] = SIZES
    draws: int = DRAWS
    tables: bool = True
    noises: tuple[Noise, ...] = (Noise.LOW, Noise.MEDIUM)

    def landscapes(self, cache: Path) -> list[Landscape]:
        """All there are."""
        found = laws(self.law_seed, self.sizes, self.draws)
        return [*found, *pile(cache), *quickstart(cache)] if self.tables else found

    def missing(self, cache: Path) -> Sequence[str]:
        """A word on each table that is not there."""
        if not self.tables:
            return []
        return [word for word, found in ((NO_PILE, pile(cache)), (NO_QUICKSTART, quickstart(cache))) if not found]

    def problems(self, cache: Path) -> list[Problem]:
        """Every landscape with every balance and noise."""
        return list(_problems(self, cache))


@lru_cache(maxsize=4)
def _problems(suite: Suite, cache: Path) -> tuple[Problem, ...]:
    landscapes = suite.landscapes(cache)
    return tuple(
        Problem.of(one, balance, noise) for one in landscapes for balance in BALANCES for noise in suite.noises
    )
