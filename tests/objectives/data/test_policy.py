from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.data.blend import Weigh
from objectives.data.policy import DEFAULT_POLICY, DEFAULTS, NO_ROWS, Action, DataPolicy, Finding

epochs = st.decimals("0.001", 1000, places=3)


class TestLimit:
    @given(st.integers(0, 10**9), epochs)
    def test_is_the_whole_rows_of_so_many_passes(self, size: int, epochs: object) -> None:
        exact = math.floor(size * Fraction(str(epochs)))
        assert DataPolicy(max_epochs=float(str(epochs))).limit(size, None) == exact
        assert DataPolicy().limit(size, float(str(epochs))) == exact

    @pytest.mark.parametrize(
        ("size", "study", "own", "limit"),
        [
            (100, None, None, None),
            (100, 4, None, 400),
            (100, 4, 2, 200),
            (100, 2, 4, 400),
            (100, None, 1.5, 150),
            (3, 0.5, None, 1),
            (1, 0.5, None, 0),
            (0, 8, None, 0),
            (100, 0.29, None, 29),  # 28.999999999999996 in floating point
            (100, 1.15, None, 115),
            (10, 1e-7, None, 0),
            (7, 1e9, None, 7_000_000_000),
        ],
    )
    def test_prefers_the_domains_own(self, size: int, study: float, own: float, limit: int | None) -> None:
        found = DataPolicy(max_epochs=study).limit(size, own)
        assert found == limit
        assert found is None or type(found) is int


class TestDrops:
    def test_are_what_is_to_be_left_out(self) -> None:
        actions = {**DEFAULTS, Finding.DUPLICATES: Action.DROP, Finding.TOO_LONG: Action.DROP}
        assert DataPolicy(actions=actions).drops == {Finding.DUPLICATES, Finding.TOO_LONG}

    def test_are_none_by_default(self) -> None:
        assert DEFAULT_POLICY.drops == frozenset()


def test_every_finding_has_an_action() -> None:
    assert set(DEFAULTS) == set(Finding)
    assert {finding for finding, action in DEFAULTS.items() if action is Action.ERROR} == {*NO_ROWS, Finding.LEAKAGE}


def test_a_study_that_says_nothing_weighs_rows_and_caps_nothing() -> None:
    assert DEFAULT_POLICY.weigh_by is Weigh.ROWS
    assert DEFAULT_POLICY.max_epochs is None
    assert DEFAULT_POLICY.near is None
