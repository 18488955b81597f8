"""The judgement over fresh fine-tunes of several mixtures: which one is the best, and how sure that is. Pure.

Runs are paired: all mixtures of one replicate share their seeds, so that much of their luck is the same and goes out of
the difference. The method is Student's t over paired differences (Gosset, The Probable Error of a Mean, 1908; as a
posterior under a flat prior: Gelman et al., Bayesian Data Analysis, 3rd ed., section 3.2). A few replicates can agree
by chance, and one says nothing of its luck. So two things that are known beside a pair's own spread count as one more
observation of it, wherever they are larger: the median spread of all pairs of contenders, and the errors that the
evaluations state themselves, those of finite test sets. That only widens an interval.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from objectives.base import Measurement
from objectives.metrics import Comparison
from objectives.scorer import Scorer
from ratio_search.contender import Contender, Judged, Promise, balanced, carried
from ratio_search.interval import CREDIBLE, Interval, Mean

__all__ = [
    "CREDIBLE",
    "Confirmed",
    "Contender",
    "Excess",
    "Guarded",
    "Interval",
    "Lead",
    "Promise",
    "Verdict",
    "judge",
]

CLEAR = 0.9
"""Probability from which on one mixture is called better than another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """What a metric turned out to be, on the average of a contender's replicates.

    Attributes:
        value: in the metric's own units.
        stderr: its standard error, by the spread of the replicates and the finite test set; None when unknown.
        gain: against the reference, in scales; more is better.
    """

    value: float
    stderr: float | None
    gain: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """How far the winner is ahead of another contender.

    Attributes:
        rival: the other one's name.
        candidate: whether that might have won, too.
        replicates: paired runs behind it.
        score: lead in the balanced score.
        gains: lead in each metric, in scales; above 0 speaks for the winner.
        better: the probability that the winner is worth more, broken guards priced in; None when nothing is known of
            the errors.
    """

    rival: str
    candidate: bool
    replicates: int
    score: Interval
    gains: Mapping[str, Interval]
    better: float | None

    @property
    def words(self) -> str:
        """The comparison in one line."""
        if self.better is None:
            return f"score {self.score} against {self.rival}, and nothing is known of the error"
        how = "better" if self.better >= 0.5 else "worse"
        sure = "" if max(self.better, 1 - self.better) >= CLEAR else "not clearly "
        runs = f"{self.replicates} pair{'s' if self.replicates > 1 else ''}"
        chance = f"better with a probability of {self.better:.0%}"
        return f"{sure}{how} than {self.rival}: score {self.score}, {chance} ({runs})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """Whether a guard holds.

    Attributes:
        value: what the metric turned out to be.
        limit: the worst value that keeps it.
        kept: whether the value does.
        holds: the probability that it holds on the average of many fine-tunes; None when nothing is known of the error.
    """

    value: float
    limit: float
    kept: bool
    holds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """How far an expectation was above what was confirmed.

    Attributes:
        promised: the gain, or balanced score, that was expected.
        confirmed: what it turned out to be.
        optimism: the first less the second, with the interval of both their errors.
        beyond: whether that is more than their errors explain; None when these are not known.
    """

    promised: float
    confirmed: float
    optimism: Interval
    beyond: bool | None

    @property
    def words(self) -> str:
        """What was found, in a few words."""
        found = f"{self.confirmed:+.4f} was found"
        if self.beyond is None:
            return found
        if not self.beyond:
            return f"{found}, which their errors explain"
        how = "too much" if self.optimism.value > 0 else "too little"
        return f"{found}: that was {how}, by more than their errors explain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What fresh fine-tunes say of a search's recommendation.

    Attributes:
        winner: the candidate that is worth most on the average of its replicates, broken guards priced in.
        replicates: runs of the winner.
        metrics: for each contender that was measured, what each metric turned out to be.
        scores: for each of them, the balanced score.
        leads: over each other one of them.
        guards: of the winner, by metric.
        guarded: the probability that all guards hold together, at least (Bonferroni); None without a guard, or when
            nothing is known of the errors.
        promised: whose expectation was checked; None where nobody's was.
        score: how far its expected score was above the confirmed one; None likewise.
        gains: the same for each metric.
        missing: contenders without a single run.
    """

    winner: str
    replicates: int
    metrics: Mapping[str, Mapping[str, Confirmed]]
    scores: Mapping[str, Interval]
    leads: tuple[Lead, ...]
    guards: Mapping[str, Guarded] = field(default_factory=dict)
    guarded: float | None = None
    promised: str | None = None
    score: Excess | None = None
    gains: Mapping[str, Excess] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    @property
    def beaten_by(self) -> tuple[str, ...]:
        """Contenders that are better than the winner, which only those can be that may not win."""
        return tuple(lead.rival for lead in self.leads if lead.better is not None and lead.better <= 1 - CLEAR)

    @property
    def lines(self) -> list[str]:
        """The verdict in words and numbers, a line for each thing."""
        others = sum(lead.candidate for lead in self.leads)
        best = f", the best of {others + 1} candidates" if others else ""
        told = [f"{self.winner} has a score of {self.scores[self.winner]}{best}"]
        told += [f"{self.winner} is {lead.words}" for lead in self.leads]
        if self.beaten_by:
            told.append(f"train with {self.beaten_by[0]} instead, unless the candidates have other merits")
        if self.score is not None:
            told.append(f"the search expected {self.score.promised:+.4f} of {self.promised}; {self.score.words}")
        for name, guard in self.guards.items():
            sure = "" if guard.holds is None else f", holds with a probability of {guard.holds:.0%}"
            kept = "kept" if guard.kept else "broken"
            told.append(f"the guard of {name} is {kept}: {guard.value:.4f}, limit {guard.limit:.4f}{sure}")
        told += [f"{name} has no finished run" for name in self.missing]
        return told


