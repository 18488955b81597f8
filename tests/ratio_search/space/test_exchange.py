"""What one transfer reaches from a mixture: all of it, and nothing outside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from objectives.mixture import Mixture
from ratio_search.space import SimplexSpace
from tests.ratio_search.asked import Asked, asked

SEEDS = st.integers(0, 2**32 - 1)
FREE = dict.fromkeys("abcde", (0.0, 1.0))


class TestNeighbours:
    @settings(max_examples=50, deadline=None)
    @given(asked(most=5), SEEDS)
    def test_they_are_all_that_one_transfer_reaches(self, wanted: Asked, seed: int) -> None:
        space, amounts = wanted.space, (0.005, 0.05, 0.3)
        start = space.mixture(space.sample(1, np.random.default_rng(seed))[0])
        found = space.neighbours(start.shares, amounts)
        assert np.all(np.abs(found - start.shares).max(axis=1) > 1e-12)
        assert len(np.unique(found.round(9), axis=0)) == len(found)
        for row in found:
            mixture = space.mixture(row)
            assert mixture in space and not wanted.wrong(mixture)
            assert mixture.shares == pytest.approx(row, abs=1e-15)
        step, parts = wanted.grid or 1e-6, list(wanted.parts.values())
        moves: dict[tuple[int, int], list[float]] = {
            (i, j): [] for i in range(len(parts)) for j in range(len(parts)) if i != j
        }
        for row in found:
            change = [sum(dict(zip(space.names, row - start.shares, strict=True))[n] for n in part) for part in parts]
            giver, taker = int(np.argmin(change)), int(np.argmax(change))
            assert np.sum(np.abs(change) > 1e-12) == 2
            moves[giver, taker].append(change[taker])
        for (i, j), made in moves.items():
            direction = wanted.direction(parts[j]) - wanted.direction(parts[i])
            # All that is possible is among them, and nothing more is possible.
            if made:
                assert not _inside(wanted, start.shares + (max(made) + step) * direction)
            sizes = amounts if wanted.grid is None else {max(1, round(a / step)) * step for a in amounts}
            for amount in sizes:
                if _inside(wanted, start.shares + amount * direction):
                    assert any(abs(amount - known) < 1e-8 for known in made)

    def test_bounds_are_reached_exactly(self) -> None:
        space = SimplexSpace.of({"a": (0.0, 0.7), "b": (0.1, 1.0), "c": (0.0, 1.0)})
        found = space.neighbours([0.1, 0.3 + 1e-17, 0.6], [0.05])
        assert {0.0, 0.7} <= set(found[:, 0]) and {0.1} <= set(found[:, 1]) and {0.0} <= set(found[:, 2])
        assert min(found[found > 0]) > 0.04

    def test_one_that_gives_all_makes_room_for_another(self) -> None:
        space = SimplexSpace.of(FREE, at_most=2)
        found = space.neighbours([0.3, 0.7, 0, 0, 0], [0.1])
        swapped = {tuple(row) for row in found.round(9).tolist() if row[0] == 0 or row[1] == 0}
        assert (0.0, 0.7, 0.3, 0.0, 0.0) in swapped and (0.3, 0.0, 0.0, 0.0, 0.7) in swapped
        assert np.all((found > 0).sum(axis=1) <= 2)
        # Where there is room for another, it may also get a part of it.
        assert (0.9, 0.1) in {tuple(row[[0, 2]]) for row in space.neighbours([1.0, 0, 0, 0, 0], [0.1]).round(9)}

    def test_on_a_grid_at_least_one_step_is_moved(self) -> None:
        space = SimplexSpace.of(dict.fromkeys("ab", (0.0, 1.0)), grid=0.1)
        found = space.neighbours([0.5, 0.5], [0.001, 0.12, 0.2])
        assert sorted(found[:, 0].tolist()) == pytest.approx([0.0, 0.3, 0.4, 0.6, 0.7, 1.0])


def _inside(wanted: Asked, shares: NDArray[np.float64]) -> bool:
    if shares.min() < -1e-9:
        return False
    shares = np.clip(shares, 0, None)
    mixture = Mixture.from_weights(dict(zip(wanted.bounds, shares.tolist(), strict=True)))
    return not wanted.wrong(mixture, 1e-10)
