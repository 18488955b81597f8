from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from objectives.backends.external import ExternalBackend
from objectives.domain import Domain
from objectives.mixture import Mixture
from ratio_search.anchors import Anchor, anchors, usual_mixture
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


class Settings(ExternalBackend):
    """Those of a platform with data of its own."""

    share: float = 0.5

    @property
    def platform_categories(self) -> Mapping[str, float]:
        return {"code": 10.0, "chat": 0.5, "math": 2.0, "rag": 7.5}

    @property
    def platform_share(self) -> float:
        return self.share


def own(name: str) -> Domain:
    return Domain(name=name, train=(Path(name),))


def of_categories(name: str, **categories: float) -> Domain:
    return Domain(name=name, categories=categories)


class TestWhatIsUsualOnAPlatform:
    settings = Settings(kind="external")
    mixed = (
        own("a"),
        of_categories("x", code=1),
        own("b"),
        of_categories("y", chat=9, math=1),
        of_categories("z", rag=1),
    )

    def test_its_own_data_has_its_usual_share_and_the_teams_is_as_large_as_it_is(self) -> None:
        usual = usual_mixture(self.mixed, {"a": 300, "b": 100}, self.settings)
        assert usual is not None
        assert usual.names == ("a", "x", "b", "y", "z")
        # 10, 0.5 + 2 and 7.5 of 20: what a domain holds of a category does not change what is usual of them.
        assert usual.shares == pytest.approx((0.375, 0.25, 0.125, 0.0625, 0.1875))

    def test_its_share_is_its_own(self) -> None:
        usual = usual_mixture(self.mixed, {"a": 300, "b": 100}, Settings(kind="external", share=0.2))
        assert usual is not None and usual["a"] + usual["b"] == pytest.approx(0.8)

    def test_it_is_all_there_is_without_data_of_the_teams(self) -> None:
        usual = usual_mixture(self.mixed[1::2], {}, self.settings)
        assert usual is not None and usual.shares == pytest.approx((0.8, 0.2))

    def test_categories_that_nobody_knows_are_alike(self) -> None:
        mixed = (own("a"), of_categories("x", new=1), of_categories("y", newer=3))
        usual = usual_mixture(mixed, {"a": 3}, self.settings)
        assert usual is not None and usual.shares == pytest.approx((0.5, 0.25, 0.25))
        usual = usual_mixture((*mixed, of_categories("z", code=1)), {"a": 3}, self.settings)
        assert usual is not None and usual.shares == pytest.approx((0.5, 0.0, 0.0, 0.5))

    def test_there_is_none_where_all_data_is_the_teams(self) -> None:
        assert usual_mixture((own("a"), own("b")), {"a": 3, "b": 1}, self.settings) is None
        assert usual_mixture((Domain(name="a", elsewhere=True),), {}, ExternalBackend(kind="external")) is None

    def test_it_is_an_anchor_in_place_of_natural_shares(self) -> None:
        space = SimplexSpace.of({"a": (0.0, 1.0), "x": (0.0, 0.2)})
        usual = usual_mixture(self.mixed[:2], {"a": 300}, self.settings)
        [only] = anchors(space, {"a": 300}, None, usual)
        assert only.name == "usual (projected) = uniform (projected)"
        assert only.mixture.shares == pytest.approx((0.8, 0.2))
        free = SimplexSpace.of(dict.fromkeys(("a", "x", "b", "y", "z"), (0.0, 1.0)))
        usual = usual_mixture(self.mixed, {"a": 300, "b": 100}, self.settings)
        found = anchors(free, {"a": 300, "b": 100}, Mixture.uniform(("a", "x", "b", "y", "z")), usual)
        assert [anchor.name for anchor in found] == ["usual", "uniform = current"]
