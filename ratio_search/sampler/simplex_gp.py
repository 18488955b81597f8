"""Our own way to search: draws the metrics from what is believed of them, balances them, and improves on the best."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from objectives.scorer import BalanceKind, Scorer
from ratio_search.model import Evidence, Learner, Points, PointSpace, Surrogate, one_thread
from ratio_search.record import Record
from ratio_search.sampler.design import filling
from ratio_search.sampler.information import informed
from ratio_search.sampler.strategy import REPEAT, Proposal
from ratio_search.space import SAME

Array = NDArray[np.float64]
Utility = Callable[[Array], Array]
"""What gains are worth: (n_metrics, ...) to (...)."""

STARTS = 5
"""Trials, at least, before the model is asked."""

DRAWS = 64
"""Functions that are drawn from the model; even."""

GAIN_DRAWS = 1024
"""Draws behind what the chosen point is said to be worth."""

SHORTLIST, LEADERS = 9, 3
"""New points, and tried ones, the best by what is expected of them, that are compared by what measuring them tells."""

WORTH_REPEATING, SURELY = 1.2, 3.0
"""A leader is run again if that is worth so many times what the best new point is, and more by so many standard errors.
"""

POOL = 600
"""Points that are looked at before the best of them are improved step by step."""

CLIMBS, ROUNDS, TRANSFERS = 2, 8, 200
"""Points of the pool that are improved, steps of each, and transfers that a step is chosen from, at most."""

BEST_ROUNDS = 10
"""Steps towards what will be recommended, from the best of the pool: more of them follow the model's errors."""

EFFORT = 200_000
"""Measurements that all points of a step are compared with: there are fewer transfers where there are more of these."""

AVOIDED = 0.02
"""A trial that failed keeps others away that would change no more than this part of its rows."""

WORTH_MOVING = 0.1
"""What was not tried is recommended only if it is better by so many standard deviations of the difference."""

SURE_PRICE = 100.0
"""Utility that is lost for each unit of gain by which a guard's quantile lacks of its limit: guards come first."""

LAST_OF = 10
"""In a study of at least so many trials the last one tries what would be recommended, so that it was tried."""

AUGMENTED = 0.05
"""How much of the sum is added to the smallest part of a Chebyshev distance, so that no weak optimum is taken."""

TINY = 1e-9
"""The smallest range of gains that is divided by."""

_BEST_STREAM, _PROPOSAL_STREAM, _GAIN_STREAM = 0, 1, 4


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

    @property
    def tried(self) -> Points:
        """The trials' mixtures that may be told to be good: not those whose measurements are doubted."""
        return self.evidence.asked[np.flatnonzero(~self.surrogate.doubted)]


