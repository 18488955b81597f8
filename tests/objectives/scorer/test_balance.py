from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.scorer import TARGET_PRICE, Balance, BalanceKind
from tests.objectives.scorer.judges import TARGET, WEIGHTED, WORST, judged


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


class TestTarget:
    """`target`, by gains that are their own values."""

    def test_reached_targets_leave_the_weighted_mean_of_the_others(self) -> None:
        score = judged(0.9, 0.5, 0.1, weights=[2, 3, 1], targets=[0.75], balance=TARGET)
        assert score.balanced == pytest.approx((3 * 0.5 + 0.1) / 4)
        assert (score.missed, score.lack) == ({}, 0.0)

    def test_what_is_beyond_a_target_counts_among_equals_alone(self) -> None:
        one, more = (judged(gain, 0.5, targets=[0.75], balance=TARGET) for gain in (0.8, 0.9))
        assert one.balanced == more.balanced
        assert one < more
        assert more < judged(0.75, 0.5001, targets=[0.75], balance=TARGET)

    def test_a_target_comes_before_anything_that_others_gain(self) -> None:
        assert judged(0.74, 99.0, targets=[0.75], balance=TARGET) < judged(0.75, -99.0, targets=[0.75], balance=TARGET)

    def test_among_missed_targets_the_smaller_sum_comes_first_and_then_the_others(self) -> None:
        near, far = (judged(gain, other, targets=[0.75], balance=TARGET) for gain, other in ((0.5, 0.0), (0.25, 9.0)))
        assert far < near < judged(0.5, 0.1, targets=[0.75], balance=TARGET)
        assert (near.lack, far.lack) == (0.25, 0.5)
        assert near.balanced == -TARGET_PRICE * 0.25

    def test_a_heavier_target_is_missed_at_a_higher_price_and_only_ratios_of_weights_matter(self) -> None:
        gains, targets = (0.5, 0.5, 0.25), (0.75, 1.0)
        assert judged(*gains, targets=targets, balance=TARGET).lack == 0.75
        assert judged(*gains, weights=[3, 1, 1], targets=targets, balance=TARGET).lack == pytest.approx(0.375 + 0.25)
        for weights in ([3, 1, 1], [6, 2, 1]):
            assert judged(*gains, weights=weights, targets=targets, balance=TARGET).balanced == pytest.approx(
                0.25 - TARGET_PRICE * 0.625
            )

    def test_where_every_metric_has_a_target_the_mean_decides_among_those_that_reach_all(self) -> None:
        low, high = (judged(0.8, gain, targets=[0.5, 0.5], balance=TARGET) for gain in (0.5, 0.75))
        assert (low.balanced, high.balanced) == (0.0, 0.0)
        assert low < high

    def test_no_other_balance_looks_at_them(self) -> None:
        for balance in (WORST, WEIGHTED, Balance(kind=BalanceKind.PARETO)):
            score = judged(0.25, 0.5, targets=[9.0], balance=balance)
            assert score == judged(0.25, 0.5, balance=balance)
            assert score.missed == {}


def test_many_gains_at_once_are_balanced_as_each_of_them() -> None:
    gains = np.random.default_rng(0).standard_normal((3, 5, 4))
    aspired = (0.5, -np.inf, -0.25)
    for balance in (WORST, WEIGHTED, TARGET, Balance(kind=BalanceKind.WORST, mean=0.5)):
        found = balance.of(list(gains), (2.0, 1.0, 0.5), aspired)
        for place in np.ndindex(5, 4):
            alone = balance.of([own[place] for own in gains], (2.0, 1.0, 0.5), aspired)
            assert found[place] == pytest.approx(float(alone), abs=1e-12)


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


@settings(max_examples=200, deadline=None)
@given(case=weighings(), data=st.data())
def test_raising_the_weight_of_a_target_never_takes_its_metric_farther_from_it(
    case: tuple[list[list[float]], list[float | None], list[float], list[float], int], data: st.DataObject
) -> None:
    candidates, guards, weights, raised_weights, raised = case
    targets = data.draw(st.lists(st.none() | GAINS, min_size=len(weights), max_size=len(weights)))

    def best(by: list[float]) -> float:
        """The gain of the metric at the optimum; what is beyond its target counts as at it."""
        aims = [target if weight else None for target, weight in zip(targets, by, strict=True)]
        chosen = max(candidates, key=lambda g: judged(*g, weights=by, guards=guards, targets=aims, balance=TARGET))
        aim = targets[raised]
        return chosen[raised] if aim is None else min(chosen[raised], aim)

    if weights[raised]:
        assert best(raised_weights) >= best(weights)
