"""What a study's finished trials give to choose from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from objectives.scorer import Score, Scorer
from ratio_search.adviser import advise
from ratio_search.errors import SelectionError
from ratio_search.front import Front, Member
from ratio_search.model import PointSpace, one_thread
from ratio_search.recommendation import Recommendation
from ratio_search.record import JobState, Record
from ratio_search.sampler.simplex_gp import Outlook
from ratio_search.selection import Selection, Single, Spread


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grounds:
    """What is known at one moment, and what follows from it.

    Attributes:
        ranking: finished trials with their scores, best first; at least one.
        allowed: those of them that may be recommended, by number, best first; at least one.
        scorer: the judge.
        space: what is searched.
        outlook: what a model expects; None where there are too few trials for one.
        seed: of the draws behind probabilities.
    """

    ranking: Sequence[tuple[Record, Score]]
    allowed: Mapping[int, Record]
    scorer: Scorer
    space: PointSpace
    outlook: Outlook | None
    seed: int

    def recommend(self) -> Recommendation:
        """The mixture that is best by the model, or the best trial without one."""
        if self.outlook is None:
            record, score = self.ranking[0]
            return Recommendation.of_best(record, score, scorer=self.scorer, considered=len(self.allowed))
        with one_thread():
            return advise(self.outlook, self.allowed, self.scorer, self.space, self._rng(self.outlook))

    def front(self) -> Front:
        """The mixtures that no other one beats."""
        if self.outlook is None:
            return Front.of_measured(list(self.allowed.values()), self.scorer)
        with one_thread():
            return Front.of(self.outlook, self.allowed, self.scorer, self.space, self._rng(self.outlook))

    def of_trial(self, record: Record) -> Recommendation:
        """What is expected of the mixture of a finished trial, whatever others are worth."""
        assert record.job.mixture is not None
        if self.outlook is None or record.number not in self.outlook.evidence.numbers:
            score = self.scorer.score(record.values)
            return Recommendation.of_best(record, score, scorer=self.scorer, considered=len(self.allowed))
        chosen = dataclasses.replace(
            self.outlook, best=self.space.points([record.job.mixture], [record.job.hyperparameters])
        )
        with one_thread():
            advice = advise(chosen, self.allowed, self.scorer, self.space, self._rng(chosen))
        return dataclasses.replace(
            advice,
            mixture=record.job.mixture,
            hyperparameters=record.job.hyperparameters,
            record=record,
            tried=True,
        )

    def of_member(self, member: Member) -> Recommendation:
        """What is to be said of a mixture of the front. That others have better scores is no matter there."""
        records = member.candidate.records
        advice = self.of_trial(records[-1]) if records else self.recommend()
        return dataclasses.replace(advice, unbeaten=member.unbeaten, alternatives=())

    def select(self, selection: Selection, records: Sequence[Record]) -> tuple[Recommendation, ...]:
        """What is asked for; several mixtures where part of the front is.

        Args:
            selection: what is asked for; the scorer is the one that it is judged by.
            records: all trials of the study, in any state.

        Raises:
            SelectionError: there is no such trial, or it is not finished, or the front has not as many mixtures.
        """
        if isinstance(selection, Single):
            found = [self.of_trial(_finished(selection, records))]
        elif isinstance(selection, Spread):
            front = self.front()
            if selection.count > front.spreadable:
                sound = " whose guards are likely to hold" if any(member.breaks for member in front.members) else ""
                raise SelectionError(
                    f"{selection}: the front has {front.spreadable} of the {front.considered} mixtures{sound}; ask for "
                    f"at most front:{front.spreadable}"
                )
            found = [self.of_member(member) for member in front.spread(selection.count)]
        else:
            found = [self.recommend()]
        return tuple(dataclasses.replace(advice, selection=selection) for advice in found)

    def _rng(self, outlook: Outlook) -> np.random.Generator:
        return np.random.default_rng([self.seed, len(outlook.evidence.measured)])


def _finished(selection: Single, records: Sequence[Record]) -> Record:
    """The finished trial that is asked for."""
    record = next((record for record in records if record.number == selection.number), None)
    finished = [record.number for record in records if record.state is JobState.COMPLETE]
    which = f"finished are {_ranges(finished)}"
    if record is None:
        raise SelectionError(f"{selection}: the study has no such trial; {which}")
    if record.state is JobState.RUNNING:
        raise SelectionError(f"{selection}: {record.job.id} is not finished yet; {which}")
    if record.state is JobState.FAILED:
        why = "" if record.failure is None else f" ({record.failure.message.splitlines()[0]})"
        raise SelectionError(f"{selection}: {record.job.id} failed{why}; {which}")
    return record


def _ranges(numbers: Sequence[int]) -> str:
    """Numbers in words, such as `0 to 3, 5 and 7 to 9`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    told = [" to ".join(map(str, run)) for run in runs]
    return " and ".join(filter(None, (", ".join(told[:-1]), *told[-1:]))) or "none"
