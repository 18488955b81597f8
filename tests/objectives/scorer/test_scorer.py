from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.errors import ScoreError
from objectives.metrics import Comparison, Goal
from objectives.scorer import GUARD_PRICE, TARGET_PRICE, TIE, Balance, BalanceKind, Metric, Scorer
from tests.objectives.scorer.judges import ACCURACY, LATENCY, PERPLEXITY, TARGET, WEIGHTED, WORST, judged, plain


class TestReferences:
    def test_gains_are_measured_from_the_baseline_unless_a_reference_is_stated(self) -> None:
        stated = dataclasses.replace(ACCURACY, name="legal/accuracy", reference=0.75)
        scorer = Scorer(
            metrics=[ACCURACY, stated],
            balance=WORST,
            baseline={"support/accuracy": 0.25, "legal/accuracy": 0.25},
        )
        score = scorer.score({"support/accuracy": 0.5, "legal/accuracy": 0.5})
        assert score.gains == {"support/accuracy": 0.25, "legal/accuracy": -0.25}

    def test_a_metric_without_either_is_refused(self) -> None:
        with pytest.raises(ScoreError, match=r"no reference for support/accuracy, manuals/latency: expected"):
            Scorer(metrics=[ACCURACY, PERPLEXITY, LATENCY], balance=WORST, baseline={"legal/perplexity": 9.0})

    def test_a_missing_value_is_refused_and_what_was_found_is_named(self) -> None:
        scorer = Scorer(metrics=[plain("a/x"), plain("b/x")], balance=WORST, baseline={})
        with pytest.raises(ScoreError, match=r"no value for b/x; found a/x"):
            scorer.score({"a/x": 1.0})


class TestGuards:
    def test_a_guard_that_holds_leaves_no_trace(self) -> None:
        score = judged(-0.25, guards=[0.25])
        assert (score.feasible, score.violations, score.shortfall) == (True, {}, 0.0)

    @pytest.mark.parametrize(
        ("metric", "reference", "value", "excess", "shortfall"),
        [
            (ACCURACY, 0.5, 0.25, 0.125, 0.125),
            (LATENCY, 200.0, 300.0, 75.0, 1.5),
            (PERPLEXITY, 8.0, 16.0, 4.0, math.log(16 / 12)),
        ],
    )
    def test_a_broken_guard_is_told_in_the_metrics_units_and_summed_in_gains(
        self, metric: Metric, reference: float, value: float, excess: float, shortfall: float
    ) -> None:
        guarded = dataclasses.replace(
            metric, guard={ACCURACY: 0.125, LATENCY: 25.0, PERPLEXITY: 4.0}[metric], reference=reference
        )
        score = Scorer(metrics=[guarded], balance=WORST, baseline={}).score({metric.name: value})
        assert score.violations == {metric.name: excess}
        assert score.shortfall == pytest.approx(shortfall)
        assert not score.feasible

    @pytest.mark.parametrize(
        ("goal", "reference", "guard", "at"), [(Goal.MAXIMIZE, 0.8, 0.1, 0.7), (Goal.MINIMIZE, 0.7, 0.1, 0.8)]
    )
    def test_rounding_breaks_no_guard(self, goal: Goal, reference: float, guard: float, at: float) -> None:
        metric = Metric(name="a/accuracy", goal=goal, reference=reference, guard=guard, upper=1.0)
        worse = -1e-6 if goal is Goal.MAXIMIZE else 1e-6
        scorer = Scorer(metrics=[metric], balance=WORST, baseline={})
        assert metric.limit(reference) != at, "the example must be one that rounding touches"
        assert scorer.score({"a/accuracy": math.nextafter(at, at + worse)}).feasible
        assert not scorer.score({"a/accuracy": at + worse}).feasible

    def test_a_metric_of_weight_zero_is_still_guarded(self) -> None:
        assert not judged(1.0, -0.5, weights=[1, 0], guards=[None, 0.25]).feasible

    def test_feasible_comes_before_infeasible_however_good_the_rest(self) -> None:
        assert judged(100.0, -0.5, guards=[None, 0.25]) < judged(-100.0, -0.25, guards=[None, 0.25])

    def test_the_smaller_shortfall_comes_first_among_infeasible_ones(self) -> None:
        assert judged(9.0, -0.75, guards=[None, 0.25]) < judged(-9.0, -0.5, guards=[None, 0.25])


