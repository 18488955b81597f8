from __future__ import annotations

import math

import numpy as np
import pytest

from objectives.base import Estimate
from objectives.metrics import Comparison, Goal
from objectives.mixture import Mixture
from objectives.scorer import Balance, Metric, Scorer
from ratio_search.hyperparameters import Choice, Real
from ratio_search.model.evidence import Evidence
from ratio_search.model.points import PointSpace
from ratio_search.record import Record
from ratio_search.space import SimplexSpace
from tests.ratio_search.trials import gains_of, trial

SPACE = PointSpace(simplex=SimplexSpace.of({"a": (0.0, 0.6), "b": (0.0, 1.0)}))
HALF, QUARTER = Mixture.of({"a": 0.5, "b": 0.5}), Mixture.of({"a": 0.25, "b": 0.75})
ACCURACY = Metric(name="a/accuracy", goal=Goal.MAXIMIZE, upper=1.0, reference=0.5)
PERPLEXITY = Metric(name="b/perplexity", goal=Goal.MINIMIZE, comparison=Comparison.LOG_RATIO)
LATENCY = Metric(name="b/latency", goal=Goal.MINIMIZE, scale=50.0, reference=200.0)
SCORER = Scorer(metrics=[ACCURACY, PERPLEXITY, LATENCY], balance=Balance(), baseline={"b/perplexity": 8.0})
VALUES = {"a/accuracy": 0.75, "b/perplexity": 4.0, "b/latency": 150.0}


def evidence(*records: Record, scorer: Scorer = SCORER, space: PointSpace = SPACE) -> Evidence:
    return Evidence.of(records, scorer, space)


class TestGains:
    def test_they_are_those_of_the_scorer(self) -> None:
        found = evidence(trial(3, HALF, VALUES), trial(5, QUARTER, {**VALUES, "b/latency": 225.0}))
        assert found.gains == pytest.approx(np.array([[0.25, math.log(2), 1.0], [0.25, math.log(2), -0.5]]))
        assert (found.numbers, found.basis, found.complete) == ((3, 5), (3, 5), 2)
        assert not found.variances.any()

    def test_standard_errors_are_carried_to_gains(self) -> None:
        told = {
            "a/accuracy": Estimate(value=0.75, stderr=0.02),
            "b/perplexity": Estimate(value=4.0, stderr=0.2),
            "b/latency": Estimate(value=150.0, stderr=5.0),
        }
        found = evidence(trial(0, HALF, told))
        # Of a logarithm the relative error counts.
        assert np.sqrt(found.variances) == pytest.approx(np.array([[0.02, 0.05, 0.1]]))

    def test_the_spread_of_a_logarithm_is_what_is_said(self) -> None:
        values = 4.0 + 0.2 * np.random.default_rng(0).standard_normal(2000)
        found = evidence(*(trial(i, HALF, {**VALUES, "b/perplexity": float(v)}) for i, v in enumerate(values)))
        stated = evidence(trial(0, HALF, {"b/perplexity": Estimate(value=4.0, stderr=0.2)}))
        assert found.gains[:, 1].std() == pytest.approx(math.sqrt(stated.variances[0, 1]), rel=0.1)

    def test_what_is_out_of_all_proportion_can_still_be_computed_with(self) -> None:
        told = {
            "b/perplexity": Estimate(value=1e-300, stderr=1e300),
            "b/latency": Estimate(value=1e308, stderr=1e308),
        }
        found = evidence(
            trial(0, HALF, told),
            scorer=Scorer(metrics=[PERPLEXITY, LATENCY], balance=Balance(), baseline={"b/perplexity": 8.0}),
        )
        assert np.all(np.isfinite(np.square(found.gains))) and np.all(np.isfinite(found.variances))
        assert found.gains[0, 0] > 0 > found.gains[0, 1]
        assert np.all(found.variances > 1)