def judge(contenders: Sequence[Contender], scorer: Scorer, *, baseline: Measurement | None = None) -> Verdict:
    """The verdict over fresh fine-tunes.

    Args:
        contenders: at least one candidate among them has a run. Where candidates are level, the first one wins.
        scorer: the judge; its references are those of the split that the runs were evaluated on.
        baseline: of the untuned model on that split, for the error of what gains are measured from; None where it is
            not known, or where references are stated.
    """
    judged = {one.name: Judged(one, scorer, baseline) for one in contenders if one.runs}
    candidates = [one.name for one in contenders if one.candidate and one.name in judged]
    assert candidates, "no candidate has a run"
    winner = judged[_best({name: judged[name] for name in candidates})]
    rivals = [one for one in contenders if one.name in judged and one.name != winner.name]
    guards = _guards(winner)
    holds = [guard.holds for guard in guards.values()]
    sure = [p for p in holds if p is not None]
    checked = next((judged[one.name] for one in contenders if one.promise is not None and one.name in judged), None)
    excess = None if checked is None else _excess(checked)
    return Verdict(
        winner=winner.name,
        replicates=len(winner.replicates),
        metrics={name: _metrics(one) for name, one in judged.items()},
        scores={name: one.score for name, one in judged.items()},
        leads=tuple(_lead(winner, judged[one.name], list(judged.values()), candidate=one.candidate) for one in rivals),
        guards=guards,
        guarded=max(0.0, 1 - sum(1 - p for p in sure)) if sure and len(sure) == len(holds) else None,
        promised=None if checked is None else checked.name,
        score=None if excess is None else excess[0],
        gains={} if excess is None else excess[1],
        missing=tuple(one.name for one in contenders if not one.runs),
    )


def _best(candidates: Mapping[str, Judged]) -> str:
    """The candidate that is worth most in the replicates that all have; where there is none, in its own."""
    common = set.intersection(*(set(one.replicates) for one in candidates.values()))
    worth = {
        name: float(one.worth[one.among(sorted(common) or one.replicates)].mean()) for name, one in candidates.items()
    }
    return max(worth, key=worth.__getitem__)


