"""docs/postgresql.md does what it says: its statements and commands are run as they stand there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ratio_search.study import Study
from tests.ratio_search.storage.server import PostgresServer, programs
from tests.ratio_search.storage.test_postgresql import restated

PAGE = (Path(__file__).parents[3] / "docs" / "postgresql.md").read_text(encoding="utf-8")
HOST = "db.example.com:5432"


def blocks(language: str, having: str) -> list[str]:
    """The lines of the page's block in a language that has a text in it."""
    (found,) = [text for text in re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL) if having in text]
    return str(found).splitlines()


@pytest.fixture
def mixing(postgres: PostgresServer) -> str:
    """The URL of the page's database, for the page's first person, set up as it says."""
    postgres.sql(*blocks("sql", "CREATE DATABASE"))
    (stated,) = re.findall(r"^storage: (\S+)$", PAGE, flags=re.MULTILINE)
    return str(stated).replace(HOST, f"127.0.0.1:{postgres.port}")


def test_a_team_works_with_what_it_sets_up(
    postgres: PostgresServer, mixing: str, small_study: Callable[..., Any], program: Callable[..., Any], tmp_path: Path
) -> None:
    small = small_study(storage=mixing, search={"trials": 1})
    assert program("launch", str(small.file), "--runner", "serial").code == 0
    grace, viewer, writer = (mixing.replace("ada@", f"{name}@") for name in ("grace", "viewer", "writer"))
    folder = small.runs / "small"

    restated(folder, grace)
    assert program("resume", "small", "--trials", "2", "--runner", "serial").code == 0

    postgres.sql("CREATE ROLE viewer LOGIN", "CREATE ROLE writer LOGIN")
    postgres.sql(*blocks("sql", "GRANT"), database=mixing)
    restated(folder, writer)
    assert program("resume", "small", "--trials", "3", "--runner", "serial").code == 0
    restated(folder, viewer)
    for command in ("status", "runs", "trials", "export"):
        assert program(command, *(() if command == "runs" else ("small",))).code == 0
    done = program("resume", "small", "--trials", "4", "--runner", "serial")
    assert (done.code, f"{viewer}: cannot be used (permission denied for table " in done.err) == (2, True)
    postgres.sql("REVOKE SELECT ON trial_params FROM viewer", database=mixing)
    done = program("status", "small")
    assert (done.code, done.err) == (1, "error: the study's database: permission denied for table trial_params\n")
    restated(folder, grace)

    with Study.open(folder).home.lease(), psycopg.connect(postgres.url("postgres", "admin")) as connection:
        (shown,) = connection.execute(blocks("sql", "application_name")[0].encode()).fetchall()
        assert shown[1].startswith("ratio-search driver on ")

    where = programs()
    assert where is not None
    dump, restore = (
        shlex.split(line.replace(HOST, f"127.0.0.1:{postgres.port}")) for line in blocks("bash", "pg_dump")
    )
    subprocess.run([where / dump[0], *dump[1:]], cwd=tmp_path, check=True)
    shutil.copytree(folder, tmp_path / "backup")
    assert program("resume", "small", "--trials", "4", "--runner", "serial").code == 0
    postgres.cut(mixing)
    subprocess.run([where / restore[0], *restore[1:]], cwd=tmp_path, check=True)
    done = program("resume", "small", "--trials", "5", "--runner", "serial")
    assert (done.code, "the database does not know of trial-0003, whose folders are in jobs/" in done.err) == (2, True)
    done = program("resume", str(tmp_path / "backup"), "--trials", "4", "--runner", "serial")
    assert done.code == 0, done.err
    assert small.evaluated == ["reference-0000", *(f"trial-{i:04d}" for i in (0, 1, 2, 3, 3))]

    postgres.sql("UPDATE alembic_version SET version_num = 'v3.0.0.d'", database=mixing)
    (upgrade,) = blocks("bash", "optuna storage")
    named = upgrade.replace(HOST, f"127.0.0.1:{postgres.port}").replace("ada@", "grace@")
    assert program("status", "small").err.endswith(f"then migrate it with: {named}\n")
