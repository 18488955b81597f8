"""The mixtures of the first trials, before there is a model: wide, and not all corners."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ratio_search.model import EXPERTS, PointSpace
from ratio_search.record import Record
from ratio_search.sampler.strategy import Proposal

Array = NDArray[np.float64]

CANDIDATES = 600
"""Points that one is chosen from, and that stand for the space."""

# Those of 0, 1 and 4 are the model's.
_DESIGN_STREAM, _WHOLE_STREAM = 2, 3


def filling(space: PointSpace, records: Sequence[Record], seed: int) -> Proposal:
    """The candidate that is near to the space as a whole and far from what was tried.

    One greedy step of support points (Mak and Joseph, "Support points", Annals of Statistics 46, 2018): they fill the
    inside as well as the edges, where points that only keep apart would crowd. The mixtures and each hyperparameter are
    filled alike, and each for itself: by distances in all of them together, the first trials would take the choices of
    one hyperparameter in turn, and leave all else in the middle.

    Args:
        space: the points that may be tried.
        records: of all trials, in any state.
        seed: of the candidates.
    """
    known = [record for record in records if record.job.mixture is not None]
    known = [record for record in known if set(space.hyperparameters) <= set(record.job.hyperparameters)]
    tried = space.points(
        [record.job.mixture for record in known if record.job.mixture is not None],
        [record.job.hyperparameters for record in known],
    )
    whole = space.sample(CANDIDATES, np.random.default_rng([seed, _WHOLE_STREAM]))
    candidates = space.sample(CANDIDATES, np.random.default_rng([seed, _DESIGN_STREAM, len(known)]))
    hellinger, domains = EXPERTS[0], len(space.simplex.names)
    x, everywhere, done = (hellinger.see(space.coordinates(points), domains) for points in (candidates, whole, tried))
    energy = np.zeros(len(x))
    for part in space.parts:
        away = _distances(x[:, part], everywhere[:, part])
        near = _distances(x[:, part], done[:, part]).sum(axis=1) / (len(tried) + 1)
        energy += (away.mean(axis=1) - near) / away.mean()
    best = int(energy.argmin())
    return Proposal(
        mixture=space.simplex.mixture(candidates.shares[best]),
        hyperparameters=candidates.settings[best],
        origin="space-filling",
        basis=tuple(record.number for record in known),
    )


def _distances(a: Array, b: Array) -> Array:
    """Distances between the rows of two arrays, (n_a, n_b)."""
    squares = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * (a @ b.T)
    distances: Array = np.sqrt(np.clip(squares, 0, None))
    return distances
