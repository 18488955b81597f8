"""An explanation as people see it."""

from __future__ import annotations

import dataclasses
import math

import pytest
from rich.table import Table

from objectives.mixture import Mixture
from ratio_search.console import PlainConsole
from ratio_search.explain_report import influence_table, lines, next_line, relation_table, share_table, tables
from ratio_search.explanation import Explanation, Influence, NextTrial, Relation, Spread


def spread(mean: float, apart: float = 0.01) -> Spread:
    positive = 1.0 if mean > apart else 0.0 if mean < -apart else 0.5
    return Spread(mean=mean, low=mean - apart, high=mean + apart, positive=positive)


NEXT = NextTrial(mixture=Mixture.uniform("ab"), hyperparameters={}, gain=0.004, worth=0.002, noise=0.02, unsure=0.01)
A = Influence(
    name="a",
    domains=("a",),
    share=0.6,
    moved=(0.55, 0.65),
    slopes={"a/x": spread(0.1), "b/x": spread(-0.05)},
    possible=(0.0, 1.0),
    same=(0.5, 0.7),
    drop=spread(0.3),
    free=False,
)
LAW = dataclasses.replace(
    A, name="law", domains=("b", "c"), share=0.4, slopes={"a/x": spread(0), "b/x": spread(0)}, free=True
)
FOUND = Explanation(
    mixture=Mixture.of({"a": 0.6, "b": 0.2, "c": 0.2}),
    hyperparameters={"rate": 0.001},
    metrics=("a/x", "b/x"),
    trials=12,
    unexplained=(),
    influences=(A, LAW),
    relations=(Relation(metrics=("a/x", "b/x"), here=spread(-0.9), tried=spread(-0.5)),),
    next=NEXT,
)


def shown(table: Table, capsys: pytest.CaptureFixture[str]) -> str:
    PlainConsole().show(table)
    return capsys.readouterr().out


def test_sure_signs_are_marked(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(influence_table(FOUND), capsys)
    assert "+0.1000 (+0.0900, +0.1100) helps" in text
    assert "-0.0500 (-0.0600, -0.0400) hurts" in text
    [law] = [line for line in text.splitlines() if "law (b, c)" in line]
    assert "helps" not in law and "hurts" not in law


def test_what_cannot_move_has_no_slopes(capsys: pytest.CaptureFixture[str]) -> None:
    found = dataclasses.replace(FOUND, influences=(dataclasses.replace(A, slopes={}),))
    assert "+" not in shown(influence_table(found), capsys)
    assert "cannot be moved alone within the space: a" in lines(found)


def test_ranges_of_shares(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(share_table(FOUND), capsys)
    assert "0.600" in text and "0.500" in text and "0.700" in text and "0.000 to 1.000" in text


def test_relations(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(relation_table(FOUND), capsys)
    assert "a/x and b/x" in text and "-0.90 (-0.91, -0.89)" in text and "100%" in text
    assert "one domain of their own have -1.00" in text, "there are two that move"
    assert len(tables(FOUND)) == 3
    assert len(tables(dataclasses.replace(FOUND, relations=()))) == 2


def test_words_say_what_is_sure() -> None:
    said = lines(FOUND)
    assert said[0] == "recommended after 12 trials: a=0.600 b=0.200 c=0.200 rate=0.001"
    assert "more a helps a/x and hurts b/x" in said
    assert "conflict: a/x and b/x pull apart at the recommended mixture (100%)" in said
    assert not any("more law" in line for line in said)
    assert "no sure influence on the score: share of law (b, c), anywhere from 0.000 to 1.000" in " ".join(said)


def test_a_small_fall_does_not_matter() -> None:
    calm = dataclasses.replace(LAW, drop=spread(0.001, 0.005))
    said = lines(dataclasses.replace(FOUND, influences=(calm,)))
    assert any(line.startswith("does not matter: share of law (b, c)") for line in said)


def test_what_the_model_cannot_explain_is_named() -> None:
    said = lines(dataclasses.replace(FOUND, unexplained=("b/x",)))
    assert "the model explains next to nothing of b/x: what is said of it is hardly more than luck" in said


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (None, "there is no model of what it would gain yet"),
        (0.0004, "expected to gain 0.0004, less than 0.002 (search.worth): it is not worth it"),
        (-0.0004, "expected to gain 0.0000, less than 0.002"),
        (0.0021, "expected to gain 0.0021: worth it"),
    ],
)
def test_whether_one_more_trial_is_worth_it(gain: float | None, words: str) -> None:
    said = next_line(dataclasses.replace(NEXT, gain=gain))
    assert words in said and "varies by 0.0200 from luck alone" in said


def test_a_gain_that_luck_hides_is_said_to_be_hidden() -> None:
    assert "little beside luck" in next_line(dataclasses.replace(NEXT, noise=10 * math.pi))
