from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.study import StudyDirection

from objectives.base import Job, JobKind, Seeds
from objectives.mixture import Mixture
from ratio_search.charter import Charter
from ratio_search.errors import StudyError
from ratio_search.manifest import Manifest
from ratio_search.storage import StudyFolder, find, studies
from ratio_search.storage.database import made_of


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    path = tmp_path / "runs" / "small"
    path.mkdir(parents=True)
    return StudyFolder(path)


CHARTER = Charter(
    root=Path("/data"),
    identity={"name": "small", "domains": {"a": "mixed", "b": "mixed"}},
    manifest=Manifest(files={"a": {"train": ("0" * 64,)}}, rows={"a": {"train": 3}}),
)


def study_at(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "manifest.json").write_text('{"format": 1}\n')
    return path


def job(attempt: int) -> Job:
    return Job(
        id="trial-0003",
        kind=JobKind.TRIAL,
        mixture=Mixture.uniform(["a", "b"]),
        seeds=Seeds(data=1, training=2),
        attempt=attempt,
    )


class TestCharter:
    def test_it_is_what_the_file_holds(self, folder: StudyFolder) -> None:
        assert not folder.exists
        folder.manifest_file.write_text(json.dumps(CHARTER.to_json()))
        assert folder.exists
        assert folder.charter() == CHARTER

    def test_a_folder_without_it_is_no_study(self, folder: StudyFolder) -> None:
        with pytest.raises(StudyError, match=r"runs/small: no study here; `ratio-search runs` lists those"):
            folder.charter()

    @pytest.mark.parametrize(
        ("content", "found"),
        [
            (b"{", r"cannot be read \(Expecting.*; restore it from a copy"),
            (b"\xff{}", r"cannot be read \('utf-8' codec.*; restore it from a copy"),
            (b"[1]", r"is not what a study writes .*; restore it from a copy"),
            (b'{"format": 2}', r"is not what a study writes \(KeyError\('data'\)\); restore it from a copy"),
            (b'{"format": 99}', "written in format 99, expected 2; open it with the version"),
        ],
    )
    def test_a_damaged_one_is_named(self, folder: StudyFolder, content: bytes, found: str) -> None:
        folder.manifest_file.write_bytes(content)
        with pytest.raises(StudyError, match=rf"small/manifest\.json: {found}"):
            folder.charter()


class TestMake:
    def test_the_folder_appears_complete(self, tmp_path: Path) -> None:
        folder = StudyFolder(tmp_path / "runs" / "small")
        folder.make("name: small\n", CHARTER, {"a/f1": StudyDirection.MAXIMIZE, "a/loss": StudyDirection.MINIMIZE})
        assert [path.name for path in folder.path.parent.iterdir()] == ["small"]
        assert folder.study_file.read_text() == "name: small\n"
        assert folder.charter() == dataclasses.replace(CHARTER, mark=folder.charter().mark)
        study = optuna.load_study(study_name="small", storage=folder.storage())
        assert study.metric_names == ["a/f1", "a/loss"]
        assert study.directions == [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]
        optuna.load_study(study_name="small/reference", storage=folder.storage())

    def test_it_says_where_when_and_by_whom_with_a_mark_that_no_other_has(self, tmp_path: Path) -> None:
        folders = [StudyFolder(tmp_path / name / "small") for name in ("here", "there")]
        for folder in folders:
            folder.make("name: small\n", CHARTER, {"a/f1": StudyDirection.MAXIMIZE})
        here, there = (made_of(folder.storage(), "small") for folder in folders)
        assert here is not None
        assert there is not None
        assert re.fullmatch(rf"on \S+ in {re.escape(str(folders[0].path))} by \S+ at \d{{4}}-\S+\+00:00", here.words)
        assert here.mark == folders[0].charter().mark != there.mark

    def test_another_studys_database_is_not_taken_for_its_own(self, tmp_path: Path) -> None:
        folders = [StudyFolder(tmp_path / name / "small") for name in ("here", "there")]
        for folder in folders:
            folder.make("name: small\n", CHARTER, {"a/f1": StudyDirection.MAXIMIZE})
        shutil.copy(folders[1].database, folders[0].database)
        with pytest.raises(
            StudyError,
            match=r"its study 'small' is another one than that of .*/here/small: it was made on .*/there/small",
        ):
            folders[0].storage()

    def test_a_full_disk_leaves_nothing_behind(self, small_disk: Any) -> None:
        disk = small_disk("16k")
        with pytest.raises(StudyError, match=r"disk-0/small: cannot be made \(.*\); nothing was started"):
            StudyFolder(disk.path / "small").make("name: small\n", CHARTER, {"a/f1": StudyDirection.MAXIMIZE})
        assert list(disk.path.iterdir()) == []


