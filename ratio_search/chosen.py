"""What to train with after all that is known: what the search recommends, or who won its confirmation."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Self

from objectives.base import Seeds
from ratio_search.confirmation import Confirmation, winning
from ratio_search.contest import Contest
from ratio_search.keep import left
from ratio_search.lineup import Entrant
from ratio_search.recommendation import Recommendation
from ratio_search.record import Record
from ratio_search.selection import Balanced, Single
from ratio_search.study import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A recommendation after its confirmation, if there is one.

    Attributes:
        advice: what to train with: what was asked for, or the other candidate that won its confirmation.
        basis: how it was chosen, in words.
        confirmation: what fresh fine-tunes said; None without any.
        runs: the confirming runs of this mixture, by replicate.
    """

    advice: Recommendation
    basis: str
    confirmation: Confirmation | None = None
    runs: tuple[Record, ...] = ()

    @classmethod
    def of(cls, study: Study, advice: Recommendation) -> Self:
        """What follows from a recommendation.

        Args:
            study: read only.
            advice: what was asked for; only what the study recommends by itself is ever confirmed.
        """
        chosen = cls._of(study, advice)
        if study.changed_base is None:
            return chosen
        return dataclasses.replace(chosen, basis=f"{chosen.basis}; {study.changed_base}")

    @classmethod
    def _of(cls, study: Study, advice: Recommendation) -> Self:
        contest = Contest.of(study)
        found = None if contest is None else Confirmation.of(contest)
        if contest is None or found is None or contest.winner is None or not isinstance(advice.selection, Balanced):
            return cls(advice=advice, basis=_unconfirmed(study, advice))
        if not contest.confirms(advice):
            return cls(
                advice=advice, basis=_unconfirmed(study, advice, "an earlier confirmation was of another mixture")
            )
        runs = tuple(winning(contest))
        if contest.winner == contest.lineup.recommended:
            return cls(advice=advice, basis=f"{advice.basis}; {found.basis}", confirmation=found, runs=runs)
        other = _advice_of(study, contest.winner)
        if other is None:
            return cls(advice=advice, basis=_unconfirmed(study, advice, "bounds of now forbid who won a confirmation"))
        basis = f"fresh fine-tunes of it did better than those of what the search recommended; {found.basis}"
        other = dataclasses.replace(other, selection=advice.selection)
        return cls(advice=other, basis=basis, confirmation=found, runs=runs)


def _unconfirmed(study: Study, advice: Recommendation, *more: str) -> str:
    """The basis of advice that nothing confirms, and what would."""
    how = "" if study.spec.backend.ELSEWHERE else f", as `ratio-search confirm {study.home.place}` would"
    return "; ".join([advice.basis, f"not confirmed by fresh fine-tunes{how}", *more])


def left_behind(study: Study, chosen: Chosen) -> tuple[Seeds, dict[str, str]]:
    """The seeds that a mixture was trained with, and what that left, on disk or on its platform.

    These are those of its first confirming run, or of its trial, or of the trial nearest to it.
    """
    advice = chosen.advice
    for record in [*chosen.runs[:1], *([advice.record] if advice.tried else [])]:
        if artefacts := left(study, record):
            return record.job.seeds, artefacts
    return (chosen.runs[0] if chosen.runs else advice.record).job.seeds, {}


def _advice_of(study: Study, winner: Entrant) -> Recommendation | None:
    """A tried candidate as a recommendation; None where it may no longer be recommended."""
    record = next((record for record in study.records() if record.job.id == winner.trial), None)
    if record is None or not study.allows(record):
        return None
    [advice] = study.select(Single(number=record.number))
    return advice
