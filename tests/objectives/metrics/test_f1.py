from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from objectives.metrics import accuracy, macro_f1, micro_f1
from tests.objectives.metrics.spread import SAMPLES, error_over_spread

CLASSES = st.sampled_from(["a", "b", "c", "d"])
PAIRS = st.tuples(CLASSES, CLASSES | st.just("none of these"))
"""A label and a prediction."""


class TestMacroF1:
    @given(st.lists(PAIRS, min_size=1, max_size=60))
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
        estimates = []
        for _ in range(SAMPLES):
            truth = rng.choice(4, size=250, p=[0.4, 0.3, 0.2, 0.1])
            guess = np.where(rng.random(250) < 0.7, truth, rng.integers(0, 4, size=250))
            estimates.append(macro_f1(list(names[truth]), list(names[guess]), rng))
        assert error_over_spread(estimates) == pytest.approx(1, rel=0.15)

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


class TestMicroF1:
    @given(st.lists(PAIRS, min_size=1, max_size=60))
    def test_is_scikit_learns_over_the_classes_that_occur(self, pairs: list[tuple[str, str]]) -> None:
        labels, predictions = [label for label, _ in pairs], [prediction for _, prediction in pairs]
        estimate = micro_f1(labels, predictions)
        expected = f1_score(labels, predictions, labels=sorted(set(labels)), average="micro", zero_division=0)
        assert estimate.value == pytest.approx(expected)
        assert estimate.rows == len(pairs)
        assert estimate.stderr is not None and 0 < estimate.stderr < 1

    def test_by_hand(self) -> None:
        # Three hits of five; four predictions are of the two classes: precision 3/4, recall 3/5.
        estimate = micro_f1(["a", "a", "b", "b", "b"], ["a", "a", "b", "a", "else"])
        assert estimate.value == pytest.approx(2 * (3 / 4) * (3 / 5) / (3 / 4 + 3 / 5))

    @given(st.lists(st.tuples(CLASSES, CLASSES), min_size=20, max_size=60))
    def test_is_the_accuracy_where_all_predictions_are_of_the_classes(self, pairs: list[tuple[str, str]]) -> None:
        labels = [*(label for label, _ in pairs), "a", "b", "c", "d"]
        predictions = [*(prediction for _, prediction in pairs), "a", "a", "a", "a"]
        micro, plain = micro_f1(labels, predictions), accuracy(labels, predictions)
        assert micro.value == pytest.approx(plain.value)
        assert micro.stderr == pytest.approx(plain.stderr, rel=0.06)

    def test_its_standard_error_is_the_spread_of_test_sets(self) -> None:
        rng = np.random.default_rng(3)
        names = np.array(["a", "b", "c", "else"])
        estimates = []
        for _ in range(SAMPLES):
            truth = rng.choice(3, size=250, p=[0.5, 0.3, 0.2])
            guess = np.where(rng.random(250) < 0.6, truth, rng.integers(0, 4, size=250))
            estimates.append(micro_f1(list(names[truth]), list(names[guess])))
        assert error_over_spread(estimates) == pytest.approx(1, rel=0.15)
