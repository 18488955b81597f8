from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.base import Value
from ratio_search.errors import SpaceError
from ratio_search.hyperparameters import HOT, Choice, Hyperparameter, Real, Whole, told

METHODS = Choice(choices=("lora", "full", "none"))


@st.composite
def reals(draw: st.DrawFn) -> Real:
    log = draw(st.booleans())
    low = draw(st.floats(1e-9, 1e3) if log else st.floats(-1e3, 1e3))
    return Real(low=low, high=low + draw(st.floats(1e-3, 1e3)), log=log)


@st.composite
def wholes(draw: st.DrawFn) -> Whole:
    log = draw(st.booleans())
    low = draw(st.integers(1, 500) if log else st.integers(-500, 500))
    step = 1 if log else draw(st.integers(1, 50))
    return Whole(low=low, high=low + step * draw(st.integers(1, 100)), step=step, log=log)


choices = st.lists(st.text(max_size=4) | st.integers(2, 99), min_size=2, max_size=6, unique=True).map(
    lambda found: Choice(choices=tuple(found))
)
anything = reals() | wholes() | choices
seeds = st.integers(0, 2**32 - 1)


def draws(of: Hyperparameter, seed: int, n: int = 5) -> list[Value]:
    rng = np.random.default_rng(seed)
    return [of.random(rng) for _ in range(n)]


class TestEveryKind:
    @given(anything, seeds)
    def test_draws_are_values_and_repeat_with_the_seed(self, of: Hyperparameter, seed: int) -> None:
        found = draws(of, seed)
        assert all(value in of for value in found)
        assert draws(of, seed) == found

    @given(anything, seeds)
    def test_coordinates_lead_back_to_the_value(self, of: Hyperparameter, seed: int) -> None:
        for value in [*draws(of, seed), *of.probes]:
            coordinates = of.encode(value)
            assert len(coordinates) == of.width
            assert all(-1e-9 <= place <= 1 + 1e-9 for place in coordinates)
            back = of.decode(coordinates)
            assert back == (pytest.approx(value, rel=1e-6, abs=1e-6) if isinstance(of, Real) else value)

    @given(anything, seeds)
    def test_neighbours_are_other_values(self, of: Hyperparameter, seed: int) -> None:
        for value in [*draws(of, seed), *of.probes]:
            near = of.neighbours(value)
            assert near
            assert value not in near
            assert all(other in of for other in near)
            assert len(set(near)) == len(near)

    @given(anything, st.lists(st.floats(-2, 3), min_size=6, max_size=6))
    def test_any_coordinates_stand_for_a_value(self, of: Hyperparameter, coordinates: list[float]) -> None:
        assert of.decode(coordinates[: of.width] if of.width <= 6 else [0.0] * of.width) in of

    @given(anything, seeds)
    def test_the_nearest_of_a_value_is_itself(self, of: Hyperparameter, seed: int) -> None:
        for value in draws(of, seed):
            assert of.nearest(value) == value

    @given(anything)
    def test_probes_are_values(self, of: Hyperparameter) -> None:
        assert len(of.probes) >= 2
        assert all(value in of for value in of.probes)


class TestReal:
    def test_equal_steps_are_equal_differences_or_equal_ratios(self) -> None:
        assert Real(low=2, high=6).encode(3) == (0.25,)
        assert Real(low=1e-5, high=1e-3, log=True).encode(1e-4) == (pytest.approx(0.5),)
        assert Real(low=1e-5, high=1e-3, log=True).decode([0.5]) == pytest.approx(1e-4)

    def test_values_of_a_wider_range_lie_outside(self) -> None:
        assert Real(low=2, high=6).encode(8) == (1.5,)
        assert Real(low=1e-4, high=1e-3, log=True).encode(1e-5) == (pytest.approx(-1.0),)
        assert Real(low=1e-4, high=1e-3, log=True).encode(0) == (pytest.approx(-1.0),)

    def test_what_is_outside_is_no_value(self) -> None:
        of = Real(low=2, high=6)
        assert 6.0 in of and 2 in of
        assert 6.1 not in of and True not in of and "3" not in of
        assert (of.nearest(7), of.nearest(-1)) == (6, 2)

    def test_draws_fill_the_range_on_its_scale(self) -> None:
        found = [float(value) for value in draws(Real(low=1e-6, high=1.0, log=True), 0, 400)]
        assert 0.4 < sum(value < 1e-3 for value in found) / 400 < 0.6

    def test_a_probe_is_not_whole(self) -> None:
        assert any(not float(value).is_integer() for value in Real(low=1.0, high=50.0).probes)


