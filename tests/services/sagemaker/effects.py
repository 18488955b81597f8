"""How data changes what the simulated model can do, with parameters that are drawn from a stated prior.

Shaped like the trade-off that Amazon published (AWS Machine Learning Blog, 2026-03-02, on data mixing with Nova
Forge): the customer's data alone lifts F1 from 0.39 to 0.55 and lets MMLU fall from 0.75 to 0.47; a quarter of
Nova's data, in its usual proportions, keeps 0.74 and some 12 points of F1. How much Nova's categories differ in
what they do has been published by nobody: that is our own assumption.

The prior; all draws are independent, and each noun has a stream of its own:

    a domain's skill     Untuned U(0.375, 0.40), gain of the team's data alone, in equal parts, U(0.155, 0.175): the
                         first domain; U(0.30, 0.50) and U(0.13, 0.20): others. The gain is concave in rows, with
                         U(0.6, 1.2). A row of another domain counts as N(0, 0.12) of a row of its own, within
                         +-0.3.
    Nova on a skill      Three in ten of the categories that have at most 13 % of Nova's data help, by U(0.1, 0.6)
                         for each unit of share. The others hinder in proportion to U(0.2, 1.8), so much that the
                         usual proportions cost U(0.015, 0.03) where Nova has a quarter.
    a benchmark          MMLU: untuned U(0.745, 0.755), fall U(0.27, 0.29). Others: untuned U(0.60, 0.85), fall
                         U(0.12, 0.25). A row of a domain does exp N(0, 0.3) times the harm, with mean 1 over the
                         domains; the fall is concave in rows, with U(2, 4).
    Nova on a benchmark  What is left of the fall is exp(-strength x protection), strength U(3.0, 3.8) for MMLU and
                         U(2, 3.5) for others; protection is 1 for a quarter in the usual proportions. Categories
                         protect in proportion to exp N(mean, 1.2), within 0.1 to 15: mean 1.2 for those near the
                         benchmark (`NEAR`), else 0.
    both                 A category's effect is concave in its share, with scale 0.15.
    noise of a run       N(0, 0.006) on each skill, N(0, 0.003) on each benchmark.

What is not simulated: learning rates and other hyperparameters, LoRA or full rank, rows that are worth more than
others.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from objectives.backends.sagemaker.catalogue import CATEGORIES
from tests.services.sagemaker.training import Training

SCALE = 0.15
"""Share of a category at which it has most of its effect."""

QUARTER = 0.25
"""Nova's share where effects are scaled."""

COMMON = 13
"""Per cent of Nova's data that a category may have to help a domain."""

NEAR = {
    "mmlu": ("baseline", "factuality", "math", "stem", "reasoning-factuality", "reasoning-math", "reasoning-stem"),
    "ifeval": ("chat", "instruction-following", "reasoning-chat", "reasoning-instruction-following"),
}
"""Categories that are near a benchmark, and are likely to protect it."""

SKILL_NOISE, BENCHMARK_NOISE = 0.006, 0.003