class TestAttempt:
    def test_the_first_one_starts_from_nothing(self, folder: StudyFolder) -> None:
        attempt = folder.attempt(job(1))
        assert attempt.folder == folder.path / "jobs" / "trial-0003" / "attempt-1"
        assert attempt.previous is None

    def test_a_later_one_goes_on_from_the_last_that_left_a_checkpoint(self, folder: StudyFolder) -> None:
        for number, parts in {1: "checkpoint", 2: "checkpoint", 3: "", 5: "checkpoint"}.items():
            (folder.path / "jobs" / "trial-0003" / f"attempt-{number}" / parts).mkdir(parents=True)
        attempt = folder.attempt(job(4))
        assert attempt.folder.name == "attempt-4"
        assert attempt.previous == attempt.folder.with_name("attempt-2")

    def test_there_may_be_no_checkpoint_at_all(self, folder: StudyFolder) -> None:
        (folder.path / "jobs" / "trial-0003" / "attempt-1").mkdir(parents=True)
        assert folder.attempt(job(2)).previous is None


class TestLog:
    def test_each_event_is_a_line_with_its_time(self, folder: StudyFolder) -> None:
        folder.log("created")
        folder.log("started", policy_changed=["search.trials: was 24, is 48"])
        first, second = map(json.loads, (folder.path / "history.jsonl").read_text().splitlines())
        assert first.keys() == {"time", "event"}
        assert (second["event"], second["policy_changed"]) == ("started", ["search.trials: was 24, is 48"])
        assert first["time"] <= second["time"]
        assert second["time"].endswith("+00:00")

    def test_a_line_that_a_full_disk_cut_short_spoils_no_other(self, folder: StudyFolder) -> None:
        folder.log("created")
        with (folder.path / "history.jsonl").open("a") as file:
            file.write('{"time": "2026-01-')
        folder.log("started")
        created, _, started = (folder.path / "history.jsonl").read_text().splitlines()
        assert [json.loads(line)["event"] for line in (created, started)] == ["created", "started"]


class TestStarted:
    def test_it_is_the_jobs_that_have_a_folder(self, folder: StudyFolder) -> None:
        assert folder.started() == frozenset()
        (folder.path / "jobs" / "trial-0003" / "attempt-1").mkdir(parents=True)
        (folder.path / "jobs" / "trial-0004").mkdir()
        assert folder.started() == {"trial-0003"}


class TestRelocate:
    def test_it_is_remembered_and_logged_once(self, folder: StudyFolder, tmp_path: Path) -> None:
        folder.manifest_file.write_text(json.dumps(CHARTER.to_json()))
        for _ in range(2):
            folder.relocate(tmp_path)
        assert folder.charter() == dataclasses.replace(CHARTER, root=tmp_path)
        (line,) = (folder.path / "history.jsonl").read_text().splitlines()
        assert json.loads(line).items() >= {"event": "relocated", "root": str(tmp_path), "was": "/data"}.items()


class TestSelectedFile:
    def test_the_recommended_mixture_has_the_file_that_a_study_ends_with(self, tmp_path: Path) -> None:
        folder = StudyFolder(tmp_path)
        assert folder.selected_file("balanced") == folder.recipe_file

    def test_others_are_named_by_what_was_asked_for(self, tmp_path: Path) -> None:
        found = StudyFolder(tmp_path).selected_file("weights:support/f1=3,legal=0.5")
        assert found == tmp_path / "recipe-weights-support-f1-3-legal-0.5.json"

    @pytest.mark.parametrize("selection", ["best:genauigkeit \u00fc", "best:../../x y", f"best:{'x' * 300}"])
    def test_what_makes_no_name_has_one_of_its_own_in_the_folder(self, tmp_path: Path, selection: str) -> None:
        found, other = (StudyFolder(tmp_path).selected_file(text) for text in (selection, f"{selection}!"))
        assert found.parent == other.parent == tmp_path
        assert found != other
        found.touch()


class TestFinding:
    def test_studies_are_listed_by_name_and_nothing_else_is(self, tmp_path: Path) -> None:
        for name in ("b", "a", ".c.4711.partial"):
            study_at(tmp_path / name)
        (tmp_path / "empty").mkdir()
        (tmp_path / "file").write_text("")
        assert [folder.path.name for folder in studies(tmp_path)] == ["a", "b"]

    def test_a_folder_of_runs_that_is_not_there_has_none(self, tmp_path: Path) -> None:
        assert studies(tmp_path / "runs") == []

    def test_a_study_is_found_by_name_or_by_folder(self, tmp_path: Path) -> None:
        path = study_at(tmp_path / "runs" / "quickstart")
        assert find("quickstart", tmp_path / "runs").path == path
        assert find(str(path), tmp_path / "elsewhere").path == path

    def test_a_near_name_is_suggested(self, tmp_path: Path) -> None:
        study_at(tmp_path / "quickstart")
        with pytest.raises(StudyError, match=r"no study 'quikstart' in .*; did you mean 'quickstart'\?"):
            find("quikstart", tmp_path)

    @pytest.mark.parametrize(("made", "found"), [([], "none"), (["a", "b"], "a, b")])
    def test_otherwise_those_that_are_there_are_named(self, tmp_path: Path, made: list[str], found: str) -> None:
        for name in made:
            study_at(tmp_path / name)
        with pytest.raises(StudyError, match=rf"no study 'quickstart' in .*; found {found} there"):
            find("quickstart", tmp_path)
