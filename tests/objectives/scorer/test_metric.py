from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.errors import ScoreError
from objectives.metrics import Goal
from objectives.scorer import Metric
from tests.objectives.scorer.judges import ACCURACY, LATENCY, PERPLEXITY, plain


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


def test_it_knows_how_far_one_value_is_behind_another() -> None:
    assert (ACCURACY.behind(0.5, 0.75), ACCURACY.behind(0.75, 0.5)) == (0.25, -0.25)
    assert (PERPLEXITY.behind(9.0, 8.0), LATENCY.behind(150.0, 200.0)) == (1.0, -50.0)
