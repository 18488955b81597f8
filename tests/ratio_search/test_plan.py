"""What a study would do, as far as it can be known before anything is started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from objectives.data import Action, Finding, Split
from objectives.errors import DataError, OptionsError
from ratio_search.errors import SpecError
from ratio_search.plan import Plan

ALL = tuple(Finding)


def add_rows(small: Any, name: str, *rows: dict[str, str]) -> None:
    """Appends rows to a file of the study's data."""
    with (small.file.parent / "data" / f"{name}.jsonl").open("a") as file:
        file.writelines(f"{json.dumps(row)}\n" for row in rows)


def row(instruction: str, output: str = "yes", label: str = "yes") -> dict[str, str]:
    return {"instruction": instruction, "output": output, "label": label}


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and time of change of all files in a folder."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


class TestSupplies:
    def test_rows_and_tokens_of_every_split(self, small_study: Any) -> None:
        plan = Plan.of(small_study().spec, ALL, count=True)
        assert {name: dict(supply.rows) for name, supply in plan.supplies.items()} == {
            "support": {"train": 30, "test": 5},
            "legal": {"train": 20, "test": 5},
            "manuals": {"train": 10, "test": 5},
        }
        # Training texts have 17 to 20 bytes and those of the tests 16, of which four are a token.
        assert plan.supplies["legal"].tokens == {"train": 100, "test": 20}
        assert plan.counted == "estimated at 4 bytes of text a token"

    def test_tokens_are_not_counted_unless_asked_for(self, small_study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("objectives.data.dataset.Dataset.lengths", None)
        plan = Plan.of(small_study().spec, ALL, count=False)
        assert plan.counted is None
        assert [supply.tokens for supply in plan.supplies.values()] == [None] * 3

    def test_unless_they_are_limited_or_have_a_price(self, small_study: Any) -> None:
        for budget in ({"tokens": 1e6}, {"prices": {"usd_per_million_tokens": 8}}):
            plan = Plan.of(small_study(budget=budget).spec, ALL, count=False)
            assert plan.counted == "estimated at 4 bytes of text a token"
            assert plan.rows is not None and plan.rows.usual == 5

    def test_with_a_base_model_they_are_its_own(self, small_study: Any, tokenizer_folder: Path) -> None:
        from transformers import AutoTokenizer

        spec = small_study(objective={"kind": "hf", "base_model": str(tokenizer_folder)}).spec
        plan = Plan.of(spec, ALL, count=True)
        tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder, local_files_only=True)
        pieces = [f"legal train {i}" for i in range(20)] + ["yes"] * 20
        # Each row has three special tokens of the template around its two texts.
        expected = sum(map(len, tokenizer(pieces, add_special_tokens=False)["input_ids"])) + 20 * 3
        assert plan.supplies["legal"].tokens is not None
        assert plan.supplies["legal"].tokens["train"] == expected
        assert plan.counted == f"counted with the tokenizer of {tokenizer_folder}"

    def test_shares_and_epochs_at_the_lowest_and_the_highest(self, small_study: Any) -> None:
        domains = {
            "support": {"train": "data/support.train.jsonl", "share": [0.2, 0.6]},
            "legal": {"train": "data/legal.train.jsonl", "test": "data/legal.test.jsonl"},
            "manuals": {"train": "data/manuals.train.jsonl", "max_epochs": 1.5},
            "watched": {"test": "data/support.test.jsonl"},
        }
        spec = small_study(domains=domains, metrics=[{"name": "legal/accuracy"}]).spec
        supplies = Plan.of(spec, ALL, count=False).supplies
        assert supplies["support"].shares == (0.2, 0.6)
        assert supplies["support"].epochs == pytest.approx((0.4, 1.2))
        assert supplies["legal"].shares == pytest.approx((0.15, 0.8))
        assert supplies["legal"].epochs == pytest.approx((0.45, 2.4))
        assert supplies["manuals"].shares == pytest.approx((0, 0.25))
        assert supplies["manuals"].epochs == pytest.approx((0, 1.5))
        assert (supplies["watched"].rows, supplies["watched"].shares) == ({"test": 5}, None)
        assert supplies["watched"].epochs is None

    def test_where_the_trainer_decides_epochs_are_not_known(
        self, small_study: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spec = small_study(data={"max_epochs": 0.1}).spec
        monkeypatch.setattr(type(spec.backend), "train_rows", None)
        legal = Plan.of(spec, ALL, count=False).supplies["legal"]
        assert (legal.shares, legal.epochs) == ((0, 1), None)

    def test_rows_that_are_left_out_do_not_count(self, small_study: Any) -> None:
        small = small_study(data={"audit": {"duplicates": "drop"}})
        add_rows(small, "legal.train", row("legal train 3"), row("legal train 4"))
        plan = Plan.of(small.spec, ALL, count=True)
        assert plan.supplies["legal"].rows["train"] == 20
        assert plan.supplies["legal"].tokens == {"train": 100, "test": 20}
        assert [(found.finding, found.action, found.count) for found in plan.found] == [
            (Finding.DUPLICATES, Action.DROP, 2)
        ]


class TestAnchors:
    def test_natural_shares_are_of_the_rows(self, small_study: Any) -> None:
        natural, uniform = Plan.of(small_study().spec, ALL, count=False).anchors
        assert (natural.name, uniform.name) == ("natural", "uniform")
        assert dict(natural.mixture) == pytest.approx({"support": 1 / 2, "legal": 1 / 3, "manuals": 1 / 6})

    def test_or_of_the_tokens(self, small_study: Any) -> None:
        small = small_study(data={"weigh_by": "tokens"})
        add_rows(small, "manuals.train", row("long", "yes " + "word " * 159))  # 800 bytes with its end: 200 tokens
        natural, _ = Plan.of(small.spec, ALL, count=False).anchors
        tokens = {"support": 150, "legal": 100, "manuals": 50 + 201}
        shares = {name: count / sum(tokens.values()) for name, count in tokens.items()}
        assert dict(natural.mixture) == pytest.approx(shares)


class TestFindings:
    def test_only_what_is_wanted_is_looked_for(self, small_study: Any) -> None:
        small = small_study(data={"audit": {"leakage": "warn"}})
        add_rows(small, "legal.train", row("legal train 3"), row("support test 1"), row("support train 0"))
        wanted = {Finding.DUPLICATES, Finding.ACROSS_DOMAINS, Finding.LEAKAGE}
        for some in ([finding] for finding in sorted(wanted)):
            assert [found.finding for found in Plan.of(small.spec, some, count=False).found] == some
        plan = Plan.of(small.spec, ALL, count=False)
        assert {found.finding for found in plan.found} == wanted
        assert all(found.action is Action.WARN for found in plan.found)

    def test_rows_longer_than_the_base_model_reads(self, small_study: Any, tokenizer_folder: Path) -> None:
        small = small_study(objective={"kind": "hf", "base_model": str(tokenizer_folder), "max_length": 40})
        add_rows(small, "legal.train", row("!" * 50))
        [found] = Plan.of(small.spec, ALL, count=False).found
        assert (found.finding, found.domain, found.split, found.count) == (
            Finding.TOO_LONG,
            "legal",
            Split.TRAIN,
            1,
        )
        [example] = found.examples
        assert example.startswith(f"{small.file.parent}/data/legal.train.jsonl:21: ")
        assert example.endswith("tokens, more than the 40 that are read")

    def test_ten_rows_of_each_are_named_unless_more_are_asked_for(self, small_study: Any) -> None:
        small = small_study()
        add_rows(small, "legal.train", *(row(f"legal train {i}") for i in range(12)))
        for shown, named in ((None, 12), (3, 3)):
            [found] = Plan.of(small.spec, ALL, count=False, shown=shown).found
            assert (found.count, len(found.examples)) == (12, named)
        [found] = Plan.of(small.spec, ALL, count=False).found
        assert (found.count, len(found.examples)) == (12, 10)

    def test_errors_end_it_with_all_of_them(self, small_study: Any) -> None:
        small = small_study(data={"audit": {"duplicates": "error"}})
        add_rows(small, "legal.train", row("legal train 3"), row("support test 1"))
        with pytest.raises(DataError) as error:
            Plan.of(small.spec, ALL, count=False)
        message = str(error.value).replace(f"{small.file.parent}/", "")
        assert message.splitlines() == [
            "domains.legal.train: 1 row with duplicates; correct or remove them, or set data.audit.duplicates to drop:",
            "  data/legal.train.jsonl:21: the same as data/legal.train.jsonl:4",
            "domains.legal.train: 1 row with leakage; correct or remove them, or set data.audit.leakage to drop:",
            "  data/legal.train.jsonl:22: the same as data/support.test.jsonl:2",
        ]

    def test_what_the_data_cannot_give_ends_it_too(self, small_study: Any) -> None:
        spec = small_study(data={"max_epochs": 0.5}).spec
        with pytest.raises(SpecError, match=r"data\.max_epochs: "):
            Plan.of(spec, ALL, count=False)

    def test_and_so_does_a_trainer_that_is_not_there(self, small_study: Any) -> None:
        spec = small_study(objective={"kind": "command", "argv": ["./none"], "rows": 60}).spec
        with pytest.raises(OptionsError, match=r"objective\.argv: "):
            Plan.of(spec, ALL, count=False)


def test_as_plain_data_it_says_everything(small_study: Any) -> None:
    small = small_study(
        data={"max_epochs": 2}, current={"support": 0.25, "legal": 0.5, "manuals": 0.25}, search={"trials": 9}
    )
    add_rows(small, "legal.train", row("legal train 3"))
    plan = json.loads(json.dumps(Plan.of(small.spec, ALL, count=True).to_json()))
    anchors = plan.pop("anchors")
    assert anchors["natural"]["legal"] == pytest.approx(21 / 61)
    assert anchors["current"] == {"support": 0.25, "legal": 0.5, "manuals": 0.25}
    assert all((of.pop("categories"), of.pop("benchmarks")) == ({}, []) for of in plan["domains"].values())
    shares = {name: domain.pop("share") for name, domain in plan["domains"].items()}
    assert shares["manuals"] == pytest.approx([0, 1 / 3])
    epochs = {name: domain.pop("epochs") for name, domain in plan["domains"].items()}
    assert epochs["manuals"] == pytest.approx([0, 2])
    assert plan == {
        "name": "small",
        "domains": {
            "support": {"train": 30, "test": 5, "final": None, "tokens": {"train": 150, "test": 25}},
            "legal": {"train": 21, "test": 5, "final": None, "tokens": {"train": 105, "test": 20}},
            "manuals": {"train": 10, "test": 5, "final": None, "tokens": {"train": 50, "test": 25}},
        },
        "tokens": "estimated at 4 bytes of text a token",
        "remarks": [],
        "findings": [
            {
                "finding": "duplicates",
                "domain": "legal",
                "split": "train",
                "count": 1,
                "action": "warn",
                "kinds": {},
                "rows": [
                    f"{small.file.parent}/data/legal.train.jsonl:21: the same as "
                    f"{small.file.parent}/data/legal.train.jsonl:4"
                ],
            }
        ],
        "hyperparameters": {},
        "metrics": ["support/accuracy", "legal/accuracy", "manuals/accuracy"],
        "trials": 9,
        "parallel": 2,
        "cost": {
            "hours": {
                "expected": None,
                "most": None,
                "unknown": "how long a fine-tune takes shows when the first has ended; objective.time_limit_s would "
                "limit it",
                "limit": None,
            },
            "gpu_hours": {"expected": 0, "most": 0, "unknown": None, "limit": None},
            "tokens": {
                "expected": 9 * 60 * 5,
                "most": None,
                "unknown": "how often it trains on a row is the trainer's own affair",
                "limit": None,
            },
            "how": "9 fine-tunes of 60 rows and the untuned baseline, 2 at a time; 5 tokens a row at uniform shares, "
            "5 in support, the longest; at most 3 attempts at each; trials that fail are asked for anew, which comes "
            "on top",
            "beyond": [],
        },
    }


def test_the_users_files_are_only_read(small_study: Any) -> None:
    small = small_study(data={"weigh_by": "tokens", "audit": {"duplicates": "drop", "bad_rows": "drop", "near": 0.8}})
    with (small.file.parent / "data" / "legal.train.jsonl").open("a") as file:
        file.write("no row\n" + json.dumps(row("legal train 3")) + "\n")
    before = everything(small.file.parent)
    assert len(Plan.of(small.spec, ALL, count=True).found) == 2
    assert everything(small.file.parent) == before
