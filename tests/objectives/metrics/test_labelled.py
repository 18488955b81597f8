from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.data import Row
from objectives.errors import DataError
from objectives.metrics import KINDS, LABELLED, NO_LABEL, WrittenLabels, accuracy, labelled, macro_f1, micro_f1

LEAVES = WrittenLabels.of(
    [Row.of("q", leaf, leaf) for leaf in ("app", "app/crash", "Service", "no", "No", "-1", "1", "caf\u00e9")]
)
SENTENCES = WrittenLabels.of(
    [Row.of("q", "cancel: Your trial ends.", "cancel"), Row.of("q", "\u9000\u6b3e\u6b63\u5728", "\u9000\u6b3e")]
)
"""Whose expected answers go on behind their labels, one of them without a break."""


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("app/crash", "app/crash"),
        (" \n APP/crash \n", "app/crash"),
        ("app/crash.", "app/crash"),
        ('"app/crash"', "app/crash"),
        ("**app/crash**!", "app/crash"),
        ("\u201capp/crash\u201d, I would say", "app/crash"),
        ("service\nBecause someone was kind", "Service"),
        ("app", "app"),
        ("app: it shuts down", "app"),
        ("app/other", NO_LABEL),
        ("app_crash", NO_LABEL),
        ("apply", NO_LABEL),
        ("Label: app", NO_LABEL),
        ("it is the app", NO_LABEL),
        ("no", "no"),
        ("No.", "No"),
        ("NO", "No"),
        ("-1", "-1"),
        ("- 1", NO_LABEL),
        ("cafe\u0301", "caf\u00e9"),
        ("", NO_LABEL),
        ("\ud800", NO_LABEL),
        ("\u0130" * 3, NO_LABEL),
    ],
)
def test_an_answer_means_the_label_that_it_begins_with(answer: str, label: str) -> None:
    assert LEAVES.read(answer) == label


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("Cancel", "cancel"),
        ("cancel: Another trial.", "cancel"),
        ("cancelled", NO_LABEL),
        ("\u9000\u6b3e\u5df2\u5230", "\u9000\u6b3e"),
    ],
)
def test_a_label_ends_as_it_does_in_expected_answers(answer: str, label: str) -> None:
    assert SENTENCES.read(answer) == label


TEXT = st.text("aAb\u00df\u4e2d1 .:\"'*/-_\n", max_size=4)


@given(TEXT.filter(lambda text: text.strip() != ""), TEXT)
def test_an_expected_answer_means_its_own_label(label: str, rest: str) -> None:
    assert WrittenLabels.of([Row.of("q", label + rest, label)]).read(label + rest) == label


def test_labels_that_cannot_be_told_apart_are_found() -> None:
    rows = [Row.of("q", "no", "no"), Row.of("q", "No way", "No"), Row.of("q", "text alone")]
    WrittenLabels.of(rows).check(rows)
    clash = [*rows, Row.of("q", "No way", "No way")]
    with pytest.raises(DataError, match=r"the labels 'No' and 'No way' cannot be told apart.*rename one of them"):
        WrittenLabels.of(clash).check(clash)


def test_all_that_needs_labels_is_computed() -> None:
    assert set(LABELLED) == {name for name, kind in KINDS.items() if kind.needs_labels}
    truth, predicted = ["a", "b", "a", "b"], ["a", NO_LABEL, "b", "b"]
    found = labelled(truth, predicted, np.random.default_rng(1))
    assert found == {
        "accuracy": accuracy(truth, predicted),
        "f1": macro_f1(truth, predicted, np.random.default_rng(1)),
        "micro_f1": micro_f1(truth, predicted),
    }
    assert found["accuracy"].value == 0.5
    # Wrong, and no false alarm of a class that there is.
    assert found["micro_f1"].value == pytest.approx(2 * 2 / (4 + 3))
