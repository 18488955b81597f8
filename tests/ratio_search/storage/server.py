"""A real server of PostgreSQL that tests start, stop, cut off, and throw away."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

ACCESS = """\
host all careful 127.0.0.1/32 scram-sha-256
host all all     127.0.0.1/32 trust
"""
"""Everybody may come in but `careful`, who must know a password."""

PASSWORD = "correct-horse-battery"
"""That of `careful`."""


def programs() -> Path | None:
    """The folder of PostgreSQL's programs, the newest that are installed; None where it is not."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    where = str(found[-1]) if found else shutil.which("initdb")
    return None if where is None else Path(where).parent


def _somebody() -> dict[str, Any]:
    """Who runs the server: it refuses to run as root."""
    if os.getuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    name = "postgres" if "postgres" in names else "nobody"
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


class PostgresServer:
    """A server on loopback, in a folder of its own."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._names = itertools.count()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._run("initdb", "-D", "data", "-A", "trust", "-U", "admin", "-N", "-E", "UTF8", "--no-locale")
        (folder / "data" / "pg_hba.conf").write_text(ACCESS)
        self.start()
        self.sql("CREATE ROLE team LOGIN", f"CREATE ROLE careful LOGIN PASSWORD '{PASSWORD}'")

    def start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k '' -F -c shared_buffers=16MB"
        self._run("pg_ctl", "-D", "data", "-w", "-l", "log", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "-D", "data", "-w", "-m", mode, "stop")

    def new(self, owner: str = "team") -> str:
        """The URL of a new database, for its owner."""
        name = f"ratio_{next(self._names)}"
        self.sql(f"CREATE DATABASE {name} OWNER {owner}")
        return self.url(name, owner)

    def url(self, database: str, user: str = "team") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def sql(self, *statements: str, database: str = "postgres") -> list[Any]:
        """What the last of some statements gives, asked by the administrator."""
        url = self.url(database.rpartition("/")[2], "admin")
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def cut(self, url: str, where: str = "true") -> int:
        """Ends the connections to a database, and says how many there were."""
        name = url.rpartition("/")[2]
        return len(
            self.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                f"WHERE datname = '{name}' AND pid <> pg_backend_pid() AND {where}"
            )
        )

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
            close_fds=True,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            **_somebody(),
        )
        assert done.returncode == 0, done.stdout


@contextmanager
def server(programs: Path) -> Iterator[PostgresServer]:
    """A server, from `with` to its end."""
    with tempfile.TemporaryDirectory(prefix="ratio-search-") as name:
        folder = Path(name)
        if "user" in _somebody():
            shutil.chown(folder, _somebody()["user"], _somebody()["group"])
        made = PostgresServer(programs, folder)
        try:
            yield made
        finally:
            made.stop("immediate")
