"""Turns what is believed of a study's metrics into advice that a person can weigh."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from objectives.mixture import Mixture
from objectives.scorer import Score, Scorer
from ratio_search.model import Points, PointSpace
from ratio_search.recommendation import CREDIBLE, Alternative, Prediction, Recommendation
from ratio_search.record import Record
from ratio_search.sampler.simplex_gp import Outlook
from ratio_search.space import SAME

DRAWS = 512
"""Draws behind probabilities: they are exact to about two per cent."""

CONSIDERED = 40
"""Trials, the best ones by what is expected of them, that alternatives are chosen from."""

SHOWN = 3
"""Alternatives that are shown at most."""

POSSIBLE = 0.2
"""An alternative is better than the recommended mixture with at least this probability."""

EXPLAINED = 0.1
"""A metric counts as explained from this part of its variance on: of one that is noise alone, 20 trials seem to explain
less than that three times out of four."""


def advise(
    outlook: Outlook,
    records: Mapping[int, Record],
    scorer: Scorer,
    space: PointSpace,
    rng: np.random.Generator,
) -> Recommendation:
    """The advice that follows from an outlook.

    Args:
        outlook: what a study's trials lead to expect.
        records: these trials, by number, those that may be recommended only; at least one.
        scorer: the judge.
        space: what is searched.
        rng: of the draws behind probabilities.
    """
    evidence, best = outlook.evidence, outlook.best
    told = [(i, records[number]) for i, number in enumerate(evidence.numbers) if number in records]
    known = [i for i, _ in told]
    # What is doubted is not told to be good, unless there is nothing else.
    allowed = np.array([i for i in known if not outlook.surrogate.doubted[i]] or known)
    likely = outlook.surrogate.forecast(space.coordinates(evidence.asked[allowed]))
    allowed = allowed[np.argsort(-scorer.utility(likely.mean.T), kind="stable")]
    nearest = int(np.linalg.norm(space.coordinates(evidence.asked[allowed]) - space.coordinates(best), axis=1).argmin())
    # Among hundreds of trials the others cannot be the better ones.
    chosen = dict.fromkeys([nearest, *range(min(len(allowed), CONSIDERED))])
    allowed = allowed[list(chosen)]
    tried, trials = evidence.asked[allowed], [records[evidence.numbers[i]] for i in allowed]
    x = space.coordinates(Points.joined([best, tried]))
    forecast = outlook.surrogate.forecast(x[:1])
    gains = outlook.surrogate.draws(x, DRAWS, rng).base
    [mixture] = [space.simplex.mixture(row) for row in best.shares]
    record = trials[0]
    assert record.job.mixture is not None
    held, reached = _held(gains[:, 0], scorer), _reached(gains[:, 0], scorer)
    return Recommendation(
        mixture=mixture,
        hyperparameters=best.settings[0],
        record=record,
        tried=mixture.distance(record.job.mixture) <= SAME
        and dict(record.job.hyperparameters) == dict(best.settings[0]),
        score=_expected(forecast.mean[0], scorer),
        predictions=_predictions(forecast.mean[0], forecast.sd[0], gains[:, 0], scorer),
        guarded=float(held.all(axis=0).mean()) if any(m.guard is not None for m in scorer.metrics) else None,
        reached=float(reached.all(axis=0).mean()) if max(scorer.aspired) > -np.inf else None,
        alternatives=_alternatives(scorer.utility(gains), trials, mixture),
        scorer=scorer,
        considered=len(records),
        doubted=tuple(record.job.id for i, record in told if outlook.surrogate.doubted[i]),
        unexplained=tuple(
            metric.name
            for metric, part in zip(scorer.metrics, outlook.surrogate.explained, strict=True)
            if part < EXPLAINED
        ),
    )


def _held(gains: NDArray[np.float64], scorer: Scorer) -> NDArray[np.bool_]:
    """Whether each guard holds in each draw, both (n_metrics, n_draws)."""
    held: NDArray[np.bool_] = gains >= np.array(scorer.guarded)[:, None]
    return held


def _reached(gains: NDArray[np.float64], scorer: Scorer) -> NDArray[np.bool_]:
    """Whether each target is reached in each draw, both (n_metrics, n_draws)."""
    reached: NDArray[np.bool_] = gains >= np.array(scorer.aspired)[:, None]
    return reached


def _expected(mean: NDArray[np.float64], scorer: Scorer) -> Score:
    """The score of the expected gains; guards that are as likely to break as to hold count as broken."""
    values = {
        metric.name: metric.value(float(gain), scorer.reference(metric))
        for metric, gain in zip(scorer.metrics, mean, strict=True)
    }
    return scorer.score(values)


def _predictions(
    mean: NDArray[np.float64], sd: NDArray[np.float64], gains: NDArray[np.float64], scorer: Scorer
) -> dict[str, Prediction]:
    reach = float(ndtri((1 + CREDIBLE) / 2))
    held, reached = _held(gains, scorer).mean(axis=1), _reached(gains, scorer).mean(axis=1)
    aspired = scorer.aspired
    found = {}
    for k, metric in enumerate(scorer.metrics):
        reference = scorer.reference(metric)
        ends = sorted(metric.value(float(mean[k] + sign * reach * sd[k]), reference) for sign in (-1, 1))
        found[metric.name] = Prediction(
            value=metric.value(float(mean[k]), reference),
            low=ends[0],
            high=ends[1],
            gain=float(mean[k]),
            holds=None if metric.guard is None else float(held[k]),
            reaches=None if aspired[k] == -np.inf else float(reached[k]),
        )
    return found


def _alternatives(worth: NDArray[np.float64], trials: list[Record], best: Mixture) -> tuple[Alternative, ...]:
    """The tried mixtures that may be as good as the best, by their draws' utilities, (1 + n_trials, n_draws)."""
    behind = worth[0] - worth[1:]
    # A mixture that was run again is one alternative, and the recommended one is none, however often it was run.
    first: dict[tuple[float, ...], int] = {}
    for i in np.argsort(behind.mean(axis=1), kind="stable"):
        mixture = trials[i].job.mixture
        assert mixture is not None
        if mixture.shares in first or mixture.distance(best) <= SAME:
            continue
        if (behind[i] < 0).mean() >= POSSIBLE:
            first[mixture.shares] = int(i)
    found = []
    for i in list(first.values())[:SHOWN]:
        mixture = trials[i].job.mixture
        assert mixture is not None
        found.append(
            Alternative(
                trial=trials[i].job.id,
                mixture=mixture,
                behind=float(behind[i].mean()),
                better=float((behind[i] < 0).mean()),
            )
        )
    return tuple(found)
