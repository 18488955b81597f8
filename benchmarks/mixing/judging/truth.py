"""A study's word beside the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from ratio_search.recommendation import CREDIBLE

from ..regret import Yardstick
from .cases import Case
from .plays import Outcome, best_tried

REACH = float(ndtri((1 + CREDIBLE) / 2))
"""Standard deviations from the mean to either end of an interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What became of a guard at the recommended mixture.

    Attributes:
        stated: the probability that it holds, as the study says.
        holds: whether it truly does.
        bites: whether what is best for all other metrics would break it.
    """

    stated: float
    holds: bool
    bites: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A study beside the truth.

    Attributes:
        noise: how noisy it was.
        covered: for each metric, whether its interval holds its true value at the recommended mixture.
        missed: for each metric, how much better its true gain there is than expected, in stated standard deviations.
        guard: what became of it; None without one.
        loss: how far the recommended mixture's true score is below the best; 1 is a random mixture's distance.
        loss_best: the same of the mixture of the trial that measured the best score.
        promised: by how much the recommended mixture is expected to score more than it truly does, in that unit.
        promised_best: by how much the best trial measured more than its mixture truly scores.
    """

    noise: str
    covered: tuple[bool, ...]
    missed: tuple[float, ...]
    guard: Guard | None
    loss: float
    loss_best: float
    promised: float
    promised_best: float


def judged(case: Case, outcome: Outcome, yardstick: Yardstick) -> Judged:
    """Holds an outcome beside the truth.

    Args:
        case: what was played.
        outcome: what came of it.
        yardstick: of the case's problem. Its score counts all metrics, also one that the study only guards.
    """
    problem, task, shares = case.problem, case.task, np.array(outcome.shares)
    truth = problem.truth(shares[None])
    low, value, high = (
        task.gains(np.array([[getattr(said, end) for said in outcome.said]]))[0] for end in ("low", "value", "high")
    )
    tried = best_tried(case, outcome)
    score, score_best = problem.true_score(np.stack([shares, tried]))
    measured = problem.task.score(np.array(outcome.measured)).max()
    unit = yardstick.best - yardstick.typical
    guard = None
    if case.guarded is not None:
        stated = outcome.said[case.guarded].holds
        assert stated is not None
        guard = Guard(stated=stated, holds=case.holds(shares), bites=case.bites)
    return Judged(
        noise=str(problem.noise),
        covered=tuple(said.low <= at <= said.high for said, at in zip(outcome.said, truth[0].tolist(), strict=True)),
        missed=tuple(((task.gains(truth)[0] - value) / (np.abs(high - low) / 2 / REACH)).tolist()),
        guard=guard,
        loss=float(max(yardstick.best - score, 0.0) / unit),
        loss_best=float(max(yardstick.best - score_best, 0.0) / unit),
        promised=float((outcome.score - score) / unit),
        promised_best=float((measured - score_best) / unit),
    )
