from __future__ import annotations

import json
import re
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from optuna.study import StudyDirection

from ratio_search.database_url import DatabaseUrl
from ratio_search.errors import StudyError, Unreachable
from ratio_search.record import JobState
from ratio_search.status import overview
from ratio_search.storage.database import Made
from ratio_search.storage.postgresql import PostgresDatabase
from ratio_search.study import Study
from tests.ratio_search.storage.server import PASSWORD, PostgresServer

MADE = Made(mark="0123", words="here")
DIRECTIONS = {"a/f1": StudyDirection.MAXIMIZE}
ROOT = Path(__file__).parents[3]


def database_at(url: str) -> PostgresDatabase:
    return PostgresDatabase(DatabaseUrl.parse(url))


def restated(folder: Path, storage: str) -> None:
    """Has a study's file name another storage."""
    file = folder / "study.yaml"
    document = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**document, "storage": storage}, sort_keys=False))


class TestStudies:
    def test_one_is_launched_read_and_resumed_as_any_other(
        self, postgres: PostgresServer, small_study: Callable[..., Any], program: Callable[..., Any]
    ) -> None:
        small = small_study(storage=postgres.new(), search={"trials": 2})
        done = program("launch", str(small.file), "--runner", "serial")
        assert (done.code, done.err) == (0, "")
        folder = small.runs / "small"
        assert sorted(path.name for path in folder.iterdir()) == [
            *("driver.lock", "history.jsonl", "jobs", "manifest.json", "recipe.json", "study.yaml")
        ]
        assert program("resume", "small", "--trials", "3", "--runner", "serial").code == 0
        found = json.loads(program("status", "small", "--json").out)
        assert (found["trials"]["complete"], found["trials"]["planned"], found["driver"]) == (3, 3, None)
        assert len(json.loads(program("trials", "small", "--json").out)) == 3
        assert small.evaluated == ["reference-0000", "trial-0000", "trial-0001", "trial-0002"]

    def test_what_is_kept_is_what_sqlite_keeps(
        self, postgres: PostgresServer, small_study: Callable[..., Any], tmp_path: Path
    ) -> None:
        found = []
        for storage in ("sqlite", postgres.new()):
            small = small_study(storage=storage)
            study = Study.create(small.spec, tmp_path / storage.partition(":")[0])
            for _ in range(3):
                job = study.ask()
                assert job is not None
                study.tell(job.id, {f"{name}/accuracy": 0.1 + 0.7 / 3 for name in ("support", "legal", "manuals")})
            again = Study.open(study.folder.path)
            found.append([(record.job, record.values, record.state) for record in again.jobs()])
        assert found[0] == found[1]
        assert [state for *_, state in found[0]] == [JobState.COMPLETE] * 3

    def test_a_name_that_is_taken_is_refused_with_who_has_it(
        self, postgres: PostgresServer, small_study: Callable[..., Any], tmp_path: Path
    ) -> None:
        small = small_study(storage=postgres.new())
        Study.create(small.spec, tmp_path / "ours")
        with pytest.raises(StudyError) as error:
            Study.create(small.spec, tmp_path / "theirs")
        assert re.search(
            rf"there is a study 'small' already, made on \S+ in {re.escape(str(tmp_path))}/ours/small by \S+ at 2",
            str(error.value),
        )
        assert not (tmp_path / "theirs").exists() or not any((tmp_path / "theirs").iterdir())
        # What it says to remove it works.
        command = shlex.split(str(error.value).partition("wants that one: ")[2])
        subprocess.run([Path(sys.executable).with_name(command[0]), *command[1:]], check=True, capture_output=True)
        with pytest.raises(StudyError, match=r"a study 'small/reference' already.*--study-name small/reference"):
            Study.create(small.spec, tmp_path / "theirs")
        database_at(str(small.spec.server)).remove("small")
        Study.create(small.spec, tmp_path / "theirs")

    def test_its_file_may_name_the_database_where_that_has_moved_to(
        self, postgres: PostgresServer, small_study: Callable[..., Any], program: Callable[..., Any]
    ) -> None:
        url = postgres.new()
        small = small_study(storage=url, search={"trials": 1})
        assert program("launch", str(small.file), "--runner", "serial").code == 0
        postgres.cut(url)
        name = url.rpartition("/")[2]
        postgres.sql(f"ALTER DATABASE {name} RENAME TO {name}_moved")
        done = program("status", "small")
        assert (done.code, done.out) == (2, "")
        assert f'{url}: cannot be reached (connection failed: connection to server at "127.0.0.1"' in done.err
        assert f'database "{name}" does not exist' in done.err
        restated(small.runs / "small", f"{url}_moved")
        assert program("resume", "small", "--trials", "2", "--runner", "serial").code == 0
        lines = [json.loads(line) for line in (small.runs / "small" / "history.jsonl").read_text().splitlines()]
        assert lines[-2]["policy_changed"] == [
            "search.trials: was 1, is 2",
            f"storage: was '{url}', is '{url}_moved'",
        ]

    @pytest.mark.parametrize("other", ["nothing", "another"])
    def test_a_database_that_does_not_hold_it_is_refused(
        self, postgres: PostgresServer, small_study: Callable[..., Any], tmp_path: Path, other: str
    ) -> None:
        small = small_study(storage=postgres.new())
        study, elsewhere = Study.create(small.spec, small.runs), postgres.new()
        if other == "another":
            Study.create(small_study(storage=elsewhere).spec, tmp_path / "theirs")
        restated(study.folder.path, elsewhere)
        found = {"nothing": "holds no study", "another": r"its study 'small' is another one than that of .*theirs"}[
            other
        ]
        with pytest.raises(
            StudyError, match=rf"{re.escape(elsewhere)}: {found}.*state in the study file which database"
        ):
            Study.open(study.folder.path)
        assert postgres.sql("SELECT count(*) FROM pg_tables WHERE tablename = 'studies'", database=elsewhere) == [
            (int(other == "another"),)
        ]