def generator(seed: int, *nouns: str) -> np.random.Generator:
    """A stream of draws that belongs to some nouns, whatever else is drawn."""
    return np.random.default_rng([seed, *(zlib.crc32(noun.encode()) for noun in nouns)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill:
    """How well the model does a domain of the team's.

    Attributes:
        untuned: probability of a right answer.
        gain: by the team's data alone, in equal parts.
        saturation: how concave the gain is.
        transfer: what a row of each domain counts, in rows of its own.
        usual: `fresh` rows of each domain where the team's data is alone and in equal parts.
        categories: effect of a unit of share of each of Nova's, on the probability.
    """

    untuned: float
    gain: float
    saturation: float
    transfer: Mapping[str, float]
    usual: Mapping[str, float]
    categories: Mapping[str, float]

    @classmethod
    def drawn(cls, name: str, usual: Mapping[str, float], seed: int) -> Self:
        """A domain's, from the prior."""
        draw = generator(seed, "skill", name)
        first = name == next(iter(usual))
        help_ = {other: float(np.clip(draw.normal(0, 0.12), -0.3, 0.3)) for other in usual}
        return cls(
            untuned=draw.uniform(0.375, 0.40) if first else draw.uniform(0.30, 0.50),
            gain=draw.uniform(0.155, 0.175) if first else draw.uniform(0.13, 0.20),
            saturation=draw.uniform(0.6, 1.2),
            transfer={**help_, name: 1.0},
            usual=usual,
            categories=_drawn_hindrance(draw),
        )

    def value(self, training: Training) -> float:
        """The probability of a right answer after a fine-tune, noise-free."""
        rows = max(0.0, self._own(training.fresh)) / self._own(self.usual)
        learned = self.gain * (1 - math.exp(-self.saturation * rows)) / (1 - math.exp(-self.saturation))
        return float(np.clip(self.untuned + learned + _effect(self.categories, training.categories), 0.02, 0.98))

    def _own(self, rows: Mapping[str, float]) -> float:
        return sum(self.transfer.get(name, 0.0) * count for name, count in rows.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Ability:
    """What the model could do before, and forgets: a public benchmark, or a domain that is only tested.

    Attributes:
        untuned: probability of a right answer.
        fall: by the team's data alone.
        saturation: how concave the fall is.
        harm: of each domain's rows.
        rows: of the usual run.
        strength: of what Nova's data protects.
        categories: protection by a unit of share of each.
    """

    untuned: float
    fall: float
    saturation: float
    harm: Mapping[str, float]
    rows: float
    strength: float
    categories: Mapping[str, float]

    @classmethod
    def drawn(cls, name: str, domains: Sequence[str], rows: float, seed: int) -> Self:
        """A benchmark's, from the prior."""
        draw = generator(seed, "ability", name)
        known = name == "mmlu"
        harm = np.exp(draw.normal(0, 0.3, len(domains)))
        weights = np.exp(draw.normal(0, 1.2, len(CATEGORIES)))
        weights *= [math.exp(1.2) if category in NEAR.get(name, ()) else 1 for category in CATEGORIES]
        protection = dict(zip(CATEGORIES, np.clip(weights, 0.1, 15).tolist(), strict=True))
        whole = _effect(protection, _usual())
        return cls(
            untuned=draw.uniform(0.745, 0.755) if known else draw.uniform(0.60, 0.85),
            fall=draw.uniform(0.27, 0.29) if known else draw.uniform(0.12, 0.25),
            saturation=draw.uniform(2, 4),
            harm=dict(zip(domains, (harm / harm.mean()).tolist(), strict=True)),
            rows=rows,
            strength=draw.uniform(3.0, 3.8) if known else draw.uniform(2.0, 3.5),
            categories={category: weight / whole for category, weight in protection.items()},
        )

    def value(self, training: Training) -> float:
        """The probability of a right answer after a fine-tune, noise-free."""
        rows = sum(self.harm.get(name, 1.0) * count for name, count in training.own.items()) / self.rows
        forgotten = (1 - math.exp(-self.saturation * rows)) / (1 - math.exp(-self.saturation))
        left = math.exp(-self.strength * _effect(self.categories, training.categories))
        return float(np.clip(self.untuned - self.fall * forgotten * left, 0.02, 0.98))


def _drawn_hindrance(draw: np.random.Generator) -> dict[str, float]:
    helps, strengths, burdens = (draw.random(len(CATEGORIES)), draw.uniform(0.1, 0.6, len(CATEGORIES)),
                                 draw.uniform(0.2, 1.8, len(CATEGORIES)))  # fmt: skip
    cost = draw.uniform(0.015, 0.03)
    effects, hinders = {}, {}
    for category, chance, strength, burden in zip(CATEGORIES, helps, strengths, burdens, strict=True):
        if CATEGORIES[category] <= COMMON and chance < 0.3:
            effects[category] = float(strength)
        else:
            hinders[category] = float(burden)
    gained, lost = _effect(effects, _usual()), _effect(hinders, _usual())
    return effects | {category: -burden * (cost + gained) / lost for category, burden in hinders.items()}


def _effect(per_unit: Mapping[str, float], shares: Mapping[str, float]) -> float:
    return sum(per_unit.get(name, 0.0) * SCALE * (1 - math.exp(-share / SCALE)) for name, share in shares.items())


def _usual() -> dict[str, float]:
    """A quarter of Nova's data in its usual proportions."""
    return {category: QUARTER * percent / 100 for category, percent in CATEGORIES.items()}
