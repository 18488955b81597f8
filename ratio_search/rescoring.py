"""What a study's trials would lead to if they were judged otherwise. Nothing is trained, and nothing is changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from objectives.scorer import Score, Scorer
from ratio_search.change import Change
from ratio_search.recommendation import Recommendation
from ratio_search.record import Record
from ratio_search.spec import StudySpec
from ratio_search.standing import Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a study's trials lead to by one judge.

    Attributes:
        scorer: the judge.
        advice: what to train with.
        ranking: finished trials with their scores, best first.
    """

    scorer: Scorer
    advice: Recommendation
    ranking: Sequence[tuple[Record, Score]]

    @classmethod
    def of(cls, study: Standing, scorer: Scorer | None = None) -> Self:
        """The judgement of a study's trials; see `Standing.recommend`."""
        grounds = study.grounds(scorer)
        return cls(scorer=grounds.scorer, advice=grounds.recommend(), ranking=grounds.ranking)

    @property
    def values(self) -> dict[str, float]:
        """What the recommended mixture is expected to have; without a model, what its trial measured."""
        advice = self.advice
        return {name: p.value for name, p in advice.predictions.items()} or dict(advice.record.values)

    @property
    def places(self) -> dict[str, int]:
        """The place of each trial in the order, from 1."""
        return {record.job.id: place for place, (record, _) in enumerate(self.ranking, start=1)}

    def of_values(self, values: Mapping[str, float]) -> float:
        """The balanced score of values, those of another judge's mixture, say."""
        return self.scorer.score(values).balanced


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescoring:
    """A study's judgement of now, beside another one.

    Attributes:
        spec: the study's.
        now: by the study file.
        asked: by what was asked for instead; None where nothing was.
        asked_spec: the study file's values with that; None likewise.
        warnings: what a person should know of the judgement asked for, or of that of now.
    """

    spec: StudySpec
    now: Judgement
    asked: Judgement | None
    asked_spec: StudySpec | None
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, study: Standing, change: Change) -> Self:
        """Judges a study's trials, and again with a change.

        Raises:
            SpecError: the change cannot be made.
            NothingToRecommend: nothing is finished that could be judged.
        """
        spec = change.applied(study.spec) if change else None
        now, asked, scorer = Judgement.of(study), None, study.scorer()
        assert scorer is not None, "there was nothing to recommend"
        if spec is not None:
            scorer = dataclasses.replace(scorer, metrics=spec.metrics, balance=spec.balance)
            asked = Judgement.of(study, scorer)
        return cls(spec=study.spec, now=now, asked=asked, asked_spec=spec, warnings=tuple(study.warnings(scorer)))

    @property
    def last(self) -> Judgement:
        """The judgement that was asked for, or that of now."""
        return self.asked or self.now

    @property
    def apart(self) -> float | None:
        """How far the two recommended mixtures are apart: the part of the rows that changes; None with one of them."""
        return None if self.asked is None else self.now.advice.mixture.distance(self.asked.advice.mixture)

    @property
    def edits(self) -> tuple[str, ...]:
        """What to state in the study file for the judgement that was asked for, one line each."""
        if self.asked_spec is None:
            return ()
        found, before, after = [], self.spec.balance, self.asked_spec.balance
        if after != before:
            mean = f", mean: {after.mean:g}" if after.mean else ""
            found.append(f"balance: {{kind: {after.kind}{mean}}}")
        for old, new in zip(self.spec.metrics, self.asked_spec.metrics, strict=True):
            for key in ("weight", "guard", "confidence", "target"):
                value = getattr(new, key)
                if value != getattr(old, key):
                    # A confidence only changes by going with its guard.
                    told = f"no {key}" if value is None or key == "confidence" else f"{key}: {value:g}"
                    found.append(f"metrics: {new.name}: {told}")
        return tuple(found)

    def to_json(self, shown: int) -> dict[str, Any]:
        """All of it as plain data.

        Args:
            shown: trials of the new order.
        """
        places, sides = self.now.places, {"now": self.now, "asked": self.asked}
        values = {name: side.values for name, side in sides.items() if side is not None}
        return {
            "name": self.spec.name,
            "warnings": list(self.warnings),
            **{name: None if side is None else _side(side, values) for name, side in sides.items()},
            "apart": self.apart,
            "order": [
                {
                    "trial": record.job.id,
                    "place": place,
                    "place_now": places[record.job.id],
                    "score": score.balanced,
                    "feasible": score.feasible,
                    "shares": dict(record.job.mixture or {}),
                }
                for place, (record, score) in enumerate(self.last.ranking[:shown], start=1)
            ],
            "edits": list(self.edits),
        }


def _side(side: Judgement, values: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """One of both judgements as plain data.

    Args:
        side: the judgement.
        values: what each recommended mixture is expected to have, by the name of its judgement.
    """
    advice, scorer = side.advice, side.scorer
    expected = side.values
    return {
        "balance": {"kind": scorer.balance.kind.value, "mean": scorer.balance.mean},
        "metrics": {
            m.name: {"weight": m.weight, "guard": m.guard, "confidence": m.confidence, "target": m.target}
            for m in scorer.metrics
        },
        "shares": dict(advice.mixture),
        "hyperparameters": dict(advice.hyperparameters),
        "trial": advice.record.job.id,
        "tried": advice.tried,
        "basis": advice.basis,
        "expected": {
            m.name: {
                "value": expected[m.name],
                "interval": None if (p := advice.predictions.get(m.name)) is None else [p.low, p.high],
                "gain": advice.score.gains[m.name],
                "holds": None if p is None else p.holds,
                "reaches": None if p is None else p.reaches,
            }
            for m in scorer.metrics
        },
        "feasible": advice.score.feasible,
        "violations": dict(advice.score.violations),
        "missed": dict(advice.score.missed),
        "guards_hold": advice.guarded,
        "targets_reached": advice.reached,
        "scores": {name: side.of_values(others) for name, others in values.items()},
    }
