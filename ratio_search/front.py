"""The front: the mixtures that no other one beats in every gain, as far as noise lets one say so."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from objectives.base import Value
from objectives.mixture import Mixture
from objectives.scorer import ROUNDING, Scorer
from ratio_search.adviser import DRAWS, EXPLAINED
from ratio_search.dominance import hypervolume, layers, unbeaten
from ratio_search.model import PointSpace
from ratio_search.recommendation import CREDIBLE
from ratio_search.record import Record
from ratio_search.sampler.simplex_gp import Outlook
from ratio_search.space import SAME

CONSIDERED = 250
"""Mixtures that are drawn together, those of the first layers by what is expected: many of more are surely beaten."""

POSSIBLE = 0.2
"""A mixture is on the front if no other one beats it with at least this probability, or by what is expected."""

UNLIKELY = 0.5
"""A mixture is marked whose guards hold with less than this probability."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What a mixture gains in one metric.

    Attributes:
        expected: on the average of many fine-tunes, in scales; without a model, what was measured.
        low, high: between them it lies with a probability of `CREDIBLE`; None without a model.
        value: of the metric at the expected gain, in its own units.
    """

    expected: float
    low: float | None
    high: float | None
    value: float

    def to_json(self) -> dict[str, float | None]:
        """The gain as plain data."""
        return {"expected": self.expected, "low": self.low, "high": self.high, "value": self.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A mixture that may be on the front.

    Attributes:
        mixture: what to train on.
        hyperparameters: the values of those that are searched with it, by name.
        records: its trials, in order; empty where it was not tried.
        recommended: whether it is the one that the study recommends.
    """

    mixture: Mixture
    hyperparameters: Mapping[str, Value]
    records: tuple[Record, ...]
    recommended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A mixture of the front.

    Attributes:
        candidate: the mixture with its trials.
        unbeaten: the probability that no other mixture beats it; None without a model.
        holds: the probability that all guards hold, without a model 0 or 1; None without a guard.
        gains: of each metric.
    """

    candidate: Candidate
    unbeaten: float | None
    holds: float | None
    gains: Mapping[str, Gain]

    @property
    def breaks(self) -> bool:
        """Whether it is more likely to break a guard than to keep them all."""
        return self.holds is not None and self.holds < UNLIKELY

    def to_json(self) -> dict[str, Any]:
        """The member as plain data."""
        return {
            "trials": [record.job.id for record in self.candidate.records],
            "recommended": self.candidate.recommended,
            "shares": dict(self.candidate.mixture),
            "hyperparameters": dict(self.candidate.hyperparameters),
            "unbeaten": self.unbeaten,
            "guards_hold": self.holds,
            "gains": {name: gain.to_json() for name, gain in self.gains.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """The mixtures of a study that no other one beats: none is at least as good in every metric and better in one.

    Only metrics with a weight above 0 count. A mixture that breaks a guard beats none that keeps them all. The trials
    of one mixture are one candidate. The recommended mixture is always there, tried or not.

    Attributes:
        members: the recommended one first, then the others: those first whose guards hold, and of these the most likely
            ones to be unbeaten.
        considered: candidates that they were chosen from.
        counted: the metrics that count, in order.
        hypervolume: of the gains above the corner that what is expected of some candidate covers, in scales; 0 where
            none is above it in every metric. Candidates that are marked for their guards do not count.
        corner: for each metric that counts, the gain that is accepted at the least: 0, or that at which its guard
            begins to break. It stays where it is while the front grows, as the front's nadir would not.
        unexplained: metrics that count and of which the model predicts a trial hardly better than the mean of the
            others does: probabilities say little of them.
    """

    members: tuple[Member, ...]
    considered: int
    counted: tuple[str, ...]
    hypervolume: float
    corner: Mapping[str, float]
    unexplained: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        outlook: Outlook,
        records: Mapping[int, Record],
        scorer: Scorer,
        space: PointSpace,
        rng: np.random.Generator,
    ) -> Self:
        """The front by what a model expects.

        Args:
            outlook: what a study's trials lead to expect.
            records: these trials, by number, those that may be recommended only; at least one.
            scorer: the judge.
            space: what is searched.
            rng: of the draws behind probabilities.
        """
        [best] = [space.simplex.mixture(row) for row in outlook.best.shares]
        sound = zip(outlook.evidence.numbers, ~outlook.surrogate.doubted, strict=True)
        told = [records[number] for number, believed in sound if number in records and believed]
        found = candidates(told, best, outlook.best.settings[0])
        considered = len(found)
        if considered > CONSIDERED:
            likely = outlook.surrogate.forecast(_coordinates(found, space)).mean.T
            kept = set(np.argsort(layers(likely[_counted(scorer)]), kind="stable")[:CONSIDERED].tolist())
            found = [c for i, c in enumerate(found) if i in kept or c.recommended]
        x = _coordinates(found, space)
        forecast, gains = outlook.surrogate.forecast(x), outlook.surrogate.draws(x, DRAWS, rng).base
        held = _held(gains, scorer)
        expected = _Expected(
            mean=forecast.mean.T,
            sd=forecast.sd.T,
            unbeaten=unbeaten(gains[_counted(scorer)], held).mean(axis=1),
            holds=held.mean(axis=1),
        )
        front = cls._of(found, expected, scorer, considered)
        parts = zip(scorer.metrics, outlook.surrogate.explained, strict=True)
        unexplained = tuple(metric.name for metric, part in parts if metric.weight > 0 and part < EXPLAINED)
        return dataclasses.replace(front, unexplained=unexplained)

    @classmethod
    def of_measured(cls, records: Sequence[Record], scorer: Scorer) -> Self:
        """The front by what was measured, where there are too few trials for a model.

        Args:
            records: finished trials that may be recommended, the recommended one first.
            scorer: the judge.
        """
        best = records[0].job
        assert best.mixture is not None
        found = candidates(records, best.mixture, best.hyperparameters)
        mean = np.array([_measured(candidate, scorer) for candidate in found]).T
        expected = _Expected(mean=mean, sd=None, unbeaten=None, holds=_held(mean, scorer).astype(float))
        return cls._of(found, expected, scorer, len(found))

    @classmethod
    def _of(cls, found: Sequence[Candidate], expected: _Expected, scorer: Scorer, considered: int) -> Self:
        counted, lowest = _counted(scorer), np.array(scorer.guarded)
        likely = expected.holds >= UNLIKELY
        corner = np.where(np.isfinite(lowest), np.minimum(lowest, 0), 0.0)[counted]
        on = unbeaten(expected.mean[counted][:, :, None], likely[:, None])[:, 0]
        if expected.unbeaten is not None:
            on |= expected.unbeaten >= POSSIBLE
        surest = on.astype(float) if expected.unbeaten is None else expected.unbeaten
        order = sorted(range(len(found)), key=lambda i: (not found[i].recommended, not likely[i], -surest[i]))
        names = tuple(scorer.metrics[k].name for k in counted)
        return cls(
            members=tuple(expected.member(found[i], i, scorer) for i in order if on[i] or found[i].recommended),
            considered=considered,
            counted=names,
            hypervolume=hypervolume(expected.mean[counted][:, likely], corner),
            corner=dict(zip(names, corner.tolist(), strict=True)),
        )

    def spread(self, count: int) -> tuple[Member, ...]:
        """Members that differ as much as possible in what they gain, the recommended one first.

        Each is the one farthest from those before it (Gonzalez, "Clustering to minimize the maximum intercluster
        distance", 1985), in gains divided by the range that the front has of them. Marked members are left out, unless
        all are.

        Args:
            count: how many, from 1 to `spreadable`.
        """
        members = self._sound
        assert 1 <= count <= len(members), count
        gains = np.array([[member.gains[name].expected for name in self.counted] for member in members])
        reach = np.ptp(gains, axis=0)
        gains = gains / np.where(reach > 0, reach, 1.0)
        first = next((i for i, member in enumerate(members) if member.candidate.recommended), 0)
        chosen, apart = [first], np.full(len(members), np.inf)
        while len(chosen) < count:
            apart = np.minimum(apart, np.linalg.norm(gains - gains[chosen[-1]], axis=1))
            apart[chosen] = -1.0
            chosen.append(int(apart.argmax()))
        return tuple(members[i] for i in chosen)

    @property
    def spreadable(self) -> int:
        """How many mixtures `spread` can choose from."""
        return len(self._sound)

    @property
    def _sound(self) -> tuple[Member, ...]:
        return tuple(member for member in self.members if not member.breaks) or self.members

    def to_json(self) -> dict[str, Any]:
        """The front as plain data."""
        return {
            "considered": self.considered,
            "metrics": list(self.counted),
            "hypervolume": self.hypervolume,
            "corner": dict(self.corner),
            "unexplained": list(self.unexplained),
            "members": [member.to_json() for member in self.members],
        }


def candidates(records: Sequence[Record], best: Mixture, settings: Mapping[str, Value]) -> list[Candidate]:
    """The different mixtures of trials, in the trials' order, and at last the recommended one if it is none of them.

    Args:
        records: trials of a mixture.
        best: the recommended mixture.
        settings: the hyperparameters that it is recommended with.
    """
    names = best.names
    shares = np.array([[(record.job.mixture or best)[name] for name in names] for record in records])
    shares = shares.reshape(len(records), len(names))
    values = [dict(record.job.hyperparameters) for record in records]

    def alike(places: Sequence[int], row: Array, own: Mapping[str, Value]) -> list[int]:
        """Those of some trials that are of a mixture, its shares (n_domains,), with these settings."""
        near = 0.5 * np.abs(shares[places] - row).sum(axis=1) <= SAME
        return [i for i, same in zip(places, near, strict=True) if same and values[i] == dict(own)]

    groups: dict[int, list[int]] = {}
    for i, row in enumerate(shares):
        first = next(iter(alike(list(groups), row, values[i])), i)
        groups.setdefault(first, []).append(i)
    recommended = alike(list(groups), np.array([best[name] for name in names]), settings)[:1]
    made = []
    for first, places in groups.items():
        job = records[first].job
        assert job.mixture is not None
        made.append(
            Candidate(
                mixture=job.mixture,
                hyperparameters=job.hyperparameters,
                records=tuple(records[i] for i in places),
                recommended=first in recommended,
            )
        )
    if not recommended:
        made.append(Candidate(mixture=best, hyperparameters=settings, records=(), recommended=True))
    return made


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Expected:
    """What is expected of candidates.

    Attributes:
        mean: gains, (n_metrics, n).
        sd: their standard deviations, (n_metrics, n); None without a model.
        unbeaten: the probability that no other one beats it, (n,); None without a model.
        holds: the probability that all guards hold, (n,).
    """

    mean: Array
    sd: Array | None
    unbeaten: Array | None
    holds: Array

    def member(self, candidate: Candidate, place: int, scorer: Scorer) -> Member:
        """The member that a candidate becomes."""
        reach, gains = float(ndtri((1 + CREDIBLE) / 2)), {}
        for k, metric in enumerate(scorer.metrics):
            mean = float(self.mean[k, place])
            margin = None if self.sd is None else reach * float(self.sd[k, place])
            gains[metric.name] = Gain(
                expected=mean,
                low=None if margin is None else mean - margin,
                high=None if margin is None else mean + margin,
                value=metric.value(mean, scorer.reference(metric)),
            )
        guarded = any(metric.guard is not None for metric in scorer.metrics)
        return Member(
            candidate=candidate,
            unbeaten=None if self.unbeaten is None else float(self.unbeaten[place]),
            holds=float(self.holds[place]) if guarded else None,
            gains=gains,
        )


def _coordinates(found: Sequence[Candidate], space: PointSpace) -> Array:
    points = space.points([c.mixture for c in found], [c.hyperparameters for c in found])
    return space.coordinates(points)


def _counted(scorer: Scorer) -> list[int]:
    return [k for k, metric in enumerate(scorer.metrics) if metric.weight > 0]


def _held(gains: Array, scorer: Scorer) -> NDArray[np.bool_]:
    """Whether all guards hold, (...), at gains of each metric, (n_metrics, ...)."""
    limits = np.array(scorer.guarded).reshape(-1, *[1] * (gains.ndim - 1))
    return np.asarray((gains >= limits - ROUNDING).all(axis=0))


def _measured(candidate: Candidate, scorer: Scorer) -> list[float]:
    """The mean of what the trials of a mixture gained, for each metric."""
    scores = [scorer.score(record.values) for record in candidate.records]
    return [float(np.mean([score.gains[metric.name] for score in scores])) for metric in scorer.metrics]
