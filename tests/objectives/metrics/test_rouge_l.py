from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from objectives.metrics import rate, rouge_l

WORDS = st.lists(
    st.sampled_from(["police", "killed", "the", "Gunman", "gun-man", "2nd", "end.", "__", "$"]), max_size=15
)
SCORER = RougeScorer(["rougeL"])


@given(WORDS.map(" ".join) | st.text(st.characters(max_codepoint=127), max_size=30), WORDS.map(" ".join))
def test_is_that_of_googles_package(expected: str, generated: str) -> None:
    assert rouge_l([expected], [generated]).value == pytest.approx(SCORER.score(expected, generated)["rougeL"].fmeasure)


@pytest.mark.parametrize(
    ("expected", "generated", "value"),
    [
        ("police killed the gunman", "police kill the gunman", 0.75),  # Lin's own examples, section 3.1
        ("police killed the gunman", "the gunman kill police", 0.5),
        ("", "", 0.0),
        ("Ärger über Öl", "ärger Über öl", 1.0),
        ("ärger", "rger", 0.0),
        ("猫坐在垫子上", "猫在上", 2 * 3 / (6 + 3)),  # a character is a word
        ("これはabcです", "これは abc", 2 * 4 / (6 + 4)),
        ("кот сидел", "кот", 2 / 3),
    ],
)
def test_by_hand(expected: str, generated: str, value: float) -> None:
    assert rouge_l([expected], [generated]).value == pytest.approx(value)


def test_is_the_mean_over_rows() -> None:
    assert rouge_l(["a b", "c"], ["a b", "d"]) == rate([1, 0])
