"""A rescoring as people see it, by the program."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from objectives.scorer import BalanceKind
from ratio_search import Study
from ratio_search.cli.score import Kind
from tests.ratio_search.conftest import Done, Program
from tests.ratio_search.trials import study_of

DOCUMENT: dict[str, Any] = {
    "name": "demo",
    "domains": {"a": {}, "b": {}, "c": {}},
    "objective": {"kind": "external"},
    "metrics": [{"name": f"{name}/x", "goal": "maximize", "scale": 1, "reference": 0} for name in "abc"],
    "search": {"trials": 8, "sampler": "random"},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A finished study in a folder, which nothing changes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("study"))
        return Study.open(finished().folder.path.resolve())


def finished(**keys: Any) -> Study:
    study, rng = study_of({**DOCUMENT, **keys}), np.random.default_rng(0)
    while (job := study.ask()) is not None:
        shares = dict.fromkeys("abc", 1 / 3) if job.mixture is None else job.mixture
        study.tell(job.id, {f"{name}/x": math.sqrt(share) + 0.01 * rng.random() for name, share in shares.items()})
    return study


def line(done: Done, start: str) -> list[str]:
    found = next(line for line in done.out.splitlines() if line.replace("│", " ").strip().startswith(start))
    return [cell.strip() for cell in found.strip("│ ").split("│")]


def test_the_programs_balances_are_those_of_a_study_file() -> None:
    assert {kind.value for kind in Kind} == {kind.value for kind in BalanceKind}


def test_both_recommendations_stand_side_by_side(study: Study, program: Program) -> None:
    done = program("score", str(study.folder.path), "--target", "a/x=0.8", "--weights", "b/x=3")
    assert done.code == 0, done.err
    assert "demo: recommended after 8 trials" in done.out
    assert line(done, "share of a")[1:] != line(done, "share of a")[2:]
    assert len(line(done, "a/x (up)")) == 3
    reached = line(done, "its target is reached")
    assert reached[1] == "" and reached[2].endswith("%")
    assert len(line(done, "score by worst (now)")) == len(line(done, "score by target (asked)")) == 3
    assert "of the rows would change" in done.out
    assert f"nothing was changed; for the study to go on like this, state in {study.folder.study_file}" in done.out
    for edit in ("balance: {kind: target}", "metrics: a/x: target: 0.8", "metrics: b/x: weight: 3"):
        assert edit in done.out


def test_the_first_five_trials_of_the_new_order_have_their_places_of_now(study: Study, program: Program) -> None:
    done = program("score", str(study.folder.path), "--balance", "weighted")
    ranked = [record.job.id for record, _ in study.ranking()]
    rows = [[cell.strip() for cell in line.split("│")[1:4]] for line in done.out.splitlines() if "trial-00" in line]
    rows = [row for row in rows if len(row) == 3 and row[2].startswith("trial-")]
    assert [row[0] for row in rows] == list("12345")
    assert all(ranked.index(name) + 1 == int(now) for _, now, name in rows)


def test_without_a_change_it_shows_how_the_study_is_judged(study: Study, program: Program) -> None:
    done = program("score", str(study.folder.path))
    assert done.code == 0
    assert len(line(done, "share of a")) == 2
    assert "nothing was changed" not in done.out and "asked" not in done.out
    assert (
        "this is how the study is judged already" in program("score", str(study.folder.path), "--balance", "worst").out
    )


def test_json_is_one_document(study: Study, program: Program) -> None:
    done = program("score", str(study.folder.path), "--balance", "weighted", "--json")
    found = json.loads(done.out)
    assert found["now"]["shares"] == dict(study.recommend().mixture)
    assert found["asked"]["balance"]["kind"] == "weighted"
    assert found["edits"] == ["balance: {kind: weighted}"]
    assert len(found["order"]) == 5


def test_the_study_is_left_as_it_is(study: Study, program: Program) -> None:
    def files() -> dict[str, bytes]:
        return {
            str(path): path.read_bytes()
            for path in study.folder.path.rglob("*")
            if path.is_file() and not path.name.endswith(("-shm", "-wal"))
        }

    before = files()
    assert program("score", str(study.folder.path), "--guard", "a/x=0.1", "--weights", "b/x=2").code == 0
    assert files() == before


def test_a_hyperparameter_that_is_searched_is_shown(program: Program) -> None:
    search = {**DOCUMENT["search"], "hyperparameters": {"rate": {"low": 0.1, "high": 0.9}}}
    finished(name="tuned", search=search)
    assert len(line(program("score", "tuned", "--balance", "weighted"), "rate")) == 3


def test_a_guard_that_the_baseline_breaks_is_a_warning(program: Program) -> None:
    first, *others = DOCUMENT["metrics"]
    metrics = [{**first, "reference": 0.9, "guard": 0.1}, *others]
    finished(name="guarded", metrics=metrics, baseline=True)
    for command in (["score", "guarded"], ["score", "guarded", "--balance", "weighted"], ["status", "guarded"]):
        assert "a/x: even the untuned baseline breaks this guard" in program(*command).out
    assert "warning" not in program("score", "guarded", "--guard", "a/x=none").out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--weights", "a/y=3"], "error: weights: 'a/y' is no metric of study 'demo'; did you mean 'a/x'?"),
        (["--weights", "a/x"], "error: weights: expected <domain>/<metric>=<number>"),
        (["--balance", "target"], "error: balance.kind: found target, but no metric has one"),
        (["--balance", "worst", "--target", "a/x=1"], "error: target: only the balance target aims at it"),
        (["--balance", "best"], "'best' is not one of 'worst', 'weighted', 'target', 'pareto'"),
    ],
)
def test_what_is_wrong_is_said_and_the_input_is_blamed(
    study: Study, program: Program, options: list[str], message: str
) -> None:
    done = program("score", str(study.folder.path), *options)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_of_a_study_without_a_finished_trial_there_is_nothing_to_judge(program: Program) -> None:
    study_of(DOCUMENT)
    done = program("score", "demo", "--balance", "weighted")
    assert done.code == 1
    assert "has no finished trial yet, so there is nothing to recommend" in done.err
