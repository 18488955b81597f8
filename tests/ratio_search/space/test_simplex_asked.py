"""Spaces with groups, a limit of domains, and a grid: all that comes out of them is inside, exact and best."""

from __future__ import annotations

import copy
import math
import pickle
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from objectives.mixture import Mixture
from ratio_search.errors import SpaceError
from ratio_search.space import Group, SimplexSpace
from tests.ratio_search.asked import Asked, asked, exact

SEEDS = st.integers(0, 2**32 - 1)
FREE = dict.fromkeys("abcde", (0.0, 1.0))


def anything(names: tuple[str, ...], rng: np.random.Generator) -> Mixture:
    """A mixture that heeds nothing; some domains have none."""
    weights = rng.random(len(names)) ** 3 * (rng.random(len(names)) < 0.7)
    weights[rng.integers(len(names))] += 0.1
    return Mixture.from_weights(dict(zip(names, weights.tolist(), strict=True)))


class TestBounds:
    @settings(max_examples=40, deadline=None)
    @given(asked(), st.data())
    def test_they_are_what_branch_and_bound_finds(self, wanted: Asked, data: st.DataObject) -> None:
        space = wanted.space
        i = data.draw(st.integers(0, len(space.names) - 1))
        costs = np.eye(len(space.names))[i]
        assert space.lower[i] == pytest.approx(wanted.least(costs), abs=1e-5)
        assert space.upper[i] == pytest.approx(-wanted.least(-costs), abs=1e-5)
        for group in space.groups:
            costs = np.array([float(name in group.domains) for name in space.names])
            assert group.lower == pytest.approx(wanted.least(costs), abs=1e-5)
            assert group.upper == pytest.approx(-wanted.least(-costs), abs=1e-5)

    @settings(max_examples=50)
    @given(asked())
    def test_stating_them_again_changes_nothing(self, wanted: Asked) -> None:
        space = wanted.space
        bounds = dict(zip(space.names, zip(space.lower, space.upper, strict=True), strict=True))
        again = SimplexSpace.of(bounds, groups=space.groups, at_most=space.at_most, grid=space.grid)
        assert np.array(again.lower) == pytest.approx(np.array(space.lower), abs=1e-12)
        assert np.array(again.upper) == pytest.approx(np.array(space.upper), abs=1e-12)

    @settings(max_examples=40)
    @given(asked(sparse=False))
    def test_the_dimension_is_that_of_many_draws(self, wanted: Asked) -> None:
        space = wanted.space
        spans = np.subtract(space.upper, space.lower)
        assume(np.all((spans < 1e-9) | (spans > 1e-3)))
        assume(all(not 1e-9 < group.upper - group.lower < 1e-3 for group in space.groups))
        shares = space.sample(60, np.random.default_rng(0))
        assert np.linalg.matrix_rank(shares - shares.mean(axis=0), tol=1e-6) == space.dimension

    def test_a_limit_lowers_the_dimension(self) -> None:
        assert SimplexSpace.of(FREE).dimension == 4
        assert SimplexSpace.of(FREE, at_most=3).dimension == 2
        pair = Group.of("pair", ["a", "b"], proportions={"a": 1, "b": 1})
        assert SimplexSpace.of(FREE, groups=[pair], at_most=4).dimension == 2

    def test_they_compare_hash_and_survive_pickling(self) -> None:
        made = [SimplexSpace.of(FREE, groups=[Group.of("g", ["a", "b"], (0.1, 0.5))], at_most=3) for _ in "12"]
        other = SimplexSpace.of(FREE, groups=[Group.of("g", ["a", "b"], (0.1, 0.4))], at_most=3)
        assert made[0] == made[1] != other and len({*made, other}) == 2
        for twin in (pickle.loads(pickle.dumps(made[0])), copy.deepcopy(made[0])):
            assert twin == made[0]
            assert twin.project(Mixture.uniform("abcde")) in made[0]


