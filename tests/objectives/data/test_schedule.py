from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from objectives.data import schedule
from objectives.data.schedule import Feed, Schedule
from objectives.mixture import Mixture

ROUNDING = 1e-6
"""What the rounding of shares to multiples of 2**-32 can make of a few thousand turns."""


def units(lengths: Sequence[int] | NDArray[np.int64]) -> Feed:
    """A feed of these lengths, which then ends."""
    known = np.array(lengths, dtype=np.int64)
    return lambda start, stop: known[start:stop]


def endless(lengths: Sequence[int] = (1,)) -> Feed:
    """A feed of these lengths again and again."""
    known = np.array(lengths, dtype=np.int64)
    return lambda start, stop: known[np.arange(start, stop) % len(known)]


def unwanted(start: int, stop: int) -> NDArray[np.int64]:
    raise AssertionError("the domain was asked for its units")


def turns(shares: Sequence[float], feeds: Sequence[Feed], count: int | None = None, *, even: bool = False) -> list[int]:
    """The first turns, or all of them."""
    mixture = Mixture.from_weights({f"domain-{number}": share for number, share in enumerate(shares)})
    pieces = Schedule(mixture=mixture, feeds=feeds, even=even).turns()
    return list(islice((turn for piece in pieces for turn in piece.tolist()), count))


def shares_of(weights: Sequence[float]) -> NDArray[np.float64]:
    return np.array(Mixture.from_weights({str(number): weight for number, weight in enumerate(weights)}).shares)


def counted(taken: Sequence[int], domains: int) -> NDArray[np.int64]:
    """Turns of every domain after every turn, (n_turns, n_domains)."""
    return np.cumsum(np.array(taken)[:, None] == np.arange(domains), axis=0)


def weights(most: int = 12) -> st.SearchStrategy[list[float]]:
    """Random and extreme shares; at least one of them is not 0."""
    weight = st.floats(0, 1) | st.sampled_from([0, 1e-12, 1e-9, 1e-5, 1e-3, 0.5, 1, 1000])
    return st.lists(weight, min_size=1, max_size=most).filter(lambda found: sum(found) > 1e-12)


lengths = st.lists(st.integers(1, 60) | st.sampled_from([1, 1000]), min_size=1, max_size=40)


