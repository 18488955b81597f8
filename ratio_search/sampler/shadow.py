"""Optuna's own samplers as strategies, to compare ours with; they know only boxes, so a box stands for the space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from objectives.base import Value
from objectives.scorer import Score, Scorer
from ratio_search.distributions import distribution
from ratio_search.hyperparameters import Hyperparameter
from ratio_search.record import JobState, Record
from ratio_search.sampler.box import Box, StickBreakingBox
from ratio_search.sampler.strategy import Proposal, SamplerKind, check_installed
from ratio_search.space import SimplexSpace

STARTUP = 10
"""Finished trials before a model chooses; both of Optuna's samplers draw at random until then."""

_SHARES, _VALUE = "share/", "hyperparameter/"
_DRAW_STREAM, _SAMPLER_STREAM, _POINT_STREAM = 20, 21, 22


class RandomStrategy:
    """Draws uniformly from the space and from the hyperparameters' ranges, whatever came before."""

    def __init__(self, space: SimplexSpace, hyperparameters: Mapping[str, Hyperparameter], seed: int) -> None:
        """Prepares a strategy.

        Args:
            space: the mixtures that may be tried.
            hyperparameters: what else is searched, by name.
            seed: of all draws.
        """
        self._space = space
        self._hyperparameters = dict(hyperparameters)
        self._seed = seed

    def propose(
        self, records: Sequence[Record], scorer: Scorer | None, number: int, left: int | None = None
    ) -> Proposal:
        """The next trial, which depends on its number alone.

        Args:
            records: all trials so far.
            scorer: judges the finished ones.
            number: of the trial to propose.
            left: trials after this one.
        """
        rng = np.random.default_rng([self._seed, _DRAW_STREAM, number])
        [shares] = self._space.sample(1, rng)
        return Proposal(
            mixture=self._space.mixture(shares),
            hyperparameters={name: known.random(rng) for name, known in self._hyperparameters.items()},
            origin=SamplerKind.RANDOM.value,
        )


class ShadowStrategy:
    """Lets one of Optuna's samplers choose, by the balanced score of the trials so far.

    The sampler sees a study of its own, in memory, that is made of the records for each proposal: finished trials
    with their scores, running ones as pending, failed ones not at all, nor those whose hyperparameters are not among
    those of now. Broken guards are an Optuna constraint.
    """

    def __init__(
        self,
        space: SimplexSpace,
        hyperparameters: Mapping[str, Hyperparameter],
        seed: int,
        kind: SamplerKind,
        box: Box | None = None,
    ) -> None:
        """Prepares a strategy.

        Args:
            space: the mixtures that may be tried.
            hyperparameters: what else is searched, by name.
            seed: of all draws.
            kind: `TPE` or `OPTUNA_GP`.
            box: how the space becomes a box; None for a `StickBreakingBox`. In an `ExponentialBox` many points are one
                mixture, and the Gaussian process goes on looking at those that it does not know yet.
        """
        assert kind in (SamplerKind.TPE, SamplerKind.OPTUNA_GP), kind
        self._random = RandomStrategy(space, hyperparameters, seed)
        self._box = box or StickBreakingBox(space)
        self._hyperparameters = dict(hyperparameters)
        self._seed = seed
        self._kind = kind
        shares = {f"{_SHARES}{i}": FloatDistribution(0, 1) for i in range(self._box.dimensions)}
        others = {f"{_VALUE}{name}": distribution(known) for name, known in self._hyperparameters.items()}
        self._distributions: dict[str, BaseDistribution] = {**shares, **others}

    def propose(
        self, records: Sequence[Record], scorer: Scorer | None, number: int, left: int | None = None
    ) -> Proposal:
        """The next trial; a random one before `STARTUP` trials are finished and can be scored.

        Args:
            records: all trials that were meant to be run, in order and in any state.
            scorer: judges the finished ones; None while the references are not known.
            number: of the trial to propose.
            left: trials after this one.

        Raises:
            SpecError: the sampler needs a library that is not installed.
        """
        check_installed(self._kind)
        known = [record for record in records if self._knows(record)]
        finished = [record for record in known if record.state is JobState.COMPLETE]
        if scorer is None or len(finished) < STARTUP:
            return self._random.propose(records, scorer, number)
        scores = {record.number: scorer.score(record.values) for record in finished}
        shown = [record for record in known if record.state is not JobState.FAILED]
        [seed] = np.random.SeedSequence([self._seed, _SAMPLER_STREAM, number]).generate_state(1)
        with _quiet():
            study = optuna.create_study(direction="maximize", sampler=self._sampler(int(seed)))
            study.add_trials(self._trials(shown, scores))
            chosen = study.ask(self._distributions).params
        point = [chosen[f"{_SHARES}{i}"] for i in range(self._box.dimensions)]
        return Proposal(
            mixture=self._box.mixture(point),
            hyperparameters={name: chosen[f"{_VALUE}{name}"] for name in self._hyperparameters},
            origin=self._kind.value,
            basis=tuple(record.number for record in shown),
        )

    def _sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        if self._kind is SamplerKind.TPE:
            return optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=STARTUP)

    def _trials(self, records: Sequence[Record], scores: Mapping[int, Score]) -> Iterator[FrozenTrial]:
        """The records as Optuna's trials, those with a score as finished ones.

        Args:
            records: finished and running ones.
            scores: of the finished ones, by number.
        """
        guarded = any(not score.feasible for score in scores.values())
        for record in records:
            score = scores.get(record.number)
            yield create_trial(
                state=TrialState.RUNNING if score is None else TrialState.COMPLETE,
                value=None if score is None else score.balanced,
                params=self._parameters(record),
                distributions=self._distributions,
                # Without a broken guard there is nothing to learn; a constraint must be there in all trials or none.
                constraints={"guards": score.shortfall} if score is not None and guarded else None,
            )

    def _knows(self, record: Record) -> bool:
        """Whether what was tried is a point of the box: ranges and choices may have changed since."""
        values = record.job.hyperparameters
        return all(name in values and values[name] in known for name, known in self._hyperparameters.items())

    def _parameters(self, record: Record) -> dict[str, Value]:
        assert record.job.mixture is not None
        # By its number: a trial stays the same point, whatever is proposed next.
        rng = np.random.default_rng([self._seed, _POINT_STREAM, record.number])
        point = self._box.point(record.job.mixture, rng)
        shares: dict[str, Value] = {f"{_SHARES}{i}": float(u) for i, u in enumerate(point)}
        return shares | {f"{_VALUE}{name}": record.job.hyperparameters[name] for name in self._hyperparameters}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Optuna from speaking of a study that nobody else sees."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
