"""A log-linear mixing law on a random design."""

from __future__ import annotations

import numpy as np
from scipy.optimize import least_squares

from ..maximise import Effort, maximise
from ..problems import Floats
from .base import History
from .random_search import RandomSearch

STARTS, RIDGE, TOLL = 4, 0.02, 0.2
HUBER = 0.2
"""Residuals beyond it, in standard deviations of the metric, count less."""


class LogLinear(RandomSearch):
    """A law y = c + exp(b + t . w) for each metric on a random design, then the mixture that it says is best.

    The form of Ye et al., "Data Mixing Laws" (arXiv 2403.16952), and of Olmix (arXiv 2602.12237). y is a loss; for a
    metric that is to rise, its negative. Fitted from several starts with a robust loss. As in Olmix, a mixture pays for
    its Kullback-Leibler divergence from uniform shares, here a fifth of the range of the trials' scores.
    """

    def recommend(self, history: History) -> Floats:
        """The law's best mixture."""
        task, rng = self.task, np.random.default_rng([self.seed, len(history)])
        deficits = -task.gains(history.values)
        middle, deviation = deficits.mean(axis=0), deficits.std(axis=0) + 1e-12
        laws = np.stack([_fit_law(history.shares, column, rng) for column in ((deficits - middle) / deviation).T])
        scores = task.balanced(-deficits)
        toll = TOLL * (scores.max() - scores.min())

        def gains(shares: Floats) -> Floats:
            exponents = laws[:, 1] + shares @ laws[:, 2:].T
            predicted = (laws[:, 0] + np.exp(np.clip(exponents, -30, 30))) * deviation + middle
            divergence = (shares * np.log(np.maximum(shares * shares.shape[-1], 1e-12))).sum(axis=-1, keepdims=True)
            found: Floats = -predicted - toll * divergence
            return found

        return maximise(task, gains, rng, Effort(pool=6_000, starts=3, rounds=40))


def _fit_law(shares: Floats, targets: Floats, rng: np.random.Generator) -> Floats:
    """The parameters c, b, t of the law, (2 + n_domains,), with a small ridge on t, as there may be fewer runs."""
    domains = shares.shape[1]
    centre = shares.mean(axis=0)

    def parts(parameters: Floats) -> tuple[Floats, Floats]:
        return (shares - centre) @ parameters[2:], np.clip(parameters[1], -30, 30)

    def residuals(parameters: Floats) -> Floats:
        slope, level = parts(parameters)
        return np.concatenate(
            [parameters[0] + np.exp(np.clip(level + slope, -30, 30)) - targets, RIDGE * parameters[2:]]
        )

    def jacobian(parameters: Floats) -> Floats:
        slope, level = parts(parameters)
        rise = np.exp(np.clip(level + slope, -30, 30))[:, None]
        top = np.concatenate([np.ones_like(rise), rise, rise * (shares - centre)], axis=1)
        return np.concatenate([top, np.pad(RIDGE * np.eye(domains), ((0, 0), (2, 0)))])

    best: Floats = np.zeros(domains + 2)
    cost = np.inf
    for _ in range(STARTS):
        start = np.concatenate([[targets.min() - rng.exponential(1)], [0], rng.normal(0, 1, domains)])
        start[1] = np.log(max(targets.mean() - start[0], 0.1))
        found = least_squares(residuals, start, jac=jacobian, loss="huber", f_scale=HUBER, max_nfev=60, method="trf")
        if found.cost < cost:
            best, cost = found.x, found.cost
    best[1] -= centre @ best[2:]
    return best
