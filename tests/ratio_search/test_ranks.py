from __future__ import annotations

from objectives.mixture import Mixture
from ratio_search.ranks import Ranks
from ratio_search.record import Record
from tests.ratio_search.trials import gains_of, trial

HALVES = Mixture.of({"a": 0.5, "b": 0.5})


def records(*gains: float) -> list[Record]:
    return [trial(number, HALVES, {"a/x": gain}) for number, gain in enumerate(gains)]


def numbers(ranks: Ranks, found: list[Record]) -> list[int]:
    return [record.number for record, _ in ranks.of(found)]


def test_the_best_come_first_and_of_equals_the_earlier() -> None:
    ranks = Ranks(gains_of("a/x"), lambda record: True)
    assert numbers(ranks, records(0.1, 0.3, 0.2, 0.3)) == [1, 3, 2, 0]
    assert [score.gains["a/x"] for _, score in ranks.of(records(0.1, 0.3))] == [0.3, 0.1]


def test_what_bounds_of_now_forbid_comes_last() -> None:
    assert numbers(Ranks(gains_of("a/x"), lambda record: record.number != 1), records(0.1, 0.3, 0.2)) == [2, 0, 1]


def test_broken_guards_come_after_those_that_hold() -> None:
    found = [trial(0, HALVES, {"a/x": 0.9, "a/y": -0.2}), trial(1, HALVES, {"a/x": 0.1, "a/y": 0.0})]
    assert numbers(Ranks(gains_of("a/x", "a/y", guards={"a/y": 0.1}), lambda record: True), found) == [1, 0]


def test_each_trial_is_looked_at_once() -> None:
    looked: list[int] = []

    def allows(record: Record) -> bool:
        looked.append(record.number)
        return True

    ranks, found = Ranks(gains_of("a/x"), allows), records(0.1, 0.3, 0.2)
    assert numbers(ranks, found[:2]) == [1, 0]
    assert numbers(ranks, found) == [1, 2, 0]
    assert looked == [0, 1, 2]