class TestWhole:
    def test_only_its_steps_are_values(self) -> None:
        of = Whole(low=50, high=200, step=50)
        assert all(value in of for value in (50, 100, 150, 200))
        assert not any(value in of for value in (0, 75, 250, 100.0, True, "50"))
        assert [of.nearest(value) for value in (-3, 74, 76, 200, 999)] == [50, 50, 100, 200, 200]
        assert of.encode(100) == (pytest.approx(1 / 3),)

    def test_neighbours_have_the_next_ones(self) -> None:
        assert set(Whole(low=0, high=1000).neighbours(500)) >= {499, 501, 300, 700}
        assert Whole(low=1, high=2).neighbours(1) == (2,)
        assert Whole(low=50, high=200, step=50).neighbours(200) == (150,)

    @given(wholes(), st.integers(-5000, 5000))
    def test_the_nearest_is_nearer_than_any_other(self, of: Whole, value: int) -> None:
        found = of.nearest(value)
        assert found in of
        assert abs(found - value) == min(abs(n - value) for n in range(of.low, of.high + 1, of.step))

    def test_each_number_is_as_likely(self) -> None:
        found = draws(Whole(low=1, high=4), 0, 800)
        assert set(found) == {1, 2, 3, 4}
        assert all(140 < found.count(value) < 260 for value in (1, 2, 3, 4))

    def test_small_ones_are_likelier_on_a_logarithmic_scale(self) -> None:
        of = Whole(low=1, high=64, log=True)
        found = [int(value) for value in draws(of, 0, 400)]
        assert 0.4 < sum(value <= 5 for value in found) / 400 < 0.75
        assert of.decode([0.5]) == 8


class TestChoice:
    @given(choices)
    def test_two_of_them_are_at_a_distance_of_1(self, of: Choice) -> None:
        for first in of.choices:
            for second in of.choices:
                distance = math.dist(of.encode(first), of.encode(second))
                assert distance == pytest.approx(float(first != second))

    def test_coordinates_are_hot_where_it_is_taken(self) -> None:
        assert METHODS.encode("full") == (0.0, HOT, 0.0)
        assert METHODS.decode([0.1, 0.2, 0.15]) == "full"

    def test_what_is_none_of_them_becomes_the_first(self) -> None:
        assert (METHODS.nearest("none"), METHODS.nearest("qlora")) == ("none", "lora")
        assert "qlora" not in METHODS

    def test_neighbours_are_all_others(self) -> None:
        assert METHODS.neighbours("full") == ("lora", "none")


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("low", "high", "log", "message"),
        [
            (1, 1, False, "expected low < high, found 1 and 1"),
            (3, 2, False, "expected low < high, found 3 and 2"),
            (0, 2, True, "expected a low above 0 on a logarithmic scale, found 0"),
        ],
    )
    def test_ranges(self, low: int, high: int, log: bool, message: str) -> None:
        with pytest.raises(SpaceError) as error:
            Whole(low=low, high=high, log=log)
        assert str(error.value) == message
        with pytest.raises(SpaceError) as error:
            Real(low=low, high=high, log=log)
        assert str(error.value) == message

    def test_steps(self) -> None:
        with pytest.raises(SpaceError, match="found 1 to 50 by 2; 49 or 51 would be"):
            Whole(low=1, high=50, step=2)
        with pytest.raises(SpaceError, match="expected a step or log: true, found both"):
            Whole(low=1, high=51, step=2, log=True)
        with pytest.raises(SpaceError, match="expected a step of at least 1, found 0"):
            Whole(low=1, high=51, step=0)

    @pytest.mark.parametrize(
        ("found", "message"),
        [
            ((1,), "expected at least two choices, found 1"),
            ((), "expected at least two choices, found 0"),
            (("a", "b", "a"), "expected different choices, found 'a' and 'a'; remove one"),
            ((1, True), "expected different choices, found 1 and True; remove one"),
        ],
    )
    def test_choices(self, found: tuple[Value, ...], message: str) -> None:
        with pytest.raises(SpaceError) as error:
            Choice(choices=found)
        assert str(error.value) == message


def test_they_are_told_in_words() -> None:
    assert str(Real(low=1e-5, high=1e-3, log=True)) == "1e-05 to 0.001, logarithmic"
    assert str(Whole(low=50, high=200, step=50)) == "whole numbers from 50 to 200 by 50"
    assert str(METHODS) == "lora or full or none"
    assert [told(value) for value in (0.000123456, 5, "lora", True)] == ["0.0001235", "5", "lora", "True"]
