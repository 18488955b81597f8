from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from objectives.metrics import KINDS, Comparison, Goal, macro_f1, perplexity, rate

SAMPLES = 400
"""Simulated test sets: the spread of their values has a relative error of about 1 / sqrt(2 x 400) = 3.5 %."""


class TestKinds:
    def test_rates_grow_to_one_and_losses_shrink_to_a_ratio(self) -> None:
        for name in ("accuracy", "f1", "exact_match"):
            kind = KINDS[name]
            assert (kind.goal, kind.comparison, kind.upper) == (Goal.MAXIMIZE, Comparison.DIFFERENCE, 1.0)
        for name in ("perplexity", "loss"):
            kind = KINDS[name]
            assert (kind.goal, kind.comparison, kind.upper) == (Goal.MINIMIZE, Comparison.LOG_RATIO, None)

    def test_only_judgements_of_classes_need_labels(self) -> None:
        assert {name for name, kind in KINDS.items() if kind.needs_labels} == {"accuracy", "f1"}


class TestRate:
    @given(st.lists(st.booleans(), min_size=1, max_size=50))
    def test_is_the_share_of_hits(self, hits: list[bool]) -> None:
        estimate = rate(hits)
        assert estimate.value == pytest.approx(sum(hits) / len(hits))
        assert estimate.rows == len(hits)

    def test_its_standard_error_is_the_spread_of_test_sets(self) -> None:
        draws = np.random.default_rng(0).random((SAMPLES, 250)) < 0.3
        estimates = [rate(hits) for hits in draws]
        spread = np.std([estimate.value for estimate in estimates], ddof=1)
        assert np.mean([estimate.stderr for estimate in estimates]) == pytest.approx(spread, rel=0.15)

    def test_few_rows_are_never_certain(self) -> None:
        assert rate([True]).stderr == pytest.approx(math.sqrt(1 / 18))
        assert 0 < (rate([True] * 500).stderr or 0) < 0.003


class TestMacroF1:
    classes = st.sampled_from(["a", "b", "c", "d"])

    @given(st.lists(st.tuples(classes, classes | st.just("none of these")), min_size=1, max_size=60))
    def test_is_scikit_learns_over_the_classes_that_occur(self, pairs: list[tuple[str, str]]) -> None:
        labels, predictions = [label for label, _ in pairs], [prediction for _, prediction in pairs]
        estimate = macro_f1(labels, predictions, np.random.default_rng(0))
        occurring = sorted(set(labels))
        expected = f1_score(labels, predictions, labels=occurring, average="macro", zero_division=0)
        assert estimate.value == pytest.approx(expected)
        assert estimate.rows == len(pairs)
        assert estimate.stderr is not None and 0 <= estimate.stderr <= 1

    def test_by_hand(self) -> None:
        # a: precision 1, recall 1/2; b: precision 1/2, recall 1.
        estimate = macro_f1(["a", "a", "b"], ["a", "b", "b"], np.random.default_rng(0))
        assert estimate.value == pytest.approx(2 / 3)

    def test_its_standard_error_is_the_spread_of_test_sets(self) -> None:
        rng = np.random.default_rng(1)
        names = np.array(["a", "b", "c", "d"])
        values, errors = [], []
        for _ in range(SAMPLES):
            truth = rng.choice(4, size=250, p=[0.4, 0.3, 0.2, 0.1])
            guess = np.where(rng.random(250) < 0.7, truth, rng.integers(0, 4, size=250))
            estimate = macro_f1(list(names[truth]), list(names[guess]), rng)
            values.append(estimate.value)
            errors.append(estimate.stderr)
        assert np.mean(errors) == pytest.approx(np.std(values, ddof=1), rel=0.15)

    def test_a_perfect_answer_has_no_spread(self) -> None:
        labels = ["a"] * 30 + ["b"]
        estimate = macro_f1(labels, labels, np.random.default_rng(0))
        assert (estimate.value, estimate.stderr) == (1.0, 0.0)

    def test_a_class_that_a_resample_misses_does_not_add_to_the_spread(self) -> None:
        # The rare class is always right, so its absence from a third of the resamples changes nothing.
        labels, predictions = ["a"] * 100 + ["b"], ["a"] * 100 + ["b"]
        assert macro_f1(labels, predictions, np.random.default_rng(0)).stderr == 0.0

    def test_repeats_with_the_same_generator(self) -> None:
        labels, predictions = ["a", "b", "a", "c"] * 10, ["a", "b", "b", "b"] * 10
        first, second = (macro_f1(labels, predictions, np.random.default_rng(7)) for _ in range(2))
        assert first == second

    def test_many_rows_and_classes_take_no_more_room(self) -> None:
        rng = np.random.default_rng(0)
        labels = [f"{number}" for number in rng.integers(0, 70, size=50_000)]
        estimate = macro_f1(labels, labels[1:] + labels[:1], rng)
        assert estimate.stderr is not None and estimate.stderr < 0.01


class TestPerplexity:
    def test_weighs_tokens_and_not_rows(self) -> None:
        nll, tokens = np.array([2.0, 9.0]), np.array([1, 9])
        assert perplexity(nll, tokens).value == pytest.approx(math.exp(11 / 10))

    def test_its_standard_error_is_the_spread_of_test_sets(self) -> None:
        rng = np.random.default_rng(2)
        values, errors = [], []
        for _ in range(SAMPLES):
            tokens = rng.integers(1, 30, size=250)
            # Long rows are easier here, so that nats and tokens are not proportional.
            difficulty = rng.gamma(4.0, 0.5, size=250) / np.sqrt(tokens)
            estimate = perplexity(difficulty * tokens, tokens)
            values.append(estimate.value)
            errors.append(estimate.stderr)
        assert np.mean(errors) == pytest.approx(np.std(values, ddof=1), rel=0.15)

    def test_equal_rows_have_no_spread(self) -> None:
        assert perplexity(np.array([2.0, 4.0]), np.array([1, 2])).stderr == pytest.approx(0.0)

    def test_one_row_says_nothing_of_the_spread(self) -> None:
        estimate = perplexity(np.array([2.0]), np.array([4]))
        assert (estimate.value, estimate.stderr, estimate.rows) == (pytest.approx(math.exp(0.5)), None, 1)
