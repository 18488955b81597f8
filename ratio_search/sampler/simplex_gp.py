"""Our own way to search: draws the metrics from what is believed of them, balances them, and improves on the best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from objectives.scorer import BalanceKind, Scorer
from ratio_search.model import EXPERTS, Evidence, Points, PointSpace, Surrogate, one_thread
from ratio_search.record import Record
from ratio_search.sampler.strategy import Proposal
from ratio_search.space import SAME

Array = NDArray[np.float64]
Utility = Callable[[Array], Array]
"""What gains are worth: (n_metrics, ...) to (...)."""

STARTS = 5
"""Trials, at least, before the model is asked."""

DRAWS = 64
"""Functions that are drawn from the model; even."""

POOL = 600
"""Points that are looked at before the best of them are improved step by step."""

CLIMBS, ROUNDS, TRANSFERS = 2, 8, 400
"""Points of the pool that are improved, steps of each, and transfers that a step is chosen from, at most."""

BEST_ROUNDS = 10
"""Steps towards what will be recommended, from the best of the pool: more of them follow the model's errors."""

EFFORT = 300_000
"""Measurements that all points of a step are compared with: there are fewer transfers where there are more of these."""

AVOIDED = 0.02
"""A trial that failed keeps others away that would change no more than this part of its rows."""

WORTH_MOVING = 0.1
"""What was not tried is recommended only if it is better by so many standard deviations of the difference."""

LAST_OF = 10
"""In a study of at least so many trials the last one tries what would be recommended, so that it was tried."""

AUGMENTED = 0.05
"""How much of the sum is added to the smallest part of a Chebyshev distance, so that no weak optimum is taken."""

TINY = 1e-9
"""The smallest range of gains that is divided by."""

_BEST_STREAM, _PROPOSAL_STREAM, _DESIGN_STREAM, _WHOLE_STREAM = range(4)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outlook:
    """What the trials so far lead to expect.

    Attributes:
        evidence: the trials.
        surrogate: what it leads to believe.
        best: what to recommend, one point: the one with the highest expected utility, or a tried one that is as good.
    """

    evidence: Evidence
    surrogate: Surrogate
    best: Points


