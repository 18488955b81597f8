"""A database of its own for each study: a file of SQLite."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import optuna
import sqlalchemy
from optuna.study import StudyDirection

from ratio_search.errors import StudyError
from ratio_search.storage.database import Made, check_schema, create_studies, optuna_url, reason

BUSY_TIMEOUT_S = 60
"""How long a call waits for another process's write before it fails."""


@dataclass(frozen=True, slots=True)
class SqliteDatabase:
    """The trials of one study in a file.

    It keeps a write-ahead log, so that readers and the one writer do not wait for each other; a commit still reaches
    the disk before it returns. It must not lie on a network file system.

    Attributes:
        path: the file; SQLite keeps its log beside it, in `-wal` and `-shm`.
    """

    path: Path

    @property
    def place(self) -> str:
        """What to call it in errors."""
        return str(self.path)

    @property
    def remedy(self) -> str:
        """What to do where it does not hold what it should."""
        name = self.path.name
        return f"restore it from a copy, with its {name}-wal if the copy has one, and remove the present {name}-wal"

    @property
    def url(self) -> str:
        """Its address, as Optuna takes it."""
        # Not by hand: signs such as '%' in a path would mean something.
        return optuna_url(sqlalchemy.URL.create("sqlite", database=str(self.path.resolve())).render_as_string())

    def check_new(self, name: str) -> None:
        """A folder that is not there yet has room for it."""

    def make(self, name: str, directions: Mapping[str, StudyDirection], made: Made) -> None:
        """Makes what keeps a new study's trials; see `Database.make`."""
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        storage = self._storage()
        try:
            create_studies(storage, name, directions, made)
        finally:
            storage.remove_session()
            storage.engine.dispose()

    def remove(self, name: str) -> None:
        """It goes with the folder that it lies in."""

    def open(self) -> optuna.storages.RDBStorage:
        """The trials; see `Database.open`."""
        if not self.path.is_file():
            raise StudyError(
                f"{self.path}: the study's database is not there; restore it from a copy, or state in the study file "
                "which storage keeps the study"
            )
        try:
            self._check_whole()
            storage = self._storage(skip_table_creation=True)
        except Exception as error:  # SQLAlchemy's, Optuna's and SQLite's have no common root
            if not os.access(self.path.parent, os.W_OK):
                what = "its folder must be writable, as SQLite keeps its log beside the database; copy the folder"
            else:
                what = self.remedy
            found = "holds no study" if reason(error).startswith("no such table") else "cannot be opened"
            raise StudyError(f"{self.path}: {found} ({reason(error)}); {what}") from error
        check_schema(storage, self.place, self.url)
        return storage

    def _check_whole(self) -> None:
        """Looks at every page, which takes some milliseconds: a file that lost its end must not be written to."""
        uri = f"{self.path.resolve().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(f"database disk image is malformed: {found.splitlines()[-1]}")

    def _storage(self, *, skip_table_creation: bool = False) -> optuna.storages.RDBStorage:
        return optuna.storages.RDBStorage(
            self.url,
            engine_kwargs={"connect_args": {"timeout": BUSY_TIMEOUT_S}},
            skip_compatibility_check=True,
            skip_table_creation=skip_table_creation,
        )
