from __future__ import annotations

import re
from typing import Any

import pytest

from ratio_search.errors import SpaceError
from ratio_search.space.group import Group


def test_proportions_are_stated_as_weights() -> None:
    group = Group.of("g", ["a", "b", "c"], (0.1, 0.5), {"b": 1, "a": 2, "c": 1})
    assert group == Group(name="g", domains=("a", "b", "c"), lower=0.1, upper=0.5, proportions=(0.5, 0.25, 0.25))


def test_huge_weights_are_weights_too() -> None:
    assert Group.of("g", ["a", "b"], proportions={"a": 1.5e308, "b": 0.5e308}).proportions == (0.75, 0.25)


def test_any_sum_is_right_unless_bounds_are_stated() -> None:
    assert Group.of("g", ["a"]) == Group(name="g", domains=("a",), lower=0.0, upper=1.0, proportions=None)


@pytest.mark.parametrize(
    ("stated", "at", "message"),
    [
        (([],), "domains", "group 'g' has no domains, expected one or more"),
        ((["a", "b", "a"],), "domains", "'a' stands in group 'g' twice; remove one"),
        ((["support", "b"], (0, 1), {"suport": 1, "b": 1}), "proportions.suport", "did you mean 'support'?"),
        ((["a", "b"], (0, 1), {"a": 1}), "proportions", "a weight for each domain of group 'g', found none for b"),
        ((["a", "b"], (0, 1), {"a": 0, "b": 1}), "proportions.a", "found 0, expected a weight above 0; a domain that"),
        ((["a", "b"], (0, 1), {"a": 1, "b": 1e-9}), "proportions.b", "found 1e-09, expected at least a millionth of"),
        ((["a", "b"], (0, 1), {"a": float("nan"), "b": 1}), "proportions.a", "found nan, expected a weight above 0"),
    ],
)
def test_what_cannot_be_says_where_and_why(stated: tuple[Any, ...], at: str, message: str) -> None:
    with pytest.raises(SpaceError, match=re.escape(message)) as error:
        Group.of("g", *stated)
    assert error.value.at == f"search.space.groups.g.{at}"
