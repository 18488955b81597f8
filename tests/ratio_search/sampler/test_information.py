from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratio_search.sampler.information import informed
from ratio_search.sampler.simplex_gp import Array

N = 4096


def value_of_information(worth: Array, seen: Array, known: Array | None = None) -> float:
    """By how much better the choice becomes, on average."""
    known = worth[:0] if known is None else known
    return float((informed(worth, np.vstack([known, seen])) - informed(worth, known)).mean())


@pytest.mark.parametrize("noise", [0.0, 0.5, 2.0])
def test_it_is_that_of_a_normal_bet_seen_through_noise(noise: float) -> None:
    """One choice is 0, the other standard normal: known exactly, their better one is worth sqrt(1 / (2 pi))."""
    rng = np.random.default_rng(0)
    bet = rng.standard_normal(N)
    worth, seen = np.stack([np.zeros(N), bet]), (bet + noise * rng.standard_normal(N))[None]
    expected = 1 / math.sqrt(2 * math.pi * (1 + noise**2))
    assert value_of_information(worth, seen) == pytest.approx(expected, abs=0.03)


def test_what_has_nothing_to_do_with_the_choices_is_worth_nothing() -> None:
    rng = np.random.default_rng(0)
    worth, seen = np.stack([np.zeros(N), rng.standard_normal(N)]), rng.standard_normal((8, N))
    assert value_of_information(worth, seen) == pytest.approx(0, abs=0.03)


def test_what_will_be_known_in_any_case_is_worth_nothing_more() -> None:
    rng = np.random.default_rng(0)
    bet = rng.standard_normal(N)
    worth = np.stack([np.zeros(N), bet])
    assert value_of_information(worth, bet[None], bet[None]) == pytest.approx(0, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.floats(-5, 5))
def test_a_single_choice_and_one_that_is_always_best_gain_nothing(seed: int, quantities: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    worth, seen = level + rng.standard_normal((1, 256)), rng.standard_normal((quantities, 256))
    assert value_of_information(worth, seen) == pytest.approx(0, abs=1e-9)
    assert value_of_information(np.vstack([worth, worth - 100]), seen) == pytest.approx(0, abs=1e-9)
