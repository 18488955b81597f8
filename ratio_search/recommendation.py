"""What a study advises, and what the advice rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from objectives.base import Value
from objectives.mixture import Mixture
from objectives.scorer import EXPECTED, Score, Scorer
from ratio_search.record import Record
from ratio_search.selection import Balanced, Selection

DRAWN = 0.02
"""How far probabilities may be off because they are counted over draws."""

CREDIBLE = 0.9
"""Probability that a metric lies between `low` and `high` of its prediction, if the model is right."""

_BALANCED = Balanced()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a metric is expected to be, on the average of many fine-tunes.

    Attributes:
        value: in the metric's own units.
        low, high: between them it lies with a probability of `CREDIBLE`.
        gain: against its reference, in scales; more is better.
        holds: the probability that its guard holds; None without a guard.
        reaches: the probability that it reaches its target; None where none is aimed at.
    """

    value: float
    low: float
    high: float
    gain: float
    holds: float | None
    reaches: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """A tried mixture that may be as good as the recommended one.

    Attributes:
        trial: its job.
        mixture: what it was trained on.
        behind: how much lower its balanced score is expected to be.
        better: the probability that it is the better one.
    """

    trial: str
    mixture: Mixture
    behind: float
    better: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """The mixture to train with, by what is finished so far.

    Attributes:
        mixture: what to train on.
        hyperparameters: the values of those that were searched with it, by name.
        record: the finished trial of that mixture, or of the one nearest to it.
        tried: whether it was that very mixture.
        score: what it is expected to be worth; without a model, what that trial was.
        predictions: for each metric; empty without a model.
        guarded: the probability that all guards hold together; None without a model or a guard.
        reached: the probability that all targets are reached together; None without a model or a target.
        alternatives: the best of those that may be as good, best first.
        scorer: the judge.
        considered: finished trials that it was chosen from.
        unexplained: metrics of which the model predicts a trial hardly better than the mean of the others does.
        doubted: trials that all others speak against, so that they count for little.
        selection: what it was asked for as.
        unbeaten: of a mixture of the front, the probability that no other one beats it; None otherwise.
    """

    mixture: Mixture
    hyperparameters: Mapping[str, Value]
    record: Record
    tried: bool
    score: Score
    predictions: Mapping[str, Prediction]
    guarded: float | None
    alternatives: tuple[Alternative, ...]
    scorer: Scorer
    considered: int
    unexplained: tuple[str, ...]
    doubted: tuple[str, ...] = ()
    reached: float | None = None
    selection: Selection = _BALANCED
    unbeaten: float | None = None

    @classmethod
    def of_best(cls, record: Record, score: Score, *, scorer: Scorer, considered: int) -> Self:
        """The best trial, where there are too few of them for a model.

        Args:
            record: the trial.
            score: what it was judged to be worth.
            scorer: the judge.
            considered: finished trials that it was chosen from.
        """
        assert record.job.mixture is not None
        return cls(
            mixture=record.job.mixture,
            hyperparameters=record.job.hyperparameters,
            record=record,
            tried=True,
            score=score,
            predictions={},
            guarded=None,
            alternatives=(),
            scorer=scorer,
            considered=considered,
            unexplained=(),
        )

    @property
    def basis(self) -> str:
        """How it was chosen, in words."""
        told = [self._reason]
        if self._of_targets is not None:
            told.append(self._of_targets)
        if self.record.imported:
            told.append(f"{self.record.job.id} was imported, not run by this study, and its seeds are not known")
        return "; ".join(told)

    @property
    def unsure(self) -> dict[str, tuple[float, float]]:
        """Guards that hold with less than the confidence that is asked: how probably they hold, and what is asked."""
        found = {}
        for metric in self.scorer.metrics:
            holds = self.predictions[metric.name].holds if self.predictions else None
            if holds is not None and metric.confidence > EXPECTED and holds < metric.confidence - DRAWN:
                found[metric.name] = (holds, metric.confidence)
        return found

    @property
    def _reason(self) -> str:
        if not self.predictions:
            return self._of_the_best_trial
        model, aim = f"a model of {self.considered} finished trials, one fine-tune each", self.selection.aim
        told = [
            f"asked for as {self.selection}, with what is expected of it by {model}"
            if aim is None
            else f"best expected {aim} by {model}",
            "it was tried itself"
            if self.tried
            else f"it was not tried itself; the nearest trial is {self.record.job.id}",
        ]
        if self.guarded is not None:
            told.append(f"all guards hold with a probability of {self.guarded:.0%}")
        for name, (holds, asked) in self.unsure.items():
            told.append(
                f"that of {name} alone with {holds:.0%}, where {asked:.0%} are asked and no way was found to it"
            )
        if self.unbeaten is not None:
            told.append(f"no other mixture beats it with a probability of {self.unbeaten:.0%}")
        if self.doubted:
            told.append(
                f"what {', '.join(self.doubted)} measured is doubted, as all others speak against it: see the log"
            )
        if self.unexplained:
            names = ", ".join(self.unexplained)
            told.append(f"the model explains next to nothing of {names}: more trials, or more test rows")
        return "; ".join(told)

    @property
    def _of_targets(self) -> str | None:
        """How near one comes to the targets; None where there is nothing to say of them."""
        if not self.score.missed:
            return None if self.reached is None else f"all targets are reached with a probability of {self.reached:.0%}"
        if not self.predictions:
            missed = ", ".join(f"{name} by {far:.4g}" for name, far in self.score.missed.items())
            if self.selection.aim is None:
                return f"it misses {missed}"
            return f"it misses {missed}, and no other trial that may be recommended comes nearer to the targets"
        targets = {metric.name: metric.target for metric in self.scorer.metrics}
        predicted = {name: self.predictions[name] for name in self.score.missed}
        missed = ", ".join(
            f"{name} is expected to be {p.value:.4g} in place of {targets[name]:.4g}, which it reaches with a "
            f"probability of {p.reaches or 0:.0%}"
            for name, p in predicted.items()
        )
        if self.selection.aim is None:
            return f"not every target is reached: {missed}"
        if not self.score.feasible:
            return f"not every target is reached, and guards come first: {missed}"
        other = "no other mixture" if self.guarded is None else "no other mixture that keeps the guards"
        return f"not every target is reached, and {other} is expected to come nearer: {missed}"

    @property
    def _of_the_best_trial(self) -> str:
        broken = ", ".join(f"{name} by {excess:.4g}" for name, excess in self.score.violations.items())
        if self.selection.aim is None:
            asked = f"asked for as {self.selection}, with what it measured in one fine-tune"
            return f"{asked}; it breaks: {broken}" if broken else asked
        basis = (
            f"best {self.selection.aim} among {self.considered} finished trials, one fine-tune each; "
            "the best of several noisy results is usually a little worse when it is repeated"
        )
        if self.score.feasible:
            return basis
        return f"none of the finished trials keeps every guard, and this one breaks: {broken}; otherwise {basis}"
