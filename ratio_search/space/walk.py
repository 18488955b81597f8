"""Uniform draws from a space: pairs of parts exchange what they hold, until nothing is left of the start."""

from __future__ import annotations

import numpy as np

from ratio_search.space.parts import Bools, Floats, Ints, Parts


def walk(parts: Parts, n: int, rng: np.random.Generator, support: Bools | None = None) -> Floats:
    """Shares of parts, (n, n_parts), uniform among those that keep all bounds.

    Of all divisions of a pair's sum that keep the bounds of both, and of their blocks, each is as likely. That leaves
    the uniform distribution as it is, and reaches it within a multiple of log(n_parts) rounds (Smith, "A Gibbs
    sampler on the n-simplex", Annals of Applied Probability 24, 2014); one wide part among narrow ones must meet each
    of them, which is why their number counts here too. The cost does not depend on how much of the simplex the
    bounds cut away, as it would if draws were rejected.

    Args:
        parts: with bounds that can be reached.
        n: draws, >= 0.
        rng: where they come from.
        support: the parts that may be above 0 in each draw, (n, n_parts); None for all.
    """
    if support is None:
        columns = np.flatnonzero(parts.upper > parts.lower)[None]
        upper = parts.upper[None]
    else:
        columns = np.argsort(~support, axis=1, kind="stable")[:, : int(support.sum(axis=1).max(initial=0))]
        upper = np.where(support, parts.upper, 0.0)
    shares = np.array(np.broadcast_to(parts.start(upper), (n, len(parts.names))))
    low, high = np.broadcast_to(parts.lower, upper.shape), upper
    low, high = (np.take_along_axis(bounds, columns, axis=1) for bounds in (low, high))
    every = np.broadcast_to(columns, (n, columns.shape[1]))
    moved = np.take_along_axis(shares, every, axis=1)
    if len(parts.blocks) == 1:
        _exchange(moved, low, high, rng)
    else:
        moved = _exchange_in_blocks(moved, low, high, columns, parts, rng)
    np.put_along_axis(shares, every, moved, axis=1)
    return shares


def _exchange(shares: Floats, lower: Floats, upper: Floats, rng: np.random.Generator) -> None:
    """Lets pairs exchange, in place: shares (n, k), bounds (n, k) or (1, k)."""
    n, k = shares.shape
    half = k // 2
    for _ in range(40 + 2 * k):
        order = rng.permutation(k)
        a, b = order[:half], order[half : 2 * half]
        total = shares[:, a] + shares[:, b]
        least = np.maximum(lower[:, a], total - upper[:, b])
        most = np.minimum(upper[:, a], total - lower[:, b])
        shares[:, a] = least + (most - least) * rng.random((n, half))
        shares[:, b] = total - shares[:, a]


def _exchange_in_blocks(
    shares: Floats, lower: Floats, upper: Floats, columns: Ints, parts: Parts, rng: np.random.Generator
) -> Floats:
    """Lets pairs exchange one after the other, as two pairs may touch the same block; shares (n, k).

    Args:
        shares: to start from, (n, k).
        lower: bounds, (n, k) or (1, k).
        upper: likewise.
        columns: which parts these are, (n, k) or (1, k).
        parts: whose blocks count.
        rng: where the draws come from.
    """
    n, k = shares.shape
    sums = np.zeros((n, len(parts.blocks)))
    block = np.broadcast_to(parts.block[columns], (n, k))
    rows = np.arange(n)
    for i in range(k):
        sums[rows, block[:, i]] += shares[:, i]
    # What the parts that do not move hold takes from the bounds of their blocks.
    still = parts.sums(parts.lower * ~np.isin(np.arange(len(parts.names)), columns))
    least, most = parts.least - still, parts.most - still
    held, low, high, of = (np.ascontiguousarray(array.T) for array in (shares, lower, upper, block))
    by_block = np.ascontiguousarray(sums.T)
    for _ in range(40 + 2 * k):
        order = rng.permutation(k)
        for a, b in zip(order[: k // 2], order[k // 2 :], strict=False):
            one, other = of[a], of[b]
            same = one == other
            first, second = by_block[one, rows], by_block[other, rows]
            rise = np.where(same, np.inf, np.minimum(most[one] - first, second - least[other]))
            fall = np.where(same, np.inf, np.minimum(first - least[one], most[other] - second))
            up = np.minimum(np.minimum(high[a] - held[a], held[b] - low[b]), rise)
            down = np.minimum(np.minimum(held[a] - low[a], high[b] - held[b]), fall)
            change = (up + down) * rng.random(n) - down
            held[a] += change
            held[b] -= change
            by_block[one, rows] += change
            by_block[other, rows] -= change
    return np.asarray(held.T, dtype=np.float64)
