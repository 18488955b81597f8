from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.errors import MixtureError
from objectives.mixture import Mixture
from objectives.two_level import TwoLevel, fixed_point

SIDES = {"customer": ["a", "b"], "platform": ["x", "y", "z"]}


@st.composite
def mixtures(draw: st.DrawFn) -> tuple[Mixture, dict[str, list[str]]]:
    """A mixture and sides of it, in any order; some of them have nothing."""
    names = [f"d{i}" for i in range(draw(st.integers(2, 9)))]
    of = {name: draw(st.sampled_from("pqr")) for name in names}
    sides = {side: draw(st.permutations([name for name in names if of[name] == side])) for side in "rpq"}
    sides = {side: members for side, members in sides.items() if members}
    empty = draw(st.sets(st.sampled_from(sorted(sides)), max_size=len(sides) - 1))
    share = st.sampled_from([0.0, 1e-9, 1.0]) | st.floats(0, 1)
    weights = {name: 0.0 if of[name] in empty else draw(share) for name in names}
    if sum(weights.values()) < 1e-12:
        weights[next(name for name in names if of[name] not in empty)] = 1.0
    return Mixture.from_weights(weights), sides


@given(mixtures())
def test_a_mixture_survives_both_ways(given_one: tuple[Mixture, dict[str, list[str]]]) -> None:
    mixture, sides = given_one
    found = TwoLevel.of(mixture, sides)
    back = found.mixture()
    assert back.names == mixture.names
    assert back.shares == pytest.approx(mixture.shares, rel=1e-12, abs=1e-12)
    assert math.fsum(back.shares) == 1.0
    assert math.fsum(side.share for _, side in found.sides) == 1.0
    for name, side in found.sides:
        assert side.inner.names == tuple(sides[name]) and math.fsum(side.inner.shares) == 1.0
    # 0 stays 0, and what had all of it still has.
    assert [share == 0 for share in back.shares] == [share == 0 for share in mixture.shares]
    again = TwoLevel.of(back, sides)
    assert [side.share for _, side in again.sides] == pytest.approx([side.share for _, side in found.sides], abs=1e-12)


@given(mixtures(), st.integers(0, 6))
def test_rounded_percentages_sum_to_exactly_100(given_one: tuple[Mixture, dict[str, list[str]]], decimals: int) -> None:
    mixture, sides = given_one
    two = TwoLevel.of(mixture, sides)
    found = two.rounded(decimals)
    step = 10.0**-decimals
    assert sum(map(Decimal, found.percent.values())) == 100
    for name, side in two.sides:
        inside = found.inner_percent[name]
        assert sum(map(Decimal, inside.values())) == 100 and all(
            len(p.partition(".")[2]) == decimals for p in inside.values()
        )
        assert abs(float(found.percent[name]) - 100 * side.share) < step * (1 + 1e-6)
        for domain, share in side.inner.items():
            assert abs(float(inside[domain]) - 100 * share) < step * (1 + 1e-6)
    realised = found.mixture()
    assert math.fsum(realised.shares) == 1.0 and realised.names == mixture.names
    for side_name, inside in found.inner_percent.items():
        for domain, percent in inside.items():
            exact = Decimal(found.percent[side_name]) * Decimal(percent) / 10_000
            assert realised[domain] == pytest.approx(float(exact), abs=1e-15)
    assert TwoLevel.of(realised, sides).rounded(decimals).percent == found.percent


def test_a_side_without_a_share_says_what_it_would_be_made_of() -> None:
    mixture = Mixture.of({"a": 0.25, "x": 0.0, "y": 0.0, "b": 0.75, "z": 0.0})
    alike = TwoLevel.of(mixture, SIDES)
    assert dict(alike.sides)["platform"].inner.shares == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    found = TwoLevel.of(mixture, SIDES, {"platform": {"z": 2, "y": 1, "x": 1}, "customer": {"a": 1, "b": 1}})
    assert dict(found.sides)["platform"].inner == Mixture.of({"x": 0.25, "y": 0.25, "z": 0.5})
    assert [side.share for _, side in found.sides] == [1.0, 0.0]
    assert found.mixture() == mixture
    rounded = found.rounded(1)
    assert rounded.percent == {"customer": "100.0", "platform": "0.0"}
    assert rounded.inner_percent == {
        "customer": {"a": "25.0", "b": "75.0"},
        "platform": {"x": "25.0", "y": "25.0", "z": "50.0"},
    }
    assert rounded.mixture() == mixture


def test_decimals_are_fixed_point() -> None:
    found = TwoLevel.of(Mixture.of({"a": 0.07, "b": 0.0, "x": 0.31, "y": 0.31, "z": 0.31}), SIDES)
    assert found.rounded(0).percent == {"customer": "7", "platform": "93"}
    assert found.rounded(2).inner_percent["platform"] == {"x": "33.34", "y": "33.33", "z": "33.33"}
    assert found.rounded(3).percent["customer"] == "7.000"


@given(st.integers(0, 10**9), st.integers(0, 6))
def test_a_number_of_units_is_told_without_loss(units: int, decimals: int) -> None:
    told = fixed_point(units, decimals)
    assert Decimal(told) == Decimal(units).scaleb(-decimals)
    assert len(told.partition(".")[2]) == decimals and ("." in told) == bool(decimals)


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        ({"customer": ["a", "b"], "platform": ["x", "y"]}, "each domain must be in a side, found none for z"),
        (
            {"customer": ["a", "b", "x"], "platform": ["x", "y", "z"]},
            "'x' is in side 'customer' and in side 'platform'",
        ),
        ({"customer": ["a", "b", "w"], "platform": ["x", "y", "z"]}, "names 'w', which is none of the mixture's a, b"),
        ({**SIDES, "other": []}, "side 'other' has no domains, expected one or more"),
    ],
)
def test_sides_hold_each_domain_once(sides: dict[str, list[str]], message: str) -> None:
    with pytest.raises(MixtureError, match=message):
        TwoLevel.of(Mixture.uniform("abxyz"), sides)


def test_default_proportions_are_of_the_sides_domains() -> None:
    mixture = Mixture.of({"a": 1.0, "b": 0.0, "x": 0.0, "y": 0.0, "z": 0.0})
    with pytest.raises(
        MixtureError, match="default proportions of side 'platform' must be of its domains x, y, z, fou"
    ):
        TwoLevel.of(mixture, SIDES, {"platform": {"x": 1, "y": 1}})
