from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.mixture import Mixture
from ratio_search.hyperparameters import Choice, Hyperparameter, Real, Whole
from ratio_search.model.points import Points, PointSpace
from ratio_search.space import SimplexSpace
from tests.ratio_search.asked import Asked, asked

SEEDS = st.integers(0, 2**32 - 1)
SEARCHED: dict[str, Hyperparameter] = {
    "rate": Real(low=1e-5, high=1e-2, log=True),
    "rank": Whole(low=4, high=64, step=4),
    "schedule": Choice(choices=("linear", "cosine", "none")),
}
KINDS = st.sets(st.sampled_from(sorted(SEARCHED))).map(lambda names: {name: SEARCHED[name] for name in sorted(names)})
ABC = SimplexSpace.of(dict.fromkeys("abc", (0.0, 1.0)))


def one(space: PointSpace, seed: int = 0) -> Points:
    """A point that may be tried."""
    drawn = space.sample(1, np.random.default_rng(seed))
    return Points(shares=np.array([space.simplex.mixture(drawn.shares[0]).shares]), settings=drawn.settings)


def wrong(points: Points, wanted: Asked, space: PointSpace) -> list[object]:
    """What points would not keep as trials."""
    found: list[object] = []
    for shares, values in zip(points.shares, points.settings, strict=True):
        found += wanted.wrong(space.simplex.mixture(shares))
        found += [(name, values[name]) for name, kind in space.hyperparameters.items() if values[name] not in kind]
        found += [name for name in values if name not in space.hyperparameters]
    return found


class TestInside:
    """Whatever a space asks, what it offers keeps it."""

    @settings(max_examples=25, deadline=None)
    @given(asked(most=5), KINDS, SEEDS)
    def test_draws(self, wanted: Asked, kinds: dict[str, Hyperparameter], seed: int) -> None:
        space = PointSpace(simplex=wanted.space, hyperparameters=kinds)
        points = space.sample(20, np.random.default_rng(seed))
        assert len(points) == 20 and points.shares.shape == (20, len(wanted.bounds))
        assert not wrong(points, wanted, space)
        assert space.coordinates(points).shape == (20, space.inputs)

    @settings(max_examples=25, deadline=None)
    @given(asked(most=5), KINDS, SEEDS)
    def test_what_is_around_a_point(self, wanted: Asked, kinds: dict[str, Hyperparameter], seed: int) -> None:
        space, rng = PointSpace(simplex=wanted.space, hyperparameters=kinds), np.random.default_rng(seed)
        points = space.around(one(space, seed), 40, rng)
        assert len(points) == len(points.shares) == len(points.settings)
        assert not wrong(points, wanted, space)

    @settings(max_examples=25, deadline=None)
    @given(asked(most=5), KINDS, SEEDS)
    def test_what_one_step_reaches(self, wanted: Asked, kinds: dict[str, Hyperparameter], seed: int) -> None:
        space, rng = PointSpace(simplex=wanted.space, hyperparameters=kinds), np.random.default_rng(seed)
        start = one(space, seed)
        points = space.neighbours(start, (0.1, 0.01), 400, rng)
        assert not wrong(points, wanted, space)
        for shares, values in zip(points.shares, points.settings, strict=True):
            assert space.allows(shares, values)
            moved = np.abs(shares - start.shares[0]).max() > 1e-12
            assert moved + sum(values[name] != start.settings[0][name] for name in kinds) == 1


class TestNeighbours:
    def test_they_reach_exactly_0_and_each_amount(self) -> None:
        space = PointSpace(simplex=ABC)
        start = space.points([Mixture.of({"a": 0.3, "b": 0.3, "c": 0.4})], [{}])
        shares = space.neighbours(start, (0.1,), 400, np.random.default_rng(0)).shares
        assert all(np.any(shares[:, i] == 0.0) for i in range(3))
        assert {round(abs(step), 6) for row in shares - start.shares for step in row} == {0.0, 0.1, 0.3, 0.4}

    def test_of_too_many_transfers_a_part_is_taken_and_all_hyperparameters(self) -> None:
        space = PointSpace(simplex=ABC, hyperparameters=SEARCHED)
        start = one(space)
        every = space.neighbours(start, (0.1, 0.01), 400, np.random.default_rng(0))
        few = space.neighbours(start, (0.1, 0.01), 3, np.random.default_rng(0))
        still = np.all(few.shares == start.shares, axis=1)
        assert np.sum(~still) == 3 < np.sum(np.any(every.shares != start.shares, axis=1))
        changed = [{name for name in SEARCHED if values[name] != start.settings[0][name]} for values in few.settings]
        assert set().union(*changed) == set(SEARCHED)
        others = [values["schedule"] for values in few.settings if values["schedule"] != start.settings[0]["schedule"]]
        assert len(set(others)) == len(others) == 2


