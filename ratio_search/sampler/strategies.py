"""The strategies that ship with ratio-search, by the name that a study file calls them."""

from __future__ import annotations

from ratio_search.model import PointSpace
from ratio_search.sampler.shadow import RandomStrategy, ShadowStrategy
from ratio_search.sampler.simplex_gp import SimplexGP
from ratio_search.sampler.strategy import SamplerKind, Strategy


def strategy(kind: SamplerKind, space: PointSpace, *, seed: int) -> Strategy:
    """A strategy.

    Args:
        kind: which.
        space: the points that may be tried.
        seed: of all its draws.
    """
    if kind is SamplerKind.SIMPLEX_GP:
        return SimplexGP(space, seed=seed)
    if kind is SamplerKind.RANDOM:
        return RandomStrategy(space.simplex, space.hyperparameters, seed)
    return ShadowStrategy(space.simplex, space.hyperparameters, seed, kind)