class SimplexGP:
    """Expected improvement on what would be recommended now, by draws from one Gaussian process for each metric.

    Each draw gives all metrics of a candidate and of the recommendation together; the scorer balances both; what the
    candidate is better by, averaged over the draws, is what trying it is worth. Trials that are still running are drawn
    along: a candidate must be better than they are, too, and learns from them, so that trials side by side ask
    different questions (Snoek, Larochelle and Adams, "Practical Bayesian optimization", NeurIPS 2012).
    """

    def __init__(self, space: PointSpace, *, seed: int) -> None:
        """Prepares a search.

        Args:
            space: the points that may be tried.
            seed: of all draws.
        """
        self._space = space
        self._seed = seed
        self._fitted: tuple[bytes, Surrogate, Points] | None = None

    def propose(
        self, records: Sequence[Record], scorer: Scorer | None, number: int, left: int | None = None
    ) -> Proposal:
        """The next trial; see `Strategy`. Its origin is `space-filling`, `explore`, `improve` or `repeat`."""
        with one_thread():
            return self._proposed(records, scorer, number, left)

    def _proposed(self, records: Sequence[Record], scorer: Scorer | None, number: int, left: int | None) -> Proposal:
        rng = np.random.default_rng([self._seed, _PROPOSAL_STREAM, number])
        evidence = None if scorer is None else Evidence.of(records, scorer, self._space)
        if scorer is None or evidence is None or self._early(evidence):
            return self._filling(records, number)
        outlook = self.outlook(evidence, scorer)
        last = left == 0 and len(evidence.basis) + 1 >= LAST_OF
        chosen = self._most_promising(outlook, scorer, rng, last=last)
        if chosen is None:
            return self._repeat(outlook)
        [row] = chosen.shares
        return Proposal(
            mixture=self._space.simplex.mixture(row),
            hyperparameters=chosen.settings[0],
            origin=self._reason(chosen, outlook, scorer),
            basis=evidence.basis,
        )

    def outlook(self, evidence: Evidence, scorer: Scorer) -> Outlook:
        """What the trials so far lead to expect. The same trials give the same outlook.

        Args:
            evidence: with at least one value of each metric.
            scorer: says what gains are worth.
        """
        x, asked = (self._space.coordinates(points) for points in (evidence.measured, evidence.asked))
        # What is fitted does not depend on the trials that run or failed, but what is made of it does.
        key = b"".join(part.tobytes() for part in (x, asked, evidence.gains, evidence.variances))
        key += repr(scorer).encode()
        if self._fitted is None or self._fitted[0] != key:
            with one_thread():
                names = self._space.simplex.names
                own = [names.index(metric.domain) if metric.domain in names else None for metric in scorer.metrics]
                surrogate = Surrogate.fit(x, evidence.gains, evidence.variances, domains=len(names), own=own)
                self._fitted = key, surrogate, self._best(evidence, surrogate, scorer.utility)
        return Outlook(evidence=evidence, surrogate=self._fitted[1], best=self._fitted[2])

    def _early(self, evidence: Evidence) -> bool:
        """Whether it is too early to ask the model."""
        begun = len(evidence.measured) + len(evidence.pending)
        return evidence.complete < 2 or begun < STARTS or not np.isfinite(evidence.gains).any(axis=0).all()

    def _best(self, evidence: Evidence, surrogate: Surrogate, utility: Utility) -> Points:
        """The point with the highest expected utility, or a tried one that is as good as that."""
        rng = np.random.default_rng([self._seed, _BEST_STREAM, len(evidence.measured)])
        coordinates = self._space.coordinates
        draws = surrogate.draws(np.empty((0, self._space.inputs)), DRAWS, rng)

        def expected(points: Points) -> Array:
            worth: Array = utility(draws.at(coordinates(points))).mean(axis=1)
            return worth

        tried = self._allowed(evidence.asked)
        tried = tried[np.argsort(-expected(tried), kind="stable")]
        pool = Points.joined([tried, self._pool(tried[:3], rng)])
        start = int(expected(pool).argmax())
        best, _ = self._climb(pool[[start]], expected, BEST_ROUNDS, _transfers(evidence), rng)
        if not len(tried):
            return best
        pair = surrogate.draws(coordinates(Points.joined([best, tried[:1]])), DRAWS, rng)
        ahead = np.subtract(*utility(pair.base))
        return best if ahead.mean() > WORTH_MOVING * ahead.std() else tried[:1]

    def _most_promising(
        self, outlook: Outlook, scorer: Scorer, rng: np.random.Generator, *, last: bool
    ) -> Points | None:
        """The point that it is worth most to try; None where all that may be tried was tried.

        Args:
            outlook: what the trials so far lead to expect.
            scorer: says what gains are worth.
            rng: of all draws.
            last: whether no other trial follows.
        """
        evidence, space = outlook.evidence, self._space
        best, utility = self._aim(outlook, scorer, rng)
        if last and self._open(best, evidence)[0]:
            return best
        base = Points.joined([best, evidence.pending])
        draws = outlook.surrogate.draws(space.coordinates(base), DRAWS, rng)
        to_beat = utility(draws.base).max(axis=0)

        def improvement(points: Points) -> Array:
            worth = np.maximum(utility(draws.at(space.coordinates(points))) - to_beat, 0).mean(axis=1)
            return np.where(self._open(points, evidence), worth, -1.0)

        pool = self._pool(Points.joined([best, self._allowed(evidence.asked)[-1:]]), rng)
        order = np.argsort(-improvement(pool), kind="stable")
        transfers = _transfers(evidence)
        climbed = [self._climb(pool[[i]], improvement, ROUNDS, transfers, rng) for i in order[:CLIMBS]]
        climbed.sort(key=lambda found: -found[1])
        for points in [*(found for found, _ in climbed), *(pool[[i]] for i in order)]:
            exact = self._exact(points)
            if self._open(exact, evidence)[0]:
                return exact
        return None

    def _aim(self, outlook: Outlook, scorer: Scorer, rng: np.random.Generator) -> tuple[Points, Utility]:
        """What is to be improved on, and what an improvement is worth.

        It is the recommendation, by the study's own balance. Where the whole front is wanted, it is the tried point
        that does best for some weights, drawn anew for each trial, by the augmented Chebyshev distance from the best of
        each metric (Knowles, "ParEGO", IEEE Transactions on Evolutionary Computation 10, 2006).
        """
        tried = self._allowed(outlook.evidence.asked)
        if scorer.balance.kind is not BalanceKind.PARETO or not len(tried):
            return outlook.best, scorer.utility
        # The best of each metric is that of the whole space: tried points alone would never draw others beyond them.
        known = Points.joined([tried, self._space.sample(POOL // 2, rng)])
        likely = outlook.surrogate.forecast(self._space.coordinates(known)).mean.T
        counted = [k for k, metric in enumerate(scorer.metrics) if metric.weight > 0]
        weights, top = rng.dirichlet(np.ones(len(counted))), likely[counted].max(axis=1)
        unit = np.maximum(top - likely[counted].min(axis=1), TINY)

        def utility(gains: Array) -> Array:
            parts = [w * (gains[k] - t) / u for k, w, t, u in zip(counted, weights, top, unit, strict=True)]
            worth: Array = np.minimum.reduce(parts) + AUGMENTED * np.add.reduce(parts) - scorer.price(gains)
            return worth

        return tried[[int(utility(likely[:, : len(tried)]).argmax())]], utility

    def _climb(
        self, start: Points, worth: Callable[[Points], Array], rounds: int, transfers: int, rng: np.random.Generator
    ) -> tuple[Points, float]:
        """Takes the best step from a point again and again, a smaller one where none is better."""
        here = self._exact(start)
        value, amounts = float(worth(here)[0]), np.array([0.2, 0.1, 0.05, 0.02, 0.01, 0.005])
        for _ in range(rounds):
            steps = self._space.neighbours(here, amounts.tolist(), transfers, rng)
            if not len(steps):
                break
            found = worth(steps)
            best = int(found.argmax())
            if found[best] > value:
                here, value = steps[[best]], float(found[best])
            else:
                amounts = amounts / 3
        return here, value

    def _pool(self, centres: Points, rng: np.random.Generator) -> Points:
        """Points everywhere, and more of them around some."""
        share = POOL // 2 // max(len(centres), 1)
        near = [self._space.around(centres[[i]], share, rng) for i in range(len(centres))]
        return Points.joined([self._space.sample(POOL // 2, rng), *near])

    def _reason(self, chosen: Points, outlook: Outlook, scorer: Scorer) -> str:
        """Whether a point is expected to be better than all that was tried, or is to be found out about."""
        x = self._space.coordinates(Points.joined([chosen, self._allowed(outlook.evidence.asked)]))
        rng = np.random.default_rng([self._seed, _BEST_STREAM, len(outlook.evidence.measured)])
        expected = scorer.utility(outlook.surrogate.draws(x[:0], DRAWS, rng).at(x)).mean(axis=1)
        return "improve" if expected[0] >= expected[1:].max(initial=-np.inf) else "explore"

    def _open(self, points: Points, evidence: Evidence) -> NDArray[np.bool_]:
        """Which points were neither tried nor are near to one that failed, (n,)."""
        free = np.ones(len(points), dtype=bool)
        for others, reach in ((evidence.asked, SAME), (evidence.pending, SAME), (evidence.failed, AVOIDED)):
            if len(others):
                apart = 0.5 * np.abs(points.shares[:, None] - others.shares[None]).sum(axis=2)
                free &= ~((apart <= reach) & self._alike(points, others)).any(axis=1)
        return free

    def _alike(self, points: Points, others: Points) -> NDArray[np.bool_]:
        """Whether hyperparameters are the same, (n_points, n_others)."""
        if not self._space.hyperparameters:
            return np.ones((1, 1), dtype=bool)
        return np.array([[dict(a) == dict(b) for b in others.settings] for a in points.settings])

    def _repeat(self, outlook: Outlook) -> Proposal:
        """The recommended point once more: there is nothing else to try."""
        best = self._exact(outlook.best)
        return Proposal(
            mixture=self._space.simplex.mixture(best.shares[0]),
            hyperparameters=best.settings[0],
            origin="repeat",
            basis=outlook.evidence.basis,
        )

    def _filling(self, records: Sequence[Record], number: int) -> Proposal:
        """The candidate that is near to the space as a whole and far from what was tried.

        One greedy step of support points (Mak and Joseph, "Support points", Annals of Statistics 46, 2018): they
        fill the inside as well as the edges, where points that only keep apart would crowd.
        """
        space = self._space
        known = [record for record in records if record.job.mixture is not None]
        known = [record for record in known if set(space.hyperparameters) <= set(record.job.hyperparameters)]
        tried = space.points(
            [record.job.mixture for record in known if record.job.mixture is not None],
            [record.job.hyperparameters for record in known],
        )
        whole = space.sample(POOL, np.random.default_rng([self._seed, _WHOLE_STREAM]))
        candidates = space.sample(POOL, np.random.default_rng([self._seed, _DESIGN_STREAM, len(known)]))
        hellinger, domains = EXPERTS[0], len(space.simplex.names)
        x, everywhere, done = (
            hellinger.see(space.coordinates(points), domains) for points in (candidates, whole, tried)
        )
        energy = _distances(x, everywhere).mean(axis=1) - _distances(x, done).sum(axis=1) / (len(tried) + 1)
        best = int(energy.argmin())
        return Proposal(
            mixture=space.simplex.mixture(candidates.shares[best]),
            hyperparameters=candidates.settings[best],
            origin="space-filling",
            basis=tuple(record.number for record in known),
        )

    def _allowed(self, points: Points) -> Points:
        """Those of some points that the space allows now, in their settings, too."""
        rows = enumerate(zip(points.shares, points.settings, strict=True))
        return points[np.array([i for i, point in rows if self._space.allows(*point)], dtype=np.intp)]

    def _exact(self, points: Points) -> Points:
        """One point with the shares that a trial would be asked with."""
        shares = np.array([self._space.simplex.mixture(row).shares for row in points.shares])
        return Points(shares=shares, settings=points.settings)


def _transfers(evidence: Evidence) -> int:
    """How many transfers a step is chosen from."""
    return int(np.clip(EFFORT // max(evidence.gains.size, 1), TRANSFERS // 8, TRANSFERS))


def _distances(a: Array, b: Array) -> Array:
    """Distances between the rows of two arrays, (n_a, n_b)."""
    squares = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * (a @ b.T)
    distances: Array = np.sqrt(np.clip(squares, 0, None))
    return distances
