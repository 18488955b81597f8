"""What a study advises, and what the advice rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from objectives.base import Value
from objectives.mixture import Mixture
from objectives.scorer import Score, Scorer
from ratio_search.record import Record

CREDIBLE = 0.9
"""Probability that a metric lies between `low` and `high` of its prediction, if the model is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a metric is expected to be, on the average of many fine-tunes.

    Attributes:
        value: in the metric's own units.
        low, high: between them it lies with a probability of `CREDIBLE`.
        gain: against its reference, in scales; more is better.
        holds: the probability that its guard holds; None without a guard.
    """

    value: float
    low: float
    high: float
    gain: float
    holds: float | None


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
        alternatives: the best of those that may be as good, best first.
        scorer: the judge.
        considered: finished trials that it was chosen from.
        unexplained: metrics of which the model predicts a trial hardly better than the mean of the others does.
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
        if self.record.imported:
            told.append(f"{self.record.job.id} was imported, not run by this study, and its seeds are not known")
        return "; ".join(told)

    @property
    def _reason(self) -> str:
        if not self.predictions:
            return self._of_the_best_trial
        told = [
            f"best expected score by a model of {self.considered} finished trials, one fine-tune each",
            "it was tried itself"
            if self.tried
            else f"it was not tried itself; the nearest trial is {self.record.job.id}",
        ]
        if self.guarded is not None:
            told.append(f"all guards hold with a probability of {self.guarded:.0%}")
        if self.unexplained:
            names = ", ".join(self.unexplained)
            told.append(f"the model explains next to nothing of {names}: more trials, or more test rows")
        return "; ".join(told)

    @property
    def _of_the_best_trial(self) -> str:
        basis = (
            f"best score among {self.considered} finished trials, one fine-tune each; "
            "the best of several noisy results is usually a little worse when it is repeated"
        )
        if self.score.feasible:
            return basis
        broken = ", ".join(f"{name} by {excess:.4g}" for name, excess in self.score.violations.items())
        return f"none of the finished trials keeps every guard, and this one breaks: {broken}; otherwise {basis}"
