"""One driver at a time for a study that several machines can see: a lock on the server that keeps its trials."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import optuna
import sqlalchemy

from objectives.fence import note
from ratio_search.errors import LeaseError, Unreachable
from ratio_search.lease import Lease, told
from ratio_search.storage.database import DATABASE_ERRORS
from ratio_search.storage.postgresql import PostgresDatabase

DRIVER = "driver"
"""Attribute of a study's trials: who took the lease last."""

KEEPALIVES = ("tcp_keepalives_idle = 30", "tcp_keepalives_interval = 10", "tcp_keepalives_count = 3")
"""Settings of the lock's connection: a machine that is gone, and said nothing, holds a study for another minute."""

# A lock with a key of 64 bits is listed in two halves.
_LISTED = (
    "FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND CAST(classid AS bigint) = (CAST(:key AS bigint) >> 32) & 4294967295 "
    "AND CAST(objid AS bigint) = CAST(:key AS bigint) & 4294967295"
)
_ANYBODYS = sqlalchemy.text(f"SELECT count(*) > 0 {_LISTED}")
_OURS = sqlalchemy.text(f"SELECT count(*) > 0 {_LISTED} AND pid = pg_backend_pid()")


class ServerLease(Lease):
    """Holds a study for one driver, among all machines that see its server.

    The lock is PostgreSQL's advisory lock of a session: the server drops it with the connection, which has nothing else
    to do, however that ends. The folder is held as well.
    """

    def __init__(self, lock_file: Path, database: PostgresDatabase, study: str) -> None:
        """Prepares a lease.

        Args:
            lock_file: in the study's folder.
            database: what keeps its trials.
            study: its name.
        """
        super().__init__(lock_file)
        self._database = database
        self._study = study
        self._note: dict[str, Any] | None = None
        self._connection: sqlalchemy.Connection | None = None
        self._key = 0
        self._storage: optuna.storages.BaseStorage | None = None

    def __enter__(self) -> Self:
        """Takes the lease; see `Lease`."""
        super().__enter__()
        try:
            self._take()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives the lease back."""
        self._drop()
        self._storage = self._note = None
        super().__exit__(kind, error, trace)

    def check(self) -> None:
        """Checks that the study is still held; where the connection dropped, the lease is taken again.

        Raises:
            LeaseError: another driver has it, or had it meanwhile.
        """
        super().check()
        self._database.patience.through(self._take)

    def _take(self) -> None:
        """Takes the lock, unless this driver's connection holds it."""
        if self._holds():
            return
        self._drop()
        with self._database.errors():
            self._connection = self._database.connect(f"ratio-search driver on {socket.gethostname()}"[:63])
            for setting in KEEPALIVES:
                self._connection.exec_driver_sql(f"SET {setting}")
            self._key = _key(self._connection, self._study)
            lock = sqlalchemy.func.pg_try_advisory_lock(self._key)
            taken = self._connection.execute(sqlalchemy.select(lock)).scalar_one()
            self._settle(taken)

    def _settle(self, taken: bool) -> None:
        """Sees who had the study last, and leaves a note that this driver has it now.

        Args:
            taken: whether the lock could be taken.
        """
        left = _left(self._open(), self._study)
        if self._note is not None and left == self._note:
            if not taken:
                raise Unreachable(f"{self._database.place}: has yet to notice that this driver's connection dropped")
            return
        if self._note is not None:
            raise LeaseError(
                f"the connection to {self._database.place} dropped, and {told(left)} took the study over meanwhile; "
                "this driver ends, and what its trials still find is not stored"
            )
        if not taken:
            raise LeaseError(
                f"the study is being run by {told(left)}; wait for it, or end it there with `ratio-search stop "
                f"{self._study}`"
            )
        self._note = {**note(), "lease": secrets.token_hex(8)}
        storage = self._open()
        storage.set_study_user_attr(storage.get_study_id_from_name(self._study), DRIVER, self._note)

    def _holds(self) -> bool:
        """Whether this driver's connection lives, and holds the lock."""
        if self._connection is None:
            return False
        try:
            return bool(self._connection.execute(_OURS, {"key": self._key}).scalar_one())
        except DATABASE_ERRORS:
            return False

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(*DATABASE_ERRORS):
                self._connection.close()
            self._connection = None

    def _open(self) -> optuna.storages.BaseStorage:
        if self._storage is None:
            self._storage = self._database.open()
        return self._storage


def server_holder(database: PostgresDatabase, study: str) -> str | None:
    """Who runs a study now, on whatever machine, in words; None where nobody does.

    Raises:
        StudyError: the server cannot be asked.
    """
    with database.connected() as connection, database.errors():
        if not connection.execute(_ANYBODYS, {"key": _key(connection, study)}).scalar_one():
            return None
    return told(_left(database.open(), study))


def _key(connection: sqlalchemy.Connection, study: str) -> int:
    """The lock's number: a database has its own locks, and a schema of it its own studies."""
    schema = connection.execute(sqlalchemy.select(sqlalchemy.func.current_schema())).scalar()
    return int.from_bytes(hashlib.sha256(f"{schema}/{study}".encode()).digest()[:8], signed=True)


def _left(storage: optuna.storages.BaseStorage, study: str) -> Any:
    """What the driver that took the lease last left."""
    return storage.get_study_user_attrs(storage.get_study_id_from_name(study)).get(DRIVER)