class TestTargets:
    def test_are_missed_in_the_metrics_own_units_and_summed_in_gains(self) -> None:
        metrics = [
            dataclasses.replace(ACCURACY, reference=0.5, target=0.75),
            dataclasses.replace(PERPLEXITY, reference=8.0, target=4.0),
            dataclasses.replace(LATENCY, reference=200.0, target=100.0),
        ]
        scorer = Scorer(metrics=metrics, balance=TARGET, baseline={})
        values = {ACCURACY.name: 0.625, PERPLEXITY.name: 6.0, LATENCY.name: 90.0}
        score = scorer.score(values)
        assert score.missed == {ACCURACY.name: 0.125, PERPLEXITY.name: 2.0}
        assert score.lack == pytest.approx(0.125 + math.log(6 / 4))
        assert scorer.aspired == pytest.approx((0.25, math.log(2), 2.0))

    def test_rounding_misses_none(self) -> None:
        scorer = Scorer(metrics=[plain("a/x", target=0.3), plain("b/x")], balance=TARGET, baseline={})
        assert 0.1 + 0.1 + 0.1 != 0.3
        for value, missed in ((math.nextafter(0.3, 0), False), (0.3 - 1e-6, True)):
            score = scorer.score({"a/x": value, "b/x": 0.0})
            assert (bool(score.missed), score.lack > 0) == (missed, missed)

    def test_come_after_guards(self) -> None:
        guards, targets = [None, 0.25], [0.75]
        broken = judged(0.8, -0.5, guards=guards, targets=targets, balance=TARGET)
        assert broken < judged(0.0, -0.25, guards=guards, targets=targets, balance=TARGET)
        assert broken < judged(0.0, -0.375, guards=guards, targets=targets, balance=TARGET)

    def test_of_a_metric_without_weight_or_of_another_balance_are_not_aimed_at(self) -> None:
        watched = [plain("a/x"), plain("b/x", weight=0.0, target=0.5)]
        assert Scorer(metrics=watched, balance=TARGET, baseline={}).aspired == (-math.inf, -math.inf)
        aimed = [plain("a/x", target=0.5)]
        assert Scorer(metrics=aimed, balance=WORST, baseline={}).aspired == (-math.inf,)
        assert Scorer(metrics=aimed, balance=TARGET, baseline={}).aspired == (0.5,)


@st.composite
def scorers(draw: st.DrawFn) -> Scorer:
    """Any metrics with any weights, guards, targets and balance, whose values have no limits."""
    metrics = []
    for i in range(draw(st.integers(1, 4))):
        ratio = draw(st.booleans())
        metrics.append(
            Metric(
                name=f"d/m{i}",
                goal=draw(st.sampled_from(Goal)),
                comparison=Comparison.LOG_RATIO if ratio else Comparison.DIFFERENCE,
                scale=draw(st.sampled_from([0.5, 1.0, 20.0])),
                weight=draw(st.sampled_from([0.0, 0.5, 1.0, 3.0])) if i else 1.0,
                reference=draw(st.sampled_from([0.5, 8.0])),
                guard=draw(st.none() | st.sampled_from([0.0, 0.25, 100.0])),
                target=draw(st.none() | st.sampled_from([0.5, 9.0])),
            )
        )
    balance = Balance(kind=draw(st.sampled_from(BalanceKind)), mean=draw(st.sampled_from([0.0, 0.05, 1.0])))
    return Scorer(metrics=metrics, balance=balance, baseline={})


