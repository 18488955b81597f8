from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.mixture import Mixture
from ratio_search.moves import OWN, SMALL, STEP, Moves, Part
from ratio_search.space import Group, SimplexSpace
from tests.ratio_search.asked import Asked, asked

FREE = SimplexSpace.of(dict.fromkeys("abc", (0.0, 1.0)))


def moves(space: SimplexSpace, *shares: float) -> Moves:
    return Moves.of(np.array(shares), space)


def part(of: Moves, name: str) -> Part:
    return next(part for part in of.parts if part.name == name)


def test_a_share_is_taken_from_all_others_in_proportion() -> None:
    found = moves(FREE, 0.5, 0.3, 0.2)
    step = found.step(part(found, "a"))
    assert (step.down, step.up) == (pytest.approx(STEP), pytest.approx(STEP))
    assert step.above == pytest.approx([0.55, 0.27, 0.18])
    assert step.below == pytest.approx([0.45, 0.33, 0.22])


def test_a_step_ends_where_the_space_does() -> None:
    found = moves(SimplexSpace.of({"a": (0.1, 0.52), "b": (0.0, 1.0), "c": (0.0, 1.0)}), 0.5, 0.48, 0.02)
    assert found.step(part(found, "a")).up == pytest.approx(0.02)
    assert found.step(part(found, "c")).down == pytest.approx(0.02)


def test_what_another_cannot_give_comes_from_the_rest() -> None:
    found = moves(SimplexSpace.of({"a": (0.0, 1.0), "b": (0.3, 1.0), "c": (0.0, 1.0)}), 0.4, 0.3, 0.3)
    above = found.step(part(found, "a")).above
    assert above[1] == pytest.approx(0.3)
    assert above[0] > 0.42 and above.sum() == pytest.approx(1)


def test_the_only_one_gives_to_all_others_alike() -> None:
    found = moves(FREE, 1.0, 0.0, 0.0)
    step = found.step(part(found, "a"))
    assert step.up == 0
    assert step.below == pytest.approx([0.95, 0.025, 0.025])


def test_a_fixed_share_cannot_move() -> None:
    found = moves(SimplexSpace.of({"a": (0.2, 0.2), "b": (0.0, 1.0), "c": (0.0, 1.0)}), 0.2, 0.4, 0.4)
    step = found.step(part(found, "a"))
    assert not step.possible
    assert np.array_equal(step.below, found.start) and np.array_equal(step.above, found.start)
    assert len(found.way(part(found, "a"))) == 1


def test_a_group_with_settled_proportions_moves_as_one() -> None:
    group = Group.of("law", ("a", "b"), proportions={"a": 1, "b": 3})
    space = SimplexSpace.of(dict.fromkeys("abcd", (0.0, 1.0)), groups=[group])
    found = moves(space, 0.1, 0.3, 0.4, 0.2)
    assert [(p.name, p.domains) for p in found.parts] == [("law", ("a", "b")), ("c", ("c",)), ("d", ("d",))]
    assert found.step(part(found, "law")).above == pytest.approx([0.1125, 0.3375, 0.4 * 0.55 / 0.6, 0.2 * 0.55 / 0.6])


def test_a_domain_that_there_is_no_room_for_cannot_move() -> None:
    found = moves(SimplexSpace.of(dict.fromkeys("abc", (0.0, 1.0)), at_most=2), 0.6, 0.4, 0.0)
    assert not found.step(part(found, "c")).possible
    assert found.step(part(found, "a")).possible


def test_a_grid_is_no_hindrance() -> None:
    found = moves(SimplexSpace.of(dict.fromkeys("abc", (0.0, 1.0)), grid=0.1), 0.5, 0.3, 0.2)
    assert found.step(part(found, "a")).up == pytest.approx(STEP)


@settings(max_examples=60, deadline=None)
@given(asked=asked(), seed=st.integers(0, 9))
def test_every_move_stays_inside_and_moves_what_it_should(asked: Asked, seed: int) -> None:
    space = asked.space
    [row] = space.sample(1, np.random.default_rng(seed))
    start = np.array(space.mixture(row).shares)
    found = Moves.of(start, space)
    loose = dataclasses.replace(asked, grid=None)
    for one in found.parts:
        way, own = found.way(one), float(one.share(start))
        shares = one.share(way)
        assert np.all(np.diff(shares) >= -1e-12)
        assert np.any(shares == own)
        step = found.step(one)
        assert -1e-12 <= step.down <= STEP + SMALL and -1e-12 <= step.up <= STEP + SMALL
        for moved in [*way, step.below, step.above]:
            assert not loose.wrong(Mixture.of(dict(zip(space.names, moved.tolist(), strict=True))))
            apart = 0.5 * np.abs(moved - start).sum()
            assert apart == 0 or abs(float(one.share(moved)) - own) >= OWN * apart
