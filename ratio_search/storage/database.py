"""What the databases that keep trials have in common: how they are laid out, and how their errors are read."""

from __future__ import annotations

import dataclasses
import shlex
import sqlite3
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import optuna
import sqlalchemy.exc
from optuna.study import StudyDirection

from ratio_search.errors import StudyError, Unreachable

optuna.logging.set_verbosity(optuna.logging.WARNING)  # a study has a display and a history of its own


class Lost(Exception):
    """A connection to a server dropped, or none could be made."""


DATABASE_ERRORS = (Lost, optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError, sqlite3.Error)
"""What a database that cannot be read or written is raised as."""

STORAGE_ERRORS = (OSError, *DATABASE_ERRORS)
"""What a full disk, or a database that cannot be reached, is raised as."""

MADE = "made"
"""Attribute of a study's trials: where it comes from. It is written last."""

_AWAY = (Lost, sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError, Unreachable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Where a study comes from.

    Attributes:
        mark: a word that no other study has.
        words: where, when and by whom it was made.
    """

    mark: str
    words: str


class Database(Protocol):
    """Where the trials of a study are kept."""

    @property
    def place(self) -> str:
        """What to call it in errors."""
        ...

    @property
    def remedy(self) -> str:
        """What to do where it does not hold what it should."""
        ...

    def check_new(self, name: str) -> None:
        """Checks that a study of this name can be made in it.

        Raises:
            StudyError: it cannot, or there is one.
        """
        ...

    def make(self, name: str, directions: Mapping[str, StudyDirection], made: Made) -> None:
        """Makes what keeps a new study's trials, and leaves nothing behind where that fails.

        Args:
            name: the study's.
            directions: the judged metrics, in order, and which way each is to go.
            made: where it comes from.

        Raises:
            StudyError: a study of this name is there, or none can be made.
        """
        ...

    def remove(self, name: str) -> None:
        """Removes what `make` made for a study that did not come to be."""
        ...

    def open(self) -> optuna.storages.BaseStorage:
        """The trials; nothing is written.

        Raises:
            StudyError: they are damaged, cannot be reached, or are laid out for another Optuna.
        """
        ...


def create_studies(
    storage: optuna.storages.BaseStorage, name: str, directions: Mapping[str, StudyDirection], made: Made | None = None
) -> None:
    """Makes Optuna's studies of a study: its trials, and the reference runs beside them."""
    trials = optuna.create_study(study_name=name, storage=storage, directions=list(directions.values()))
    with warnings.catch_warnings():
        # Experimental by Optuna's label; it only tells Optuna's own tools what to call the values.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        trials.set_metric_names(list(directions))
    optuna.create_study(study_name=reference_name(name), storage=storage)
    if made is not None:
        trials.set_user_attr(MADE, dataclasses.asdict(made))


def reference_name(name: str) -> str:
    """What Optuna calls the reference runs of a study."""
    return f"{name}/reference"


def made_of(storage: optuna.storages.BaseStorage, name: str) -> Made | None:
    """Where a study comes from; None where that is not on record.

    Raises:
        KeyError: there is no study of this name.
    """
    made = storage.get_study_user_attrs(storage.get_study_id_from_name(name)).get(MADE)
    return None if made is None else Made(**made)


def optuna_url(url: str) -> str:
    """A URL as Optuna takes it, which fills in what stands between braces."""
    return url.replace("{", "{{").replace("}", "}}")


def check_schema(storage: optuna.storages.RDBStorage, place: str, url: str) -> None:
    """Checks that a database is laid out as the installed Optuna wants it.

    Args:
        storage: of the database.
        place: what to call it.
        url: its address, as Optuna takes it.

    Raises:
        StudyError: it is not; the message says how to migrate it.
    """
    found, expected = storage.get_current_version(), storage.get_head_version()
    if found == expected:
        return
    here = f"Optuna {optuna.__version__}, which is installed here, expects {expected}"
    if found in storage.get_all_versions():
        raise StudyError(
            f"{place}: its tables are those of an older Optuna: found schema {found}, and {here}; end the studies that "
            f"run on it, make a copy, then migrate it with: optuna storage upgrade --storage {shlex.quote(url)}"
        )
    raise StudyError(
        f"{place}: its tables are those of a newer Optuna: found schema {found}, and {here}; install the newer one, as "
        "tables cannot be taken back"
    )


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error, then what led to it, the innermost last."""
    found: BaseException | None = error
    while found is not None:
        yield found
        # A session that lost its connection only says that it cannot go on.
        told = isinstance(found, sqlalchemy.exc.PendingRollbackError)
        found = found.__cause__ or (found.__context__ if told else None)


def reason(error: BaseException) -> str:
    """The innermost cause of a storage error, in one line; neither a statement nor what it was given."""
    *_, innermost = causes(error)
    return " ".join(str(getattr(innermost, "orig", None) or innermost).split())


def away(error: BaseException) -> bool:
    """Whether an error says that a server cannot be reached, or dropped the connection."""
    return any(isinstance(cause, _AWAY) for cause in causes(error))
