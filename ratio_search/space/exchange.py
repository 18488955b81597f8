"""The points of a space that one transfer reaches: some of what a part holds goes to another one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ratio_search.space.parts import DUST, Bools, Floats, Parts


def exchanges(parts: Parts, shares: Floats, amounts: Sequence[float], *, units: int = 0, at_most: int = 0) -> Floats:
    """Shares of parts after one transfer, (m, n_parts): between any two, of each amount and of all that is possible.

    Args:
        parts: with bounds that can be reached.
        shares: inside, (n_parts,).
        amounts: what to move, above 0 each; one that is not possible is left out.
        units: steps of the grid from 0 to 1, of which whole ones are moved; 0 for none.
        at_most: domains above 0, at most; 0 for any number.
    """
    low, high, held = parts.lower, parts.upper, shares
    sizes, limit = np.unique(np.asarray(amounts, dtype=np.float64)), _limits(parts, shares)
    assert np.all(sizes > 0), amounts
    dust = DUST
    if units:
        # In whole units, so that nothing is ever off the grid.
        low, high, held = (np.rint(side * units) for side in (low, high, held))
        sizes, limit = np.unique(np.maximum(np.rint(sizes * units), 1)), np.floor(limit * units + 1e-6)
        dust = 0.5
    moves = np.concatenate([np.where(sizes[:, None, None] < limit - dust, sizes[:, None, None], 0), limit[None]])
    wanted = moves > dust
    if at_most:
        wanted &= _few(parts, held, moves, dust) <= at_most
    which, giver, taker = np.nonzero(wanted)
    moved, rows = moves[which, giver, taker], np.arange(len(which))
    found = np.tile(held, (len(which), 1))
    # A bound that is reached is reached exactly.
    rest, more = held[giver] - moved, held[taker] + moved
    found[rows, giver] = np.where(rest <= low[giver] + dust, low[giver], rest)
    found[rows, taker] = np.where(more >= high[taker] - dust, high[taker], more)
    return found / units if units else found


def _limits(parts: Parts, shares: Floats) -> Floats:
    """The most that each part can give to each other one, (n_parts, n_parts)."""
    limit = np.minimum.outer(shares - parts.lower, parts.upper - shares)
    sums = parts.sums(shares)
    give, take = (sums - parts.least)[parts.block], (parts.most - sums)[parts.block]
    across = parts.block[:, None] != parts.block
    limit = np.where(across, np.minimum(limit, np.minimum.outer(give, take)), limit)
    np.fill_diagonal(limit, 0.0)
    return limit


def _few(parts: Parts, held: Floats, moves: Floats, dust: float) -> Floats:
    """The number of domains above 0 after each move, (n_moves, n_parts, n_parts)."""
    emptied: Bools = moves >= held[:, None] - dust
    filled = held <= dust
    count: Floats = parts.count[~filled].sum() - emptied * parts.count[:, None] + (filled * parts.count)[None, None, :]
    return count
