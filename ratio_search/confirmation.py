"""What a confirmation said of a recipe, in a form that can be kept with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

from pydantic import ConfigDict

from objectives.base import Seeds
from ratio_search.contest import Contest
from ratio_search.interval import Interval
from ratio_search.record import Record
from ratio_search.verdict import Confirmed, Excess, Guarded, Lead


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """Fresh fine-tunes of a recipe's mixture and of its rivals, on rows that no search saw.

    Attributes:
        winner: who won: `recommended`, or the trial of another candidate.
        split: the files that all were judged on.
        seeds: of the winner's runs; rivals had the same ones.
        planned, complete: runs that were asked for, and that are finished.
        contenders: what each one trained on.
        values: what the winner's metrics turned out to be.
        score: its balanced score.
        leads: over each other contender.
        beaten_by: rivals that are better than it, clearly.
        guards: of the winner, by metric.
        guarded: the probability that all of them hold together, at least; None without a guard, or without an error.
        promised: whose expectation was checked; None where nobody's was.
        optimism: how far its expected score was above the confirmed one; None likewise.
        optimism_of: the same for each metric's gain.
        words: the verdict, a line for each thing.
    """

    winner: str
    split: str
    seeds: tuple[Seeds, ...]
    planned: int
    complete: int
    contenders: Mapping[str, Mapping[str, float]]
    values: Mapping[str, Confirmed]
    score: Interval
    leads: tuple[Lead, ...]
    beaten_by: tuple[str, ...] = ()
    guards: Mapping[str, Guarded] = field(default_factory=dict)
    guarded: float | None = None
    promised: str | None = None
    optimism: Excess | None = None
    optimism_of: Mapping[str, Excess] = field(default_factory=dict)
    words: tuple[str, ...] = ()

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    @classmethod
    def of(cls, contest: Contest) -> Self | None:
        """The confirmation that a contest has led to so far; None where nobody can have won yet.

        Args:
            contest: its lineup with its runs.
        """
        verdict = contest.verdict
        if verdict is None:
            return None
        records = winning(contest)
        return cls(
            winner=verdict.winner,
            split="final",
            seeds=tuple(record.job.seeds for record in records),
            planned=contest.planned,
            complete=contest.complete,
            contenders={name: dict(mixture) for name, mixture in contest.mixtures.items()},
            values=verdict.metrics[verdict.winner],
            score=verdict.scores[verdict.winner],
            leads=verdict.leads,
            beaten_by=verdict.beaten_by,
            guards=verdict.guards,
            guarded=verdict.guarded,
            promised=verdict.promised,
            optimism=verdict.score,
            optimism_of=verdict.gains,
            words=tuple(verdict.lines),
        )

    @property
    def basis(self) -> str:
        """What it says for the winner, in one line."""
        whole = "" if self.complete == self.planned else f", so far {self.complete} of {self.planned} runs"
        # The score, the leads, and what to train with instead.
        lines = 1 + len(self.leads) + bool(self.beaten_by)
        return f"confirmed on the {self.split} files{whole}: {'; '.join(self.words[:lines])}"


def winning(contest: Contest) -> list[Record]:
    """The winner's finished runs, by replicate; empty before anyone can have won."""
    winner = contest.winner
    return [] if winner is None else [record for _, record in sorted(contest.runs(winner).items())]
