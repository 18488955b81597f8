"""The best mixture by a function that is cheap to ask: for the problems' optima, and for laws fitted by contestants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from objectives.scorer import BalanceKind

from .problems import Floats, Task

Gains = Callable[[Floats], Floats]
"""The gains, (n, n_metrics), of mixtures, (n, n_domains)."""

STEPS = np.array([0.2, 0.05, 0.01, 0.002, 4e-4, 8e-5, 1.6e-5])
DIFFERENCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How hard to look.

    Attributes:
        pool: random mixtures to choose starts from.
        starts: the best of them that are climbed from.
        rounds: most transfers of share in one climb.
    """

    pool: int = 20_000
    starts: int = 8
    rounds: int = 60


def maximise(task: Task, gains: Gains, rng: np.random.Generator, effort: Effort) -> Floats:
    """The mixture of the highest score that was found, (n_domains,).

    From the best of a pool of random mixtures, dense and sparse ones, two methods take turns. Sequential quadratic
    programming goes uphill in all directions at once, for the worst gain on its epigraph (maximise t where every
    gain is at least t). Transfers of share between two domains then reach what it missed, bounds above all.

    Args:
        task: its balance makes scores of gains.
        gains: any function of a mixture that can be asked for many at once.
        rng: draws the pool.
        effort: how hard to look.
    """
    domains = len(task.domains)
    pool = np.concatenate(
        [np.eye(domains), np.full((1, domains), 1 / domains)]
        + [_sparse(domains, alpha, effort.pool // 3, rng) for alpha in (1.0, 0.3, 0.1)]
    )
    scores = task.balanced(gains(pool))
    best: Floats = pool[scores.argmax()]
    height = float(scores.max())
    for start in _apart(pool[np.argsort(-scores)], effort.starts):
        for climb in (_programme, _transfers, _programme):
            reached = climb(task, gains, start, effort)
            before, after = task.balanced(gains(np.stack([start, reached])))
            start = reached if after > before else start
        score = float(task.balanced(gains(start[None]))[0])
        if score > height:
            best, height = start, score
    return best


def _sparse(domains: int, alpha: float, n: int, rng: np.random.Generator) -> Floats:
    drawn = rng.standard_gamma(alpha, size=(n, domains)) + 1e-300
    result: Floats = drawn / drawn.sum(axis=1, keepdims=True)
    return result


def _apart(ranked: Floats, n: int) -> list[Floats]:
    """The first rows that are not near to an earlier one, by 0.1 of total variation."""
    chosen: list[Floats] = []
    for row in ranked[: 50 * n]:
        if all(np.abs(row - other).sum() > 0.2 for other in chosen):
            chosen.append(row)
            if len(chosen) == n:
                break
    return chosen


def _transfers(task: Task, gains: Gains, start: Floats, effort: Effort) -> Floats:
    """Moves share from one domain to another, each time the best of all pairs and steps."""
    at, height = start, float(task.balanced(gains(start[None]))[0])
    domains = len(start)
    givers, takers = np.nonzero(~np.eye(domains, dtype=bool))
    moves = np.eye(domains)[takers] - np.eye(domains)[givers]
    for _ in range(effort.rounds):
        amounts = np.minimum(STEPS[:, None], at[givers])
        # All that a giver has is tried, too, so that shares of exactly 0 are reached.
        amounts = np.concatenate([amounts, at[givers][None]])
        moved = np.clip(at + amounts[..., None] * moves, 0, 1).reshape(-1, domains)
        scores = task.balanced(gains(moved))
        if scores.max() <= height + 1e-12:
            break
        at, height = moved[scores.argmax()], float(scores.max())
    result: Floats = at / at.sum()
    return result


def _programme(task: Task, gains: Gains, start: Floats, effort: Effort) -> Floats:
    """Sequential quadratic programming (Kraft, 1988) with forward differences, all asked for at once."""
    domains = len(start)

    def levels(x: Floats) -> Floats:
        """What the last variable, the score, may not pass: each gain, or their mean."""
        found = gains(np.clip(x[..., :domains], 0, None))
        return found if task.balance is BalanceKind.WORST else found.mean(axis=-1, keepdims=True)

    def slopes(x: Floats) -> Floats:
        rows = levels(np.concatenate([x[None], x + DIFFERENCE * np.eye(domains, domains + 1)]))
        return np.pad((rows[1:] - rows[0]).T / DIFFERENCE, ((0, 0), (0, 1)), constant_values=-1.0)

    score: Floats = np.eye(domains + 1)[-1]
    constraints = [
        {"type": "eq", "fun": lambda x: x[:domains].sum() - 1, "jac": lambda x: 1 - score},
        {"type": "ineq", "fun": lambda x: levels(x[None])[0] - x[-1], "jac": slopes},
    ]
    found = minimize(  # type: ignore[call-overload] # the stubs want arrays of one dimension
        lambda x: -x[-1],
        np.append(start, levels(start[None])[0].min()),
        jac=lambda x: -score,
        bounds=[(0, 1)] * domains + [(None, None)],
        constraints=constraints,
        method="SLSQP",
        options={"maxiter": 100, "ftol": 1e-10},
    )
    shares: Floats = np.clip(np.nan_to_num(found.x[:domains]), 0, None)
    return shares / shares.sum() if shares.sum() > 0 else start
