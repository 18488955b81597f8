"""A database that a team shares, on a server of PostgreSQL."""

from __future__ import annotations

import contextlib
import shlex
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna
import sqlalchemy
from optuna.study import StudyDirection
from sqlalchemy.pool import NullPool

from ratio_search.database_url import DatabaseUrl
from ratio_search.errors import StudyError, Unreachable
from ratio_search.storage.database import (
    DATABASE_ERRORS,
    Lost,
    Made,
    away,
    check_schema,
    create_studies,
    made_of,
    optuna_url,
    reason,
    reference_name,
)
from ratio_search.storage.patience import Patience
from ratio_search.storage.patient import PatientStorage

CONNECTING = {"connect_timeout": 5, "application_name": "ratio-search"}
"""How connections are made where the URL does not say otherwise: `runs` must not hang while a server is away."""

KEPT_ALIVE = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds
}
"""Likewise: after a minute without an answer a connection counts as lost."""

TABLE = "studies"
"""One of the tables that Optuna makes."""

MAKING = 7_297_352_569
"""Key of the lock that is held while tables and studies are made: two that did so at once would meet in the middle."""


@dataclass(frozen=True, slots=True)
class PostgresDatabase:
    """The trials of many studies on a server.

    Attributes:
        url: its address.
        patience: how long its calls wait while it is away.
    """

    url: DatabaseUrl
    patience: Patience = field(default_factory=Patience, compare=False, repr=False)

    @property
    def place(self) -> str:
        """What to call it in errors."""
        return str(self.url)

    @property
    def remedy(self) -> str:
        """What to do where it does not hold what it should."""
        return "state in the study file which database keeps the study, or restore that one from a copy"

    def check_new(self, name: str) -> None:
        """Checks that a study of this name can be made in it; see `Database.check_new`."""
        with self.connected() as connection, self.errors():
            if self._laid_out(connection):
                self._check_free(self.open(), name)

    def make(self, name: str, directions: Mapping[str, StudyDirection], made: Made) -> None:
        """Makes what keeps a new study's trials; see `Database.make`."""
        with self.connected() as connection, self.errors():
            connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_lock(MAKING)))
            self._laid_out(connection)
            storage = self._storage(skip_table_creation=False)
            check_schema(storage, self.place, optuna_url(self.url.sqlalchemy))
            self._check_free(storage, name)
            try:
                create_studies(storage, name, directions, made)
            except DATABASE_ERRORS:
                self.remove(name)
                raise

    def remove(self, name: str) -> None:
        """Removes what `make` made for a study that did not come to be, as far as that is possible."""
        with contextlib.suppress(StudyError, *DATABASE_ERRORS):
            storage = self._storage()
            for made in (name, reference_name(name)):
                with contextlib.suppress(KeyError):
                    storage.delete_study(storage.get_study_id_from_name(made))

    def open(self) -> PatientStorage:
        """The trials; see `Database.open`."""
        with self.connected() as connection, self.errors():
            if not sqlalchemy.inspect(connection).has_table(TABLE):
                raise StudyError(f"{self.place}: holds no study; {self.remedy}")
            storage = self._storage()
            check_schema(storage, self.place, optuna_url(self.url.sqlalchemy))
            return PatientStorage(storage, self.patience)

    @contextlib.contextmanager
    def connected(self, application: str | None = None) -> Iterator[sqlalchemy.Connection]:
        """A connection of its own, which commits each statement, from `with` to its end."""
        with self.errors():
            connection = self.connect(application)
        try:
            yield connection
        finally:
            connection.close()

    def connect(self, application: str | None = None) -> sqlalchemy.Connection:
        """A connection of its own, which commits each statement; its end ends it on the server.

        Args:
            application: what the server shows of it.
        """
        arguments = {**self._arguments, **({} if application is None else {"application_name": application})}
        try:
            engine = sqlalchemy.create_engine(
                self.url.sqlalchemy, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=arguments
            )
        except ImportError as error:
            raise StudyError(
                f"storage: {self.url} needs psycopg, which cannot be loaded ({reason(error)}); install it with: "
                "pip install 'ratio-search[postgres]'"
            ) from error
        return engine.connect()

    @property
    def _arguments(self) -> dict[str, Any]:
        stated = sqlalchemy.make_url(self.url.sqlalchemy).query
        return {key: value for key, value in {**CONNECTING, **KEPT_ALIVE}.items() if key not in stated}

    def _storage(self, *, skip_table_creation: bool = True) -> optuna.storages.RDBStorage:
        storage = optuna.storages.RDBStorage(
            optuna_url(self.url.sqlalchemy),
            engine_kwargs={"pool_pre_ping": True, "connect_args": self._arguments},
            skip_compatibility_check=True,
            skip_table_creation=skip_table_creation,
        )
        sqlalchemy.event.listen(storage.engine, "handle_error", _tell_apart)
        weakref.finalize(storage, storage.engine.dispose)  # its connections end with it
        return storage

    def _laid_out(self, connection: sqlalchemy.Connection) -> bool:
        """Whether Optuna's tables are there.

        Raises:
            StudyError: they are not, and this role may not make them.
        """
        if sqlalchemy.inspect(connection).has_table(TABLE):
            return True
        schema = sqlalchemy.func.current_schema()
        found = connection.execute(sqlalchemy.select(schema, sqlalchemy.func.has_schema_privilege(schema, "CREATE")))
        name, may = found.one()
        if not may:
            raise StudyError(
                f"{self.place}: has no tables for studies yet, and this role may not make any in schema {name}; have "
                "its owner launch the first study (docs/postgresql.md says which rights a role needs)"
            )
        return False

    def _check_free(self, storage: optuna.storages.BaseStorage, name: str) -> None:
        """Checks that no study has this name.

        Raises:
            StudyError: one has, which was made in another folder.
        """
        for taken in (name, reference_name(name)):
            try:
                made = made_of(storage, taken)
            except KeyError:
                continue
            how = "by another program, or in part" if made is None else made.words
            raise StudyError(
                f"{self.place}: there is a study {taken!r} already, made {how}; "
                "go on with that one from its folder, or a copy of it; or give the new one another name; or, if nobody "
                f"wants that one: optuna delete-study --study-name {taken} --storage {shlex.quote(self.url.sqlalchemy)}"
            )

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turns the database's errors into ours, between `with` and its end."""
        try:
            yield
        except DATABASE_ERRORS as error:
            raise self._told(error) from error

    def _told(self, error: BaseException) -> StudyError:
        why = reason(error)
        if away(error):
            return Unreachable(
                f"{self.place}: cannot be reached ({why}); see that the server runs and lets you in: a password is "
                "taken from PGPASSWORD or ~/.pgpass"
            )
        return StudyError(f"{self.place}: cannot be used ({why}); docs/postgresql.md says which rights a role needs")


def _tell_apart(context: sqlalchemy.engine.ExceptionContext) -> None:
    """Has a lost connection raised as what it is: Optuna takes it for a deadlock, and makes a trial again."""
    lost = context.is_disconnect or context.connection is None
    if lost and not context.is_pre_ping:
        raise Lost from context.original_exception
