from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.errors import ScoreError
from objectives.metrics import Comparison, Goal
from objectives.scorer import GUARD_PRICE, TIE, Balance, BalanceKind, Metric, Score, Scorer

ACCURACY = Metric(name="support/accuracy", goal=Goal.MAXIMIZE, upper=1.0)
PERPLEXITY = Metric(name="legal/perplexity", goal=Goal.MINIMIZE, comparison=Comparison.LOG_RATIO)
LATENCY = Metric(name="manuals/latency", goal=Goal.MINIMIZE, scale=50.0)

WORST, WEIGHTED = Balance(kind=BalanceKind.WORST), Balance(kind=BalanceKind.WEIGHTED)


def plain(name: str, **fields: object) -> Metric:
    """A metric whose values are their own gains, when the reference is 0."""
    return dataclasses.replace(Metric(name=name, goal=Goal.MAXIMIZE, reference=0.0), **fields)


def judged(
    *gains: float, weights: Sequence[float] | None = None, guards: Sequence[float | None] = (), balance: Balance = WORST
) -> Score:
    weights = weights or [1.0] * len(gains)
    guards = [*guards, *[None] * (len(gains) - len(guards))]
    metrics = [plain(f"d/m{i}", weight=w, guard=g) for i, (w, g) in enumerate(zip(weights, guards, strict=True))]
    values = {metric.name: gain for metric, gain in zip(metrics, gains, strict=True)}
    return Scorer(metrics=metrics, balance=balance, baseline={}).score(values)


class TestGain:
    def test_a_rate_gains_by_its_difference(self) -> None:
        assert ACCURACY.gain(0.75, 0.5) == 0.25
        assert ACCURACY.gain(0.25, 0.5) == -0.25

    def test_a_smaller_perplexity_gains_by_the_logarithm_of_the_ratio(self) -> None:
        assert PERPLEXITY.gain(5.0, 10.0) == pytest.approx(math.log(2))
        assert PERPLEXITY.gain(20.0, 10.0) == pytest.approx(-math.log(2))

    def test_a_stated_scale_divides_the_difference(self) -> None:
        assert LATENCY.gain(100.0, 200.0) == 2.0
        assert LATENCY.gain(225.0, 200.0) == -0.5

    def test_no_change_is_exactly_no_gain(self) -> None:
        assert PERPLEXITY.gain(3.7, 3.7) == 0.0

    def test_extreme_perplexities_still_compare(self) -> None:
        assert PERPLEXITY.gain(1e308, 1e-308) == pytest.approx(-616 * math.log(10))

    @settings(deadline=None)
    @given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.sampled_from([PERPLEXITY, LATENCY]))
    def test_swapping_value_and_reference_turns_the_sign(self, a: float, b: float, metric: Metric) -> None:
        assert metric.gain(a, b) == -metric.gain(b, a)

    @pytest.mark.parametrize(
        ("metric", "value", "found"),
        [
            (ACCURACY, math.nan, "support/accuracy: expected a finite value, found nan"),
            (ACCURACY, -math.inf, "expected a finite value, found -inf"),
            (ACCURACY, 81.0, "expected a value from 0 to 1, found 81; report a rate"),
            (ACCURACY, -0.1, "expected a value from 0 to 1, found -0.1"),
            (PERPLEXITY, 0.0, "expected a value above 0, found 0; state a scale"),
        ],
    )
    def test_an_impossible_value_is_refused_on_either_side(self, metric: Metric, value: float, found: str) -> None:
        with pytest.raises(ScoreError, match=found):
            metric.gain(value, 0.5)
        with pytest.raises(ScoreError, match=found):
            metric.gain(0.5, value)


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


class TestBalance:
    def test_worst_is_the_smallest_gain(self) -> None:
        assert judged(0.5, -0.25, 1.0).balanced == -0.25

    def test_worst_divides_gains_by_the_weight_and_multiplies_losses(self) -> None:
        assert judged(0.5, 0.5, weights=[2, 1]).balanced == 0.25
        assert judged(-0.5, 0.5, weights=[2, 1]).balanced == -1.0

    def test_worst_adds_its_share_of_the_mean_weighted_gain(self) -> None:
        score = judged(1.0, -0.5, weights=[2, 2], balance=Balance(kind=BalanceKind.WORST, mean=0.5))
        assert score.balanced == -1.0 + 0.5 * (0.5 - 1.0) / 2

    def test_weighted_is_the_weighted_mean(self) -> None:
        assert judged(1.0, -0.5, weights=[3, 1], balance=WEIGHTED).balanced == 0.625

    @pytest.mark.parametrize("balance", [WORST, WEIGHTED])
    def test_weight_zero_takes_no_part(self, balance: Balance) -> None:
        score = judged(0.5, -9.0, weights=[1, 0], balance=balance)
        assert (score.balanced, score.mean, score.feasible) == (0.5, 0.5, True)

    def test_equal_balances_are_decided_by_the_plain_mean_of_the_gains(self) -> None:
        assert judged(0.25, 0.5) < judged(0.25, 0.75)
        assert judged(0.25, 0.75, weights=[1, 4]).mean == 0.5


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


