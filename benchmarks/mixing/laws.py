"""Fine-tuning laws drawn from a stated prior: what a fine-tune of a fixed length yields, by its mixture.

The prior, for d domains and a budget of 1 (LogN(a, b) has the median a; b is the deviation of its logarithm):

- **Domains.** About a fifth of them is nobody's test domain (none where d <= 3): irrelevant, or harmful, or useful to
  others only. Their sizes are LogN(0.3, 1), the budget being 1, so that small ones are repeated.
- **Effective data.** Repetition counts less and less: with u rows, n drawn and r = n / u - 1 > 0 repeats, n rows are
  worth u + u r* (1 - exp(-r / r*)), r* = 15 (Muennighoff et al., "Scaling Data-Constrained Language Models", arXiv
  2305.16264). A metric's effective data is that of its own domain, plus that of some other domains times a transfer
  coefficient: for a pair with the chance min(0.3, 3 / d), from U(0.02, 0.4). A quarter of the metrics has a second own
  domain; the two then count with the weights v and 1 - v, v from U(0.4, 0.8).
- **Loss.** l = e + a (1 + E / n0)^-alpha + sum_j h_j w_j, with alpha from U(0.3, 1), n0 from LogN(0.03, 0.7): steep
  where a domain is absent, flat where there is enough of it. Interference h_j from U(0.1, 0.6) for a pair with the
  chance min(0.15, 1.5 / d), never a metric's own domain; a harmful domain (one in three of those that are not tested)
  hurts every second metric. a is such that training on the own domain alone gains LogN(0.8, 0.3) in l.
- **Metrics.** One for each tested domain: with the chance of 0.6 its perplexity exp(l), compared by log ratio, else
  its accuracy 0.1 + 0.85 sigmoid((m - l) / s), s from U(0.3, 0.8) of what training on the own domain gains, m between
  the two; its scale makes that gain LogN(0.8, 0.3). References are the untuned model's values.
- **Forgetting.** One more metric has no domain: a general ability, 0.7 less c times the squared Euclidean distance to
  the mixture that keeps it best, Dirichlet(1) without the harmful domains, so that narrow mixtures forget most. c is
  from U(0.1, 0.4). Its reference is what the team would just accept, the 10 % quantile over random mixtures; its scale
  makes the way from there to the best value LogN(0.8, 0.3).

Nothing else is chosen: a draw is never rejected.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from objectives.metrics import Comparison, Goal
from objectives.scorer import Metric

from .problems import Floats, Landscape, random_mixtures

REPEATS_WORTH = 15.0
DRAWS = 5
SIZES = (3, 5, 10, 20)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Law:
    """A fine-tuning law; the module says what its parts mean.

    Attributes:
        rows: unique data of each domain, in budgets, (n_domains,).
        transfer: what a domain's effective data counts for a metric, (n_losses, n_domains).
        harm: interference, (n_losses, n_domains).
        floor, height, half, alpha: e, a, n0 and alpha, (n_losses,).
        middle, width: of the sigmoid of an accuracy; 0 where the metric is a perplexity, (n_losses,).
        keeper: the mixture that keeps the general ability best, (n_domains,).
        forgetting: c.
    """

    rows: Floats
    transfer: Floats
    harm: Floats
    floor: Floats
    height: Floats
    half: Floats
    alpha: Floats
    middle: Floats
    width: Floats
    keeper: Floats
    forgetting: float

    def loss(self, shares: Floats, learned: Floats | float = 1.0) -> Floats:
        """Test losses, (n, n_losses), of mixtures, (n, n_domains).

        Args:
            shares: the mixtures.
            learned: how many times effective data counts, (n, n_losses) or 1; interference counts no more than once.
        """
        repeats = np.maximum(shares / self.rows - 1, 0)
        worth = np.minimum(shares, self.rows) + self.rows * REPEATS_WORTH * -np.expm1(-repeats / REPEATS_WORTH)
        left = self.height * (1 + worth @ self.transfer.T * learned / self.half) ** -self.alpha
        losses: Floats = self.floor + left + shares @ self.harm.T * np.minimum(learned, 1.0)
        return losses

    def general(self, shares: Floats) -> Floats:
        """The general ability, (n, 1), of mixtures, (n, n_domains)."""
        ability: Floats = 0.7 - self.forgetting * np.square(shares - self.keeper).sum(axis=-1, keepdims=True)
        return ability

    def measured(self, losses: Floats) -> Floats:
        """Perplexities and accuracies of losses, both (n, n_losses)."""
        rate = self.width > 0
        depth = (self.middle - losses) / np.where(rate, self.width, 1)
        # Clipped, as it is also taken where the metric is a perplexity.
        accuracy = 0.1 + 0.85 / (1 + np.exp(-np.clip(depth, -50, 50)))
        values: Floats = np.where(rate, accuracy, np.exp(losses))
        return values

    def __call__(self, shares: Floats) -> Floats:
        """All metrics' values, (n, n_losses + 1), of mixtures, (n, n_domains)."""
        return np.concatenate([self.measured(self.loss(shares)), self.general(shares)], axis=1)


