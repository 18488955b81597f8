"""A mixture problem whose truth is known: what a contestant is told, what it measures, and how far it fell short."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from objectives.metrics import Comparison, Goal
from objectives.scorer import Balance, BalanceKind, Metric, Scorer

Floats = NDArray[np.float64]

TYPICAL = 4096
"""Random mixtures behind a metric's spread and a problem's typical score."""

SCARCE_SHARE, SCARCE_NOISE = 0.05, 3.0
"""A metric is up to `SCARCE_NOISE` times as noisy where its own domain is absent; over shares of this order that fades.

Fine-tunes of one mixture with other seeds differ most in the domains that they hardly saw.
"""


class Noise(enum.StrEnum):
    """How far a measurement strays, beside the spread of its metric over random mixtures."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @property
    def level(self) -> float:
        """The standard deviation, in spreads."""
        return {Noise.LOW: 0.05, Noise.MEDIUM: 0.2, Noise.HIGH: 1.0}[self]


Model = Callable[[Floats], Floats]
"""What fine-tuning yields, noise apart: the metrics' values, (n, n_metrics), of mixtures, (n, n_domains)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """All that a contestant is told.

    Attributes:
        domains: names, in the order of the shares.
        metrics: what is measured, in the order of the values; each has its reference and a weight of 1.
        balance: how gains become the score.
    """

    domains: tuple[str, ...]
    metrics: tuple[Metric, ...]
    balance: BalanceKind

    @property
    def scorer(self) -> Scorer:
        """The product's own judgement, which `score` repeats for many at once."""
        return Scorer(metrics=self.metrics, balance=Balance(kind=self.balance), baseline={})

    @property
    def log(self) -> NDArray[np.bool_]:
        """Whether a metric's values are compared by their ratio, (n_metrics,)."""
        return np.array([metric.comparison is Comparison.LOG_RATIO for metric in self.metrics])

    @property
    def units(self) -> Floats:
        """Gain for each unit of the difference of comparable values, (n_metrics,)."""
        return np.array([(1 if m.goal is Goal.MAXIMIZE else -1) / m.scale for m in self.metrics])

    def comparable(self, values: Floats) -> Floats:
        """Values in the units in which they are compared: logarithms where ratios count, (n, n_metrics)."""
        found: Floats = np.where(self.log, np.log(np.where(self.log, values, 1.0)), values)
        return found

    @property
    def references(self) -> Floats:
        """What comparable values are measured from, (n_metrics,)."""
        return self.comparable(np.array([metric.reference for metric in self.metrics], dtype=np.float64))

    def gains(self, values: Floats) -> Floats:
        """How much better than the references, in scales; values and gains are (n, n_metrics)."""
        gains: Floats = (self.comparable(values) - self.references) * self.units
        return gains

    def balanced(self, gains: Floats) -> Floats:
        """The scores, (n,), of gains, (n, n_metrics)."""
        result: Floats = gains.min(axis=-1) if self.balance is BalanceKind.WORST else gains.mean(axis=-1)
        return result

    def score(self, values: Floats) -> Floats:
        """The scores, (n,), of values, (n, n_metrics)."""
        return self.balanced(self.gains(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Landscape:
    """A truth, before it is decided how its metrics are balanced and how noisy they are.

    Attributes:
        name: unique in a suite.
        domains: names, in the order of the shares.
        metrics: in the order of the values.
        own: whether a domain is a metric's own, (n_metrics, n_domains); none is for a test-only metric.
        model: the truth.
        note: what a reader should know of it, in a line.
    """

    name: str
    domains: tuple[str, ...]
    metrics: tuple[Metric, ...]
    own: NDArray[np.bool_]
    model: Model
    note: str = ""

    @property
    def digest(self) -> str:
        """Differs when anything but the name and the note does; the truth speaks by its values at some mixtures."""
        domains = len(self.domains)
        probes = np.concatenate([np.eye(domains), random_mixtures(domains, 64)])
        # Rounded, as the last bits may differ from one process to the next.
        metrics = [f"{m.name} {m.goal} {m.comparison} {m.reference:.9g} {m.scale:.9g}" for m in self.metrics]
        return digest([self.model(probes).round(9), self.domains, metrics, self.own])

    def task(self, balance: BalanceKind) -> Task:
        """What a contestant is told of it."""
        return Task(domains=self.domains, metrics=self.metrics, balance=balance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A landscape with a balance and a level of noise.

    Attributes:
        landscape: the truth.
        task: what a contestant is told.
        noise: how much.
        spread: standard deviation of each metric over random mixtures, as it is compared, (n_metrics,).
    """

    landscape: Landscape
    task: Task
    noise: Noise
    spread: tuple[float, ...]

    @classmethod
    def of(cls, landscape: Landscape, balance: BalanceKind, noise: Noise) -> Problem:
        """Makes a problem of a landscape."""
        task = landscape.task(balance)
        spread = task.comparable(landscape.model(random_mixtures(len(task.domains)))).std(axis=0)
        return cls(landscape=landscape, task=task, noise=noise, spread=tuple(spread.tolist()))

    @property
    def name(self) -> str:
        """Unique in a suite."""
        return f"{self.landscape.name}/{self.task.balance}/{self.noise}"

    @property
    def digest(self) -> str:
        """Differs when measurements or scores may differ."""
        return digest([self.landscape.digest, self.task.balance, self.noise.level, SCARCE_SHARE, SCARCE_NOISE])

    def truth(self, shares: ArrayLike) -> Floats:
        """The metrics' values without noise, (n, n_metrics), of mixtures, (n, n_domains)."""
        return self.landscape.model(np.asarray(shares, dtype=np.float64))

    def noise_sd(self, shares: ArrayLike) -> Floats:
        """Standard deviations of single measurements, in the units in which they are compared, (n, n_metrics)."""
        own = np.asarray(shares, dtype=np.float64) @ self.landscape.own.T
        scarcity = 1 + (SCARCE_NOISE - 1) * np.exp(-own / SCARCE_SHARE) * self.landscape.own.any(axis=1)
        sd: Floats = self.noise.level * np.array(self.spread) * scarcity
        return sd

    def measure(self, shares: ArrayLike, rng: np.random.Generator) -> Floats:
        """What one fine-tune yields, (n_metrics,).

        Args:
            shares: its mixture, (n_domains,).
            rng: where the noise comes from, one normal draw a metric.
        """
        rows = np.asarray(shares, dtype=np.float64)[None]
        return self.strayed(self.truth(rows)[0], rows[0], rng)

    def strayed(self, values: Floats, shares: Floats, rng: np.random.Generator) -> Floats:
        """Values of a mixture, (n_metrics,), with the noise that this problem has there."""
        shift = rng.standard_normal(len(values)) * self.noise_sd(shares[None])[0]
        log = self.task.log
        measured: Floats = np.where(log, values * np.exp(np.where(log, shift, 0)), values + shift)
        return measured

    def true_score(self, shares: ArrayLike) -> Floats:
        """Scores without noise, (n,), of mixtures, (n, n_domains)."""
        return self.task.score(self.truth(shares))


def random_mixtures(domains: int, n: int = TYPICAL) -> Floats:
    """Mixtures drawn uniformly from the simplex, always the same ones, (n, domains)."""
    return np.random.default_rng([domains, n]).dirichlet(np.ones(domains), size=n)


def digest(parts: Iterable[Any]) -> str:
    """A short hash of texts, numbers and arrays."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
        found.update(b"\0")
    return found.hexdigest()[:16]