def test_scores_with_the_same_key_are_equal() -> None:
    assert judged(0.5, 1.0) == judged(1.0, 0.5)
    assert hash(judged(0.5, 1.0)) == hash(judged(1.0, 0.5))
    assert judged(0.5, 1.0) != judged(0.5, 1.5)
    assert judged(0.5, 1.0) != "a score"


# A small grid, so that ties and gains of 0 are common: they are where an order can go wrong.
GAINS = st.integers(-4, 4).map(lambda n: n / 4)
WEIGHTS = st.integers(0, 12).map(lambda n: n / 4)


@st.composite
def weighings(draw: st.DrawFn) -> tuple[list[list[float]], list[float | None], list[float], list[float], int]:
    """Candidates' gains, guards, weights, the same weights with one raised, and which one that is."""
    size = draw(st.integers(2, 4))
    candidates = draw(st.lists(st.lists(GAINS, min_size=size, max_size=size), min_size=2, max_size=8))
    guards = draw(st.lists(st.none() | st.integers(0, 2).map(float), min_size=size, max_size=size))
    weights = draw(st.lists(WEIGHTS, min_size=size, max_size=size).filter(any))
    raised = draw(st.integers(0, size - 1))
    more = weights[raised] + draw(st.integers(1, 12)) / 4
    return candidates, guards, weights, [*weights[:raised], more, *weights[raised + 1 :]], raised


def optimum(
    candidates: list[list[float]], guards: list[float | None], weights: list[float], balance: Balance
) -> list[float]:
    """The best candidate; the earliest one among equals, as `max` and a stable sort give it."""
    return max(candidates, key=lambda gains: judged(*gains, weights=weights, guards=guards, balance=balance))


@pytest.mark.parametrize("balance", [WORST, WEIGHTED])
@settings(max_examples=200, deadline=None)
@given(case=weighings())
def test_raising_a_weight_never_lowers_that_metric_at_the_optimum(
    balance: Balance, case: tuple[list[list[float]], list[float | None], list[float], list[float], int]
) -> None:
    candidates, guards, weights, raised_weights, raised = case
    before = optimum(candidates, guards, weights, balance)
    after = optimum(candidates, guards, raised_weights, balance)
    assert after[raised] >= before[raised]


def test_with_a_share_of_the_mean_raising_a_weight_can_lower_that_metric() -> None:
    """Why `mean` is 0 unless stated: the weight divides the metric's part of the mean, too."""
    candidates = [[2.0, 1.0, 0.0], [1.0, 1.5, 0.0]]
    balance = Balance(kind=BalanceKind.WORST, mean=0.05)
    assert optimum(candidates, [None] * 3, [1.0, 1.0, 1.0], balance)[0] == 2.0
    assert optimum(candidates, [None] * 3, [4.0, 1.0, 1.0], balance)[0] == 1.0


class TestValue:
    @settings(deadline=None)
    @given(st.floats(-3, 3), st.floats(0.1, 1e3), st.sampled_from([PERPLEXITY, LATENCY, plain("a/x", scale=0.1)]))
    def test_it_is_the_value_that_has_the_gain(self, gain: float, reference: float, metric: Metric) -> None:
        assert metric.gain(metric.value(gain, reference), reference) == pytest.approx(gain, abs=1e-9)

    def test_no_gain_is_the_reference_itself(self) -> None:
        assert PERPLEXITY.value(0.0, 3.7) == LATENCY.value(0.0, 3.7) == 3.7

    def test_a_rate_stays_one(self) -> None:
        assert (ACCURACY.value(0.25, 0.5), ACCURACY.value(0.75, 0.5), ACCURACY.value(-0.75, 0.5)) == (0.75, 1.0, 0.0)
        error = dataclasses.replace(ACCURACY, goal=Goal.MINIMIZE)
        assert (error.value(0.25, 0.5), error.value(0.75, 0.5), error.value(-0.75, 0.5)) == (0.25, 0.0, 1.0)

    @pytest.mark.parametrize("gain", [-1e4, 1e4])
    def test_what_is_out_of_all_proportion_is_still_a_value(self, gain: float) -> None:
        found = PERPLEXITY.value(gain, 8.0)
        assert PERPLEXITY.possible(found)
        assert (found < 1e-100) == (gain > 0) != (found > 1e100)


@pytest.mark.parametrize(
    ("metric", "possible", "not_possible"),
    [
        (ACCURACY, [0.0, 0.5, 1.0], [-0.1, 1.1, math.nan]),
        (PERPLEXITY, [1e-9, 1e9], [0.0, -1.0, math.inf]),
        (LATENCY, [-1.0, 0.0, 1e9], [math.nan, -math.inf]),
    ],
)
def test_a_metric_knows_what_it_can_be(metric: Metric, possible: list[float], not_possible: list[float]) -> None:
    assert all(metric.possible(value) for value in possible)
    assert not any(metric.possible(value) for value in not_possible)


@st.composite
def scorers(draw: st.DrawFn) -> Scorer:
    """Any metrics with any weights, guards and balance, whose values have no limits."""
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
            assert found[place] == pytest.approx(worth - GUARD_PRICE * score.shortfall, rel=1e-6, abs=1e-6)
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
