"""Trials as a study's storage has them, read again only as far as they may have changed."""

from __future__ import annotations

import datetime
import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import optuna
import sqlalchemy
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.trial import TrialState


class StoredTrial(Protocol):
    """What a job is read from; Optuna's own trials are such."""

    @property
    def number(self) -> int:
        """Its number in its study, from 0."""
        ...

    @property
    def state(self) -> TrialState:
        """Where it stands."""
        ...

    @property
    def params(self) -> Mapping[str, Any]:
        """What was searched."""
        ...

    @property
    def distributions(self) -> Mapping[str, BaseDistribution]:
        """How that is stored."""
        ...

    @property
    def user_attrs(self) -> Mapping[str, Any]:
        """All else that is known of it."""
        ...

    @property
    def datetime_start(self) -> datetime.datetime | None:
        """When it was asked for."""
        ...

    @property
    def datetime_complete(self) -> datetime.datetime | None:
        """When it was closed."""
        ...


class StoredTrials(Protocol):
    """The trials of an Optuna study."""

    def all(self) -> Sequence[StoredTrial]:
        """All of them, in order, as they are now."""
        ...

    def one(self, trial_id: int) -> StoredTrial:
        """One of them, as it is now.

        Raises:
            KeyError: there is none that the storage calls so.
        """
        ...


def stored_trials(study: optuna.Study, storage: optuna.storages.BaseStorage) -> StoredTrials:
    """The trials of a study, in the quickest way that its storage allows.

    Args:
        study: whose trials they are.
        storage: where it is kept.
    """
    if isinstance(storage, optuna.storages.RDBStorage) and storage.engine.name == "sqlite":
        return SqliteTrials(storage.engine, storage.get_study_id_from_name(study.study_name))
    return OptunaTrials(study, storage)


class OptunaTrials:
    """Trials as Optuna reads them, from memory or from a server."""

    def __init__(self, study: optuna.Study, storage: optuna.storages.BaseStorage) -> None:
        self._study = study
        self._storage = storage

    def all(self) -> Sequence[StoredTrial]:
        """All of them; see `StoredTrials.all`."""
        return self._study.get_trials(deepcopy=False)

    def one(self, trial_id: int) -> StoredTrial:
        """One of them; see `StoredTrials.one`."""
        return self._storage.get_trial(trial_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteTrial:
    """A trial of a file of SQLite; see `StoredTrial`."""

    number: int
    state: TrialState
    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    user_attrs: Mapping[str, Any]
    datetime_start: datetime.datetime | None
    datetime_complete: datetime.datetime | None


def _statements(which: str) -> tuple[sqlalchemy.TextClause, ...]:
    """What reads some trials, their attributes and their parameters."""
    texts = (
        "SELECT t.trial_id, t.number, t.state, t.datetime_start, t.datetime_complete FROM trials t "
        f"WHERE {which} ORDER BY t.trial_id",
        "SELECT a.trial_id, a.key, a.value_json FROM trials t JOIN trial_user_attributes a ON a.trial_id = t.trial_id "
        f"WHERE {which}",
        "SELECT p.trial_id, p.param_name, p.param_value, p.distribution_json FROM trials t "
        f"JOIN trial_params p ON p.trial_id = t.trial_id WHERE {which} ORDER BY p.param_id",
    )
    return tuple(sqlalchemy.text(text).bindparams(sqlalchemy.bindparam("open", expanding=True)) for text in texts)


_CHANGED = _statements("t.study_id = :study AND (t.trial_id > :last OR t.trial_id IN :open)")
_NAMED = _statements("t.study_id = :study AND t.trial_id IN :open")


class SqliteTrials:
    """Trials of a file of SQLite, read from Optuna's tables.

    Optuna makes an object of every value in them, which takes a second for 2,000 trials, and some milliseconds whenever
    one is open. The tables are those of the schema that opening the database has checked.
    """

    def __init__(self, engine: sqlalchemy.Engine, study_id: int) -> None:
        """Prepares to read.

        Args:
            engine: of the file.
            study_id: what the storage calls the study.
        """
        self._engine = engine
        self._study_id = study_id
        self._lock = threading.Lock()  # a display looks from a thread of its own
        self._known: dict[int, SqliteTrial] = {}
        self._open: set[int] = set()
        self._last = -1
        self._distributions: dict[str, BaseDistribution] = {}

    def all(self) -> Sequence[StoredTrial]:
        """All of them; see `StoredTrials.all`. Only those are read that were open, and those that came since."""
        with self._lock:
            for trial_id, trial in self._read(_CHANGED, self._open).items():
                self._known[trial_id] = trial
                self._last = max(self._last, trial_id)
                (self._open.discard if trial.state.is_finished() else self._open.add)(trial_id)
            return list(self._known.values())

    def one(self, trial_id: int) -> StoredTrial:
        """One of them; see `StoredTrials.one`."""
        with self._lock:
            return self._read(_NAMED, [trial_id])[trial_id]

    def _read(self, statements: Sequence[sqlalchemy.TextClause], open_: Iterable[int]) -> dict[int, SqliteTrial]:
        """Some trials, by what the storage calls them.

        Each state is read before what it says is complete: what a finished trial has can no longer change.
        """
        values = {"study": self._study_id, "last": self._last, "open": sorted(open_)}
        with self._engine.connect() as connection:
            rows, attributes, parameters = (connection.execute(one, values).all() for one in statements)
        known: dict[int, dict[str, Any]] = {trial_id: {} for trial_id, *_ in rows}
        for trial_id, key, text in attributes:
            if trial_id in known:
                known[trial_id][key] = json.loads(text)
        params: dict[int, dict[str, Any]] = {trial_id: {} for trial_id in known}
        distributions: dict[int, dict[str, BaseDistribution]] = {trial_id: {} for trial_id in known}
        for trial_id, name, value, text in parameters:
            if trial_id in known:
                of = distributions[trial_id][name] = self._distribution(text)
                params[trial_id][name] = of.to_external_repr(value)
        return {
            trial_id: SqliteTrial(
                number=number,
                state=TrialState[state],
                params=params[trial_id],
                distributions=distributions[trial_id],
                user_attrs=known[trial_id],
                datetime_start=None if start is None else datetime.datetime.fromisoformat(start),
                datetime_complete=None if complete is None else datetime.datetime.fromisoformat(complete),
            )
            for trial_id, number, state, start, complete in rows
        }

    def _distribution(self, text: str) -> BaseDistribution:
        """The same for the same text: most trials have the same."""
        if text not in self._distributions:
            self._distributions[text] = json_to_distribution(text)
        return self._distributions[text]
