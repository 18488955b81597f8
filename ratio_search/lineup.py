"""Who is compared when a search's recommendation is confirmed, and how thoroughly."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from objectives.base import Value
from objectives.mixture import Mixture
from ratio_search.anchors import Anchor
from ratio_search.interval import Interval
from ratio_search.recommendation import Recommendation
from ratio_search.record import Record
from ratio_search.rerun import Rerun

RECOMMENDED = "recommended"

CLOSE = 0.005
"""A recommendation that moved by no more than this part of the rows, as trials or versions of a library may move it,
is still the one that was confirmed."""

DISTINCT = 0.05
"""Candidates differ by at least this part of the rows: nearer ones could not be told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """A mixture that is compared.

    Attributes:
        name: `recommended`, the trial or the anchor that it is; several where they are the same, as in
            `recommended = uniform`.
        candidate: whether it may win; the others are there to be beaten.
        mixture: what to train on.
        hyperparameters: values of those that are searched, by name.
        trial: the trial that it is from; None where it was not tried, or is an anchor.
        promised: what the search expected of it, as gains by metric, with their intervals; empty where it did not say.
    """

    name: str
    candidate: bool
    mixture: Mixture
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)
    trial: str | None = None
    promised: Mapping[str, Interval] = field(default_factory=dict)

    def near(self, mixture: Mixture, hyperparameters: Mapping[str, Value], reach: float) -> bool:
        """Whether something else is the same but for a part of the rows."""
        return self.mixture.distance(mixture) <= reach and dict(self.hyperparameters) == dict(hyperparameters)

    def to_json(self) -> dict[str, Any]:
        """The entrant as plain data."""
        return {
            "name": self.name,
            "candidate": self.candidate,
            "shares": dict(self.mixture),
            "hyperparameters": dict(self.hyperparameters),
            "trial": self.trial,
            "promised": {name: dataclasses.asdict(gain) for name, gain in self.promised.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The entrant that `to_json` wrote."""
        return cls(
            name=data["name"],
            candidate=data["candidate"],
            mixture=Mixture.of(data["shares"]),
            hyperparameters=data["hyperparameters"],
            trial=data["trial"],
            promised={name: Interval(**gain) for name, gain in data["promised"].items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineup:
    """All that are compared, on which rows, and how often.

    Attributes:
        entrants: the recommended one first, then its alternatives, then the anchors.
        replicates: fine-tunes of each.
        split: digest of the final files that they are judged on.
        baseline: whether the untuned model is evaluated on them, too.
    """

    entrants: tuple[Entrant, ...]
    replicates: int
    split: str
    baseline: bool

    @classmethod
    def of(
        cls, candidates: Sequence[Entrant], anchors: Sequence[Entrant], *, replicates: int, split: str, baseline: bool
    ) -> Self:
        """The lineup of candidates and of the anchors; an anchor that is a candidate is no rival of itself.

        Args:
            candidates: the recommended one first.
            anchors: the other mixtures, none of which is another's.
            replicates: fine-tunes of each.
            split: digest of the final files.
            baseline: whether the untuned model is evaluated on them.
        """
        entrants = list(candidates)
        for anchor in anchors:
            twin = next(
                (i for i, one in enumerate(entrants) if one.near(anchor.mixture, anchor.hyperparameters, CLOSE)), None
            )
            if twin is None:
                entrants.append(anchor)
            else:
                names = f"{entrants[twin].name} = {anchor.name}"
                entrants[twin] = dataclasses.replace(entrants[twin], name=names)
        return cls(entrants=tuple(entrants), replicates=replicates, split=split, baseline=baseline)

    @property
    def recommended(self) -> Entrant:
        """What the search recommended."""
        return self.entrants[0]

    @property
    def candidates(self) -> int:
        """How many may win."""
        return sum(entrant.candidate for entrant in self.entrants)

    def confirms(self, mixture: Mixture, hyperparameters: Mapping[str, Value]) -> bool:
        """Whether what is recommended now is what was compared."""
        return self.recommended.near(mixture, hyperparameters, CLOSE)

    def reruns(self) -> Iterator[tuple[Entrant | None, Rerun]]:
        """All that is to be run, in order; None stands for the untuned model.

        What one replicate needs comes before the next one, so that an early end leaves pairs.
        """
        if self.baseline:
            yield None, Rerun(mixture=None, replicate=0, split=self.split)
        for replicate in range(self.replicates):
            for entrant in self.entrants:
                yield entrant, self.rerun(entrant, replicate)

    def rerun(self, entrant: Entrant, replicate: int) -> Rerun:
        """One run of an entrant."""
        return Rerun(
            mixture=entrant.mixture, hyperparameters=entrant.hyperparameters, replicate=replicate, split=self.split
        )

    def settled(self, earlier: Lineup | None) -> Self:
        """This lineup with the mixtures of an earlier one where they hardly moved, so that its runs still count.

        Args:
            earlier: what was compared before; None for nothing.
        """
        if earlier is None:
            return self

        def kept(entrant: Entrant) -> Entrant:
            for old in earlier.entrants:
                if old.near(entrant.mixture, entrant.hyperparameters, CLOSE):
                    return dataclasses.replace(entrant, mixture=old.mixture)
            return entrant

        return dataclasses.replace(self, entrants=tuple(map(kept, self.entrants)))

    def to_json(self) -> dict[str, Any]:
        """The lineup as plain data."""
        return {
            "entrants": [entrant.to_json() for entrant in self.entrants],
            "replicates": self.replicates,
            "split": self.split,
            "baseline": self.baseline,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The lineup that `to_json` wrote."""
        entrants = tuple(Entrant.from_json(entrant) for entrant in data["entrants"])
        return cls(entrants=entrants, replicates=data["replicates"], split=data["split"], baseline=data["baseline"])


def candidates(advice: Recommendation, ranked: Iterable[Record], top: int) -> list[Entrant]:
    """The recommendation and its alternatives: those that may be as good, best first, then the best trials.

    Args:
        advice: what is recommended.
        ranked: the trials that may be recommended, best first.
        top: most candidates, >= 1; there are fewer where there are no more distinct ones.
    """
    found = [
        Entrant(
            name=RECOMMENDED,
            candidate=True,
            mixture=advice.mixture,
            hyperparameters=advice.hyperparameters,
            trial=advice.record.job.id if advice.tried else None,
            promised=_promised(advice),
        )
    ]
    trials = {record.job.id: record for record in ranked}
    likely = [trials[other.trial] for other in advice.alternatives if other.trial in trials]
    for record in [*likely, *trials.values()]:
        job = record.job
        assert job.mixture is not None
        if len(found) >= top:
            break
        if not any(one.near(job.mixture, job.hyperparameters, DISTINCT) for one in found):
            found.append(
                Entrant(
                    name=job.id,
                    candidate=True,
                    mixture=job.mixture,
                    hyperparameters=job.hyperparameters,
                    trial=job.id,
                )
            )
    return found


def rivals(anchors: Sequence[Anchor], settings: Mapping[str, Value]) -> list[Entrant]:
    """The anchors as what is to be beaten.

    Args:
        anchors: of the study.
        settings: what they are trained with, of what is searched beside the shares.
    """
    return [
        Entrant(name=anchor.name, candidate=False, mixture=anchor.mixture, hyperparameters=settings)
        for anchor in anchors
    ]


def _promised(advice: Recommendation) -> dict[str, Interval]:
    """The gains that are expected of a recommendation; without a model, those that its trial measured."""
    found = {}
    for metric in advice.scorer.metrics:
        predicted, reference = advice.predictions.get(metric.name), advice.scorer.reference(metric)
        if predicted is None:
            found[metric.name] = Interval(value=advice.score.gains[metric.name], low=None, high=None)
            continue
        ends = sorted(metric.gain(value, reference) for value in (predicted.low, predicted.high))
        found[metric.name] = Interval(value=predicted.gain, low=ends[0], high=ends[1])
    return found
