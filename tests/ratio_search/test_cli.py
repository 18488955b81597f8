"""The program as people use it: what it prints, what it returns, and what it leaves alone."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from objectives.backends.hf.counter import HfCounter
from objectives.data import Format as RowsFormat
from ratio_search.cli.recipes import RowFormat
from ratio_search.lease import Lease, held
from ratio_search.record import JobState
from ratio_search.spec import StudySpec
from ratio_search.study import Study

from .conftest import Program
from .test_mix import recipe_of


@pytest.fixture
def finished(small_study: Any, program: Program) -> Any:
    """A study of two trials, launched by the program and finished."""
    small = small_study(search={"trials": 2, "parallel": 2})
    assert program("launch", str(small.file), "--runner", "serial").code == 0
    return small


class TestCheck:
    def test_it_shows_what_would_be_run_and_starts_nothing(self, small_study: Any, program: Program) -> None:
        small = small_study()
        done = program("check", str(small.file))
        assert done.code == 0
        assert "small: ready" in done.out
        assert "anchor natural: support=0.500 legal=0.333 manuals=0.167" in done.out
        assert "6 trials, 2 at a time" in done.out
        assert (small.runs.exists(), small.evaluated) == (False, [])

    def test_the_same_as_json(self, small_study: Any, program: Program) -> None:
        plan = json.loads(program("check", str(small_study().file), "--json").out)
        legal = plan["domains"]["legal"]
        assert {key: legal[key] for key in ("train", "test", "final")} == {"train": 20, "test": 5, "final": None}
        assert (legal["share"], legal["epochs"]) == ([0, 1], [0, 3])
        assert set(legal["tokens"]) == {"train", "test"}
        assert (plan["findings"], plan["tokens"]) == ([], "estimated at 4 bytes of text a token")
        assert plan["anchors"]["uniform"] == pytest.approx(dict.fromkeys(("support", "legal", "manuals"), 1 / 3))

    @pytest.mark.parametrize("action", ["warn", "drop"])
    def test_findings_are_told_and_the_users_files_stay_as_they_are(
        self, small_study: Any, program: Program, action: str
    ) -> None:
        small = small_study(data={"audit": {"leakage": action}})
        file = leak(small)
        before = file.read_bytes()
        done = program("check", str(small.file))
        assert (done.code, done.err) == (0, "")
        told = {"warn": "warning, leakage", "drop": "left out, leakage"}[action]
        assert f"{told}: 2 in domains.legal.train\n" in done.out
        assert f"  {file}:21: the same as {file.with_name('support.test.jsonl')}:1\n" in done.out
        assert file.read_bytes() == before
        assert sorted(path.name for path in small.file.parent.iterdir()) == ["data", "study.yaml"]
        [finding] = json.loads(program("check", str(small.file), "--json").out)["findings"]
        assert (finding["finding"], finding["action"], finding["count"]) == ("leakage", action, 2)

    def test_caps_show_in_shares_and_epochs(self, small_study: Any, program: Program) -> None:
        small = small_study(data={"max_epochs": 2})
        plan = json.loads(program("check", str(small.file), "--json").out)
        assert {name: domain["share"][1] for name, domain in plan["domains"].items()} == pytest.approx(
            {"support": 1, "legal": 2 / 3, "manuals": 1 / 3}
        )
        assert plan["domains"]["manuals"]["epochs"] == pytest.approx([0, 2])

    def test_launch_with_dry_run_is_the_same(self, small_study: Any, program: Program) -> None:
        small = small_study(data={"audit": {"leakage": "warn"}})
        leak(small)
        assert program("launch", str(small.file), "--dry-run") == program("check", str(small.file))
        assert not small.runs.exists()


def leak(small: Any) -> Path:
    """Puts two rows that are tested on into training rows."""
    file: Path = small.file.parent / "data" / "legal.train.jsonl"
    with file.open("a") as out:
        out.writelines(file.with_name("support.test.jsonl").read_text().splitlines(keepends=True)[:2])
    return file


def spoil(small: Any, path: str, value: Any) -> None:
    """Puts a value at a dotted path of the study file."""
    document = yaml.safe_load(small.file.read_text())
    place: Any = document
    *parents, last = path.split(".")
    for part in parents:
        place = place[int(part) if part.isdigit() else part]
    place[last] = value
    small.file.write_text(yaml.safe_dump(document, sort_keys=False))


BAD = [
    ("domains.legal.train", "nowhere.jsonl", r"domains.legal.train: ", "nowhere.jsonl: cannot be read"),
    ("domains", {"legal": {"train": "data/legal.train.jsonl"}}, "domains: expected at least two domains", "'legal'"),
    ("serach", {"trials": 3}, "serach: unknown key; did you mean 'search'?", None),
    ("domains.legal.share", [0.9, 0.5], "domains.legal.share: expected [lowest, highest]", None),
    ("domains.legal.share", [0, 1.5], "domains.legal.share: expected [lowest, highest]", None),
    ("metrics.0.weight", -1, "metrics[0].weight: expected a number of at least 0, found -1", None),
    ("search.trials", -3, "search.trials: expected a number of at least 1, found -3", None),
    ("budget", {"hours": -1}, "budget.hours: expected a number above 0, found -1", None),
    ("metrics.0.name", "support/acuracy", "metrics[0].name: 'acuracy' is not a known metric; did you mean", None),
    ("metrics.0.name", "suport/accuracy", "metrics[0].name: 'suport' is no domain; did you mean 'support'?", None),
    ("objective.kind", "hff", "objective.kind: unknown kind of objective 'hff'; did you mean 'hf'?", None),
    ("objective", {"kind": "hf", "base_model": "./no"}, "objective.base_model: ", "no is no folder"),
    ("objective.argv", ["./no-trainer"], "objective.argv: found no executable program './no-trainer'", None),
    ("name", "../evil", "name: expected a plain name", None),
    ("data", {"audit": {"leakage": "maybe"}}, "data.audit.leakage: expected 'error', 'warn' or 'drop', found", None),
    ("data", {"max_epochs": 0.5}, "data.max_epochs: with the shares that it allows, the highest shares sum to", "0.5"),
    ("domains.legal.max_epochs", -1, "domains.legal.max_epochs: expected a number above 0, found -1", None),
    ("current", {"legal": 0.5}, "current: shares must sum to 1, found 0.5", None),
]


class TestBadInput:
    @pytest.mark.parametrize("command", ["check", "launch"])
    @pytest.mark.parametrize(("path", "value", "message", "also"), BAD)
    def test_it_is_named_and_nothing_is_started(
        self, small_study: Any, program: Program, command: str, path: str, value: Any, message: str, also: str | None
    ) -> None:
        small = small_study()
        spoil(small, path, value)
        done = program(command, str(small.file))
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("error: ")
        assert message in done.err
        assert also is None or also in done.err
        assert (small.runs.exists(), small.evaluated) == (False, [])

    def test_bad_lines_are_counted_and_ten_are_shown(self, small_study: Any, program: Program) -> None:
        small = small_study()
        file = small.file.parent / "data" / "legal.train.jsonl"
        good = file.read_text().splitlines()
        bad = ["{", '{"instruction": "a"}', '{"output": "b"}', '"text"', *["[]"] * 9]
        file.write_text("\n".join([*good, *bad, ""]))
        done = program("launch", str(small.file))
        assert done.code == 2
        assert "domains.legal.train: 13 bad lines" in done.err
        assert f"legal.train.jsonl:{len(good) + 1}: not JSON" in done.err
        assert f"legal.train.jsonl:{len(good) + 2}: fits no format, found the keys 'instruction'" in done.err
        assert f"legal.train.jsonl:{len(good) + 10}: " in done.err
        assert f"legal.train.jsonl:{len(good) + 11}: " not in done.err
        assert "and 3 more" in done.err
        assert not small.runs.exists()

    @pytest.mark.parametrize("command", ["check", "launch"])
    def test_leaks_are_refused_unless_the_study_says_otherwise(
        self, small_study: Any, program: Program, command: str
    ) -> None:
        small = small_study()
        file = leak(small)
        done = program(command, str(small.file))
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("error: domains.legal.train: 2 rows with leakage; correct or remove them, or set")
        assert f"  {file}:22: the same as {file.with_name('support.test.jsonl')}:2\n" in done.err
        assert (small.runs.exists(), small.evaluated) == (False, [])

    def test_as_json_all_rows_of_all_findings_are_named(self, small_study: Any, program: Program) -> None:
        small = small_study()
        file = leak(small)
        file.write_text(file.read_text() + "no row\n" * 12)
        done = program("check", str(small.file), "--json")
        assert done.code == 2
        assert done.err.startswith("error: domains.legal.train: 12 bad lines")
        bad, leaks = json.loads(done.out)["findings"]
        assert (bad["finding"], bad["action"], bad["count"], len(bad["rows"])) == ("bad_rows", "error", 12, 12)
        assert bad["rows"][-1].startswith(f"{file}:34: not JSON")
        assert (leaks["finding"], leaks["action"], len(leaks["rows"])) == ("leakage", "error", 2)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "no rows in "),
            (b"\n \n", "no rows in "),
            (b'{"instruction": "\xff"}\n', "train.jsonl:1: not valid UTF-8"),
        ],
    )
    def test_files_without_usable_rows(self, small_study: Any, program: Program, content: bytes, message: str) -> None:
        small = small_study()
        (small.file.parent / "data" / "legal.train.jsonl").write_bytes(content)
        done = program("launch", str(small.file))
        assert done.code == 2
        assert message in done.err
        assert not small.runs.exists()

    def test_a_study_file_that_is_no_utf_8_or_has_a_key_twice(self, small_study: Any, program: Program) -> None:
        small = small_study()
        text = small.file.read_bytes()
        small.file.write_bytes(text + b"# \xff\n")
        assert "not valid UTF-8 (byte" in program("check", str(small.file)).err
        small.file.write_bytes(text + b"name: other\n")
        assert "the key 'name' stands twice here" in program("check", str(small.file)).err

    @pytest.mark.parametrize(
        "arguments",
        [["launch"], ["nonsense"], ["check", "no.yaml"], ["resume", "nowhere"], ["launch", "no.yaml", "--trials", "0"]],
    )
    def test_wrong_arguments(self, program: Program, arguments: list[str]) -> None:
        done = program(*arguments)
        assert (done.code, done.out) == (2, "")
        assert done.err

    @pytest.mark.parametrize("command", ["check", "launch", "resume"])
    def test_a_sampler_whose_library_is_not_installed(
        self, small_study: Any, program: Program, command: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        small = small_study(search={"trials": 2, "sampler": "optuna-gp"})
        made = [Study.create(small.spec, small.runs)] if command == "resume" else []
        monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
        done = program(command, "small" if made else str(small.file))
        assert (done.code, done.out) == (2, "")
        assert "search.sampler: optuna-gp needs torch, which is not installed; `pip install torch`" in done.err
        assert (small.runs.exists(), small.evaluated) == (bool(made), [])

    def test_an_unreachable_cluster(self, small_study: Any, program: Program) -> None:
        small = small_study(search={"trials": 1})
        done = program("launch", str(small.file), "--ray-address", "127.0.0.1:1")
        assert (done.code, done.out) == (2, "")
        assert "nobody answers at 127.0.0.1:1" in done.err
        assert not small.runs.exists()
        assert program("launch", str(small.file), "--runner", "serial").code == 0
        done = program("resume", "small", "--trials", "2", "--ray-address", "127.0.0.1:1")
        assert done.code == 2
        assert Study.open(small.runs / "small").spec.search.trials == 1


class TestResults:
    def test_a_launch_ends_with_the_comparison_and_the_recipe(self, small_study: Any, program: Program) -> None:
        small = small_study(search={"trials": 2, "parallel": 2})
        done = program("launch", str(small.file), "--runner", "serial")
        assert done.code == 0
        for word in ("baseline", "natural", "uniform", "recommended", "legal/accuracy (up)", "balanced score"):
            assert word in done.out
        assert "recommended: support=0.333 legal=0.333 manuals=0.333" in done.out
        assert "chosen as: best score among 2 finished trials" in done.out
        assert "recipe: runs/small/recipe.json" in done.out
        assert sum(json.loads((small.runs / "small" / "recipe.json").read_text())["shares"].values()) == 1

    def test_from_three_trials_on_it_says_how_sure_it_is(self, small_study: Any, program: Program) -> None:
        metrics = [{"name": f"{name}/accuracy", "guard": 0.1} for name in ("support", "legal", "manuals")]
        small = small_study(search={"trials": 3}, metrics=metrics)
        done = program("launch", str(small.file), "--runner", "serial")
        assert done.code == 0
        assert "expected of recommended" in done.out
        assert "90% between" in done.out
        assert "chosen as: best expected score by a model of 3 finished trials" in done.out
        assert "all guards hold with a probability of " in done.out
        recipe = json.loads((small.runs / "small" / "recipe.json").read_text())
        for other in recipe["alternatives"]:
            assert f"{other['trial']} may be as good (" in done.out

    def test_findings_are_warnings_on_standard_error_and_the_study_goes_on(
        self, small_study: Any, program: Program
    ) -> None:
        small = small_study(search={"trials": 1}, data={"audit": {"leakage": "warn", "duplicates": "drop"}})
        leak(small)
        with leak(small).open("a") as file:
            file.write('{"instruction": "support train 1", "output": "yes"}\n')
        done = program("launch", str(small.file), "--runner", "serial", "--json")
        assert done.code == 0
        assert done.err.splitlines()[:3] == [
            f"left out, duplicates: 2 in domains.legal.train; ratio-search check {small.file} shows more",
            f"warning, across domains: 1 in domains.legal.train; ratio-search check {small.file} shows more",
            f"warning, leakage: 4 in domains.legal.train; ratio-search check {small.file} shows more",
        ]
        assert json.loads(done.out)["ingredients"]["legal"]["size"] == 23

    @pytest.mark.parametrize(
        ("data", "loaded"),
        [({}, False), ({"audit": {"too_long": "error"}}, True), ({"weigh_by": "tokens"}, True)],
    )
    def test_a_launch_loads_no_tokenizer_unless_tokens_must_be_counted(
        self,
        small_study: Any,
        program: Program,
        tokenizer_folder: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        data: dict[str, Any],
        loaded: bool,
    ) -> None:
        asked = []

        def load(counter: HfCounter) -> Any:
            asked.append(counter.about)
            return original(counter)

        original = HfCounter._load
        monkeypatch.setattr(HfCounter, "_load", load)
        monkeypatch.setenv("RATIO_SEARCH_CACHE", str(tmp_path / "cache"))  # where nothing is counted yet
        small = small_study(objective={"kind": "hf", "base_model": str(tokenizer_folder)}, data=data)
        done = program("launch", str(small.file), "--runner", "serial")
        assert "objective.base_model: " in done.err  # no weights are there to train
        assert (small.runs / "small").is_dir()
        assert bool(asked) == loaded

    def test_with_json_there_is_one_document_on_standard_output(self, small_study: Any, program: Program) -> None:
        small = small_study(search={"trials": 1, "parallel": 1})
        done = program("launch", str(small.file), "--runner", "serial", "--json")
        assert done.code == 0
        assert json.loads(done.out) == json.loads((small.runs / "small" / "recipe.json").read_text())
        assert "trial-0000: complete" in done.err

    def test_run_again_it_prints_the_result_and_runs_nothing(self, finished: Any, program: Program) -> None:
        done = program("resume", "small")
        assert done.code == 0
        assert "recommended: support=0.333" in done.out
        assert len(finished.evaluated) == 3

    def test_a_second_launch_is_refused_with_the_way_to_go_on(self, finished: Any, program: Program) -> None:
        done = program("launch", str(finished.file))
        assert (done.code, done.out) == (2, "")
        assert "`ratio-search resume runs/small` goes on with it" in done.err

    def test_more_trials_can_be_added(self, finished: Any, program: Program) -> None:
        assert program("resume", "small", "--trials", "4", "--runner", "serial").code == 0
        assert len(finished.evaluated) == 5

    def test_changed_data_is_refused_with_what_differs(self, finished: Any, program: Program) -> None:
        with (finished.file.parent / "data" / "legal.test.jsonl").open("a") as file:
            file.write('{"instruction": "new", "output": "yes", "label": "yes"}\n')
        done = program("resume", "small", "--trials", "4")
        assert done.code == 2
        assert "data.legal.test: was [" in done.err
        assert len(finished.evaluated) == 3

    def test_status(self, finished: Any, program: Program) -> None:
        assert "2 of 2 done, 0 open, 0 failed" in program("status", "small").out
        assert json.loads(program("status", "runs/small", "--json").out)["trials"]["complete"] == 2

    def test_runs(self, finished: Any, program: Program) -> None:
        assert "small" in program("runs").out
        assert [study["name"] for study in json.loads(program("runs", "--json").out)] == ["small"]
        assert json.loads(program("runs", "--runs", "elsewhere", "--json").out) == []

    def test_trials(self, finished: Any, program: Program) -> None:
        assert "anchor:uniform" in program("trials", "small").out
        rows = list(csv.DictReader(io.StringIO(program("trials", "small", "--csv").out)))
        assert [row["trial"] for row in rows] == ["trial-0000", "trial-0001"]
        assert json.loads(program("trials", "small", "--json").out)[0]["share/support"] == float(
            rows[0]["share/support"]
        )

    @pytest.mark.parametrize("format_", ["json", "yaml"])
    def test_export(self, finished: Any, program: Program, format_: str) -> None:
        done = program("export", "small", "--format", format_)
        printed = json.loads(done.out) if format_ == "json" else yaml.safe_load(done.out)
        assert sum(printed["shares"].values()) == 1
        assert Path(printed["command"][2]).is_file()
        done = program("export", "small", "--format", format_, "--out", f"mine.{format_}")
        assert done.out == f"mine.{format_}: support=0.333 legal=0.333 manuals=0.333\n"
        written = yaml.safe_load(Path(f"mine.{format_}").read_text())
        assert written["shares"] == printed["shares"]
        assert written["command"][2] == str(Path(f"mine.{format_}").resolve())

    def test_export_to_a_place_that_cannot_be_written_to(self, finished: Any, program: Program) -> None:
        done = program("export", "small", "--out", "nowhere/mine.json")
        assert (done.code, done.err) == (
            2,
            "error: nowhere/mine.json: cannot be written (No such file or directory); choose another file\n",
        )

    def test_export_before_anything_is_finished(self, small_study: Any, program: Program) -> None:
        small = small_study()
        Study.create(small.spec, small.runs)
        done = program("export", "small")
        assert done.code == 1
        assert "no finished baseline" in done.err

    def test_train_by_the_recipes_own_command(self, finished: Any, program: Program) -> None:
        recipe = json.loads(program("export", "small").out)
        done = program(*recipe["command"][1:])
        assert done.code == 0
        assert "legal/accuracy 0.4000" in done.out
        out = Path(recipe["command"][-1])
        assert (out / "adapter" / "weights").is_file()
        again = program(*recipe["command"][1:])
        assert again.code == 2
        assert "expected a new or empty folder" in again.err

    def test_train_as_json(self, finished: Any, program: Program) -> None:
        done = program("train", "runs/small/recipe.json", "--out", "out", "--seed", "3", "--json")
        assert json.loads(done.out)["metrics"]["legal/accuracy"]["value"] == pytest.approx(0.4)

    def test_train_that_fails(self, finished: Any, program: Program) -> None:
        recipe = Path("runs/small/recipe.json")
        recipe.write_text(recipe.read_text().replace("/ledger\\n", "/ledger\\n  - fail-trials\\n"))
        done = program("train", str(recipe), "--out", "out")
        assert (done.code, done.out) == (1, "")
        assert "boom: the data is bad" in done.err


class TestMix:
    def test_it_writes_the_file_and_its_manifest_and_says_what_is_in_it(self, finished: Any, program: Program) -> None:
        done = program("mix", "runs/small/recipe.json", "--out", "mix.jsonl")
        assert (done.code, done.err) == (0, "")
        assert "small: instruction rows" in done.out
        size = Path("mix.jsonl").stat().st_size
        assert done.out.endswith(f"mix.jsonl: 60 rows, {size:,} bytes\n")
        cells = [
            [cell.strip() for cell in line.split("\u2502")[1:-1]]
            for line in done.out.splitlines()
            if line.startswith("\u2502")
        ]
        assert cells == [
            ["support", "0.3333", "20", "0.3333", "100", "0.3333", "0.67"],
            ["legal", "0.3333", "20", "0.3333", "100", "0.3333", "1.00"],
            ["manuals", "0.3333", "20", "0.3333", "100", "0.3333", "2.00"],
        ]
        stated = json.loads(Path("mix.jsonl.manifest.json").read_text())
        assert (stated["study"], stated["rows"], stated["files"][0]["bytes"]) == ("small", 60, size)

    def test_options_say_how_long_in_which_format_and_in_how_many_files(self, finished: Any, program: Program) -> None:
        recipe = ("mix", "runs/small/recipe.json", "--out", "mix.jsonl", "--json")
        options = ("--rows", "30", "--format", "messages", "--split", "2", "--seed", "7")
        done = program(*recipe, *options)
        assert done.code == 0
        stated = json.loads(done.out)
        assert stated == json.loads(Path("mix.jsonl.manifest.json").read_text())
        assert (stated["rows"], stated["format"], stated["seed"]) == (30, "messages", 7)
        assert [file["name"] for file in stated["files"]] == ["mix-00000-of-00002.jsonl", "mix-00001-of-00002.jsonl"]
        first = json.loads(Path("mix-00000-of-00002.jsonl").read_text().splitlines()[0])
        assert [message["role"] for message in first["messages"]] == ["user", "assistant"]
        assert json.loads(program(*recipe, "--tokens", "52").out)["tokens"] == 50

    def test_a_recipe_in_yaml_is_one_too(self, finished: Any, program: Program) -> None:
        program("export", "small", "--format", "yaml", "--out", "mine.yaml")
        assert program("mix", "mine.yaml", "--out", "mix.jsonl", "--rows", "9").code == 0
        assert len(Path("mix.jsonl").read_text().splitlines()) == 9

    def test_other_repetition_is_warned_about_on_standard_error(self, finished: Any, program: Program) -> None:
        done = program("mix", "runs/small/recipe.json", "--out", "mix.jsonl", "--rows", "120", "--json")
        assert [warning.split(";")[0] for warning in done.err.splitlines()] == [
            "warning: 'support' is passed over 1.33 times here and was 0.67 times in the study",
            "warning: 'legal' is passed over 2.00 times here and was 1.00 times in the study",
            "warning: 'manuals' is passed over 4.00 times here and was 2.00 times in the study",
        ]
        assert [f"warning: {warning}" for warning in json.loads(done.out)["warnings"]] == done.err.splitlines()

    def test_changed_data_is_warned_about(self, finished: Any, program: Program) -> None:
        with (finished.file.parent / "data" / "legal.train.jsonl").open("a") as file:
            file.write('{"instruction": "new", "output": "yes"}\n')
        done = program("mix", "runs/small/recipe.json", "--out", "mix.jsonl")
        assert done.code == 0
        assert done.err.startswith("warning: not what the recipe was made from: legal: was ['")
        assert Path("mix.jsonl").is_file()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--rows", "3", "--tokens", "3"], "expected one of --rows, --tokens and --steps, found several"),
            (["--rows", "3", "--steps", "3"], "expected one of --rows, --tokens and --steps, found several"),
            (["--steps", "3"], "'command' does not say how many rows a step takes; state the rows or the tokens"),
            (["--rows", "0"], "--rows"),
            (["--tokens", "-1"], "--tokens"),
            (["--split", "0"], "--split"),
            (["--format", "csv"], "--format"),
        ],
    )
    def test_wrong_options_start_nothing(
        self, small_study: Any, program: Program, options: list[str], message: str
    ) -> None:
        recipe_of(small_study()).save(Path("recipe.json"))
        before = sorted(Path.cwd().rglob("*"))
        done = program("mix", "recipe.json", "--out", "mix.jsonl", *options)
        assert (done.code, done.out) == (2, "")
        assert message in done.err
        assert sorted(Path.cwd().rglob("*")) == before

    @pytest.mark.parametrize("arguments", [["mix"], ["mix", "recipe.json"], ["mix", "none.json", "--out", "mix.jsonl"]])
    def test_a_recipe_and_a_file_are_needed(self, small_study: Any, program: Program, arguments: list[str]) -> None:
        recipe_of(small_study()).save(Path("recipe.json"))
        done = program(*arguments)
        assert (done.code, done.out) == (2, "")
        assert done.err

    def test_a_place_that_cannot_be_written_to(self, small_study: Any, program: Program) -> None:
        recipe_of(small_study()).save(Path("recipe.json"))
        before = sorted(Path.cwd().rglob("*"))
        done = program("mix", "recipe.json", "--out", "nowhere/mix.jsonl")
        assert done.code == 2
        assert "nowhere/mix.jsonl: cannot be written (No such file or directory); free some room" in done.err
        assert sorted(Path.cwd().rglob("*")) == before

    def test_data_that_is_gone(self, small_study: Any, program: Program) -> None:
        small = small_study()
        recipe_of(small).save(Path("recipe.json"))
        (small.file.parent / "data" / "legal.train.jsonl").unlink()
        done = program("mix", "recipe.json", "--out", "mix.jsonl")
        assert (done.code, done.out) == (2, "")
        assert "legal.train.jsonl: cannot be read (No such file or directory); expected a file of rows" in done.err

    def test_every_format_of_rows_can_be_asked_for(self) -> None:
        assert {format_.name: format_.value for format_ in RowFormat} == {
            format_.name: format_.value for format_ in RowsFormat
        }


class TestFailure:
    def test_a_study_whose_work_fails_ends_with_the_reason(self, small_study: Any, program: Program) -> None:
        small = small_study("fail-trials")
        done = program("launch", str(small.file), "--runner", "serial")
        assert done.code == 1
        assert "the first two trials failed in the same way" in done.err
        assert "boom: the data is bad" in done.err
        assert "resume the study" in done.err

    def test_hours_that_end_before_the_first_trial(self, small_study: Any, program: Program) -> None:
        small = small_study(budget={"hours": 1e-9})
        done = program("launch", str(small.file), "--runner", "serial")
        assert done.code == 1
        assert "budget.hours is spent" in done.out
        assert "nothing to recommend" in done.err

    def test_a_study_that_another_driver_holds(self, small_study: Any, program: Program) -> None:
        small = small_study()
        study = Study.create(small.spec, small.runs)
        with Lease(study.folder.lock_file):
            done = program("resume", "small", "--runner", "serial")
            assert json.loads(program("status", "small", "--json").out)["driver"] == "running"
        assert done.code == 3
        assert f"process {os.getpid()} on " in done.err

    def test_stop_where_nothing_runs(self, finished: Any, program: Program) -> None:
        assert program("stop", "small").out == "small: no driver is running\n"
        assert json.loads(program("stop", "small", "--json").out) == {"name": "small", "asked": False}
        assert not (finished.runs / "small" / "stop").exists()


class TestTrialsThatTheCallerRuns:
    @pytest.fixture
    def file(self, program: Program) -> Path:
        """A study of three trials, two of them told, in the folder of runs."""
        document = {
            "name": "elsewhere",
            "domains": {"a": {}, "b": {}},
            "objective": {"kind": "external"},
            "metrics": [{"name": "bleu", "goal": "maximize", "scale": 10, "reference": 20}],
            "search": {"trials": 3},
        }
        file = Path("elsewhere.yaml")
        file.write_text(yaml.safe_dump(document))
        study = Study.create(StudySpec.load(file), "runs")
        for bleu in (30.0, 10.0):
            job = study.ask()
            assert job is not None
            study.tell(job.id, {"bleu": bleu})
        return file

    def test_the_file_can_be_checked(self, file: Path, program: Program) -> None:
        done = program("check", str(file))
        assert done.code == 0
        assert done.out.splitlines()[-2:] == ["anchor uniform: a=0.500 b=0.500", "3 trials, 2 at a time"]
        assert json.loads(program("launch", "--dry-run", str(file), "--json").out)["domains"]["a"]["share"] == [0, 1]

    @pytest.mark.parametrize("storage", ["sqlite", "memory"])
    def test_there_is_nothing_to_launch(self, file: Path, program: Program, storage: str) -> None:
        file.write_text(file.read_text() + f"storage: {storage}\n")
        done = program("launch", str(file), "--runs", "others")
        assert (done.code, done.out) == (2, "")
        assert "study 'elsewhere': trials of an objective of kind 'external' are run by its caller" in done.err
        assert not Path("others").exists()

    def test_nor_to_resume(self, file: Path, program: Program) -> None:
        done = program("resume", "elsewhere")
        assert (done.code, done.out) == (2, "")
        assert "use its ask and tell" in done.err
        assert len(Study.open("runs/elsewhere").records()) == 2

    def test_it_is_shown_like_any_other(self, file: Path, program: Program) -> None:
        status = json.loads(program("status", "elsewhere", "--json").out)
        assert (status["trials"]["complete"], status["best"]["trial"], status["baseline"]) == (2, "trial-0000", None)
        assert "2 of 3 done" in program("status", "elsewhere").out
        rows = list(csv.DictReader(io.StringIO(program("trials", "elsewhere", "--csv").out)))
        assert [(row["bleu"], row["bleu/gain"]) for row in rows] == [("30.0", "1.0"), ("10.0", "-1.0")]
        assert "anchor:uniform" in program("trials", "elsewhere").out

    def test_its_recipe_is_a_ratio_and_no_more(self, file: Path, program: Program) -> None:
        recipe = json.loads(program("export", "elsewhere").out)
        assert (recipe["shares"], recipe["command"]) == ({"a": 0.5, "b": 0.5}, [])
        exported = "runs/elsewhere/recipe.json"
        mixed = program("mix", exported, "--rows", "10", "--out", "mix.jsonl")
        assert (mixed.code, Path("mix.jsonl").exists()) == (2, False)
        assert "states no train files for a, b, so there are no rows to mix" in mixed.err
        trained = program("train", exported, "--out", "trained")
        assert (trained.code, Path("trained").exists()) == (2, False)
        assert "the recipe's trials were run elsewhere (objective.kind: external)" in trained.err


PAST = [
    "support,legal,manuals,support/accuracy,legal/accuracy,manuals/accuracy,comment",
    "0.2,0.3,0.5,0.4,0.5,0.6,best so far",
    "0.5,0.3,0.2,0.5,0.4,0.3,",
]


class TestImport:
    @pytest.fixture
    def past(self, program: Program) -> Path:
        file = Path("past.csv")
        file.write_text("\n".join(PAST))
        return file

    def test_a_study_file_makes_the_study_which_resume_then_runs(
        self, small_study: Any, program: Program, past: Path
    ) -> None:
        small = small_study(search={"trials": 2})
        done = program("import", str(small.file), str(past))
        assert (done.code, done.out) == (0, "small: 2 runs imported\n")
        assert done.err.splitlines() == [
            "warning: past.csv: ignored what means nothing to the study: comment",
            "run it with: ratio-search resume runs/small",
        ]
        assert small.evaluated == []
        assert "0 of 2 done, 0 open, 0 failed, and 2 imported" in program("status", "small").out
        again = program("import", str(small.file), str(past), "--json")
        assert json.loads(again.out) == {
            "name": "small",
            "folder": "runs/small",
            "imported": [],
            "already": 2,
            "outside_bounds": 0,
            "left_out": {"incomplete": 0, "baseline": 0, "removed_domains": {}},
            "ignored_columns": ["comment"],
        }
        done = program("resume", "small", "--runner", "serial")
        assert done.code == 0, done.err
        assert small.evaluated == ["reference-0000", "trial-0002", "trial-0003"]
        status = json.loads(program("status", "small", "--json").out)
        assert (status["trials"]["complete"], status["trials"]["imported"]) == (2, 2)
        assert [r.origin for r in Study.open("runs/small").records()][:3] == ["imported", "imported", "anchor:natural"]

    def test_a_studys_own_table_goes_into_another_one(self, finished: Any, program: Program) -> None:
        table = Path("own.csv")
        table.write_text(program("trials", "small", "--csv").out)
        done = program("import", "small", str(table))
        assert (done.code, done.out) == (
            0,
            "small: 0 runs imported\nsmall: skipped: 2 runs that the study has already\n",
        )
        assert done.err == ""
        assert program("import", str(finished.file), str(table), "--runs", "others").out == "small: 2 runs imported\n"
        one, other = (Study.open(f"{runs}/small").records() for runs in ("runs", "others"))
        assert [(r.job.mixture, r.values) for r in other] == [(r.job.mixture, r.values) for r in one]
        assert program("trials", "small", "--runs", "others").out.count("imported") == 2

    def test_what_is_wrong_makes_no_study(self, small_study: Any, program: Program, past: Path) -> None:
        past.write_text(past.read_text().replace("0.4,0.5,0.6", "0.4,n/a,60"))
        done = program("import", str(small_study().file), str(past))
        assert (done.code, done.out) == (2, "")
        assert done.err.splitlines() == [
            "error: past.csv:2: legal/accuracy: expected a finite number, found 'n/a'",
            "past.csv:2: manuals/accuracy: expected a value from 0 to 1, found 60; report a rate, or state a scale for "
            "this metric to use other units",
        ]
        assert not Path("runs").exists()

    def test_a_file_of_another_study_of_that_name_is_refused(
        self, small_study: Any, program: Program, past: Path
    ) -> None:
        program("import", str(small_study().file), str(past))
        other = small_study(search={"trials": 2, "seed": 7})
        done = program("import", str(other.file), str(past))
        assert (done.code, done.out) == (2, "")
        assert "runs/small holds another study of this name; it differs in:\n  search.seed: was 0, is 7" in done.err

    def test_a_study_that_is_running_is_left_alone(self, small_study: Any, program: Program, past: Path) -> None:
        small = small_study()
        study = Study.create(small.spec, "runs")
        with Lease(study.folder.lock_file):
            done = program("import", "small", str(past))
        assert (done.code, done.out) == (3, "")
        assert "the study is being run by process" in done.err
        assert study.records() == []

    def test_one_that_is_kept_in_memory_cannot_be_named(self, program: Program, past: Path) -> None:
        Path("memory.yaml").write_text(
            "{name: memory, storage: memory, objective: {kind: external}, metrics: [{name: support/accuracy, "
            "reference: 0.5}], domains: {support: {}, legal: {}, manuals: {}}}"
        )
        done = program("import", "memory.yaml", str(past))
        assert (done.code, done.out) == (2, "")
        assert "has no folder; state storage: sqlite" in done.err


class TestRehearsal:
    @pytest.fixture
    def file(self, program: Program) -> Path:
        rng = np.random.default_rng(0)
        rows = [f"{a},{1 - a},{0.3 + a / 2},{0.9 - a / 2}" for a in rng.random(12)]
        Path("past.csv").write_text("\n".join(["a,b,a/f1,b/f1", ",,0.3,0.3", *rows]))
        file = Path("rehearsal.yaml")
        file.write_text(
            "{name: rehearsal, domains: {a: {}, b: {share: [0, 0.9]}}, objective: {kind: replay, table: past.csv, "
            "by: model}, metrics: [{name: a/f1}, {name: b/f1}], search: {trials: 4}}"
        )
        return file

    def test_it_is_checked_and_run_like_any_other(self, file: Path, program: Program) -> None:
        done = program("check", str(file))
        assert done.code == 0, done.err
        assert f"{Path.cwd()}/past.csv: 12 runs\nmodel of a/f1: explains " in done.out
        assert len(json.loads(program("check", str(file), "--json").out)["remarks"]) == 3
        done = program("launch", str(file), "--runner", "serial", "--json")
        assert done.code == 0, done.err
        recipe = json.loads(done.out)
        assert recipe["compared"]["baseline"] == {"a/f1": 0.3, "b/f1": 0.3}
        assert recipe["expected"]["a/f1"]["value"] == pytest.approx(0.3 + recipe["shares"]["a"] / 2, abs=0.05)
        assert recipe["command"] == []
        done = program("train", "runs/rehearsal/recipe.json", "--out", "trained")
        assert (done.code, Path("trained").exists()) == (2, False)
        assert "the recipe's trials were run elsewhere (objective.kind: replay)" in done.err

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            (
                "name: a/f1",
                "name: a/F1, goal: maximize, scale: 1",
                "past.csv: has no column 'a/F1'; did you mean 'a/f1'",
            ),
            ("table: past.csv", "table: none.csv", "objective.table: "),
            ("trials: 4", "trials: 4, hyperparameters: {x: {low: 1, high: 2}}", "possible are none"),
            ("by: model", "storage: 3", "objective.storage: unknown key"),
        ],
    )
    def test_what_it_cannot_do_is_told_by_check(
        self, file: Path, program: Program, old: str, new: str, message: str
    ) -> None:
        file.write_text(file.read_text().replace(old, new))
        done = program("check", str(file))
        assert (done.code, done.out) == (2, "")
        assert message in done.err

    def test_without_the_untuned_model_every_metric_states_its_reference(self, file: Path, program: Program) -> None:
        table = Path("past.csv")
        table.write_text(table.read_text().replace(",,0.3,0.3\n", ""))
        done = program("launch", str(file), "--runner", "serial")
        assert (done.code, Path("runs").exists()) == (2, False)
        assert "past.csv: has no row of the untuned model" in done.err
        file.write_text(file.read_text().replace("/f1}", "/f1, reference: 0.4}"))
        assert program("check", str(file)).code == 0


@contextlib.contextmanager
def driver(small: Any, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A launched study, once its first trial has finished."""
    with launched(small, *arguments) as process:
        while len(small.evaluated) < 2:
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            time.sleep(0.01)
        yield process


