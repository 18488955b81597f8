from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.study import StudyDirection

from ratio_search.errors import StudyError
from ratio_search.storage.database import Made
from ratio_search.storage.sqlite import SqliteDatabase
from ratio_search.study import Study

MADE = Made(mark="0123", words="here")
OLDER = "UPDATE alembic_version SET version_num = 'v3.0.0.d';"
NEWER = "UPDATE alembic_version SET version_num = 'v9.0.0.a';"


@pytest.fixture
def database(tmp_path: Path) -> SqliteDatabase:
    """One with a study."""
    made = SqliteDatabase(tmp_path / "study.db")
    made.make("small", {"a/f1": StudyDirection.MAXIMIZE}, MADE)
    return made


def closed(storage: optuna.storages.RDBStorage) -> list[str]:
    """The names of a storage's studies, once nothing holds it open any more."""
    names = [study.study_name for study in storage.get_all_studies()]
    storage.remove_session()
    storage.engine.dispose()
    return names


def altered(database: SqliteDatabase, statements: str) -> None:
    with closing(sqlite3.connect(database.path)) as connection:
        connection.executescript(statements)
        connection.commit()


def contents(folder: Path) -> dict[str, str]:
    """The content of every file but those that SQLite needs to read."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-shm", "-wal"))]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


class TestWhatIsKept:
    def test_it_keeps_a_write_ahead_log(self, database: SqliteDatabase) -> None:
        with closing(sqlite3.connect(database.path)) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)

    @pytest.mark.parametrize("name", ["small", "a b%20#d&é", "{a}{", "?x=1"])
    def test_what_is_written_is_read_again_whatever_the_folder_is_called(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).mkdir()
        made = SqliteDatabase(tmp_path / name / "study.db")
        made.make("small", {"a/f1": StudyDirection.MAXIMIZE}, MADE)
        assert closed(made.open()) == ["small", "small/reference"]
        assert [path.name for path in tmp_path.iterdir()] == [name]
        assert made.path in made.path.parent.iterdir()


class TestDamage:
    def test_a_missing_one_is_named_and_not_made(self, tmp_path: Path) -> None:
        with pytest.raises(StudyError, match=r"study\.db: the study's database is not there; restore"):
            SqliteDatabase(tmp_path / "study.db").open()
        assert not list(tmp_path.iterdir())

    def test_what_is_no_database_is_named(self, database: SqliteDatabase) -> None:
        database.path.write_bytes(b"not a database" * 100)
        with pytest.raises(
            StudyError, match=r"study\.db: cannot be opened \(file is not a database\); restore it from"
        ):
            database.open()

    @pytest.mark.parametrize("left", [0.001, 0.2, 0.5, 0.99])
    def test_a_truncated_one_is_refused_and_left_as_it_is(self, database: SqliteDatabase, left: float) -> None:
        whole = database.path.read_bytes()
        os.truncate(database.path, int(len(whole) * left))
        before = contents(database.path.parent)
        with pytest.raises(StudyError, match=r"study\.db: cannot be opened \(.*malformed.*study\.db-wal"):
            database.open()
        assert contents(database.path.parent) == before
        for rest in database.path.parent.glob("study.db-*"):
            rest.unlink()
        database.path.write_bytes(whole)
        assert closed(database.open()) == ["small", "small/reference"]

    def test_one_that_lost_everything_gets_no_new_tables(self, database: SqliteDatabase) -> None:
        os.truncate(database.path, 0)
        with pytest.raises(StudyError, match=r"study\.db: holds no study \(no such table"):
            database.open()
        assert database.path.stat().st_size == 0

    def test_a_page_in_the_middle_is_seen(self, database: SqliteDatabase) -> None:
        with database.path.open("r+b") as file:
            file.seek(4096 * 3)
            file.write(bytes(4096))
        with pytest.raises(StudyError, match=r"study\.db: cannot be opened \(database disk image is malformed: "):
            database.open()


class TestSchema:
    def test_an_older_one_is_refused_until_the_command_that_is_named_has_migrated_it(
        self, database: SqliteDatabase
    ) -> None:
        altered(database, OLDER)
        before = contents(database.path.parent)
        with pytest.raises(
            StudyError, match=r"found schema v3\.0\.0\.d, and Optuna \S+, which is installed here, expects v3\.2"
        ) as error:
            database.open()
        assert contents(database.path.parent) == before
        command = shlex.split(str(error.value).partition("migrate it with: ")[2])
        assert command[:3] == ["optuna", "storage", "upgrade"]
        subprocess.run([Path(sys.executable).with_name(command[0]), *command[1:]], check=True, capture_output=True)
        assert closed(database.open()) == ["small", "small/reference"]

    def test_a_newer_one_needs_a_newer_optuna(self, database: SqliteDatabase) -> None:
        altered(database, NEWER)
        with pytest.raises(
            StudyError, match=r"those of a newer Optuna: found schema v9\.0\.0\.a.*install the newer one"
        ):
            database.open()


class TestStudies:
    def test_a_study_goes_on_once_its_truncated_database_is_restored(
        self, small_study: Callable[..., Any], program: Callable[..., Any], tmp_path: Path
    ) -> None:
        small = small_study(search={"trials": 3})
        driven = [sys.executable, "-m", "ratio_search", "launch", str(small.file), "--runs", str(small.runs)]
        subprocess.run([*driven, "--runner", "serial"], check=True, capture_output=True)
        folder = small.runs / "small"
        shutil.copytree(folder, tmp_path / "copy")
        os.truncate(folder / "study.db", (folder / "study.db").stat().st_size // 2)
        before, evaluated = contents(folder), small.evaluated
        for arguments in (["resume", "--trials", "4", "--runner", "serial"], ["status"]):
            done = program(arguments[0], str(folder), *arguments[1:])
            assert (done.code, done.err.count("\n")) == (2, 1)
            assert re.search(r"study\.db: cannot be opened \(.*malformed.*\); restore it from a copy", done.err)
        assert contents(folder) == before
        assert "cannot be opened" in program("runs", "--runs", str(small.runs)).out
        for rest in folder.glob("study.db*"):
            rest.unlink()
        shutil.copy(tmp_path / "copy" / "study.db", folder)
        assert program("resume", str(folder), "--trials", "4", "--runner", "serial").code == 0
        assert small.evaluated == [*evaluated, "trial-0003"]

    def test_a_database_older_than_the_folder_does_not_give_its_jobs_to_others(
        self, small_study: Callable[..., Any], tmp_path: Path
    ) -> None:
        small = small_study()
        study = Study.create(small.spec, small.runs)
        study.begin()
        for _ in range(2):
            job = study.ask()
            assert job is not None
            study.start(job)
        study.folder.path.rename(tmp_path / "newer")
        older = Study.create(small.spec, tmp_path / "other").folder.path
        shutil.copytree(tmp_path / "newer" / "jobs", older / "jobs")
        with pytest.raises(
            StudyError,
            match=r"small: the database does not know of reference-0000, trial-0000, whose folders .* older copy",
        ):
            Study.open(older).begin()
        assert "started" not in (older / "history.jsonl").read_text()