class TestTurnsOfEqualLength:
    @given(weights(), st.booleans())
    @settings(deadline=None)
    def test_every_beginning_has_the_shares_within_one_turn(self, found: list[float], even: bool) -> None:
        taken = turns(found, [endless()] * len(found), 4000, even=even)
        assert len(taken) == 4000
        exact = np.arange(1, 4001)[:, None] * shares_of(found)
        assert np.abs(counted(taken, len(found)) - exact).max() < 1 + ROUNDING

    @given(weights(6), st.lists(st.none() | st.integers(0, 300), min_size=6, max_size=6))
    @settings(deadline=None)
    def test_are_the_same_whether_their_length_is_known_beforehand(
        self, found: list[float], sizes: list[int | None]
    ) -> None:
        feeds = [endless() if size is None else units([1] * size) for size in sizes[: len(found)]]
        assert turns(found, feeds, 1500, even=True) == turns(found, feeds, 1500, even=False)

    @pytest.mark.parametrize("domains", [2, 3, 7, 12])
    def test_equal_shares_take_turns_in_the_domains_order(self, domains: int) -> None:
        assert turns([1] * domains, [endless()] * domains, 3 * domains) == [*range(domains)] * 3

    def test_a_rare_domain_has_its_turn_within_its_period(self) -> None:
        taken = turns([999, 1], [endless(), endless()], 5000)
        assert [place // 1000 for place, turn in enumerate(taken) if turn == 1] == [0, 1, 2, 3, 4]

    def test_a_domain_without_share_is_never_asked(self) -> None:
        assert turns([0, 1, 0], [unwanted, endless(), unwanted], 3000) == [1] * 3000

    def test_one_domain_has_all_turns(self) -> None:
        assert turns([1], [endless()], 3000) == [0] * 3000

    def test_are_plain_arrays_of_numbers(self) -> None:
        piece = next(Schedule(mixture=Mixture.of({"a": 1}), feeds=[endless()]).turns())
        assert (piece.ndim, piece.dtype) == (1, np.int64)

    def test_are_the_same_on_every_machine_and_version(self) -> None:
        taken = turns([5, 3, 2], [endless()] * 3, 10_000)
        assert taken[:20] == [0, 1, 0, 2, 0, 1, 0, 1, 0, 2, 0, 1, 0, 2, 0, 1, 0, 1, 0, 2]
        digest = hashlib.sha256(bytes(taken)).hexdigest()
        assert digest == "a6abeffb0d87859a0850879260d1595aa066c1c23d332f58ddafad73a78ea692"


class TestTurnsOfOtherLengths:
    @given(st.lists(st.tuples(st.floats(0, 1) | st.sampled_from([0, 1e-4, 1]), lengths), min_size=1, max_size=8))
    @settings(max_examples=60, deadline=None)
    def test_after_every_turn_the_shares_hold_within_the_longest_unit(
        self, domains: list[tuple[float, list[int]]]
    ) -> None:
        found = [weight for weight, _ in domains]
        found[0] = found[0] or 1.0
        taken = turns(found, [endless(known) for _, known in domains], 3000)
        before = [0] * len(domains)
        spent = np.zeros((len(taken), len(domains)))
        for place, turn in enumerate(taken):
            known = domains[turn][1]
            spent[place, turn] = known[before[turn] % len(known)]
            before[turn] += 1
        spent = np.cumsum(spent, axis=0)
        exact = spent.sum(axis=1, keepdims=True) * shares_of(found)
        longest = max(max(known) for weight, (_, known) in zip(found, domains, strict=True) if weight)
        assert np.abs(spent - exact).max() <= longest + ROUNDING * spent[-1].sum()

    @given(weights(6), st.integers(2, 100_000))
    @settings(deadline=None)
    def test_units_of_one_length_have_the_shares_within_one_turn(self, found: list[float], length: int) -> None:
        taken = turns(found, [endless([length])] * len(found), 2000)
        exact = np.arange(1, 2001)[:, None] * shares_of(found)
        assert np.abs(counted(taken, len(found)) - exact).max() < 1 + ROUNDING

    def test_are_the_same_on_every_machine_and_version(self) -> None:
        taken = turns([5, 3, 2], [endless([7, 1, 30]), endless([100, 3]), endless([12])], 10_000)
        assert taken[:20] == [0, 2, 0, 0, 1, 0, 0, 2, 0, 0, 0, 2, 0, 2, 0, 0, 2, 0, 0, 0]
        digest = hashlib.sha256(bytes(taken)).hexdigest()
        assert digest == "64112e20f2286eeea5b893af780a3e67dd9a9198f765171e7761cfd1c475c850"


class TestLookingAhead:
    @given(
        st.lists(st.tuples(st.floats(0, 1) | st.sampled_from([0, 1e-3, 1]), lengths, st.booleans()), max_size=6),
        st.integers(1, 40),
        st.integers(1, 100),
    )
    @settings(max_examples=25, deadline=None)
    def test_how_far_makes_no_difference(
        self, domains: list[tuple[float, list[int], bool]], first: int, longest: int
    ) -> None:
        found = [*(weight for weight, _, _ in domains), 1.0]
        feeds = [*(endless(known) if forever else units(known) for _, known, forever in domains), endless()]
        usual = turns(found, feeds, 200)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(schedule, "FIRST_SPAN", first)
            patch.setattr(schedule, "LONGEST_SPAN", longest)
            assert turns(found, feeds, 200) == usual

    def test_a_short_run_asks_for_little(self) -> None:
        asked = 0

        def feed(start: int, stop: int) -> NDArray[np.int64]:
            nonlocal asked
            asked = max(asked, stop)
            return np.ones(stop - start, dtype=np.int64)

        assert turns([1, 1], [feed, endless()], 10) == [0, 1] * 5
        assert asked < 2000


class TestEnds:
    @given(st.lists(st.tuples(st.floats(1e-3, 1), st.lists(st.integers(1, 50), max_size=200)), min_size=1, max_size=6))
    @settings(deadline=None)
    def test_all_units_have_a_turn_before_the_end(self, domains: list[tuple[float, list[int]]]) -> None:
        taken = turns([weight for weight, _ in domains], [units(known) for _, known in domains])
        assert [taken.count(number) for number in range(len(domains))] == [len(known) for _, known in domains]

    @given(st.lists(st.floats(1e-3, 1), min_size=3, max_size=8), st.integers(0, 60))
    @settings(deadline=None)
    def test_the_others_share_the_turns_of_a_domain_that_has_ended(self, found: list[float], size: int) -> None:
        taken = turns(found, [units([1] * size), *[endless()] * (len(found) - 1)], 4000)
        last = max((place for place, turn in enumerate(taken) if turn == 0), default=-1)
        assert taken.count(0) <= size
        rest = taken[last + 1 :]
        if taken.count(0) < size or len(rest) < 100:
            return
        exact = np.arange(1, len(rest) + 1)[:, None] * shares_of(found[1:])
        # Now units come when their time begins, the rare domains' early in it: each of them may be one turn ahead.
        assert np.abs(counted(rest, len(found))[:, 1:] - exact).max() < len(found)

    def test_the_last_one_goes_on_alone(self) -> None:
        assert turns([1, 1], [units([1, 1]), units([1] * 6)]) == [0, 1, 0, 1, 1, 1, 1, 1]

    def test_feeds_without_units_end_at_once(self) -> None:
        assert turns([1, 1], [units([]), units([])]) == []

    def test_a_feed_without_units_leaves_all_to_the_other(self) -> None:
        assert turns([9, 1], [units([]), units([1] * 3000)]) == [1] * 3000

    def test_rare_domains_go_on_at_once_when_a_frequent_one_has_ended(self) -> None:
        mixture = Mixture.of({"a": 1 - 3 * 2**-30, "b": 2**-29, "c": 2**-30})
        pieces = Schedule(mixture=mixture, feeds=[units([1] * 5), endless(), endless()]).turns()
        # If the same time were looked ahead as before, a thousand turns would take some millions of pieces.
        taken = np.concatenate(list(islice(pieces, 20)))
        assert len(taken) > 1000
        assert np.abs(np.bincount(taken[5:905], minlength=3) - [0, 600, 300]).max() <= 2
