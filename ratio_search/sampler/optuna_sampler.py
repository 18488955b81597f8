"""The search as an Optuna sampler, for Optuna studies of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial

from objectives.base import Job, JobKind, Measurement, Seeds
from objectives.scorer import Scorer
from ratio_search.distributions import distribution
from ratio_search.errors import StudyError
from ratio_search.model import PointSpace
from ratio_search.record import Record
from ratio_search.sampler.simplex_gp import SimplexGP
from ratio_search.sampler.simplex_sampler import SimplexSampler
from ratio_search.spec import StudySpec
from ratio_search.trial import SHARE, shares_of, state_of


class OptunaSampler(optuna.samplers.BaseSampler):
    """Proposes points of the simplex to any Optuna study: a parameter `share/<domain>` for each share, which sum to 1.

    Every trial suggests `share/<domain>` between 0 and 1 for all domains, and the hyperparameters that are searched,
    and returns the scorer's metrics in their order, as raw values. A study of ratio-search needs none of this: it
    keeps more of a trial than Optuna's values.
    """

    def __init__(self, space: PointSpace, scorer: Scorer, *, seed: int = 0, trials: int | None = None) -> None:
        """Prepares a sampler.

        Args:
            space: the points that may be tried.
            scorer: balances the metrics that trials return.
            seed: of every draw, >= 0.
            trials: how many there will be; None where nobody knows.
        """
        self._space = space
        self._scorer = scorer
        self._sampler = SimplexSampler(space, SimplexGP(space, seed=seed), anchors=())
        self._sampler.scorer, self._sampler.trials = scorer, trials

    @classmethod
    def of(cls, spec: StudySpec) -> Self:
        """The sampler of a study file, all of whose metrics state a reference.

        Raises:
            ScoreError: one does not.
        """
        scorer = Scorer(metrics=spec.metrics, balance=spec.balance, baseline={})
        space = PointSpace(simplex=spec.space, hyperparameters=spec.hyperparameters)
        return cls(space, scorer, seed=spec.search.seed, trials=spec.search.trials)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All parameters, from the first trial on; the shares' bounds are the space's affair."""
        shares: dict[str, BaseDistribution] = {
            f"{SHARE}{name}": FloatDistribution(0, 1) for name in self._space.simplex.names
        }
        return shares | {name: distribution(kind) for name, kind in self._space.hyperparameters.items()}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The parameters of the trial's proposal.

        Raises:
            StudyError: finished trials have other values than the scorer's metrics.
        """
        earlier = study.get_trials(deepcopy=False)
        # One that has not suggested all of its shares is no mixture, and is not learned from.
        whole = [t for t in earlier if t.number < trial.number and all(name in t.params for name in search_space)]
        made = self._sampler.propose([self._record(one) for one in whole])
        return {f"{SHARE}{name}": share for name, share in made.mixture.items()} | dict(made.hyperparameters)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Never right for a share: drawn alone, shares would not sum to 1.

        Raises:
            StudyError: always.
        """
        known = ", ".join(self.infer_relative_search_space(study, trial))
        raise StudyError(
            f"parameter {param_name!r} with {param_distribution}: this sampler proposes {known}, shares between 0 "
            "and 1; suggest those"
        )

    def _record(self, trial: FrozenTrial) -> Record:
        names = [metric.name for metric in self._scorer.metrics]
        if trial.values is not None and len(trial.values) != len(names):
            raise StudyError(
                f"trial {trial.number} has {len(trial.values)} values; expected one for each metric, in this order: "
                f"{', '.join(names)}; make the study with as many directions"
            )
        measured = None
        if trial.values is not None:
            measured = Measurement.of_numbers(dict(zip(names, trial.values, strict=True)))
        return Record(
            number=trial.number,
            job=Job(
                id=f"trial-{trial.number:04d}",
                kind=JobKind.TRIAL,
                mixture=shares_of(trial, self._space.simplex.names),
                seeds=Seeds.of(0, 0),
                hyperparameters={name: trial.params[name] for name in self._space.hyperparameters},
            ),
            origin="optuna",
            basis=(),
            state=state_of(trial),
            measurement=measured,
            failure=None,
            losses=0,
            started=trial.datetime_start,
            finished=trial.datetime_complete,
        )
