"""Confirmations of what studies recommend, simulated, and what their verdicts say beside the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from objectives.base import Measurement
from ratio_search.contender import Contender
from ratio_search.space import SAME
from ratio_search.verdict import judge

from ..contestants.base import uniform
from ..problems import Floats
from .cases import Case
from .plays import Outcome

CANDIDATES = 3
"""Mixtures that may win: the recommended one, and trials that measured best."""

REPLICATES = (2, 3)
"""Fresh fine-tunes of each mixture; a confirmation of its own for each number."""

_STREAM = 1
"""Sets the luck of fresh fine-tunes apart from that of trials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a verdict says of a winner and a rival.

    Attributes:
        noise: how noisy the runs were.
        stated: the probability that the winner is worth more.
        candidate: whether the rival might have won, too.
        right: whether the winner truly is worth more, by the noise-free metrics.
    """

    noise: str
    stated: float
    candidate: bool
    right: bool


def claims(case: Case, outcome: Outcome) -> list[Claim]:
    """All claims of the confirmations of a study's recommendation."""
    candidates = _apart([np.array(outcome.shares), *_best_first(case, outcome)])[:CANDIDATES]
    mixtures = _apart([*candidates, uniform(case.task)])
    worth = case.task.scorer.utility(case.task.gains(case.problem.truth(np.stack(mixtures))).T)
    found = []
    for replicates in REPLICATES:
        contenders = [
            Contender(name=str(i), runs=_runs(case, shares, i, replicates), candidate=i < len(candidates))
            for i, shares in enumerate(mixtures)
        ]
        verdict = judge(contenders, case.task.scorer)
        for lead in verdict.leads:
            assert lead.better is not None
            ahead = worth[int(verdict.winner)] > worth[int(lead.rival)]
            noise = str(case.problem.noise)
            found.append(Claim(noise=noise, stated=lead.better, candidate=lead.candidate, right=bool(ahead)))
    return found


def _runs(case: Case, shares: Floats, place: int, replicates: int) -> dict[int, Measurement]:
    names, found = [metric.name for metric in case.task.metrics], {}
    for replicate in range(replicates):
        rng = np.random.default_rng([case.seed, replicate, place, _STREAM, int(case.problem.landscape.digest, 16)])
        values = case.problem.measure(shares, rng).tolist()
        found[replicate + 1] = Measurement.of_numbers(dict(zip(names, values, strict=True)))
    return found


def _best_first(case: Case, outcome: Outcome) -> list[Floats]:
    """The tried mixtures, by what they measured."""
    scorer, names = case.task.scorer, [metric.name for metric in case.task.metrics]
    scores = [scorer.score(dict(zip(names, values, strict=True))) for values in outcome.measured]
    return [np.array(outcome.tried[i]) for i in sorted(range(len(scores)), key=scores.__getitem__, reverse=True)]


def _apart(mixtures: list[Floats]) -> list[Floats]:
    """Those that are not the same as an earlier one."""
    found: list[Floats] = []
    for shares in mixtures:
        if all(np.abs(shares - other).sum() / 2 > SAME for other in found):
            found.append(shares)
    return found
