"""The front as people see it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from objectives.mixture import Mixture
from ratio_search.console import PlainConsole
from ratio_search.front import Candidate, Front, Gain, Member
from ratio_search.front_report import SHOWN, front_lines, front_of, front_table, show
from ratio_search.study import Study
from tests.ratio_search.trials import study_of, trial

DOCUMENT = {
    "name": "elsewhere",
    "domains": {"a": {}, "b": {}},
    "objective": {"kind": "external"},
    "metrics": [{"name": "a/[/red]", "goal": "maximize", "scale": 1, "reference": 0}],
    "search": {"trials": 4},
    "storage": "memory",
}
HALVES = Mixture.of({"a": 0.5, "b": 0.5})
GAIN = Gain(expected=0.1234, low=0.1, high=0.1468, value=0.5)


def member(
    number: int | None = 0,
    *,
    more: int = 0,
    recommended: bool = False,
    unbeaten: float | None = 0.634,
    holds: float | None = None,
    gain: Gain = GAIN,
    **settings: float,
) -> Member:
    records = () if number is None else tuple(trial(i, HALVES, {}) for i in [*range(50, 50 + more), number])
    return Member(
        candidate=Candidate(mixture=HALVES, hyperparameters=settings, records=records, recommended=recommended),
        unbeaten=unbeaten,
        holds=holds,
        gains={"a/x": gain, "b/x": Gain(expected=-0.5, low=-0.6, high=-0.4, value=1.0), "c/x": GAIN},
    )


def front(*members: Member, **changes: Any) -> Front:
    found = Front(
        members=members, considered=40, counted=("a/x", "b/x"), hypervolume=0.25, corner={"a/x": 0.0, "b/x": 0.0}
    )
    return dataclasses.replace(found, **changes)


def cells(found: Front) -> list[list[str]]:
    """The rows of the table, its head first."""
    columns = [[str(column.header), *map(str, column.cells)] for column in front_table("small", found).columns]
    return [list(row) for row in zip(*columns, strict=True)]


class TestTable:
    def test_each_mixture_has_its_odds_gains_and_shares(self) -> None:
        head, row = cells(front(member()))
        assert head == ["trial", "unbeaten", "a/x", "b/x", "a", "b"]
        assert row == ["trial-0000", "63%", "+0.123 +- 0.023", "-0.500 +- 0.100", "0.500", "0.500"]

    def test_trials_of_one_mixture_and_the_recommended_one_are_named(self) -> None:
        found = front(member(None, recommended=True), member(7, more=2), member(8, recommended=True))
        assert [row[0] for row in cells(found)[1:]] == [
            "not tried, recommended",
            "trial-0007 and 2 more",
            "trial-0008, recommended",
        ]

    def test_guards_have_their_odds_and_a_mark(self) -> None:
        head, kept, broken = cells(front(member(holds=0.93), member(holds=0.31)))
        assert (head[2], kept[2], broken[2]) == ("guards hold", "93%", "31%, breaks")

    def test_what_was_measured_has_neither_odds_nor_intervals(self) -> None:
        measured = Gain(expected=0.1234, low=None, high=None, value=0.5)
        found = front(*(member(unbeaten=None, holds=holds, gain=measured) for holds in (1.0, 0.0)))
        head, kept, broken = cells(found)
        assert head[:3] == ["trial", "guards hold", "a/x"]
        assert (kept[1:3], broken[1:3]) == (["yes", "+0.123"], ["no", "+0.123"])

    def test_hyperparameters_stand_at_the_end(self) -> None:
        head, row, other = cells(front(member(rate=0.001), member()))
        assert (head[-1], row[-1], other[-1]) == ("rate", "0.001", "")

    def test_of_many_the_first_are_shown(self) -> None:
        found = front(*(member(i) for i in range(SHOWN + 2)))
        assert [row[0] for row in cells(found)[1:]] == [f"trial-{i:04d}" for i in range(SHOWN)]
        assert f"the first {SHOWN} are shown; --json has all" in front_lines(found)
        assert len(front_lines(front(*found.members[:SHOWN]))) == 2


class TestLines:
    def test_say_how_many_there_are_and_what_they_cover(self) -> None:
        assert front_lines(front(member())) == [
            "1 of 40 mixtures, none of which another one beats in all metrics",
            "hypervolume 0.25, above gains of 0",
        ]

    def test_where_nothing_is_covered_they_say_what_is_missing(self) -> None:
        assert front_lines(front(member(), hypervolume=0.0))[-1] == (
            "hypervolume 0: no mixture is expected to be above gains of 0, in all metrics at once"
        )

    def test_metrics_that_nothing_is_known_of_are_named(self) -> None:
        found = front(member(), unexplained=("a/x", "b/x"))
        assert "the model explains next to nothing of a/x, b/x: who beats whom in it is a guess" in front_lines(found)

    def test_a_corner_at_a_guard_is_named(self) -> None:
        found = front(member(), corner={"a/x": 0.0, "b/x": -0.02})
        assert front_lines(found)[-1] == (
            "hypervolume 0.25, above gains of 0, and where guards begin to break (b/x -0.02)"
        )


class TestOfAStudy:
    def study(self, kind: str, trials: int) -> Study:
        study = study_of(DOCUMENT, balance={"kind": kind})
        for value in range(trials):
            job = study.ask()
            assert job is not None
            study.tell(job.id, {"a/[/red]": float(value)})
        return study

    @pytest.mark.parametrize("trials", [1, 4])
    def test_it_is_there_where_the_whole_front_is_looked_for(self, trials: int) -> None:
        study = self.study("pareto", trials)
        assert front_of(study) == study.front()
        assert front_of(self.study("worst", trials)) is None

    def test_before_anything_is_finished_there_is_none(self) -> None:
        assert front_of(self.study("pareto", 0)) is None

    def test_names_are_shown_as_they_are(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "40")
        console = PlainConsole()
        found = front_of(self.study("pareto", 4))
        assert found is not None
        with console.capture() as shown:
            show(console, "elsewhere", found)
        assert "a/[/red]" in shown.get()
        assert "hypervolume" in shown.get()
        assert "\u2026" not in shown.get()
