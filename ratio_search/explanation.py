"""Why a mixture is recommended: which data helps which metric, what conflicts, what does not matter, what is left."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from objectives.base import Value
from objectives.mixture import Mixture
from objectives.scorer import Scorer
from ratio_search.adviser import EXPLAINED
from ratio_search.model import Points, PointSpace
from ratio_search.moves import Moves, Part, Step
from ratio_search.recommendation import CREDIBLE
from ratio_search.sampler.simplex_gp import Outlook
from ratio_search.sampler.strategy import Proposal

Array = NDArray[np.float64]

DRAWS = 512
"""Draws behind intervals and probabilities: they are exact to about two per cent."""

MOVED = 0.1
"""Share that slopes are told for."""

SURE = (1 + CREDIBLE) / 2
"""A sign counts as sure from this probability on: then the interval leaves out 0."""

TRIED = 40
"""Trials, the latest ones, over which metrics are compared."""

TINY = 1e-12
"""The smallest length that is divided by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What draws say of a number.

    Attributes:
        mean: their mean.
        low, high: between them it lies with a probability of `CREDIBLE`, if the model is right.
        positive: the probability that it is above 0.
    """

    mean: float
    low: float
    high: float
    positive: float

    @classmethod
    def of(cls, draws: Array) -> Self:
        """The spread of draws, (n_draws,)."""
        low, high = np.quantile(draws, [1 - SURE, SURE])
        return cls(mean=float(draws.mean()), low=float(low), high=float(high), positive=float((draws > 0).mean()))

    @property
    def sign(self) -> int:
        """1 or -1 where the sign is sure, else 0."""
        return int(self.positive >= SURE) - int(self.positive <= 1 - SURE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Influence:
    """What the share of a domain, or of a group that moves as one, does around the recommended mixture.

    Attributes:
        name: of the domain or the group.
        domains: that have the share.
        share: recommended.
        moved: between which shares slopes were taken.
        slopes: the gain of each metric by `MOVED` more of the share, which all others give in proportion, or as near to
            that as the space allows; empty where it cannot move.
        possible: the lowest and the highest share that it can be moved to like that.
        same: the shares between which the expected score stays within its noise: it falls by less than one standard
            deviation of the difference, or by less than what a trial has to gain.
        drop: by how much the score falls where it falls most; its mean is what is expected, its `high` what cannot be
            ruled out.
        free: whether the score surely falls nowhere, or by less than what a trial has to gain.
    """

    name: str
    domains: tuple[str, ...]
    share: float
    moved: tuple[float, float]
    slopes: Mapping[str, Spread]
    possible: tuple[float, float]
    same: tuple[float, float]
    drop: Spread
    free: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """How two metrics go together.

    Attributes:
        metrics: their names.
        here: the cosine between their gradients at the recommended mixture: -1 where every move that lifts one lowers
            the other, 1 where the same moves lift both; None where nothing can move.
        tried: the correlation of their gains over the mixtures that were tried.
    """

    metrics: tuple[str, str]
    here: Spread | None
    tried: Spread

    @property
    def conflict(self) -> float:
        """The probability that they pull apart at the recommended mixture."""
        return 0.0 if self.here is None else 1 - self.here.positive


@dataclass(frozen=True, slots=True, kw_only=True)
class NextTrial:
    """What one more trial is expected to bring.

    Attributes:
        mixture, hyperparameters: what it would try.
        gain: by how much it is expected to raise the score of what is recommended; None where nobody knows.
        worth: what a trial has to gain.
        noise: what the score of one fine-tune of the recommended mixture varies by, a standard deviation.
        unsure: what is not known of that mixture's own score, a standard deviation.
    """

    mixture: Mixture
    hyperparameters: Mapping[str, Value]
    gain: float | None
    worth: float
    noise: float
    unsure: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a mixture is recommended.

    Attributes:
        mixture, hyperparameters: what is recommended.
        metrics: that it is judged by.
        trials: that the model knows.
        unexplained: metrics of which the model predicts a trial hardly better than the mean of the others does.
        influences: of each domain, or group that moves as one.
        relations: of each two metrics, those first that pull apart most surely.
        next: what one more trial is expected to bring.
    """

    mixture: Mixture
    hyperparameters: Mapping[str, Value]
    metrics: tuple[str, ...]
    trials: int
    unexplained: tuple[str, ...]
    influences: tuple[Influence, ...]
    relations: tuple[Relation, ...]
    next: NextTrial

    @property
    def conflicts(self) -> tuple[Relation, ...]:
        """The pairs of metrics that surely pull apart at the recommended mixture."""
        return tuple(relation for relation in self.relations if relation.conflict >= SURE)

    def to_json(self) -> dict[str, Any]:
        """The explanation as plain data."""
        data = TypeAdapter(type(self)).dump_python(self, mode="json")
        assert isinstance(data, dict)
        return {
            **data,
            "mixture": dict(self.mixture),
            "conflicts": [list(relation.metrics) for relation in self.conflicts],
            "next": {**data["next"], "mixture": dict(self.next.mixture)},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Explainer:
    """Draws from what is believed around a recommendation, and tells what they say.

    Attributes:
        outlook: what the trials lead to expect.
        scorer: the judge.
        space: what is searched.
        worth: score that does not matter.
        seed: of all draws.
    """

    outlook: Outlook
    scorer: Scorer
    space: PointSpace
    worth: float
    seed: int

    def explain(self, proposal: Proposal) -> Explanation:
        """Explains what is recommended.

        Args:
            proposal: the next trial.
        """
        best, explained = self.outlook.best, self.outlook.surrogate.explained
        moves = Moves.of(best.shares[0], self.space.simplex)
        steps = [moves.step(part) for part in moves.parts]
        changes = self._changes(steps)
        metrics = tuple(metric.name for metric in self.scorer.metrics)
        return Explanation(
            mixture=self.space.simplex.mixture(best.shares[0]),
            hyperparameters=best.settings[0],
            metrics=metrics,
            trials=len(self.outlook.evidence.measured),
            unexplained=tuple(name for name, part in zip(metrics, explained, strict=True) if part < EXPLAINED),
            influences=tuple(
                self._influence(part, step, change, moves)
                for part, step, change in zip(moves.parts, steps, changes, strict=True)
            ),
            relations=self._relations(_gradients(steps, changes)),
            next=self._next(proposal),
        )

    def _changes(self, steps: Sequence[Step]) -> Array:
        """What the gains change by from below to above each step, (n_steps, n_metrics, n_draws)."""
        ends = np.array([end for step in steps for end in (step.below, step.above)])
        gains = self._drawn(self._points(ends)).reshape(len(self.scorer.metrics), len(steps), 2, DRAWS)
        changes: Array = (gains[:, :, 1] - gains[:, :, 0]).transpose(1, 0, 2)
        return changes

    def _influence(self, part: Part, step: Step, change: Array, moves: Moves) -> Influence:
        """What a part does, by the change of the gains over its step, (n_metrics, n_draws)."""
        slopes = {}
        if step.possible:
            unit = MOVED / (step.down + step.up)
            slopes = {m.name: Spread.of(own * unit) for m, own in zip(self.scorer.metrics, change, strict=True)}
        way = moves.way(part)
        shares, own = part.share(way), float(part.share(moves.start))
        drops = self._drops(way)
        mean, sd = drops.mean(axis=1), drops.std(axis=1)
        within = (mean < np.maximum(sd, self.worth)) | (shares == own)
        here = int(np.flatnonzero(shares == own)[0])
        outside = np.flatnonzero(~within)
        first = max(outside[outside < here], default=-1) + 1
        last = min(outside[outside > here], default=len(way)) - 1
        return Influence(
            name=part.name,
            domains=part.domains,
            share=own,
            moved=(own - step.down, own + step.up),
            slopes=slopes,
            possible=(float(shares[0]), float(shares[-1])),
            same=(float(shares[first]), float(shares[last])),
            drop=Spread.of(drops[int(mean.argmax())]),
            free=not np.any((mean >= self.worth) & ((drops > 0).mean(axis=1) >= SURE)),
        )

    def _drops(self, way: Array) -> Array:
        """How far the scores of mixtures, (n, n_domains), are below that of the recommended one, (n, n_draws)."""
        coordinates, surrogate = self.space.coordinates, self.outlook.surrogate
        draws = surrogate.draws(coordinates(self.outlook.best), DRAWS, self._rng())
        drops: Array = self.scorer.utility(draws.base) - self.scorer.utility(draws.at(coordinates(self._points(way))))
        return drops

    def _relations(self, gradients: Array | None) -> tuple[Relation, ...]:
        """How metrics go together, by their gradients, (n_metrics, n_domains, n_draws), and over what was tried."""
        tried = self._drawn(self.outlook.evidence.asked[-TRIED:])
        tried = tried - tried.mean(axis=1, keepdims=True)
        found = []
        for (k, one), (j, other) in itertools.combinations(enumerate(self.scorer.metrics), 2):
            here = None if gradients is None else Spread.of(_cosines(gradients[k], gradients[j]))
            over = Spread.of(_cosines(tried[k], tried[j]))
            found.append(Relation(metrics=(one.name, other.name), here=here, tried=over))
        return tuple(sorted(found, key=lambda relation: -relation.conflict))

    def _next(self, proposal: Proposal) -> NextTrial:
        gains = self._drawn(self.outlook.best)[:, 0]
        variances = np.square(self.outlook.surrogate.noise) + self.outlook.evidence.variances.mean(axis=0)
        luck = np.sqrt(variances)[:, None] * self._rng(1).standard_normal(gains.shape)
        return NextTrial(
            mixture=proposal.mixture,
            hyperparameters=proposal.hyperparameters,
            gain=proposal.gain,
            worth=self.worth,
            noise=float(self.scorer.utility(gains.mean(axis=1, keepdims=True) + luck).std()),
            unsure=float(self.scorer.utility(gains).std()),
        )

    def _points(self, shares: Array) -> Points:
        """Mixtures, (n, n_domains), with the recommended hyperparameters."""
        return Points(shares=shares, settings=self.outlook.best.settings * len(shares))

    def _drawn(self, points: Points) -> Array:
        """Gains at points, all together, (n_metrics, n, n_draws)."""
        return self.outlook.surrogate.draws(self.space.coordinates(points), DRAWS, self._rng()).base

    def _rng(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, len(self.outlook.evidence.measured), *stream])


def _gradients(steps: Sequence[Step], changes: Array) -> Array | None:
    """The gradients of gains in the space, (n_metrics, n_domains, n_draws), that explain their changes best.

    Args:
        steps: what was moved.
        changes: by each of them, (n_steps, n_metrics, n_draws).
    """
    moved = np.array([step.above - step.below for step in steps])
    if not moved.any():
        return None
    gradients: Array = np.einsum("ds,smn->mdn", np.linalg.pinv(moved, rcond=1e-6), changes)
    return gradients


def _cosines(one: Array, other: Array) -> Array:
    """Cosines between vectors, (n_draws,), both (length, n_draws)."""
    lengths = np.linalg.norm(one, axis=0) * np.linalg.norm(other, axis=0)
    cosines: Array = (one * other).sum(axis=0) / np.maximum(lengths, TINY)
    return cosines