@contextlib.contextmanager
def launched(small: Any, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Launches a study in another process, with a process group of its own."""
    command = [sys.executable, "-m", "ratio_search", "launch", str(small.file), "--runs", str(small.runs), *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    with process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


class TestInterruption:
    @pytest.mark.parametrize("runner", ["ray", "processes", "serial"])
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_a_signal_ends_it_in_good_order_and_resume_finishes_it(
        self, small_study: Any, program: Program, runner: str, number: signal.Signals, code: int
    ) -> None:
        """A terminal sends its Ctrl-C to the whole process group, Ray's processes and trainers included."""
        small = small_study("sleep", search={"trials": 8, "parallel": 2})
        with driver(small, "--runner", runner) as process:
            if number is signal.SIGINT:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
            out, err = process.communicate(timeout=120)
        assert process.returncode == code, err
        assert "stopping: running jobs save a checkpoint first" in out
        assert f"resume with: ratio-search resume {small.runs}/small" in out
        study = Study.open(small.runs / "small")
        assert not held(study.folder.lock_file)
        assert not [record for record in study.records() if record.state is JobState.FAILED]
        before = len(small.evaluated)
        assert 2 <= before < 9
        assert program("resume", str(study.folder.path), "--runner", "serial").code == 0
        assert len(small.evaluated) == len(set(small.evaluated)) == 9

    def test_a_notice_to_ray_and_the_trainers_as_well_ends_it_too(self, small_study: Any, program: Program) -> None:
        """As schedulers and `timeout` give it: then Ray's own processes are gone before the driver."""
        small = small_study("sleep", search={"trials": 8, "parallel": 2})
        with driver(small, "--runner", "ray") as process:
            os.killpg(process.pid, signal.SIGTERM)
            out, err = process.communicate(timeout=120)
        assert process.returncode == 143, err
        assert f"resume with: ratio-search resume {small.runs}/small" in out
        assert program("resume", "small", "--runs", str(small.runs), "--runner", "serial").code == 0
        assert Study.open(small.runs / "small").complete == 8

    @pytest.mark.parametrize("after_s", [0.5, 1.5])
    def test_a_notice_while_ray_starts_is_heeded(self, small_study: Any, after_s: float) -> None:
        small = small_study("sleep", search={"trials": 8, "parallel": 2})
        with launched(small, "--runner", "ray") as process:
            while not held(small.runs / "small" / "driver.lock"):
                assert process.poll() is None
                time.sleep(0.01)
            time.sleep(after_s)
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=120)
        assert process.returncode == 143, err
        assert "resume with: ratio-search resume" in out

    def test_a_reader_that_goes_away_ends_nothing(self, small_study: Any) -> None:
        small = small_study(search={"trials": 3})
        command = [sys.executable, "-m", "ratio_search", "launch", str(small.file), "--runs", str(small.runs)]
        with subprocess.Popen([*command, "--runner", "serial"], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.stdout.close()
            process.wait(timeout=120)
        assert process.returncode == 0
        assert Study.open(small.runs / "small").complete == 3
        assert (small.runs / "small" / "recipe.json").exists()

    def test_a_second_ctrl_c_ends_it_at_once(self, small_study: Any, program: Program) -> None:
        small = small_study("stubborn", search={"trials": 8, "parallel": 2})
        with driver(small, "--runner", "ray") as process:
            process.send_signal(signal.SIGINT)
            assert process.stdout is not None
            while "stopping" not in process.stdout.readline():
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=120)
        assert process.returncode == 130, err
        assert "resume with: ratio-search resume" in out
        assert "Traceback" not in err

    def test_stop_from_another_terminal(self, small_study: Any, program: Program) -> None:
        small = small_study("sleep", search={"trials": 8, "parallel": 2})
        with driver(small, "--runner", "serial") as process:
            second = program("resume", "small", "--runs", str(small.runs))
            assert program("stop", "small", "--runs", str(small.runs)).out == "small: asked to stop\n"
            out, _ = process.communicate(timeout=120)
        assert second.code == 3
        assert process.returncode == 143
        assert "resume with" in out


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a Ray cluster of one node, which asks for a token."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "the-token-of-this-test-and-of-nothing-else")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--include-dashboard=false"]
    head = subprocess.Popen(
        [*ray, f"--port={port}", "--num-cpus=2", f"--object-store-memory={100 * 2**20}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with head:
        try:
            assert head.stdout is not None
            assert any("Ray runtime started" in line for line in head.stdout), "the cluster did not start"
            yield f"127.0.0.1:{port}"
        finally:
            os.killpg(head.pid, signal.SIGKILL)


def test_a_running_cluster_is_joined_and_left_running(small_study: Any, cluster: str) -> None:
    for name in ("first", "second"):
        small = small_study(name=name, search={"trials": 2, "parallel": 2})
        command = [sys.executable, "-m", "ratio_search", "launch", str(small.file), "--runs", str(small.runs), "--json"]
        done = subprocess.run([*command, "--ray-address", cluster], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["study"] == name
    assert len(small.evaluated) == 6


def test_jobs_that_wait_for_a_place_in_the_cluster_are_taken_back(
    small_study: Any, cluster: str, program: Program
) -> None:
    small = small_study(search={"trials": 1, "parallel": 1})
    objective = yaml.safe_load(small.file.read_text())["objective"]
    spoil(small, "objective", {**objective, "resources": {"cpus": 99}})
    with launched(small, "--ray-address", cluster) as process:
        assert process.stdout is not None
        assert "reference-0000: started" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 143, err
    assert "reference-0000: paused: cancelled before it was begun" in out
    assert program("resume", str(small.runs / "small"), "--runner", "serial").code == 0


class TestHelp:
    def test_help_loads_nothing_heavy(self) -> None:
        code = (
            "import sys\nfrom ratio_search.cli import main\nsys.argv = ['ratio-search', '--help']\n"
            "try:\n    main()\nexcept SystemExit:\n    print(*sys.modules, file=sys.stderr)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        loaded = set(done.stderr.split())
        assert "typer" in loaded
        assert not {"ray", "torch", "optuna", "transformers", "sklearn", "numpy", "pydantic", "yaml", "boto3"} & loaded
        for command in ("check", "launch", "resume", "status", "stop", "runs", "export", "trials", "train"):
            assert f" {command} " in done.stdout

    def test_python_m_is_the_same_program(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "ratio_search", "--help"], capture_output=True, text=True, check=True
        )
        assert "Finds how much of each data set" in done.stdout

    def test_checking_loads_neither_ray_nor_torch(self, small_study: Any) -> None:
        code = (
            "import sys\nfrom ratio_search.cli import main\nsys.argv = ['ratio-search', 'check', sys.argv[1]]\n"
            "try:\n    main()\nfinally:\n    print(*sys.modules, file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(small_study().file)], capture_output=True, text=True, check=True
        )
        assert not {"ray", "torch", "optuna", "transformers"} & set(done.stderr.split())


class TestBudget:
    @pytest.fixture
    def limited(self, small_study: Any) -> Any:
        """A study that may take 12 hours in the worst case, and 1 by its budget."""
        small = small_study(search={"trials": 2, "parallel": 1}, budget={"hours": 1})
        spoil(small, "objective.time_limit_s", 3570)
        return small

    def test_a_launch_whose_worst_case_goes_beyond_it_needs_a_yes(self, limited: Any, program: Program) -> None:
        done = program("launch", str(limited.file), "--runner", "serial")
        assert (done.code, done.out) == (3, "")
        assert "  budget.hours: 1 hour; the study would take at most 9 hours" in done.err
        assert not limited.runs.exists() and limited.evaluated == []
        checked = program("launch", str(limited.file), "--dry-run")
        assert checked.code == 0
        assert "cost, hours: at most 9 hours; how much to expect is unknown" in checked.out
        assert "(budget.hours: 1 hour)" in checked.out
        assert json.loads(program("check", str(limited.file), "--json").out)["cost"]["hours"]["most"] == 9

    def test_with_a_yes_it_runs_and_says_what_it_spent(self, limited: Any, program: Program) -> None:
        assert program("launch", str(limited.file), "--runner", "serial", "--yes").code == 0
        status = json.loads(program("status", "small", "--json").out)
        assert status["budget"]["hours"]["limit"] == 1
        assert 0 < status["budget"]["hours"]["spent"] == status["driver_hours"]
        assert " of 1 hour spent, " in program("status", "small").out
        # Two more trials are fine; two thousand may not be.
        refused = program("resume", "small", "--trials", "2000", "--runner", "serial")
        assert (refused.code, len(limited.evaluated)) == (3, 3)
        assert "1998 more fine-tunes" in refused.err

    def test_the_number_of_trials_counts_that_is_asked_for(self, limited: Any, program: Program) -> None:
        checked = program("check", str(limited.file), "--trials", "5", "--parallel", "2")
        assert "cost, hours: at most 9 hours" in checked.out
        assert "5 trials, 2 at a time" in checked.out

    def test_what_can_never_be_known_is_refused(self, small_study: Any, program: Program) -> None:
        small = small_study(objective={"kind": "hf"}, budget={"usd": 5})
        for command in ("check", "launch"):
            done = program(command, str(small.file))
            assert done.code == 2
            assert "budget.usd: objective 'hf' does not report what its jobs cost; add budget.prices" in done.err

    def test_a_spent_one_says_what_more_would_bring(self, small_study: Any, program: Program) -> None:
        small = small_study(search={"trials": 40, "parallel": 1}, budget={"usd": 1, "prices": {"usd_per_hour": 3000}})
        done = program("launch", str(small.file), "--runner", "serial")
        assert done.code == 0, done.err
        assert "of 40 trials are done; budget.usd is spent: $" in done.out
        assert "more are wanted: to go on, raise budget.usd to about $" in done.out
        assert "recommended: " in done.out
