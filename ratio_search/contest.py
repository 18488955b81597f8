"""How far the confirmation of a study is, and what it says so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from objectives.base import Measurement
from objectives.mixture import Mixture
from objectives.scorer import Scorer
from ratio_search.contender import Contender, Promise, balanced
from ratio_search.lineup import Entrant, Lineup
from ratio_search.recommendation import Recommendation
from ratio_search.record import JobState, Record
from ratio_search.rerun import Rerun
from ratio_search.space import SAME
from ratio_search.standing import Standing
from ratio_search.verdict import Verdict, judge


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """A lineup with its runs.

    Attributes:
        lineup: who is compared.
        records: the runs that are judged on the lineup's rows, of any mixture, in order.
        scorer: the judge, with the references of these rows; None until they are known.
    """

    lineup: Lineup
    records: tuple[Record, ...]
    scorer: Scorer | None

    @classmethod
    def of(cls, study: Standing, lineup: Lineup | None = None) -> Self | None:
        """The contest of a study; None where it was never confirmed.

        Args:
            study: read only.
            lineup: who is compared; None for those of the study's last confirmation.
        """
        lineup = lineup or study.lineup
        if lineup is None:
            return None
        origin = Rerun(mixture=None, replicate=0, split=lineup.split).origin
        records = tuple(record for record in study.confirmations() if record.origin == origin)
        metrics, balance = study.spec.metrics, study.spec.balance
        untuned = next((record for record in records if _untuned(record)), None)
        scorer = None
        if untuned is not None or all(metric.reference is not None for metric in metrics):
            scorer = Scorer(metrics=metrics, balance=balance, baseline={} if untuned is None else untuned.values)
        return cls(lineup=lineup, records=records, scorer=scorer)

    @property
    def baseline(self) -> Measurement | None:
        """What the untuned model measured; None where it has not."""
        return next((record.measurement for record in self.records if _untuned(record)), None)

    def runs(self, entrant: Entrant) -> dict[int, Record]:
        """The finished runs of an entrant, by replicate; also those beyond what is asked for now."""
        return {
            record.replicate: record
            for record in self.records
            if record.state is JobState.COMPLETE
            and record.replicate is not None
            and record.job.mixture is not None
            and entrant.near(record.job.mixture, record.job.hyperparameters, SAME)
        }

    def record(self, rerun: Rerun) -> Record | None:
        """The latest job of a run, a finished one before all others; None where it was never asked for."""
        found = [record for record in self.records if rerun.same(record)]
        done = [record for record in found if record.state is JobState.COMPLETE]
        return done[0] if done else found[-1] if found else None

    @property
    def planned(self) -> int:
        """Runs that are asked for, the untuned model included."""
        return sum(1 for _ in self.lineup.reruns())

    @property
    def complete(self) -> int:
        """How many of them are finished."""
        found = (self.record(rerun) for _, rerun in self.lineup.reruns())
        return sum(record is not None and record.state is JobState.COMPLETE for record in found)

    @property
    def done(self) -> bool:
        """Whether nothing is left to run."""
        return self.complete == self.planned

    @property
    def verdict(self) -> Verdict | None:
        """What the runs say; None until a candidate and the references are known."""
        if self.scorer is None or not any(self.runs(one) for one in self.lineup.entrants if one.candidate):
            return None
        contenders = [self._contender(entrant, self.scorer) for entrant in self.lineup.entrants]
        return judge(contenders, self.scorer, baseline=self.baseline)

    @property
    def winner(self) -> Entrant | None:
        """Who has won; None before anyone can have."""
        verdict = self.verdict
        return None if verdict is None else self.entrant(verdict.winner)

    def entrant(self, name: str) -> Entrant:
        """The entrant of a name."""
        return next(entrant for entrant in self.lineup.entrants if entrant.name == name)

    @property
    def mixtures(self) -> Mapping[str, Mixture]:
        """What each entrant trains on."""
        return {entrant.name: entrant.mixture for entrant in self.lineup.entrants}

    def confirms(self, advice: Recommendation) -> bool:
        """Whether a recommendation is the one that was compared."""
        return self.lineup.confirms(advice.mixture, advice.hyperparameters)

    def _contender(self, entrant: Entrant, scorer: Scorer) -> Contender:
        promise = None
        if set(entrant.promised) == {metric.name for metric in scorer.metrics}:
            gains = np.array([entrant.promised[metric.name].value for metric in scorer.metrics])
            promise = Promise(score=float(balanced(scorer, gains)), gains=entrant.promised)
        runs = {
            number: record.measurement
            for number, record in self.runs(entrant).items()
            if record.measurement is not None
        }
        return Contender(name=entrant.name, runs=runs, candidate=entrant.candidate, promise=promise)


def _untuned(record: Record) -> bool:
    return record.job.mixture is None and record.state is JobState.COMPLETE
