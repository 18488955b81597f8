"""A plan as people see it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from objectives.data import Action, Finding, Found, Split
from ratio_search.plan import Plan
from ratio_search.plan_report import finding_text, plan_lines, plan_table


def table(plan: Plan) -> list[list[str]]:
    """The cells of a plan's table, row by row, its title and heads left out."""
    out = io.StringIO()
    Console(file=out, width=200).print(plan_table(plan))
    lines = [line.split("\u2502") for line in out.getvalue().splitlines() if line.startswith("\u2502")]
    return [[cell.strip() for cell in line[1:-1]] for line in lines]


def found(finding: Finding = Finding.DUPLICATES, count: int = 1, action: Action = Action.WARN, **kinds: int) -> Found:
    return Found(
        finding=finding, domain="legal", split=Split.TRAIN, count=count, action=action, examples=(), kinds=kinds
    )


@pytest.fixture
def plan(small_study: Any) -> Plan:
    """That of a study with a final split, a domain that is only watched, and two duplicates."""
    domains = {
        "support": {"train": "data/support.train.jsonl", "share": [0.2, 0.6]},
        "legal": {
            "train": "data/legal.train.jsonl",
            "test": "data/legal.test.jsonl",
            "final": "data/legal.final.jsonl",
        },
        "watched": {"test": "data/manuals.test.jsonl"},
    }
    small = small_study(domains=domains, metrics=[{"name": "legal/accuracy"}])
    data: Path = small.file.parent / "data"
    row = {"instruction": "legal final", "output": "yes", "label": "yes"}
    (data / "legal.final.jsonl").write_text(json.dumps(row) + "\n")
    with (data / "legal.train.jsonl").open("a") as file:
        file.writelines((data / "legal.train.jsonl").read_text().splitlines(keepends=True)[:12])
    return Plan.of(small.spec, tuple(Finding), count=True)


class TestTheTable:
    def test_has_a_line_for_each_domain(self, plan: Plan) -> None:
        assert table(plan) == [
            ["support", "30", "150", "", "", "0.2", "0.6", "0.40", "1.20"],
            ["legal", "32", "160", "5", "1", "0.4", "0.8", "0.75", "1.50"],
            ["watched", "", "", "5", "", "", "", "", ""],
        ]

    def test_says_which_number_is_which(self, plan: Plan) -> None:
        heads = [str(column.header) for column in plan_table(plan).columns]
        assert heads == [
            "domain",
            "train rows",
            "tokens",
            "test rows",
            "final rows",
            "share from",
            "to",
            "epochs from",
            "to",
        ]
        assert str(plan_table(plan).title) == "small: ready"


class TestTheLines:
    def test_tell_of_findings_with_their_first_rows_and_of_what_would_be_run(self, plan: Plan) -> None:
        lines = [line.replace(f"{plan.spec.root}/", "") for line in plan_lines(plan)]
        assert lines[:3] == [
            "tokens: estimated at 4 bytes of text a token",
            "warning, duplicates: 12 in domains.legal.train",
            "  data/legal.train.jsonl:21: the same as data/legal.train.jsonl:1",
        ]
        assert lines[11:] == [
            "  data/legal.train.jsonl:30: the same as data/legal.train.jsonl:10",
            "  and 2 more; --json names all",
            "near-duplicates of test rows were not looked for; data.audit.near: 0.8 in the study file does",
            "anchor natural: support=0.484 legal=0.516",
            "anchor uniform: support=0.500 legal=0.500",
            *(f"cost, {line}" for line in plan.forecast.lines),  # type: ignore[union-attr]
            "6 trials, 2 at a time",
        ]
        assert "cost, GPU hours: none" in lines

    def test_name_what_is_searched_beside_the_shares(self, small_study: Any) -> None:
        searched = {"rate": {"low": 1e-5, "high": 1e-3, "log": True}, "loss": {"choices": ["hinge", "log"]}}
        plan = Plan.of(small_study(search={"hyperparameters": searched}).spec, (), count=False)
        assert [line for line in plan_lines(plan) if line.startswith("searched")] == [
            "searched too: rate, 1e-05 to 0.001, logarithmic",
            "searched too: loss, hinge or log",
        ]
        assert plan.to_json()["hyperparameters"]["loss"] == {"choices": ["hinge", "log"]}

    def test_do_not_speak_of_near_rows_when_they_were_looked_for(self, small_study: Any) -> None:
        plan = Plan.of(small_study(data={"audit": {"near": 0.9}}).spec, tuple(Finding), count=False)
        assert [line.split(":")[0] for line in plan_lines(plan) if not line.startswith("cost, ")] == [
            "anchor natural",
            "anchor uniform",
            "6 trials, 2 at a time",
        ]


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (found(count=1234), "warning, duplicates: 1,234 in domains.legal.train"),
        (found(Finding.NEAR_LEAKAGE), "warning, near leakage: 1 in domains.legal.train"),
        (found(Finding.BAD_ROWS, 3, Action.DROP), "left out, bad rows: 3 in domains.legal.train"),
        (
            found(Finding.BAD_ROWS, 1003, json=1000, utf8=3),
            "warning, bad rows: 1,003 in domains.legal.train (1,000 json, 3 utf8)",
        ),
    ],
)
def test_a_finding_in_one_line(one: Found, text: str) -> None:
    assert finding_text(one) == text