class TestStates:
    def test_running_trials_are_pending_whatever_they_reported(self) -> None:
        found = evidence(trial(0, HALF, VALUES), trial(1, QUARTER))
        assert found.pending.shares == pytest.approx(np.array([[0.25, 0.75]]))
        assert (len(found.measured), len(found.failed), found.numbers, found.basis) == (1, 0, (0,), (0, 1))

    def test_a_failed_trial_counts_with_what_it_reported(self) -> None:
        partly = trial(2, QUARTER, {"b/perplexity": 16.0}, failed=True)
        found = evidence(trial(0, HALF, VALUES), trial(1, HALF, failed=True), partly)
        assert found.numbers == (0, 2)
        assert found.gains[1] == pytest.approx([math.nan, -math.log(2), math.nan], nan_ok=True)
        assert found.variances[1] == pytest.approx([0.0, 0.0, 0.0])
        assert found.failed.shares == pytest.approx(np.array([[0.5, 0.5], [0.25, 0.75]]))
        assert (found.complete, found.basis) == (1, (0, 1, 2))

    def test_a_value_that_its_metric_cannot_have_is_as_if_missing(self) -> None:
        odd = trial(0, HALF, {"a/accuracy": 75.0, "b/perplexity": -1.0, "b/latency": 150.0}, failed=True)
        [gains] = evidence(odd).gains
        assert np.isnan(gains).tolist() == [True, True, False]

    def test_metrics_that_are_not_judged_do_not_count(self) -> None:
        found = evidence(trial(0, HALF, {"a/other": 1.0}, failed=True), trial(1, HALF, {**VALUES, "a/other": 1.0}))
        assert (found.numbers, len(found.failed)) == ((1,), 1)

    def test_of_no_trials_there_is_none(self) -> None:
        found = evidence()
        assert found.gains.shape == found.variances.shape == (0, 3)
        assert found.measured.shares.shape == found.pending.shares.shape == found.failed.shares.shape == (0, 2)
        assert (found.complete, found.basis) == (0, ())


class TestMixtures:
    def test_the_model_learns_from_what_was_really_trained_on(self) -> None:
        realised = Mixture.of({"b": 0.52, "a": 0.48})
        found = evidence(trial(0, HALF, VALUES, realised=realised), trial(1, QUARTER, VALUES))
        assert found.measured.shares == pytest.approx(np.array([[0.48, 0.52], [0.25, 0.75]]))
        assert found.asked.shares == pytest.approx(np.array([[0.5, 0.5], [0.25, 0.75]]))

    def test_what_was_trained_on_other_domains_is_not_comparable(self) -> None:
        found = evidence(trial(0, HALF, VALUES, realised=Mixture.of({"a": 0.4, "b": 0.4, "c": 0.2})))
        assert found.measured.shares == pytest.approx(np.array([[0.5, 0.5]]))

    def test_trials_from_outside_the_space_of_now_count(self) -> None:
        found = evidence(trial(0, Mixture.of({"a": 0.9, "b": 0.1}), VALUES))
        assert found.measured.shares == pytest.approx(np.array([[0.9, 0.1]]))


class TestHyperparameters:
    SEARCHED = PointSpace(
        simplex=SPACE.simplex,
        hyperparameters={"rate": Real(low=1e-4, high=1e-2), "schedule": Choice(choices=("linear", "cosine"))},
    )

    def test_they_are_kept_with_their_mixtures(self) -> None:
        values = {"rate": 1e-3, "schedule": "cosine"}
        found = evidence(trial(0, HALF, VALUES, hyperparameters=values), space=self.SEARCHED)
        assert found.measured.settings == found.asked.settings == (values,)

    def test_trials_from_before_one_was_searched_do_not_count(self) -> None:
        kept = {"rate": 1e-3, "schedule": "cosine"}
        records = [
            trial(0, HALF, VALUES),
            trial(1, HALF, VALUES, hyperparameters={"rate": 1e-3}),
            trial(2, HALF, failed=True),
            trial(3, HALF),
            trial(4, HALF, VALUES, hyperparameters=kept),
        ]
        found = evidence(*records, space=self.SEARCHED)
        assert (found.numbers, len(found.pending), len(found.failed), found.basis) == ((4,), 0, 0, (4,))

    def test_one_that_is_no_longer_searched_does_no_harm(self) -> None:
        found = evidence(trial(0, HALF, {"a/x": 0.1}, hyperparameters={"rate": 1e-3}), scorer=gains_of("a/x"))
        assert SPACE.coordinates(found.measured).shape == (1, 2)
