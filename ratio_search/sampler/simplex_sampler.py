"""Where a study looks next: anchors first, and then what a strategy chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from objectives.base import Value
from objectives.scorer import Scorer
from ratio_search.anchors import Anchor
from ratio_search.model import PointSpace
from ratio_search.record import JobState, Record
from ratio_search.sampler.strategy import Proposal, Strategy
from ratio_search.space import SAME


class SimplexSampler:
    """Proposes points of the simplex: anchors, then a strategy's.

    A proposal follows from the strategy's seed and from the trials before it, so that a resumed study proposes what
    it would have proposed. Trials that were never meant to be run do not count.

    Attributes:
        scorer: judges the trials; None while the references are not known.
        trials: how many the study will have; None where nobody knows.
        forgiven: numbers of failed trials whose cause may be gone by now, so that an anchor among them is tried again.
    """

    def __init__(
        self,
        space: PointSpace,
        strategy: Strategy,
        *,
        anchors: Sequence[Anchor],
        settings: Mapping[str, Value] | None = None,
    ) -> None:
        """Prepares a sampler.

        Args:
            space: the points that may be tried.
            strategy: chooses among them.
            anchors: what to try first, in order.
            settings: hyperparameters of the anchors, a value for each.
        """
        self._space = space
        self._strategy = strategy
        self._anchors = tuple(anchors)
        self._settings = dict(settings or {})
        self._foreseen: tuple[Any, Proposal] | None = None
        self.scorer: Scorer | None = None
        self.trials: int | None = None
        self.forgiven: frozenset[int] = frozenset()

    def propose(self, records: Sequence[Record]) -> Proposal:
        """The next trial; asked for again before anything changes, it costs nothing.

        Args:
            records: those before it, in order and in any state.
        """
        closed = tuple((record.number, record.state) for record in records)
        key = closed, self.scorer, self.trials, self.forgiven
        if self._foreseen is None or self._foreseen[0] != key:
            self._foreseen = key, self._proposed(records)
        return self._foreseen[1]

    def _proposed(self, records: Sequence[Record]) -> Proposal:
        settled = [r.job.mixture for r in records if r.number not in self.forgiven and r.job.mixture is not None]
        for anchor in self._anchors:
            if all(anchor.mixture.distance(mixture) > SAME for mixture in settled):
                return Proposal(mixture=anchor.mixture, hyperparameters=self._settings, origin=f"anchor:{anchor.name}")
        # Not Optuna's number: a trial that a dying driver had only begun to note is proposed again as it was.
        usable = sum(record.state is not JobState.FAILED and not record.imported for record in records)
        left = None if self.trials is None else max(0, self.trials - usable - 1)
        return self._strategy.propose(records, self.scorer, len(records), left)
