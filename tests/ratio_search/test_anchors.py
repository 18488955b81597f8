from __future__ import annotations

import pytest

from objectives.mixture import Mixture
from ratio_search.anchors import Anchor, anchors
from ratio_search.space import SimplexSpace

FREE = SimplexSpace.of(dict.fromkeys("abc", (0.0, 1.0)))
ROWS = {"a": 60, "b": 30, "c": 10}


def mixture(*shares: float) -> Mixture:
    return Mixture.of(dict(zip("abc", shares, strict=True)))


def test_natural_and_uniform_come_first_and_then_todays_mixture() -> None:
    today = mixture(0.5, 0.5, 0.0)
    assert anchors(FREE, ROWS, today) == (
        Anchor(name="natural", mixture=mixture(0.6, 0.3, 0.1)),
        Anchor(name="uniform", mixture=Mixture.uniform("abc")),
        Anchor(name="current", mixture=today),
    )
    assert [anchor.name for anchor in anchors(FREE, ROWS, None)] == ["natural", "uniform"]


def test_one_that_the_bounds_forbid_is_projected_and_says_so() -> None:
    space = SimplexSpace.of({"a": (0.0, 0.4), "b": (0.0, 1.0), "c": (0.0, 1.0)})
    natural, uniform = anchors(space, ROWS, None)
    assert natural.name == "natural (projected)"
    assert natural.mixture in space
    assert natural.mixture.shares == pytest.approx((0.4, 0.4, 0.2))
    assert uniform.name == "uniform"


def test_equal_ones_are_run_once_under_all_their_names() -> None:
    [only] = anchors(FREE, dict.fromkeys("abc", 20), Mixture.uniform("abc"))
    assert only == Anchor(name="natural = uniform = current", mixture=Mixture.uniform("abc"))


def test_equal_ones_may_have_become_so_by_projection() -> None:
    space = SimplexSpace.of({"a": (0.9, 1.0), "b": (0.0, 0.0), "c": (0.0, 1.0)})
    [only] = anchors(space, {"a": 1, "b": 1, "c": 1}, Mixture.of({"a": 0.0, "b": 0.5, "c": 0.5}))
    assert only.name == "natural (projected) = uniform (projected) = current (projected)"
    assert only.mixture.shares == pytest.approx((0.9, 0.0, 0.1))


def test_a_row_in_a_thousand_makes_two_of_them() -> None:
    assert len(anchors(FREE, {"a": 333, "b": 333, "c": 334}, None)) == 2
    assert len(anchors(FREE, {"a": 33_333, "b": 33_333, "c": 33_334}, None)) == 1


def test_todays_mixture_may_name_its_domains_in_any_order() -> None:
    *_, current = anchors(FREE, ROWS, Mixture.of({"c": 0.2, "a": 0.3, "b": 0.5}))
    assert current.mixture["b"] == 0.5


def test_there_are_no_natural_shares_where_the_size_of_a_domain_is_not_known() -> None:
    today = mixture(0.5, 0.5, 0.0)
    for known in ({}, {"a": 60, "b": 30}):
        assert [anchor.name for anchor in anchors(FREE, known, today)] == ["uniform", "current"]
    [only] = anchors(FREE, {}, None)
    assert only == Anchor(name="uniform", mixture=Mixture.uniform("abc"))
