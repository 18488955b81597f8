"""Where a study looks next, as an Optuna sampler whose parameters are the shares themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial

from objectives.base import JobKind, Value
from objectives.scorer import Scorer
from ratio_search.anchors import Anchor
from ratio_search.distributions import distribution, suggest
from ratio_search.model import PointSpace
from ratio_search.record import JobState, Record
from ratio_search.sampler.strategy import Proposal, Strategy
from ratio_search.space import SAME
from ratio_search.trial import SHARE, TrialReader


class SimplexSampler(optuna.samplers.BaseSampler):
    """Proposes points of the simplex, one Optuna parameter `share/<domain>` for each share: anchors, then a strategy's.

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
        self._reader = TrialReader(JobKind.TRIAL, space.simplex.names)
        self._proposals: dict[int, Proposal] = {}
        self._foreseen: tuple[Any, Proposal] | None = None
        self.scorer: Scorer | None = None
        self.trials: int | None = None
        self.forgiven: frozenset[int] = frozenset()

    def suggest(self, trial: optuna.Trial) -> Proposal:
        """Makes a new trial of a study with this sampler take its proposal."""
        for name in self._space.simplex.names:
            trial.suggest_float(f"{SHARE}{name}", 0, 1)
        for name, kind in self._space.hyperparameters.items():
            suggest(trial, name, kind)
        return self._proposals.pop(trial.number)

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

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All parameters, from the first trial on; the shares' bounds are the space's affair."""
        shares: dict[str, BaseDistribution] = {
            f"{SHARE}{name}": FloatDistribution(0, 1) for name in self._space.simplex.names
        }
        return shares | {name: distribution(kind) for name, kind in self._space.hyperparameters.items()}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The parameters of the trial's proposal."""
        earlier = [other for other in study.get_trials(deepcopy=False) if other.number < trial.number]
        made = self._proposals[trial.number] = self.propose(self._reader.records(earlier))
        return {f"{SHARE}{name}": share for name, share in made.mixture.items()} | dict(made.hyperparameters)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Never right for a share: drawn alone, shares would not sum to 1."""
        raise AssertionError(f"{param_name} is no share of {', '.join(self._space.simplex.names)}")
