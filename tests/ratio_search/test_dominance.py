"""Dominance and hypervolume, beside what they are by definition."""

from __future__ import annotations

import itertools
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ratio_search.dominance import EXACT_UP_TO, hypervolume, layers, unbeaten

Array = NDArray[np.float64]

LEVELS = st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.5, 1.0])
"""Few enough that outcomes are often equal in some metrics, or in all."""


@st.composite
def outcomes(draw: st.DrawFn, most: int = 9) -> tuple[Array, NDArray[np.bool_]]:
    """Gains of some outcomes in some draws, and whether their guards hold."""
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, most), st.integers(1, 3)))
    return draw(hnp.arrays(float, shape, elements=LEVELS)), draw(hnp.arrays(bool, shape[1:]))


def beats(one: Array, other: Array) -> bool:
    return bool((one >= other).all() and (one > other).any())


class TestUnbeaten:
    @given(outcomes())
    def test_is_what_the_definition_says(self, found: tuple[Array, NDArray[np.bool_]]) -> None:
        gains, held = found
        for draw, kept in enumerate(held.T):
            points = gains[:, :, draw].T
            expected = [
                not any(beats(points[j], points[i]) and (kept[j] or not kept[i]) for j in range(len(points)) if j != i)
                for i in range(len(points))
            ]
            assert unbeaten(gains, held)[:, draw].tolist() == expected

    @given(outcomes())
    def test_some_outcome_of_each_draw_is_and_one_that_keeps_the_guards_if_any_does(
        self, found: tuple[Array, NDArray[np.bool_]]
    ) -> None:
        gains, held = found
        flags = unbeaten(gains, held)
        assert flags.any(axis=0).all()
        assert ((flags & held).any(axis=0) == held.any(axis=0)).all()

    @given(outcomes(), st.randoms(use_true_random=False))
    def test_does_not_depend_on_the_order(self, found: tuple[Array, NDArray[np.bool_]], random: Any) -> None:
        gains, held = found
        order = list(range(held.shape[0]))
        random.shuffle(order)
        assert (unbeaten(gains[:, order], held[order]) == unbeaten(gains, held)[order]).all()


class TestLayers:
    @given(outcomes(most=12))
    def test_are_peeled_one_after_the_other(self, found: tuple[Array, NDArray[np.bool_]]) -> None:
        gains = found[0][:, :, 0]
        left, expected = set(range(gains.shape[1])), {}
        for layer in itertools.count():
            if not left:
                break
            first = {i for i in left if not any(beats(gains[:, j], gains[:, i]) for j in left)}
            expected |= dict.fromkeys(first, layer)
            left -= first
        assert layers(gains).tolist() == [expected[i] for i in range(gains.shape[1])]


def by_inclusion_and_exclusion(gains: Array, corner: Array) -> float:
    """The volume of a union of boxes, one from the corner to each outcome."""
    total = 0.0
    for size in range(1, gains.shape[1] + 1):
        for chosen in itertools.combinations(range(gains.shape[1]), size):
            sides = np.maximum(gains[:, chosen].min(axis=1) - corner, 0)
            total += (-1) ** (size + 1) * float(sides.prod())
    return total


class TestHypervolume:
    @given(
        hnp.arrays(float, st.tuples(st.integers(1, EXACT_UP_TO), st.integers(1, 6)), elements=LEVELS),
        st.sampled_from([0.0, -0.75]),
    )
    def test_is_that_of_a_union_of_boxes(self, gains: Array, at: float) -> None:
        corner = np.full(len(gains), at)
        assert hypervolume(gains, corner) == pytest.approx(by_inclusion_and_exclusion(gains, corner), abs=1e-12)

    def test_of_many_metrics_is_right_to_a_hundredth_however_their_ranges_differ(self) -> None:
        rng = np.random.default_rng(0)
        ranges = np.logspace(-3, 2, EXACT_UP_TO + 2)
        corner = -0.1 * ranges
        gains = rng.random((len(ranges), 6)) * ranges[:, None]
        assert hypervolume(gains, corner) == pytest.approx(by_inclusion_and_exclusion(gains, corner), rel=0.01)

    def test_of_nothing_or_of_what_lacks_something_everywhere_is_0(self) -> None:
        for metrics in (1, 3, EXACT_UP_TO + 1):
            assert hypervolume(np.empty((metrics, 0)), np.zeros(metrics)) == 0
        assert hypervolume(np.array([[1.0, -0.1], [-0.1, 1.0]]), np.zeros(2)) == 0