class TestRefusals:
    @pytest.mark.parametrize(
        ("bounds", "asks", "at", "message"),
        [
            ({}, {"groups": [("g", ["a", "b"], (0.6, 1)), ("h", ["c"], (0.5, 1))]}, None,
             "the lowest shares sum to 1.1 (group g 0.6, group h 0.5, d 0, e 0), expected at most 1; lower some"),
            ({"e": (0.5, 1)}, {"groups": [("g", ["a", "b"], (0.6, 1))]}, None,
             "the lowest shares sum to 1.1 (group g 0.6, c 0, d 0, e 0.5), expected at most 1; lower some of them"),
            ({"c": (0, 0.1), "d": (0, 0.1), "e": (0, 0.1)}, {"groups": [("g", ["a", "b"], (0, 0.6))]}, None,
             "the highest shares sum to 0.9 (group g 0.6, c 0.1, d 0.1, e 0.1), expected at least 1; raise some"),
            ({"a": (0.2, 1), "b": (0.3, 1)}, {"groups": [("g", ["a", "b"], (0, 0.4))]}, "search.space.groups.g.share",
             "the lowest shares in group 'g' sum to 0.5 (a 0.2, b 0.3), expected at most 0.4, its highest; lower some"),
            ({"a": (0, 0.2), "b": (0, 0.1)}, {"groups": [("g", ["a", "b"], (0.4, 1))]}, "search.space.groups.g.share",
             "the highest shares in group 'g' sum to 0.3 (a 0.2, b 0.1), expected at least 0.4, its lowest; raise"),
            ({"a": (0.5, 1), "b": (0, 0.2)}, {"groups": [("g", ["a", "b"], (0, 1), {"a": 1, "b": 1})]},
             "search.space.groups.g.proportions",
             "with these proportions the lowest share of a takes group 'g' to 1, but the highest share of b allows"),
            ({}, {"groups": [("g", ["a", "supprt"])]}, "search.space.groups.g.domains", "'supprt' is no domain with a"),
            ({"support": (0, 1)}, {"groups": [("g", ["a", "supprt"])]}, "search.space.groups.g.domains",
             "did you mean 'support'?"),
            ({}, {"groups": [("g", ["a"]), ("h", ["b", "a"])]}, "search.space.groups.h.domains",
             "'a' is in group 'g' too, expected it in one only; remove it from one"),
            ({}, {"groups": [("g", ["a"]), ("g", ["b"])]}, "search.space.groups.g", "two groups are called 'g'"),
            ({}, {"at_most": 0}, "search.space.at_most", "expected at least 1 domain above 0, found 0"),
            ({"a": (0.1, 1), "b": (0.2, 1), "c": (0.1, 1)}, {"at_most": 2}, "search.space.at_most",
             "3 domains have a lowest share above 0 (a 0.1, b 0.2, c 0.1), expected at most 2; lower some"),
            (dict.fromkeys("abcde", (0, 0.3)), {"at_most": 3}, "search.space.at_most",
             "the highest shares of any 3 domains sum to at most 0.9, expected at least 1; raise some of them, or"),
            ({}, {"groups": [("g", ["a"], (0.1, 1)), ("h", ["b", "c"], (0.1, 1)), ("k", ["d"], (0.1, 1))],
                  "at_most": 2}, "search.space.at_most", "no 2 domains keep the lowest shares of all groups"),
            ({}, {"groups": [("g", ["a", "b"], (0.1, 1)), ("h", ["c", "d"], (0.1, 1))], "at_most": 1},
             "search.space.at_most", "no 1 domains keep the lowest shares of all groups; lower these, or raise"),
            ({"a": (0.123, 0.127)}, {"grid": 0.01}, "domains.a.share",
             "on a grid of 0.01 no share lies from 0.123 to 0.127, the bounds of a; widen them, or choose a finer"),
            ({}, {"groups": [("g", ["a", "b"], (0.25, 0.28))], "grid": 0.1}, "search.space.groups.g.share",
             "on a grid of 0.1 no share lies from 0.25 to 0.28, the bounds of group g"),
            ({"a": (0.45, 1), "b": (0.35, 1), "c": (0.19, 1)}, {"grid": 0.1}, "search.space.grid",
             "on a grid of 0.1 the lowest shares sum to 1.1 (a 0.5, b 0.4, c 0.2, d 0, e 0), expected at most 1"),
            ({}, {"grid": 0.03}, "search.space.grid", "found 0.03, expected 1/N for a whole N from 2 to 100,000, such"),
            ({}, {"grid": 1.0}, "search.space.grid", "found 1, expected 1/N"),
            ({}, {"grid": 1e-6}, "search.space.grid", "found 1e-06, expected 1/N"),
            ({"e": (0, 0)}, {"groups": [("g", ["a", "b", "c", "d"], (0, 1), dict.fromkeys("abcd", 1))]}, None,
             "they leave one mixture only (a 0.25, b 0.25, c 0.25, d 0.25, e 0), so there is nothing to search"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_says_where_and_why(
        self, bounds: dict[str, tuple[float, float]], asks: dict[str, Any], at: str | None, message: str
    ) -> None:
        with pytest.raises(SpaceError, match=re.escape(message)) as error:
            groups = [Group.of(*group) for group in asks.pop("groups", [])]
            SimplexSpace.of({**FREE, **bounds}, groups=groups, **asks)
        assert error.value.at == at


class TestMixture:
    @settings(max_examples=50)
    @given(asked(), SEEDS)
    def test_it_is_inside_and_exact_and_each_part_moves_less_than_a_step(self, wanted: Asked, seed: int) -> None:
        space = wanted.space
        for shares in space.sample(5, np.random.default_rng(seed)):
            mixture = space.mixture(shares)
            assert mixture in space and exact(mixture) and not wanted.wrong(mixture)
            change = dict(zip(space.names, np.array(mixture.shares) - shares, strict=True))
            for part in wanted.parts.values():
                assert abs(sum(change[name] for name in part)) < (wanted.grid or 1e-12)
            assert space.mixture(mixture.shares).shares == pytest.approx(mixture.shares, abs=1e-15)

    def test_a_grids_shares_are_the_nicest_floats(self) -> None:
        space = SimplexSpace.of(FREE, grid=0.001)
        for shares in space.sample(300, np.random.default_rng(0)):
            found = np.array(space.mixture(shares).shares)
            nice = np.rint(found * 1000) / 1000
            assert math.fsum(found) == 1.0
            # One may take up the last bit of the sum.
            assert np.sum(found != nice) <= (math.fsum(nice) != 1.0)

    def test_groups_are_rounded_first(self) -> None:
        group = Group.of("g", ["a", "b", "c"])
        bounded = SimplexSpace.of(FREE, groups=[Group.of("g", ["a", "b", "c"], (0.1, 0.2))], grid=0.1)
        shares = [0.05, 0.05, 0.06, 0.42, 0.42]
        assert bounded.mixture(shares).shares == pytest.approx((0.1, 0.0, 0.1, 0.4, 0.4))
        assert SimplexSpace.of(FREE, groups=[group], grid=0.1).mixture(shares) in bounded

    def test_a_share_of_0_stays_0(self) -> None:
        space = SimplexSpace.of(FREE)
        for _ in range(20):
            shares = np.array([0.0, 0.1, 0.2, 0.3, 0.4]) * (1 + 1e-11)
            assert space.mixture(shares)["a"] == 0.0

    @pytest.mark.parametrize(
        ("asks", "shares"),
        [
            ({"groups": [Group.of("g", ["a", "b"], (0.1, 0.5))]}, (0.3, 0.3, 0.4, 0, 0)),
            ({"groups": [Group.of("g", ["a", "b"], (0.1, 0.5))]}, (0, 0.05, 0.95, 0, 0)),
            ({"groups": [Group.of("g", ["a", "b"], proportions={"a": 1, "b": 2})]}, (0.2, 0.2, 0.6, 0, 0)),
            ({"at_most": 2}, (0.2, 0.2, 0.6, 0, 0)),
            ({"grid": 0.1}, (0.25, 0.25, 0.5, 0, 0)),
        ],
    )
    def test_what_keeps_the_bounds_alone_is_outside(self, asks: Any, shares: tuple[float, ...]) -> None:
        mixture = Mixture.of(dict(zip("abcde", shares, strict=True)))
        space = SimplexSpace.of(FREE, **asks)
        assert mixture in SimplexSpace.of(FREE) and mixture not in space
        assert space.mixture(mixture.shares) in space


class TestProjection:
    @settings(max_examples=50, deadline=None)
    @given(asked(), SEEDS)
    def test_it_is_inside_exact_and_stays_there(self, wanted: Asked, seed: int) -> None:
        space = wanted.space
        found = space.project(anything(space.names, np.random.default_rng(seed)))
        assert found in space and exact(found) and not wanted.wrong(found)
        assert space.project(found).shares == pytest.approx(found.shares, abs=1e-9)

    @settings(max_examples=50, deadline=None)
    @given(asked(grids=(None,), sparse=False), SEEDS)
    def test_nothing_inside_is_nearer(self, wanted: Asked, seed: int) -> None:
        space, rng = wanted.space, np.random.default_rng(seed)
        outside = anything(space.names, rng)
        found = space.project(outside)
        residual = np.subtract(outside.shares, found.shares)
        others = space.sample(200, rng)
        assert np.linalg.norm(residual) <= np.linalg.norm(others - outside.shares, axis=1).min() + 1e-9
        # Nor in any direction that leads inside, which the draws near the point may miss.
        assert np.max((others - found.shares) @ residual) <= 1e-9
        assert -wanted.least(-residual) <= residual @ np.array(found.shares) + 1e-5

    @given(SEEDS, st.integers(1, 5))
    def test_the_largest_shares_are_kept(self, seed: int, at_most: int) -> None:
        outside = anything(tuple("abcde"), np.random.default_rng(seed))
        found = SimplexSpace.of(FREE, at_most=at_most).project(outside)
        kept = [name for name, share in found.items() if share > 0]
        dropped = [outside[name] for name in outside if name not in kept]
        assert len(kept) <= at_most and max(dropped, default=0.0) <= min(outside[name] for name in kept)

    def test_a_known_case(self) -> None:
        space = SimplexSpace.of(FREE, groups=[Group.of("g", ["a", "b"], (0.0, 0.4))])
        found = space.project(Mixture.of({"a": 0.5, "b": 0.2, "c": 0.3, "d": 0.0, "e": 0.0}))
        assert found.shares == pytest.approx((0.35, 0.05, 0.4, 0.1, 0.1))

    def test_settled_proportions_weigh_by_their_square(self) -> None:
        pair = Group.of("pair", ["a", "b"], proportions={"a": 1, "b": 1})
        space = SimplexSpace.of(dict.fromkeys("abc", (0.0, 1.0)), groups=[pair])
        # (z/2 - 0.8)^2 + (z/2)^2 + (1 - z - 0.2)^2 is smallest at z = 0.8.
        assert space.project(Mixture.of({"a": 0.8, "b": 0.0, "c": 0.2})).shares == pytest.approx((0.4, 0.4, 0.2))
