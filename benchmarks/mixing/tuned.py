"""Fine-tuning laws that depend on a learning rate and a LoRA rank, too, drawn from a stated prior.

The mixture's part is a law of `laws.py`. The prior of the rest, where u is the decimal logarithm of the learning rate
over the best one of a metric:

- **Range.** The learning rate is searched from 1e-5 to 1e-2. The best one's decimal logarithm is U(-4.3, -2.7), that of
  each metric N(0, 0.15) from it.
- **Too slow.** Below the best rate a fine-tune learns less from the same rows: effective data counts 10^(p u) times,
  p from U(0.5, 1). Interference shrinks alike.
- **Too fast.** Above it each loss is higher by q u^2, q from LogN(0.5, 0.4), without end: the highest rates diverge.
- **Forgetting** shrinks by 10^(f u) below the best rate and grows by 0.3 f u^2 of its strength above it, f from
  U(0.3, 1).
- **Rank.** One of 8, 32 and 128. From one to the next, effective data counts exp(r) times, r from U(0, 0.3) and
  U(-0.1, 0.15).

Noise is beside what each metric varies by over random mixtures with the best rate and the middle rank, as in a study
without hyperparameters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from objectives.scorer import BalanceKind

from .laws import Law, draw
from .maximise import Effort, maximise
from .problems import Floats, Landscape, Noise, Problem, digest, random_mixtures
from .regret import kept

LOWEST, HIGHEST = 1e-5, 1e-2
RANKS = (8, 32, 128)
SPACE = {"learning_rate": {"low": LOWEST, "high": HIGHEST, "log": True}, "rank": {"choices": list(RANKS)}}
"""As the study file states it."""

_RATES = np.linspace(math.log10(LOWEST), math.log10(HIGHEST), 25)
_EFFORT, _BEST_OF, _NEAR = Effort(pool=6_000, starts=4, rounds=40), 4, (-0.04, 0.0, 0.04)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TunedLaw:
    """A law whose metrics depend on hyperparameters, too; the module says what its parts mean.

    Attributes:
        law: of the mixture.
        rate: decimal logarithm of the best learning rate.
        shift: of each metric's best one from that, (n_losses,).
        slow: p.
        fast: q, (n_losses,).
        forgets: f.
        ranks: logarithms of what effective data counts with each rank, (3,).
    """

    law: Law
    rate: float
    shift: Floats
    slow: float
    fast: Floats
    forgets: float
    ranks: Floats

    def __call__(self, shares: Floats, rates: Floats, ranks: NDArray[np.intp]) -> Floats:
        """All metrics' values, (n, n_losses + 1).

        Args:
            shares: mixtures, (n, n_domains).
            rates: decimal logarithms of learning rates, (n,).
            ranks: places in `RANKS`, (n,).
        """
        law, away = self.law, rates[:, None] - (self.rate + self.shift)
        learned = 10 ** (self.slow * np.minimum(away, 0)) * np.exp(self.ranks[ranks])[:, None]
        losses = law.loss(shares, learned) + self.fast * np.square(np.maximum(away, 0))
        away = rates[:, None] - self.rate
        forgotten = (0.7 - law.general(shares)) * 10 ** (self.forgets * np.minimum(away, 0))
        forgotten += 0.3 * self.forgets * law.forgetting * np.square(np.maximum(away, 0))
        return np.concatenate([law.measured(losses), 0.7 - forgotten], axis=1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TunedProblem:
    """A law with hyperparameters, a balance and a level of noise.

    Attributes:
        still: the problem of the same law with the best rate and the middle rank.
        truth: all of it.
        best: the highest score that was found.
        typical: the median score of random mixtures with random hyperparameters.
    """

    still: Problem
    truth: TunedLaw
    best: float
    typical: float

    @classmethod
    def of(cls, domains: int, seed: int, number: int, balance: BalanceKind, noise: Noise, cache: Path) -> TunedProblem:
        """Draws one.

        Args:
            domains: how many.
            seed: of all draws.
            number: of this one.
            balance: how gains become the score.
            noise: how much.
            cache: a folder for optima.
        """
        landscape = draw(domains, seed, number)
        assert isinstance(landscape.model, Law)
        truth = _tuned(landscape.model, np.random.default_rng([seed, 7, domains, number]))
        still = Problem.of(_at_best(landscape, truth), balance, noise)
        best, typical = _yardstick(truth, still, cache)
        return cls(still=still, truth=truth, best=best, typical=typical)

    def values(self, shares: Floats, settings: Mapping[str, float]) -> Floats:
        """The metrics without noise, (n_metrics,), of one mixture, (n_domains,), with hyperparameters."""
        rate, rank = math.log10(settings["learning_rate"]), RANKS.index(int(settings["rank"]))
        found: Floats = self.truth(shares[None], np.array([rate]), np.array([rank]))[0]
        return found

    def measured(self, shares: Floats, settings: Mapping[str, float], rng: np.random.Generator) -> Floats:
        """What one fine-tune yields, (n_metrics,)."""
        return self.still.strayed(self.values(shares, settings), shares, rng)

    def score(self, values: Floats) -> float:
        """The score of values, (n_metrics,)."""
        return float(self.still.task.score(values[None])[0])

    def regret(self, shares: Floats, settings: Mapping[str, float]) -> float:
        """(best - score) / (best - typical) without noise."""
        return max(self.best - self.score(self.values(shares, settings)), 0.0) / (self.best - self.typical)


def _tuned(law: Law, rng: np.random.Generator) -> TunedLaw:
    losses = len(law.floor)
    return TunedLaw(
        law=law,
        rate=rng.uniform(-4.3, -2.7),
        shift=rng.normal(0, 0.15, losses),
        slow=rng.uniform(0.5, 1.0),
        fast=rng.lognormal(math.log(0.5), 0.4, losses),
        forgets=rng.uniform(0.3, 1.0),
        ranks=np.cumsum([0.0, rng.uniform(0, 0.3), rng.uniform(-0.1, 0.15)]),
    )


def _at_best(landscape: Landscape, truth: TunedLaw) -> Landscape:
    """The law with the best rate and the middle rank."""

    def model(shares: Floats) -> Floats:
        return truth(shares, np.full(len(shares), truth.rate), np.ones(len(shares), dtype=np.intp))

    return replace(landscape, name=f"tuned-{landscape.name}", model=model)


def _yardstick(truth: TunedLaw, still: Problem, cache: Path) -> tuple[float, float]:
    """The highest score that was found, and the median one of random mixtures and hyperparameters."""
    task, domains = still.task, len(still.task.domains)
    mixtures, rng = random_mixtures(domains), np.random.default_rng(0)
    n = len(mixtures)
    drawn = truth(mixtures, rng.uniform(_RATES[0], _RATES[-1], n), rng.integers(0, len(RANKS), n))

    def gains(rate: float, rank: int, shares: Floats) -> Floats:
        return task.gains(truth(shares, np.full(len(shares), rate), np.full(len(shares), rank)))

    def searched() -> dict[str, float]:
        few, best = mixtures[:512], -math.inf
        tried = [(task.balanced(gains(rate, k, few)).max(), rate, k) for rate in _RATES for k in range(len(RANKS))]
        for _, centre, rank in sorted(tried, reverse=True)[:_BEST_OF]:
            for rate in (centre + step for step in _NEAR):
                shares = maximise(task, partial(gains, rate, rank), np.random.default_rng(0), _EFFORT)
                best = max(best, float(task.balanced(gains(rate, rank, shares[None]))[0]))
        return {"best": best, "typical": float(np.median(task.score(drawn)))}

    # Noise does not matter.
    key = digest([_EFFORT, _BEST_OF, _NEAR, drawn.round(9), still.landscape.digest, task.balance])
    found = kept(cache / "optima" / f"{key}.json", searched)
    return found["best"], found["typical"]