class SimplexGP:
    """Expected improvement on what would be recommended now, by draws from one Gaussian process for each metric.

    Each draw gives all metrics of a candidate and of the recommendation together; the scorer balances both; what the
    candidate is better by, averaged over the draws, puts it on a shortlist. Trials that are still running are drawn
    along: a candidate must be better than they are, too, and learns from them, so that trials side by side ask
    different questions (Snoek, Larochelle and Adams, "Practical Bayesian optimization", NeurIPS 2012).

    Who looks for improvements alone never tries the recommendation itself, and where that is uncertain a point that is
    known well and nearly as good looks like one again and again. So the recommendation is on the shortlist, too, and
    what is tried is what tells most: by how much a measurement would raise the expected score of what is recommended
    after it (the knowledge gradient of Frazier, Powell and Dayanik, SIAM Journal on Control and Optimization 47, 2008,
    over the points in question).
    """

    def __init__(self, space: PointSpace, *, seed: int) -> None:
        """Prepares a search.

        Args:
            space: the points that may be tried.
            seed: of all draws.
        """
        self._space = space
        self._seed = seed
        self._learner = Learner()
        self._found: dict[bool, tuple[Surrogate, bytes, Points]] = {}

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
            return filling(self._space, records, self._seed)
        last = left == 0 and len(evidence.basis) + 1 >= LAST_OF
        outlook = self._outlook(evidence, scorer, bold=not last)
        fresh = self._shortlist(outlook, scorer, rng, last=last)
        if not len(fresh):
            return self._repeat(outlook.best, evidence.basis)
        chosen, gain = self._weighed(fresh, outlook, scorer, number, leaders=0 if last else LEADERS)
        if not self._open(chosen, evidence)[0]:
            return self._repeat(chosen, evidence.basis, gain)
        [row] = chosen.shares
        return Proposal(
            mixture=self._space.simplex.mixture(row),
            hyperparameters=chosen.settings[0],
            origin=self._reason(chosen, outlook, scorer),
            basis=evidence.basis,
            gain=gain,
        )

    def outlook(self, evidence: Evidence, scorer: Scorer) -> Outlook:
        """What the trials so far lead to expect. The same trials give the same outlook.

        Args:
            evidence: with at least one value of each metric.
            scorer: says what gains are worth.
        """
        return self._outlook(evidence, scorer, bold=False)

    def _outlook(self, evidence: Evidence, scorer: Scorer, *, bold: bool) -> Outlook:
        """What a careful or a bold belief expects; see `Surrogate`."""
        fitted = self._surrogate(evidence, scorer)
        surrogate = fitted.bold if bold else fitted
        # What is fitted does not depend on the balance, nor on the trials that run or failed; what is made of it does.
        key = self._space.coordinates(evidence.asked).tobytes() + repr(scorer).encode()
        found = self._found.get(bold)
        if found is None or found[0] is not surrogate or found[1] != key:
            with one_thread():
                found = self._found[bold] = surrogate, key, self._best(evidence, surrogate, scorer)
        return Outlook(evidence=evidence, surrogate=surrogate, best=found[2])

    def _surrogate(self, evidence: Evidence, scorer: Scorer) -> Surrogate:
        """What is believed of the metrics."""
        names = self._space.simplex.names
        return self._learner.surrogate(
            self._space.coordinates(evidence.measured),
            evidence.gains,
            evidence.variances,
            domains=len(names),
            own=[names.index(metric.domain) if metric.domain in names else None for metric in scorer.metrics],
        )

    def _early(self, evidence: Evidence) -> bool:
        """Whether it is too early to ask the model."""
        begun = len(evidence.measured) + len(evidence.pending)
        return evidence.complete < 2 or begun < STARTS or not np.isfinite(evidence.gains).any(axis=0).all()

    def _best(self, evidence: Evidence, surrogate: Surrogate, scorer: Scorer) -> Points:
        """The point with the highest expected utility, or a tried one that is as good as that."""
        rng = np.random.default_rng([self._seed, _BEST_STREAM, len(evidence.measured)])
        coordinates = self._space.coordinates
        draws = surrogate.draws(np.empty((0, self._space.inputs)), DRAWS, rng)

        def expected(points: Points) -> Array:
            gains = draws.at(coordinates(points))
            worth: Array = scorer.utility(gains).mean(axis=1) - _price_of_doubt(gains, scorer)
            return worth

        tried = self._allowed(evidence.asked[np.flatnonzero(~surrogate.doubted)])
        worth = expected(tried)
        order = np.argsort(-worth, kind="stable")
        tried = tried[order]
        fresh = self._pool(tried[:3], rng)
        pool = Points.joined([tried, fresh])
        start = int(np.concatenate([worth[order], expected(fresh)]).argmax())
        best, _ = self._climb(pool[[start]], expected, BEST_ROUNDS, _transfers(evidence), rng)
        if not len(tried):
            return best
        pair = surrogate.draws(coordinates(Points.joined([best, tried[:1]])), DRAWS, rng)
        ahead = np.subtract(*scorer.utility(pair.base))
        sure = np.subtract(*_price_of_doubt(pair.base, scorer))
        return best if ahead.mean() - sure > WORTH_MOVING * ahead.std() else tried[:1]

    def _shortlist(self, outlook: Outlook, scorer: Scorer, rng: np.random.Generator, *, last: bool) -> Points:
        """New points that it may be worth most to try, the most promising first; none where all were tried.

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

        pool = self._pool(Points.joined([best, self._allowed(outlook.tried)[-1:]]), rng)
        order = np.argsort(-improvement(pool), kind="stable")
        transfers = _transfers(evidence)
        climbed = [self._climb(pool[[i]], improvement, ROUNDS, transfers, rng) for i in order[:CLIMBS]]
        climbed.sort(key=lambda reached: -reached[1])
        found = best[:0]
        for points in [*(reached for reached, _ in climbed), best, *(pool[[i]] for i in order)]:
            exact = self._exact(points)
            if self._open(exact, evidence)[0] and not self._near(exact, found, SAME)[0]:
                found = Points.joined([found, exact])
            if len(found) == SHORTLIST:
                break
        return found

    def _weighed(
        self, fresh: Points, outlook: Outlook, scorer: Scorer, number: int, *, leaders: int
    ) -> tuple[Points, float | None]:
        """The new point that tells most, or a leader once more where that tells more, and what asking it is worth.

        By draws of its own: a point that was chosen by some draws owes a part of its worth to luck.
        """
        if scorer.balance.kind is BalanceKind.PARETO:
            return fresh[:1], None
        evidence, utility = outlook.evidence, scorer.utility
        tried = self._allowed(outlook.tried)
        expected = utility(outlook.surrogate.forecast(self._space.coordinates(tried)).mean.T)
        order = np.argsort(-expected, kind="stable")[:leaders]
        again = tried[order[~self._near(tried[order], evidence.pending, SAME)]]
        points = Points.joined([fresh, again, outlook.best, evidence.pending])
        rng = np.random.default_rng([self._seed, _GAIN_STREAM, number])
        gains = outlook.surrogate.draws(self._space.coordinates(points), GAIN_DRAWS, rng).base
        noise = np.sqrt(np.square(outlook.surrogate.noise) + evidence.variances.mean(axis=0))
        seen = gains + noise[:, None, None] * rng.standard_normal(gains.shape)
        worth, told, asked = utility(gains), utility(seen), len(fresh) + len(again)
        # That of the trials that still run will be known in any case.
        known = told[asked + 1 :]
        with_each = [informed(worth, np.vstack([known, told[[i]], seen[:, i]])) for i in range(asked)]
        values = np.mean(with_each, axis=1) - informed(worth, known).mean()
        new, best = int(values[: len(fresh)].argmax()), int(values.argmax())
        ahead = with_each[best] - with_each[new]
        # Both are estimates.
        sure = ahead.mean() > SURELY * ahead.std() / math.sqrt(GAIN_DRAWS)
        # Where neither tells anything, both are below zero by chance.
        best = best if sure and values[best] > max(WORTH_REPEATING * values[new], 0.0) else new
        return points[[best]], max(float(values[best]), 0.0)

    def _aim(self, outlook: Outlook, scorer: Scorer, rng: np.random.Generator) -> tuple[Points, Utility]:
        """What is to be improved on, and what an improvement is worth.

        It is the recommendation, by the study's own balance. Where the whole front is wanted, it is the tried point
        that does best for some weights, drawn anew for each trial, by the augmented Chebyshev distance from the best of
        each metric (Knowles, "ParEGO", IEEE Transactions on Evolutionary Computation 10, 2006).
        """
        tried = self._allowed(outlook.tried)
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
        x = self._space.coordinates(Points.joined([chosen, self._allowed(outlook.tried)]))
        rng = np.random.default_rng([self._seed, _BEST_STREAM, len(outlook.evidence.measured)])
        expected = scorer.utility(outlook.surrogate.draws(x[:0], DRAWS, rng).at(x)).mean(axis=1)
        return "improve" if expected[0] >= expected[1:].max(initial=-np.inf) else "explore"

    def _open(self, points: Points, evidence: Evidence) -> NDArray[np.bool_]:
        """Which points were neither tried nor are near to one that failed, (n,)."""
        free = np.ones(len(points), dtype=bool)
        for others, reach in ((evidence.asked, SAME), (evidence.pending, SAME), (evidence.failed, AVOIDED)):
            free &= ~self._near(points, others, reach)
        return free

    def _near(self, points: Points, others: Points, reach: float) -> NDArray[np.bool_]:
        """Which points differ from some other one in no more than a part of their rows, (n,)."""
        apart = 0.5 * np.abs(points.shares[:, None] - others.shares[None]).sum(axis=2)
        near: NDArray[np.bool_] = ((apart <= reach) & self._alike(points, others)).any(axis=1)
        return near

    def _alike(self, points: Points, others: Points) -> NDArray[np.bool_]:
        """Whether hyperparameters are the same, (n_points, n_others)."""
        if not self._space.hyperparameters:
            return np.ones((1, 1), dtype=bool)
        alike = [[dict(a) == dict(b) for b in others.settings] for a in points.settings]
        return np.array(alike, dtype=bool).reshape(len(points), len(others))

    def _repeat(self, points: Points, basis: tuple[int, ...], gain: float | None = None) -> Proposal:
        """A point once more, with other seeds."""
        again = self._exact(points)
        return Proposal(
            mixture=self._space.simplex.mixture(again.shares[0]),
            hyperparameters=again.settings[0],
            origin=REPEAT,
            basis=basis,
            gain=gain,
        )

    def _allowed(self, points: Points) -> Points:
        """Those of some points that the space allows now, in their settings, too."""
        rows = enumerate(zip(points.shares, points.settings, strict=True))
        return points[np.array([i for i, point in rows if self._space.allows(*point)], dtype=np.intp)]

    def _exact(self, points: Points) -> Points:
        """One point with the shares that a trial would be asked with."""
        shares = np.array([self._space.simplex.mixture(row).shares for row in points.shares])
        return Points(shares=shares, settings=points.settings)


def _price_of_doubt(gains: Array, scorer: Scorer) -> Array:
    """What draws of gains, (n_metrics, n, n_draws), lack of holding each guard with its confidence, priced, (n,)."""
    lacking = np.zeros(gains.shape[1])
    for metric, limit, own in zip(scorer.metrics, scorer.guarded, gains, strict=True):
        if limit > -math.inf:
            lacking += np.maximum(limit - np.quantile(own, 1 - metric.confidence, axis=1), 0)
    return SURE_PRICE * lacking


def _transfers(evidence: Evidence) -> int:
    """How many transfers a step is chosen from."""
    return int(np.clip(EFFORT // max(evidence.gains.size, 1), TRANSFERS // 4, TRANSFERS))
