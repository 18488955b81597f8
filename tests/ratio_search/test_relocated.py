"""Studies whose folder and data were copied to another place, and are gone from the first."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ratio_search.study import Study
from tests.ratio_search.conftest import CONFIRMABLE


@pytest.fixture
def moved(small_study: Callable[..., Any], program: Callable[..., Any], tmp_path: Path) -> Any:
    """A study of two trials; its folder is in `there`, its data in `there/root`, and neither is where it was."""
    small = small_study(search={"trials": 2}, domains=CONFIRMABLE)
    assert program("launch", str(small.file), "--runner", "serial").code == 0
    shutil.copytree(small.runs / "small", tmp_path / "there" / "small")
    shutil.copytree(small.file.parent / "data", tmp_path / "there" / "root" / "data")
    for original in (small.runs, small.file.parent / "data"):
        shutil.rmtree(original)
    return small


@pytest.fixture
def folder(moved: Any, tmp_path: Path) -> Path:
    return tmp_path / "there" / "small"


def history(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file, and what the database says: whoever closes it last moves its log into its file."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("study.db")]
    with contextlib.closing(sqlite3.connect(folder / "study.db")) as database:
        said = "\n".join(database.iterdump()).encode()
    return {**{path: path.read_bytes() for path in files}, folder / "study.db": said}


def test_it_goes_on_where_its_data_is_and_remembers_that(
    moved: Any, folder: Path, program: Callable[..., Any], tmp_path: Path
) -> None:
    assert program("status", str(folder)).code == 0, "reading needs no data"
    resumed = ["resume", str(folder), "--runner", "serial", "--trials"]
    root = str(tmp_path / "there" / "root")
    assert program(*resumed, "3", "--data-root", root).code == 0
    assert program(*resumed, "4").code == 0
    assert program("confirm", str(folder), "--runner", "serial", "--seeds", "1").code == 0
    assert moved.evaluated[:5] == ["reference-0000", "trial-0000", "trial-0001", "trial-0002", "trial-0003"]
    (line,) = [line for line in history(folder) if line["event"] == "relocated"]
    assert (line["root"], line["was"]) == (root, str(tmp_path))


def test_absent_data_is_named_with_what_to_state(folder: Path, program: Callable[..., Any], tmp_path: Path) -> None:
    before = contents(folder)
    for command in (["resume", str(folder), "--trials", "3", "--runner", "serial"], ["confirm", str(folder)]):
        done = program(*command)
        assert (done.code, done.out) == (2, "")
        assert f"{tmp_path}/data/support.train.jsonl" in done.err
        assert (
            f"relative paths of {folder} start from {tmp_path}; if its data lies elsewhere by now, say where"
            in done.err
        )
        assert f"ratio-search resume {folder} --data-root DIR" in done.err
    assert contents(folder) == before


def test_other_data_is_refused_and_nothing_is_remembered(
    moved: Any, folder: Path, program: Callable[..., Any], tmp_path: Path
) -> None:
    root = tmp_path / "there" / "root"
    with (root / "data" / "legal.test.jsonl").open("a") as file:
        file.write('{"instruction": "new", "output": "yes", "label": "yes"}\n')
    manifest = (folder / "manifest.json").read_bytes()
    done = program("resume", str(folder), "--trials", "3", "--runner", "serial", "--data-root", str(root))
    assert done.code == 2
    assert "results would no longer be comparable, because this changed:\n  data.legal.test" in done.err
    assert (folder / "manifest.json").read_bytes() == manifest
    assert "relocated" not in [line["event"] for line in history(folder)]
    assert len(moved.evaluated) == 3


def test_it_is_not_moved_under_a_driver(folder: Path, program: Callable[..., Any], tmp_path: Path) -> None:
    arguments = ["resume", str(folder), "--trials", "3", "--data-root", str(tmp_path / "there" / "root")]
    with Study.open(folder).home.lease():
        done = program(*arguments)
    assert (done.code, "is being run by process" in done.err) == (3, True)
    assert "relocated" not in [line["event"] for line in history(folder)]


def test_its_own_study_file_can_be_checked_there(folder: Path, program: Callable[..., Any], tmp_path: Path) -> None:
    root = tmp_path / "there" / "root"
    assert program("check", str(folder / "study.yaml")).code == 2
    done = program("check", str(folder / "study.yaml"), "--data-root", str(root))
    assert (done.code, done.err) == (0, "")
    assert program("check", str(folder / "study.yaml"), "--data-root", str(root / "none")).code == 2