class TestLayout:
    def test_an_older_one_is_refused_until_the_command_that_is_named_has_migrated_it(
        self, postgres: PostgresServer
    ) -> None:
        url = postgres.new()
        database = database_at(url)
        database.make("small", DIRECTIONS, MADE)
        postgres.sql("UPDATE alembic_version SET version_num = 'v3.0.0.d'", database=url)
        with pytest.raises(StudyError, match=r"found schema v3\.0\.0\.d, and Optuna .* expects v3\.2\.0\.a") as error:
            database.open()
        with pytest.raises(StudyError, match="those of an older Optuna"):
            database.make("other", DIRECTIONS, MADE)
        command = shlex.split(str(error.value).partition("migrate it with: ")[2])
        subprocess.run([Path(sys.executable).with_name(command[0]), *command[1:]], check=True, capture_output=True)
        assert database.open().get_study_id_from_name("small") == 1

    def test_two_that_make_the_tables_at_once_do_not_meet(self, postgres: PostgresServer) -> None:
        url = postgres.new()
        with ThreadPoolExecutor(3) as pool:
            made = [pool.submit(database_at(url).make, f"study-{i}", DIRECTIONS, MADE) for i in range(3)]
        for one in made:
            one.result()
        assert postgres.sql("SELECT count(*) FROM studies", database=url) == [(6,)]

    def test_a_driver_package_that_is_missing_is_named(self, postgres: PostgresServer) -> None:
        code = (
            "import sys; sys.modules['psycopg'] = None\n"
            "from ratio_search.database_url import DatabaseUrl\n"
            "from ratio_search.storage.postgresql import PostgresDatabase\n"
            "PostgresDatabase(DatabaseUrl.parse('postgresql://host/d')).check_new('small')"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=False)
        assert "needs psycopg, which cannot be loaded" in done.stderr
        assert "pip install 'ratio-search[postgres]'" in done.stderr


class TestRights:
    def test_a_role_that_may_only_write_rows_can_launch_once_the_tables_are_there(
        self, postgres: PostgresServer, small_study: Callable[..., Any], program: Callable[..., Any]
    ) -> None:
        url = postgres.new()
        name = url.rpartition("/")[2]
        postgres.sql(f"CREATE ROLE writer_{name} LOGIN", f"CREATE ROLE reader_{name} LOGIN")
        writer, reader = (postgres.url(name, f"{role}_{name}") for role in ("writer", "reader"))
        for attempt in (
            lambda: database_at(writer).check_new("small"),
            lambda: database_at(writer).make("small", {}, MADE),
        ):
            with pytest.raises(StudyError, match="this role may not make any in schema public; have its owner launch"):
                attempt()
        database_at(url).make("first", DIRECTIONS, MADE)
        postgres.sql(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO writer_{name}",
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO writer_{name}",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader_{name}",
            database=url,
        )
        small = small_study(storage=writer, search={"trials": 1})
        assert program("launch", str(small.file), "--runner", "serial").code == 0
        restated(small.runs / "small", reader)
        assert json.loads(program("status", "small", "--json").out)["trials"]["complete"] == 1
        done = program("resume", "small", "--trials", "2", "--runner", "serial")
        assert done.code == 2
        assert f"{reader}: cannot be used (permission denied for table study_user_attributes)" in done.err
        assert small.evaluated == ["reference-0000", "trial-0000"]


