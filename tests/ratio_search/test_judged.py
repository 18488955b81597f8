"""What the study file's `metrics` and `balance` become, and what of them does not go together.

Names of metrics, and references that are numbers, are tested with the rest of the file in `test_spec`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from objectives.domain import Domain
from objectives.scorer import Balance, BalanceKind, Metric
from ratio_search.errors import SpecError
from ratio_search.judged import check_balance, measured_metric, told_metric
from ratio_search.study_file import MetricSection

ROOT = Path("/data")
DOMAINS = [
    Domain(name="support", train=(ROOT / "a",), test=(ROOT / "b",), final=()),
    Domain(name="general", train=(), test=(ROOT / "c",), final=()),
]
TARGET = Balance(kind=BalanceKind.TARGET)


def made(name: str = "support/f1", **stated: Any) -> Metric:
    return measured_metric(1, MetricSection(name=name, **stated), DOMAINS, ROOT)


def refusal(name: str = "support/f1", **stated: Any) -> str:
    with pytest.raises(SpecError) as error:
        made(name, **stated)
    return str(error.value)


class TestTargets:
    def test_are_values_of_their_metric(self) -> None:
        assert made().target is None
        assert made(target=0.85).target == 0.85
        assert made("support/perplexity", target=40).target == 40.0

    @pytest.mark.parametrize(
        ("name", "stated", "message"),
        [
            (
                "support/f1",
                {"target": 85},
                "metrics[1].target: support/f1: expected a value from 0 to 1, found 85; report a rate, or state a "
                "scale for this metric to use other units",
            ),
            (
                "support/perplexity",
                {"target": 0},
                "metrics[1].target: support/perplexity: expected a value above 0, found 0; state a scale for this "
                "metric to compare by difference",
            ),
            (
                "support/f1",
                {"target": 0.8, "weight": 0},
                "metrics[1].target: found a target and weight 0, which is for guards alone; remove one of both",
            ),
            (
                "general/f1",
                {"target": 0.8},
                "metrics[1].target: 'general' has no train files, so it can only be guarded; remove the target",
            ),
            (
                "general/f1",
                {"target": 0},
                "metrics[1].target: 'general' has no train files, so it can only be guarded; remove the target",
            ),
        ],
    )
    def test_that_cannot_be_one_are_refused(self, name: str, stated: dict[str, Any], message: str) -> None:
        assert refusal(name, **stated) == message

    def test_of_a_metric_that_the_caller_tells_are_taken_as_they_are(self) -> None:
        section = MetricSection(name="bleu", goal="maximize", scale=5, target=140)
        assert told_metric(0, section, DOMAINS, ROOT).target == 140


class TestConfidence:
    def test_is_that_of_a_guard(self) -> None:
        assert made(guard=0.1).confidence == 0.5
        assert made(guard=0.1, confidence=0.9).confidence == 0.9
        assert made("general/f1", guard=0.1, confidence=0.9).confidence == 0.9

    def test_without_a_guard_is_refused(self) -> None:
        assert refusal(confidence=0.9) == (
            "metrics[1].confidence: is that of a guard, and there is none; add a guard, or remove it"
        )


class TestBalanceAndTargets:
    def test_that_go_together_pass(self) -> None:
        check_balance(TARGET, [made(), made(target=0.8)])
        check_balance(Balance(mean=0.5), [made()])

    @pytest.mark.parametrize(
        ("balance", "target", "message"),
        [
            (
                TARGET,
                None,
                "balance.kind: found target, but no metric has one; state a target for one metric or more",
            ),
            (
                Balance(),
                0.8,
                "metrics[1].target: only balance: {kind: target} aims at it, found kind worst; change one of both",
            ),
            (
                Balance(kind=BalanceKind.TARGET, mean=0.1),
                0.8,
                "balance.mean: is not for kind target, which has the mean of the other metrics in it; remove it",
            ),
        ],
    )
    def test_that_do_not_are_refused(self, balance: Balance, target: float | None, message: str) -> None:
        with pytest.raises(SpecError) as error:
            check_balance(balance, [made(), made(target=target)])
        assert str(error.value) == message
