"""`explain`, and a search that is stopped early, from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ratio_search.spec import StudySpec
from ratio_search.stopping import LEAST
from ratio_search.study import Study

from .conftest import Program

DOCUMENT: dict[str, Any] = {
    "name": "elsewhere",
    "domains": {"a": {}, "b": {}, "c": {}},
    "objective": {"kind": "external"},
    "metrics": [{"name": f"{name}/x", "goal": "maximize", "scale": 1, "reference": 0} for name in "ab"],
    "search": {"trials": 14},
}


def run(study: Study, trials: int) -> Study:
    for _ in range(trials):
        job = study.ask()
        assert job is not None and job.mixture is not None
        study.tell(job.id, {f"{name}/x": job.mixture[name] ** 0.5 for name in "ab"})
    return study


def made(**keys: Any) -> Study:
    return Study.create(StudySpec.parse(yaml.safe_dump({**DOCUMENT, **keys}), Path.cwd()), "runs")


class TestExplain:
    def test_it_is_tables_and_words_and_the_same_as_json(self, program: Program) -> None:
        run(made(), 14)
        done = program("explain", "elsewhere")
        assert done.code == 0
        assert "gain by 10 % points more" in done.out and "recommended after 14 trials" in done.out
        assert "conflict: a/x and b/x pull apart" in done.out and "one more trial" in done.out
        found = json.loads(program("explain", "elsewhere", "--json").out)
        assert [known["name"] for known in found["influences"]] == list("abc")
        assert found["influences"][0]["slopes"]["a/x"]["mean"] > 0
        assert found["conflicts"] == [["a/x", "b/x"]]

    def test_with_too_few_trials_it_says_so(self, program: Program) -> None:
        run(made(), 2)
        done = program("explain", "elsewhere")
        assert (done.code, done.out) == (1, "")
        assert "2 finished trials" in done.err and "at least 3" in done.err

    def test_it_explains_what_a_front_is_recommended_by(self, program: Program) -> None:
        run(made(balance={"kind": "pareto"}), 8)
        found = json.loads(program("explain", "elsewhere", "--json").out)
        assert found["next"]["gain"] is not None


class TestStoppedEarly:
    @pytest.fixture
    def stopped(self, small_study: Any, program: Program) -> Any:
        """A study that is stopped as soon as it may be."""
        small = small_study(search={"trials": 60, "parallel": 1, "stop": "auto", "worth": 10})
        done = program("launch", str(small.file), "--runner", "serial")
        assert done.code == 0, done.err
        assert "stopped early: one more trial was expected to gain" in done.out and "< worth 10" in done.out
        assert f"{LEAST} of 60 trials are done" in done.out or f"{LEAST + 1} of 60 trials are done" in done.out
        return small

    def test_it_prints_its_result_again_and_goes_on_when_told(self, stopped: Any, program: Program) -> None:
        before = len(stopped.evaluated)
        assert "stopped early" in program("status", "small").out
        again = program("resume", "small", "--runner", "serial")
        assert again.code == 0 and "stopped early" in again.out and "recommended:" in again.out
        assert len(stopped.evaluated) == before, "nothing is run again"
        study = Study.open("runs/small")
        text = study.folder.study_file.read_text().replace("worth: 10", "worth: 1.0e-12")
        study.folder.study_file.write_text(text.replace("trials: 60", f"trials: {study.complete + 2}"))
        assert program("resume", "small", "--runner", "serial").code == 0
        assert len(stopped.evaluated) == before + 2
        assert "stopped early" not in program("status", "small").out

    def test_its_history_has_the_decision(self, stopped: Any) -> None:
        history = [json.loads(line) for line in Path("runs/small/history.jsonl").read_text().splitlines()]
        assert [event["event"] for event in history] == ["created", "started", "stopped_early", "ended"]
        assert history[2]["worth"] == 10 and history[-1]["why"] == "done"
