from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.metrics import rate, token_f1
from tests.objectives.metrics.spread import SAMPLES, error_over_spread

TEXTS = st.lists(st.sampled_from(["cat", "the", "A", "sat", "On", "mat", "mat,", "!", "über"]), max_size=12).map(
    " ".join
)


@pytest.mark.parametrize(
    ("expected", "generated", "f1"),
    [
        ("in the stadium", "stadium in Berlin", 0.8),  # 2 of 2 words found, 2 of 3 right
        ("The Cat sat.", "a cat; sat!", 1.0),  # case, articles and punctuation do not count
        ("cat", "dog", 0.0),
        ("cat cat dog", "cat dog dog", 2 / 3),  # each word as often as it stands in both
        ("U.S.", "us", 1.0),
        ("the", "", 1.0),  # neither has a word
        ("cat", "the", 0.0),
        ("anthem", "them an", 0.0),  # an article is a whole word: anthem stays
    ],
)
def test_by_hand(expected: str, generated: str, f1: float) -> None:
    assert token_f1([expected], [generated]).value == pytest.approx(f1)


@given(TEXTS, TEXTS)
def test_is_the_harmonic_mean_of_precision_and_recall(expected: str, generated: str) -> None:
    def words(text: str) -> list[str]:
        kept = "".join(c for c in text.lower() if c.isalnum() or c == " ").split()
        return [word for word in kept if word not in ("a", "an", "the")]

    right, found = words(expected), words(generated)
    left = list(right)
    shared = sum(1 for word in found if word in left and not left.remove(word))  # type: ignore[func-returns-value]
    if not right or not found:
        value = float(right == found)
    elif not shared:
        value = 0.0
    else:
        precision, recall = shared / len(found), shared / len(right)
        value = 2 * precision * recall / (precision + recall)
    assert token_f1([expected], [generated]).value == pytest.approx(value)


@given(TEXTS, TEXTS)
def test_is_the_same_from_either_side_and_all_for_the_same(a: str, b: str) -> None:
    assert token_f1([a], [b]) == token_f1([b], [a])
    assert token_f1([a], [a]).value == 1


def test_is_the_mean_over_rows_with_its_spread() -> None:
    rng = np.random.default_rng(6)
    words = np.array(["p", "q", "r", "s"])
    estimates = [
        token_f1(["p q"] * 100, [" ".join(words[rng.integers(0, 4, size=2)]) for _ in range(100)])
        for _ in range(SAMPLES)
    ]
    assert error_over_spread(estimates) == pytest.approx(1, rel=0.15)
    assert token_f1(["p", "q"], ["p", "r"]) == rate([1, 0])
