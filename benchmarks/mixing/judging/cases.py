"""What is judged: a study of a problem whose truth is known, with a guard that gets in its way or without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..laws import laws
from ..maximise import Effort, maximise
from ..problems import Floats, Noise, Problem, Task, digest, random_mixtures
from ..suite import BALANCES

CONFIDENCE = 0.9
"""With which a guard is asked to hold."""

CLEAR = 0.8
"""A guard is kept clearly by the best of random mixtures from this quantile of the guarded metric's gain on."""

EFFORT = Effort(pool=20_000, starts=8, rounds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One study to be played.

    Attributes:
        problem: what it measures; its score is not that of the study where there is a guard.
        task: what the study is told: the problem's, or with one metric that only has a guard.
        seed: of the noise, and of the study.
        trials: how many there are.
    """

    problem: Problem
    task: Task
    seed: int
    trials: int

    @property
    def name(self) -> str:
        """Unique in a run."""
        return f"{self.problem.name}/{'plain' if self.guarded is None else 'guarded'}/{self.seed}"

    @property
    def guarded(self) -> int | None:
        """The place of the metric that has a guard."""
        return next((k for k, metric in enumerate(self.task.metrics) if metric.guard is not None), None)

    @property
    def digest(self) -> str:
        """Differs when what the study is told or measures may differ."""
        told = [(m.guard, m.confidence, m.weight, f"{m.reference:.9g}") for m in self.task.metrics]
        return digest([self.problem.digest, told, self.seed, self.trials])

    @property
    def bites(self) -> bool:
        """Whether what is best for all other metrics breaks the guard."""
        assert self.guarded is not None
        return not self.holds(best_for_others(self.problem, self.guarded))

    def holds(self, shares: Floats) -> bool:
        """Whether the guard truly holds at a mixture, (n_domains,)."""
        assert self.guarded is not None
        limit = self.task.scorer.guarded[self.guarded]
        return bool(self.task.gains(self.problem.truth(shares[None]))[0, self.guarded] >= limit)


def cases(
    *, law_seed: int, sizes: Sequence[int], draws: int, seeds: int, noise: Noise, trials: int, guarded: bool
) -> list[Case]:
    """Every law with both balances at a level of noise.

    Args:
        law_seed: of the laws' draws.
        sizes: numbers of domains that laws are drawn for.
        draws: laws for each.
        seeds: studies of each problem.
        noise: how noisy.
        trials: of each study.
        guarded: whether there is a guard.
    """
    problems = [Problem.of(law, balance, noise) for law in laws(law_seed, tuple(sizes), draws) for balance in BALANCES]
    return [
        Case(problem=problem, task=guard(problem) if guarded else problem.task, seed=seed, trials=trials)
        for problem in problems
        for seed in range(seeds)
    ]


def guard(problem: Problem) -> Task:
    """A problem's task with a guard on the metric that suffers most from what is best for the others.

    That metric counts no longer, and its guard lies half-way from what the others' optimum leaves it with to what a
    fifth of random mixtures give it: the optimum breaks it, unless it suits that metric anyway, and some mixtures keep
    it clearly. Suffering is measured in spreads.
    """
    task, domains = problem.task, len(problem.task.domains)
    clear = np.quantile(task.gains(problem.truth(random_mixtures(domains))), CLEAR, axis=0)
    left = np.array([_left(problem, k) for k in range(len(task.metrics))])
    k = int(((clear - left) / (np.array(problem.spread) * np.abs(task.units))).argmax())
    metric = task.metrics[k]
    assert metric.reference is not None
    limit = metric.value(float(clear[k] + left[k]) / 2, metric.reference)
    changed = replace(metric, weight=0.0, guard=0.0, confidence=CONFIDENCE, reference=limit)
    return replace(task, metrics=(*task.metrics[:k], changed, *task.metrics[k + 1 :]))


def best_for_others(problem: Problem, k: int) -> Floats:
    """The mixture that is best where a metric does not count, (n_domains,)."""
    others = np.delete(np.arange(len(problem.task.metrics)), k)
    without = replace(problem.task, metrics=tuple(problem.task.metrics[i] for i in others))

    def gains(shares: Floats) -> Floats:
        return problem.task.gains(problem.truth(shares))[:, others]

    return maximise(without, gains, np.random.default_rng(0), EFFORT)


def _left(problem: Problem, k: int) -> float:
    """The gain of a metric at the mixture that is best for all others."""
    best = best_for_others(problem, k)
    return float(problem.task.gains(problem.truth(best[None]))[0, k])