def _lead(winner: Judged, rival: Judged, everyone: Sequence[Judged], *, candidate: bool) -> Lead:
    """How far the winner is ahead in the replicates that both have; without one, on average and without an error."""
    common = sorted(set(winner.replicates) & set(rival.replicates))

    def lead(of: Callable[[Judged], NDArray[np.float64]], error: Callable[[Judged], float | None]) -> Mean:
        ours, theirs = of(winner), of(rival)
        if not common:
            return Mean(float(ours.mean() - theirs.mean()), None, 1)
        errors = [known for known in (error(winner), error(rival)) if known is not None]
        stated = math.hypot(*errors) if len(errors) == 2 else 0.0
        likely = max(stated, _spread(everyone, of))
        return Mean.paired(ours[winner.among(common)] - theirs[rival.among(common)], likely)

    def lead_in(k: int) -> Interval:
        return lead(lambda one: one.gains[k], lambda one: one.errors[k]).interval

    return Lead(
        rival=rival.name,
        candidate=candidate,
        replicates=len(common),
        score=lead(lambda one: one.balanced, lambda one: one.error_of_score).interval,
        gains={metric.name: lead_in(k) for k, metric in enumerate(winner.scorer.metrics)},
        better=lead(lambda one: one.worth, lambda one: one.error_of_worth).above(0.0),
    )


def _spread(everyone: Sequence[Judged], of: Callable[[Judged], NDArray[np.float64]]) -> float:
    """The standard deviation of a paired difference by all pairs of contenders, in the replicates that all have.

    It is that of their median, as one contender may be much less steady than the others, and 0 where fewer than two
    contenders have fewer than two replicates in common.
    """
    common = sorted(set.intersection(*(set(one.replicates) for one in everyone)))
    if len(everyone) < 2 or len(common) < 2:
        return 0.0
    values = [of(one)[one.among(common)] for one in everyone]
    spreads = [float((own - other).std(ddof=1)) for own, other in itertools.combinations(values, 2)]
    return float(np.median(spreads))


def _metrics(one: Judged) -> dict[str, Confirmed]:
    """What each metric turned out to be."""
    found = {}
    for metric, gains, error in zip(one.scorer.metrics, one.gains, one.errors, strict=True):
        estimate, reference = Mean.alone(gains, error), one.scorer.reference(metric)
        value = metric.value(estimate.value, reference)
        unit = metric.scale * (abs(value) if metric.comparison is Comparison.LOG_RATIO else 1.0)
        stderr = None if estimate.stderr is None else estimate.stderr * unit
        found[metric.name] = Confirmed(value=value, stderr=stderr, gain=estimate.value)
    return found


def _guards(one: Judged) -> dict[str, Guarded]:
    """Whether each guard holds."""
    found = {}
    for k, (metric, least) in enumerate(zip(one.scorer.metrics, one.scorer.guarded, strict=True)):
        reference = one.scorer.reference(metric)
        limit = metric.limit(reference)
        if limit is None:
            continue
        gain = one.gain(k)
        found[metric.name] = Guarded(
            value=metric.value(gain.value, reference),
            limit=limit,
            kept=bool(gain.value >= least or math.isclose(gain.value, least, abs_tol=1e-9)),
            holds=1.0 if least == -math.inf else gain.above(least),
        )
    return found


def _excess(one: Judged) -> tuple[Excess, dict[str, Excess]]:
    """How far what was promised is above what was found: the score, and each metric's gain."""
    promise = one.promise
    assert promise is not None
    gains = [one.gain(k) for k in range(len(one.scorer.metrics))]
    # As it was promised: the score of mean gains, not the mean of scores.
    means = np.array([gain.value for gain in gains])

    def score(of: NDArray[np.float64]) -> NDArray[np.float64]:
        return balanced(one.scorer, of)

    whole = Mean(
        float(score(means)),
        carried(score, means, [gain.stderr for gain in gains]),
        min(gain.freedom for gain in gains),
    )
    errors = [promise.gains[m.name].sd if m.name in promise.gains else None for m in one.scorer.metrics]
    overall = _excess_of(promise.score, carried(score, means, errors), whole)
    return overall, {
        metric.name: _excess_of(promise.gains[metric.name].value, errors[k], gains[k])
        for k, metric in enumerate(one.scorer.metrics)
        if metric.name in promise.gains
    }


def _excess_of(promised: float, error: float | None, found: Mean) -> Excess:
    """How far a promise is above what was found; a promise without an error counts as exact."""
    stderr = None if found.stderr is None else math.hypot(found.stderr, error or 0.0)
    optimism = Mean(promised - found.value, stderr, found.freedom).interval
    beyond = None if optimism.low is None or optimism.high is None else not optimism.low <= 0 <= optimism.high
    return Excess(promised=promised, confirmed=found.value, optimism=optimism, beyond=beyond)