class TestUtility:
    @settings(max_examples=100, deadline=None)
    @given(scorers(), st.integers(0, 2**32 - 1))
    def test_it_is_the_balanced_score_of_each_with_its_tie_and_its_price(self, scorer: Scorer, seed: int) -> None:
        gains = np.random.default_rng(seed).standard_normal((len(scorer.metrics), 3, 4))
        found = scorer.utility(gains)
        assert found.shape == (3, 4)
        for place in np.ndindex(3, 4):
            values = {
                metric.name: metric.value(float(own[place]), scorer.reference(metric))
                for metric, own in zip(scorer.metrics, gains, strict=True)
            }
            score = scorer.score(values)
            worth = score.balanced + TIE * score.mean
            assert found[place] == pytest.approx(worth - scorer.guard_price * score.shortfall, rel=1e-6, abs=1e-6)
            if score.feasible:
                assert found[place] == pytest.approx(worth, rel=1e-6, abs=1e-6)

    @pytest.mark.parametrize("balance", [WORST, WEIGHTED, Balance(kind=BalanceKind.PARETO)])
    def test_equals_are_decided_by_the_mean_and_nothing_else_is(self, balance: Balance) -> None:
        scorer = Scorer(metrics=[plain("a/x"), plain("b/x")], balance=balance, baseline={})
        low, high, more = scorer.utility(np.array([[0.25, 0.25, 0.26], [0.25, 0.75, 0.26]]))
        assert low < high
        assert (high < more) == (balance is not WEIGHTED)

    def test_what_a_guard_lacks_costs_more_than_it_brings(self) -> None:
        scorer = Scorer(metrics=[plain("a/x"), plain("b/x", weight=0.0, guard=0.25)], balance=WORST, baseline={})
        kept, at, broken = scorer.utility(np.array([[0.5, 0.5, 1.0], [0.0, -0.25, -0.5]]))
        assert kept == at > broken
        assert scorer.price(np.array([[0.5, 0.5], [-0.25, -0.5]])) == pytest.approx([0.0, GUARD_PRICE / 4])

    def test_a_guard_costs_more_than_a_target_and_a_target_more_than_any_other_gain(self) -> None:
        metrics = [plain("a/x"), plain("b/x", target=0.5), plain("c/x", weight=0.0, guard=0.0)]
        scorer = Scorer(metrics=metrics, balance=TARGET, baseline={})
        assert scorer.guard_price == GUARD_PRICE * TARGET_PRICE
        step = 0.01
        at = np.array([0.25, 0.5, 0.0])
        gained = [scorer.utility(at + change) - scorer.utility(at) for change in step * np.diag([1.0, -1.0, -1.0])]
        assert gained[0] == pytest.approx(step, rel=0.01)
        assert gained[1] == pytest.approx(-TARGET_PRICE * step, rel=0.01)
        assert gained[2] == pytest.approx(-GUARD_PRICE * TARGET_PRICE * step, rel=0.01)

    @settings(max_examples=100, deadline=None)
    @given(scorers(), st.integers(0, 2**32 - 1))
    def test_it_rises_with_every_gain_that_counts(self, scorer: Scorer, seed: int) -> None:
        """So that no mixture is the best one that another beats, targets or not."""
        rng = np.random.default_rng(seed)
        gains = rng.standard_normal(len(scorer.metrics))
        counted = np.array([metric.weight > 0 for metric in scorer.metrics])
        more = gains + np.where(counted, rng.uniform(0.01, 0.5, len(gains)) * rng.integers(0, 2, len(gains)), 0.0)
        assert (scorer.utility(more) > scorer.utility(gains)) == bool((more > gains).any())

    def test_a_guard_beyond_what_its_metric_can_be_costs_nothing(self) -> None:
        metrics = [
            dataclasses.replace(ACCURACY, reference=0.05, guard=0.1),
            dataclasses.replace(PERPLEXITY, name="b/likelihood", goal=Goal.MAXIMIZE, reference=0.5, guard=0.5),
        ]
        scorer = Scorer(metrics=metrics, balance=WORST, baseline={})
        assert scorer.guarded == (-math.inf, -math.inf)
        assert scorer.price(np.array([[-9.0], [-9.0]])) == pytest.approx([0.0])

    @pytest.mark.parametrize("mean", [0.0, 0.05])
    def test_a_choice_from_the_front_is_made_as_by_the_worst(self, mean: float) -> None:
        gains = [0.5, -0.25, 1.0]
        worst, pareto = (
            judged(*gains, balance=Balance(kind=kind, mean=mean)) for kind in (BalanceKind.WORST, BalanceKind.PARETO)
        )
        assert worst == pareto