class TestPasswords:
    @pytest.mark.parametrize("way", ["PGPASSWORD", "PGPASSFILE", "PGSERVICEFILE"])
    def test_they_come_from_where_postgresql_looks_for_them(
        self, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
    ) -> None:
        url = postgres.new("careful")
        with pytest.raises(Unreachable, match="no password supplied"):
            database_at(url).check_new("small")
        name, file = url.rpartition("/")[2], tmp_path / "secret"
        if way == "PGPASSFILE":
            file.write_text(f"127.0.0.1:*:*:careful:{PASSWORD}\n")
        elif way == "PGSERVICEFILE":
            settings = {"host": "127.0.0.1", "port": postgres.port, "user": "careful", "dbname": name}
            lines = [f"{key}={value}\n" for key, value in {**settings, "password": PASSWORD}.items()]
            file.write_text(f"[team]\n{''.join(lines)}")
            url = "postgresql:///?service=team"
        if file.exists():
            file.chmod(0o600)
        monkeypatch.setenv(way, str(file) if file.exists() else PASSWORD)
        database = database_at(url)
        database.make("small", DIRECTIONS, MADE)
        assert database.open().get_study_id_from_name("small") == 1

    def test_none_is_left_anywhere(
        self,
        postgres: PostgresServer,
        small_study: Callable[..., Any],
        program: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("PGPASSWORD", PASSWORD)
        url = postgres.new("careful")
        small = small_study("fail-trials", storage=url, search={"trials": 2})
        said = [program("launch", str(small.file), "--runner", "serial")]
        assert said[0].code == 1
        postgres.sql("ALTER ROLE careful NOLOGIN")
        try:
            postgres.cut(url)
            said += [program(command, "small") for command in ("status", "resume", "trials", "stop")]
        finally:
            postgres.sql("ALTER ROLE careful LOGIN")
        assert [done.code for done in said] == [1, 2, 2, 2, 2]
        assert 'role "careful" is not permitted to log in' in said[1].err
        files = [path for path in small.file.parent.rglob("*") if path.is_file()]
        assert any(path.name == "history.jsonl" for path in files)
        assert not [path for path in files if PASSWORD.encode() in path.read_bytes()]
        assert not [done for done in said if PASSWORD in done.out + done.err]
        rows = postgres.sql("SELECT value_json FROM study_user_attributes", database=url)
        assert rows
        assert PASSWORD not in str(rows)

    def test_one_in_the_study_file_is_refused_and_not_shown(
        self, small_study: Callable[..., Any], program: Callable[..., Any]
    ) -> None:
        for url in (
            f"postgresql://u:{PASSWORD}@h/d",
            f"mysql://u:{PASSWORD}@h/d",
            f"u:{PASSWORD}@h/d",
            f"x {PASSWORD}@",
        ):
            small = small_study(storage=url)
            done = program("launch", str(small.file), "--runner", "serial")
            assert done.code == 2
            assert "storage: " in done.err
            assert PASSWORD not in done.err + done.out
        assert not small.runs.exists()


class TestAServerThatIsAway:
    def test_others_are_listed_and_one_wait_is_enough(
        self, small_study: Callable[..., Any], postgres: PostgresServer, tmp_path: Path
    ) -> None:
        url = postgres.new()
        runs = tmp_path / "runs"
        for name, storage in (("a", url), ("b", url), ("c", "sqlite")):
            Study.create(small_study(name=name, storage=storage).spec, runs)
        with socket.socket() as silent:  # takes connections, and says nothing
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            for name in ("a", "b"):
                restated(runs / name, f"postgresql://team@127.0.0.1:{silent.getsockname()[1]}/d?connect_timeout=2")
            found = overview(runs)
            silent.settimeout(0.2)
            silent.accept()[0].close()
            with pytest.raises(TimeoutError):
                silent.accept()
        assert [one["name"] for one in found] == ["a", "b", "c"]
        assert all("cannot be reached (" in one["error"] for one in found[:2])
        assert "error" not in found[2]

    def test_reading_goes_on_while_a_driver_writes(
        self, postgres: PostgresServer, small_study: Callable[..., Any], program: Callable[..., Any]
    ) -> None:
        small = small_study("sleep", storage=postgres.new(), search={"trials": 2})
        seen: list[dict[str, Any]] = []
        over = threading.Event()

        def look() -> None:
            while not over.wait(0.1):
                seen.extend(overview(small.runs))

        reader = threading.Thread(target=look)
        reader.start()
        try:
            assert program("launch", str(small.file), "--runs", str(small.runs), "--runner", "serial").code == 0
        finally:
            over.set()
            reader.join()
        assert not [one for one in seen if "error" in one]
        assert {("running", 0), ("running", 1)} <= {(one["driver"], one["trials"]["complete"]) for one in seen}