def laws(seed: int, sizes: tuple[int, ...] = SIZES, draws: int = DRAWS) -> list[Landscape]:
    """Draws of the prior: `draws` for each number of domains.

    Args:
        seed: of all of them. Who tunes a method on one seed judges it on another.
        sizes: numbers of domains.
        draws: for each.
    """
    return [draw(domains, seed, number) for domains in sizes for number in range(draws)]


def draw(domains: int, seed: int, number: int) -> Landscape:
    """One draw of the prior."""
    rng = np.random.default_rng([seed, domains, number])
    unheeded = 0 if domains <= 3 else max(1, round(domains / 5))
    order = rng.permutation(domains)
    tested, idle = np.sort(order[unheeded:]), order[:unheeded]
    harmful = idle[rng.random(unheeded) < 1 / 3]
    own = _own_domains(domains, tested, rng)
    law = _law(own, harmful, rng)
    names = tuple(f"d{i}" for i in range(domains))
    # The untuned model: the same law without any data.
    untuned = law.measured((law.floor + law.height)[None])[0]
    alone = law.measured((law.floor + law.height - _gain_alone(law, own))[None])[0]
    metrics = []
    for k, j in enumerate(tested):
        if law.width[k] == 0:
            metrics.append(_metric(f"{names[j]}/perplexity", Comparison.LOG_RATIO, Goal.MINIMIZE, untuned[k], 1.0))
        else:
            scale = (alone[k] - untuned[k]) / rng.lognormal(math.log(0.8), 0.3)
            metrics.append(_metric(f"{names[j]}/accuracy", Comparison.DIFFERENCE, Goal.MAXIMIZE, untuned[k], scale))
    accepted, most = np.quantile(law.general(random_mixtures(domains)), 0.1), law.general(law.keeper[None])[0, 0]
    scale = (most - accepted) / rng.lognormal(math.log(0.8), 0.3)
    metrics.append(_metric("general/accuracy", Comparison.DIFFERENCE, Goal.MAXIMIZE, accepted, scale))
    return Landscape(
        name=f"laws-{domains}-{number}" if seed == 0 else f"laws-{domains}-{number}-seed{seed}",
        domains=names,
        metrics=tuple(metrics),
        own=np.concatenate([own > 0, np.zeros((1, domains), dtype=bool)]),
        model=law,
        note=f"{len(metrics)} metrics, {unheeded} domains untested, {len(harmful)} of them harmful",
    )


def _metric(name: str, comparison: Comparison, goal: Goal, reference: float, scale: float) -> Metric:
    # No upper limit is stated: the product drops it, too, where a rate has a scale of its own.
    return Metric(name=name, goal=goal, comparison=comparison, scale=float(scale), reference=float(reference))


def _own_domains(domains: int, tested: NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """What each own domain counts for each metric, (n_losses, n_domains); rows sum to 1."""
    own = np.zeros((len(tested), domains))
    for k, j in enumerate(tested):
        first = rng.uniform(0.4, 0.8) if rng.random() < 0.25 else 1.0
        own[k, j] = first
        if first < 1:
            own[k, rng.choice(np.delete(np.arange(domains), j))] = 1 - first
    return own


def _law(own: Floats, harmful: NDArray[np.int64], rng: np.random.Generator) -> Law:
    """Draws a law for metrics with these own domains."""
    losses, domains = own.shape
    others = own == 0
    helps = others & (rng.random(own.shape) < min(0.3, 3 / domains))
    transfer = np.where(helps, rng.uniform(0.02, 0.4, size=own.shape), own)
    hurts = others & (rng.random(own.shape) < min(0.15, 1.5 / domains))
    hurts[:, harmful] |= rng.random((losses, len(harmful))) < 0.5
    hurts &= ~(own > 0)
    transfer[hurts] = 0.0
    rate = np.where(rng.random(losses) < 0.6, 0.0, 1.0)
    keeper = rng.dirichlet(np.ones(domains))
    keeper[harmful] = 0.0
    law = Law(
        rows=rng.lognormal(math.log(0.3), 1.0, size=(domains,)),
        transfer=transfer,
        harm=np.where(hurts, rng.uniform(0.1, 0.6, size=own.shape), 0.0),
        floor=rng.uniform(0.5, 1.5, size=(losses,)),
        height=np.ones(losses),
        half=rng.lognormal(math.log(0.03), 0.7, size=(losses,)),
        alpha=rng.uniform(0.3, 1.0, size=(losses,)),
        middle=np.zeros(losses),
        width=np.zeros(losses),
        keeper=keeper / keeper.sum(),
        forgetting=rng.uniform(0.1, 0.4),
    )
    law = replace(law, height=rng.lognormal(math.log(0.8), 0.3, size=(losses,)) / _gain_alone(law, own))
    gain = _gain_alone(law, own)
    untuned = law.floor + law.height
    middle, width = untuned - gain * rng.uniform(0.2, 0.8, size=(losses,)), gain * rng.uniform(0.3, 0.8, size=(losses,))
    return replace(law, middle=middle * rate, width=width * rate)


def _gain_alone(law: Law, own: Floats) -> Floats:
    """How far training on a metric's own domains alone lowers its loss, (n_losses,)."""
    untuned = law.floor + law.height
    gain: Floats = untuned - np.diagonal(law.loss(own))
    return gain
