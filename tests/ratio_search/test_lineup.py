from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from objectives.mixture import Mixture
from ratio_search.anchors import Anchor
from ratio_search.interval import Interval
from ratio_search.lineup import CLOSE, DISTINCT, RECOMMENDED, Entrant, Lineup, candidates, rivals
from ratio_search.recommendation import Alternative, Prediction, Recommendation
from ratio_search.record import Record

from .trials import gains_of, trial

SCORER = gains_of("a/x", "b/x")


def mix(a: float) -> Mixture:
    return Mixture.of({"a": a, "b": 1 - a})


def done(number: int, a: float, **keys: Any) -> Record:
    return trial(number, mix(a), {"a/x": a, "b/x": 1 - a}, **keys)


def advice_of(record: Record, *, mixture: Mixture | None = None, others: tuple[Record, ...] = ()) -> Recommendation:
    """The advice to train on a trial's mixture, or on another one near it."""
    score = SCORER.score(record.values)
    advice = Recommendation.of_best(record, score, scorer=SCORER, considered=3)
    alternatives = tuple(
        Alternative(trial=other.job.id, mixture=other.job.mixture, behind=0.1, better=0.3)
        for other in others
        if other.job.mixture is not None
    )
    return dataclasses.replace(
        advice, mixture=mixture or advice.mixture, tried=mixture is None, alternatives=alternatives
    )


def lineup(*entrants: Entrant, anchors: tuple[Entrant, ...] = (), replicates: int = 2) -> Lineup:
    return Lineup.of(entrants, anchors, replicates=replicates, split="0123", baseline=True)


def entrant(name: str, a: float, **keys: Any) -> Entrant:
    return Entrant(name=name, candidate=True, mixture=mix(a), **keys)


class TestCandidates:
    def test_are_the_recommendation_then_its_alternatives_then_the_best_trials(self) -> None:
        best, near, third, last = ranked = [done(0, 0.5), done(1, 0.5 + DISTINCT / 2), done(2, 0.7), done(3, 0.2)]
        advice = advice_of(best, mixture=mix(0.5 + DISTINCT / 4), others=(last,))
        found = candidates(advice, ranked, top=9)
        assert [one.name for one in found] == [RECOMMENDED, last.job.id, third.job.id], "nearer ones are left out"
        assert [one.trial for one in found] == [None, last.job.id, third.job.id]
        assert all(one.candidate for one in found)
        assert [one.name for one in candidates(advice, ranked, top=2)] == [RECOMMENDED, last.job.id]
        assert near.job.mixture not in [one.mixture for one in found]

    def test_a_tried_recommendation_names_its_trial(self) -> None:
        [one] = candidates(advice_of(done(4, 0.5)), [], top=3)
        assert (one.name, one.trial, one.mixture) == (RECOMMENDED, "trial-0004", mix(0.5))

    def test_the_same_mixture_with_other_settings_is_another_one(self) -> None:
        ranked = [done(0, 0.5, hyperparameters={"rate": 1e-3}), done(1, 0.5, hyperparameters={"rate": 1e-4})]
        found = candidates(advice_of(ranked[0]), ranked, top=2)
        assert [one.hyperparameters["rate"] for one in found] == [1e-3, 1e-4]

    def test_what_was_expected_is_kept_as_gains(self) -> None:
        advice = advice_of(done(0, 0.4))
        [one] = candidates(advice, [], top=1)
        assert one.promised == {
            "a/x": Interval(value=0.4, low=None, high=None),
            "b/x": Interval(value=0.6, low=None, high=None),
        }
        predicted = {
            name: Prediction(value=value, low=value - 0.1, high=value + 0.2, gain=value, holds=None)
            for name, value in (("a/x", 0.4), ("b/x", 0.6))
        }
        [one] = candidates(dataclasses.replace(advice, predictions=predicted), [], top=1)
        assert one.promised["a/x"] == Interval(value=0.4, low=pytest.approx(0.3), high=pytest.approx(0.6))


class TestLineup:
    def test_an_anchor_that_is_a_candidate_is_no_rival_of_itself(self) -> None:
        anchors = rivals([Anchor(name="natural", mixture=mix(0.8)), Anchor(name="uniform", mixture=mix(0.5))], {})
        found = lineup(entrant(RECOMMENDED, 0.5 + CLOSE / 2), entrant("trial-0003", 0.2), anchors=tuple(anchors))
        assert [(one.name, one.candidate) for one in found.entrants] == [
            (f"{RECOMMENDED} = uniform", True),
            ("trial-0003", True),
            ("natural", False),
        ]
        assert (found.candidates, found.recommended.mixture) == (2, mix(0.5 + CLOSE / 2))

    def test_an_anchor_with_other_settings_is_a_rival(self) -> None:
        anchor = rivals([Anchor(name="uniform", mixture=mix(0.5))], {"rate": 1e-3})
        found = lineup(entrant(RECOMMENDED, 0.5, hyperparameters={"rate": 1e-4}), anchors=tuple(anchor))
        assert [one.name for one in found.entrants] == [RECOMMENDED, "uniform"]

    def test_one_replicate_of_all_comes_after_the_other(self) -> None:
        found = lineup(entrant(RECOMMENDED, 0.5), entrant("trial-0001", 0.2))
        runs = [(None if one is None else one.name, rerun.replicate) for one, rerun in found.reruns()]
        names = (RECOMMENDED, "trial-0001")
        assert runs == [(None, 0), *((name, replicate) for replicate in (0, 1) for name in names)]
        alone = dataclasses.replace(found, baseline=False)
        assert [one for one, _ in alone.reruns()] == [one for one, _ in found.reruns()][1:]

    def test_a_mixture_that_hardly_moved_is_still_the_one_that_was_run(self) -> None:
        earlier = lineup(entrant(RECOMMENDED, 0.5), entrant("trial-0001", 0.2))
        now = lineup(entrant(RECOMMENDED, 0.5 + CLOSE / 2), entrant("trial-0002", 0.2 + 2 * CLOSE))
        settled = now.settled(earlier)
        assert [one.mixture for one in settled.entrants] == [mix(0.5), mix(0.2 + 2 * CLOSE)]
        assert now.settled(None) is now
        assert settled.confirms(mix(0.5 + CLOSE / 2), {})
        assert not settled.confirms(mix(0.5 + 2 * CLOSE), {})
        assert not settled.confirms(mix(0.5), {"rate": 1e-3})

    def test_it_is_the_same_after_json(self) -> None:
        promised = {"a/x": Interval(value=0.4, low=0.1, high=0.5), "b/x": Interval(value=0.6, low=None, high=None)}
        first = entrant(RECOMMENDED, 0.5, trial="trial-0001", promised=promised, hyperparameters={"rate": 1e-4})
        found = lineup(first, entrant("trial-0002", 0.2))
        assert Lineup.from_json(found.to_json()) == found