class TestAround:
    @pytest.mark.parametrize("at_most", [None, 2])
    def test_most_are_near_and_some_are_far(self, at_most: int | None) -> None:
        names = dict.fromkeys("abcde", (0.0, 1.0))
        space = PointSpace(simplex=SimplexSpace.of(names, at_most=at_most))
        centre = one(space, 3)
        points = space.around(centre, 200, np.random.default_rng(0))
        apart = 0.5 * np.abs(points.shares - centre.shares).sum(axis=1)
        drawn = 0.5 * np.abs(space.sample(200, np.random.default_rng(1)).shares - centre.shares).sum(axis=1)
        # Many steps from a sparse mixture give a domain's whole share to another one.
        assert np.median(apart) < np.median(drawn) * (0.5 if at_most is None else 0.8)
        assert apart.max() > 0.2
        assert len(np.unique(points.shares.round(9), axis=0)) > 50

    def test_each_hyperparameter_stays_more_often_than_it_moves(self) -> None:
        space = PointSpace(simplex=ABC, hyperparameters=SEARCHED)
        centre = one(space)
        settled = space.around(centre, 200, np.random.default_rng(0)).settings
        for name in SEARCHED:
            kept = np.mean([values[name] == centre.settings[0][name] for values in settled])
            assert 0.5 < kept < 1, name

    def test_the_same_generator_gives_the_same(self) -> None:
        space = PointSpace(simplex=ABC, hyperparameters=SEARCHED)
        first, again = (space.around(one(space), 50, np.random.default_rng(4)) for _ in range(2))
        assert np.array_equal(first.shares, again.shares) and first.settings == again.settings


class TestCoordinates:
    def test_they_are_shares_then_hyperparameters(self) -> None:
        space = PointSpace(simplex=ABC, hyperparameters=SEARCHED)
        mixture = Mixture.of({"c": 0.5, "a": 0.2, "b": 0.3})
        points = space.points([mixture], [{"schedule": "cosine", "rank": 34, "rate": 10**-3.5}])
        assert space.inputs == 8
        [row] = space.coordinates(points)
        assert row[:5] == pytest.approx([0.2, 0.3, 0.5, 0.5, 0.5])
        assert row[5] == row[7] == 0 < row[6]

    def test_of_no_points_there_are_none(self) -> None:
        for kinds in ({}, SEARCHED):
            space = PointSpace(simplex=ABC, hyperparameters=kinds)
            assert space.coordinates(space.points([], [])).shape == (0, space.inputs)


def test_a_point_is_allowed_with_its_settings_only() -> None:
    space = PointSpace(simplex=SimplexSpace.of({"a": (0.1, 0.6), "b": (0.0, 1.0)}), hyperparameters=SEARCHED)
    good = {"rate": 1e-3, "rank": 8, "schedule": "none"}
    assert space.allows(np.array([0.5, 0.5]), good)
    assert not space.allows(np.array([0.7, 0.3]), good)
    assert not space.allows(np.array([0.5, 0.5]), {**good, "rank": 6})
    assert not space.allows(np.array([0.5, 0.5]), {**good, "rate": 0.1})


def test_points_are_chosen_and_joined_with_their_settings() -> None:
    space = PointSpace(simplex=ABC, hyperparameters=SEARCHED)
    points = space.sample(5, np.random.default_rng(0))
    mixed = Points.joined([points[[3]], points[:2], points[np.array([], dtype=np.intp)]])
    assert len(mixed) == 3
    assert np.array_equal(mixed.shares, points.shares[[3, 0, 1]])
    assert mixed.settings == tuple(points.settings[i] for i in (3, 0, 1))


def test_its_coordinates_are_those_of_the_shares_and_of_each_hyperparameter() -> None:
    space = PointSpace(simplex=ABC, hyperparameters=SEARCHED)
    shares, rate, rank, schedule = space.parts
    points = one(space)
    found, values = space.coordinates(points)[0], points.settings[0]
    assert np.array_equal(found[shares], points.shares[0])
    for name, part in {"rate": rate, "rank": rank, "schedule": schedule}.items():
        assert tuple(found[part]) == SEARCHED[name].encode(values[name])
    assert schedule.stop == space.inputs and PointSpace(simplex=ABC).parts == (slice(0, 3),)
