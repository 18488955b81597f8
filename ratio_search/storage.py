"""Where a study is kept: in a folder with a database, or in memory.

Only this module knows the names of the files in a study's folder:

```
<runs>/<name>/
  study.yaml      the study file; the keys that are policy may be edited between runs
  manifest.json   where its paths start, what identifies it, and the hashes of its data
  study.db        Optuna's database: every trial with everything known of it
  history.jsonl   one line for each start, change of policy and end
  recipe.json     the recommended mixture, written when the study is done
  recipe-<selection>.json   another one that was asked for
  driver.lock     held by the running driver
  stop            there while somebody asks the driver to stop
  jobs/<job>/attempt-<n>/   what each attempt was asked, wrote and left behind
```
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import shutil
import sqlite3
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import optuna
import sqlalchemy
import sqlalchemy.exc
from optuna.study import StudyDirection

from objectives.attempt import Attempt, write_json
from objectives.base import Job
from ratio_search.charter import Charter
from ratio_search.errors import StudyError
from ratio_search.identity import digest

optuna.logging.set_verbosity(optuna.logging.WARNING)  # a study has a display and a history of its own

STORAGE_ERRORS = (OSError, optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError)
"""What a full disk, or a database that cannot be reached, is raised as."""

LONGEST_SELECTION = 150
"""Characters of a selection that a file is named by: names of files end at 255 bytes."""

BUSY_TIMEOUT_S = 60
"""How long a database call waits for another process's write before it fails."""


class StudyHome(Protocol):
    """Where a study is kept."""

    @property
    def place(self) -> str:
        """What to call it in errors."""
        ...

    @property
    def exists(self) -> bool:
        """Whether a study is there."""
        ...

    def make(self, study_file: str, charter: Charter, directions: Mapping[str, StudyDirection]) -> None:
        """Makes all that a new study needs; it appears complete or not at all.

        Args:
            study_file: its text.
            charter: what is settled with it.
            directions: the judged metrics, in order, and which way each is to go.

        Raises:
            StudyError: it cannot be made.
        """
        ...

    def charter(self) -> Charter:
        """What was settled when the study began.

        Raises:
            StudyError: there is no study, or it is damaged.
        """
        ...

    def storage(self) -> optuna.storages.BaseStorage:
        """The study's trials.

        Raises:
            StudyError: they are damaged, or not there.
        """
        ...

    def attempt(self, job: Job) -> Attempt:
        """The given try at a job, going on from the last one that left a checkpoint."""
        ...

    def log(self, event: str, **details: Any) -> None:
        """Adds a line to the study's history."""
        ...


class StudyMemory:
    """A study that is kept in this process, and ends with it. It writes nothing."""

    NOWHERE = Path(os.devnull)
    """Below it there is no file, and none can be made."""

    def __init__(self, name: str) -> None:
        """Prepares room for a study.

        Args:
            name: the study's.
        """
        self._name = name
        self._charter: Charter | None = None
        self._storage = optuna.storages.InMemoryStorage()

    @property
    def place(self) -> str:
        """What to call it in errors."""
        return f"study {self._name!r} in memory"

    @property
    def exists(self) -> bool:
        """Whether the study was made."""
        return self._charter is not None

    def make(self, study_file: str, charter: Charter, directions: Mapping[str, StudyDirection]) -> None:
        """Makes all that a new study needs, but keeps no study file; see `StudyHome.make`."""
        assert not self.exists
        _create_studies(self._storage, self._name, directions)
        self._charter = charter

    def charter(self) -> Charter:
        """What was settled when the study began."""
        assert self._charter is not None, "make comes first"
        return self._charter

    def storage(self) -> optuna.storages.InMemoryStorage:
        """The study's trials."""
        return self._storage

    def attempt(self, job: Job) -> Attempt:
        """The try at a job, with a folder that can never be there."""
        return Attempt(job=job, folder=self.NOWHERE / "jobs" / job.id / f"attempt-{job.attempt}")

    def log(self, event: str, **details: Any) -> None:
        """Keeps no history."""


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """A study's folder and the names in it.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def place(self) -> str:
        """What to call it in errors."""
        return str(self.path)

    @property
    def study_file(self) -> Path:
        """The study file that the study runs by."""
        return self.path / "study.yaml"

    @property
    def manifest_file(self) -> Path:
        """Root, identity and data hashes; a folder without it is no study."""
        return self.path / "manifest.json"

    @property
    def database(self) -> Path:
        """Optuna's SQLite database."""
        return self.path / "study.db"

    @property
    def recipe_file(self) -> Path:
        """The recommended mixture of a finished study."""
        return self.path / "recipe.json"

    def selected_file(self, selection: str) -> Path:
        """The mixture that was asked for in words, such as `best:legal/f1`; that of `balanced` is the recommended one.

        Words that differ only in what stands between names have the same file.
        """
        if selection == "balanced":
            return self.recipe_file
        plain = re.fullmatch(f"[A-Za-z0-9._:/=,-]{{1,{LONGEST_SELECTION}}}", selection)
        name = re.sub("[:/=,]", "-", selection) if plain else digest({"selection": selection})
        return self.recipe_file.with_name(f"recipe-{name}.json")

    @property
    def lock_file(self) -> Path:
        """Held by the running driver."""
        return self.path / "driver.lock"

    @property
    def stop_file(self) -> Path:
        """There while somebody asks the driver to stop."""
        return self.path / "stop"

    @property
    def exists(self) -> bool:
        """Whether this is a study's folder."""
        return self.manifest_file.is_file()

    def charter(self) -> Charter:
        """What was settled when the study began.

        Raises:
            StudyError: the folder is no study, or the file is damaged.
        """
        try:
            data = json.loads(self.manifest_file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise StudyError(
                f"{self.path}: no study here; `ratio-search runs` lists those that are there, "
                "`ratio-search launch STUDY` starts one"
            ) from error
        except (OSError, ValueError) as error:
            raise StudyError(f"{self.manifest_file}: cannot be read ({error}); restore it from a copy") from error
        try:
            return Charter.from_json(data)
        except StudyError as error:
            raise StudyError(f"{self.manifest_file}: {error}") from error

    def make(self, study_file: str, charter: Charter, directions: Mapping[str, StudyDirection]) -> None:
        """Makes the folder with all that a new study needs; see `StudyHome.make`."""
        if self.path.exists():
            raise StudyError(f"{self.path}: is there but holds no study; move it away, or choose another name")
        # The dot hides it from everybody else.
        partial = StudyFolder(self.path.with_name(f".{self.path.name}.{os.getpid()}.partial"))
        shutil.rmtree(partial.path, ignore_errors=True)
        try:
            partial.path.mkdir(parents=True)
            partial.study_file.write_text(study_file, encoding="utf-8")
            partial._create_database(self.path.name, directions)
            write_json(partial.manifest_file, charter.to_json())
            partial.path.rename(self.path)
        except (*STORAGE_ERRORS, StudyError) as error:
            raise StudyError(f"{self.path}: cannot be made ({reason(error)}); nothing was started") from error
        finally:
            shutil.rmtree(partial.path, ignore_errors=True)

    def _create_database(self, name: str, directions: Mapping[str, StudyDirection]) -> None:
        storage = self.create_storage()
        try:
            _create_studies(storage, name, directions)
        finally:
            storage.remove_session()
            storage.engine.dispose()

    def attempt(self, job: Job) -> Attempt:
        """The given try at a job, going on from the last one that left a checkpoint."""
        folder = self.path.resolve() / "jobs" / job.id
        earlier = [folder / f"attempt-{n}" for n in range(job.attempt - 1, 0, -1)]
        previous = next((path for path in earlier if (path / "checkpoint").is_dir()), None)
        return Attempt(job=job, folder=folder / f"attempt-{job.attempt}", previous=previous)

    def log(self, event: str, **details: Any) -> None:
        """Adds a line to the study's history."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        line = json.dumps({"time": now, "event": event, **details})
        with (self.path / "history.jsonl").open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    def storage(self) -> optuna.storages.RDBStorage:
        """Opens the study's database.

        Raises:
            StudyError: it is damaged, or not there.
        """
        if not self.database.is_file():
            raise StudyError(f"{self.database}: the study's database is not there; restore it from a copy")
        return _open(self.database)

    def create_storage(self) -> optuna.storages.RDBStorage:
        """Makes the study's database.

        It keeps a write-ahead log, so that readers and the one writer do not wait for each other; a commit
        still reaches the disk before it returns. The folder must not lie on a network file system.
        """
        with contextlib.closing(sqlite3.connect(self.database)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        return _open(self.database)


def _create_studies(storage: optuna.storages.BaseStorage, name: str, directions: Mapping[str, StudyDirection]) -> None:
    """Makes Optuna's studies of a study: its trials, and the reference runs beside them."""
    trials = optuna.create_study(study_name=name, storage=storage, directions=list(directions.values()))
    with warnings.catch_warnings():
        # Experimental by Optuna's label; it only tells Optuna's own tools what to call the values.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        trials.set_metric_names(list(directions))
    optuna.create_study(study_name=f"{name}/reference", storage=storage)


def _open(database: Path) -> optuna.storages.RDBStorage:
    # Not by hand: signs such as '%' in a path would mean something.
    url = sqlalchemy.URL.create("sqlite", database=str(database.resolve())).render_as_string()
    try:
        return optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": BUSY_TIMEOUT_S}})
    except Exception as error:  # SQLAlchemy's, Optuna's and SQLite's have no common root
        if not os.access(database.parent, os.W_OK):
            what = "its folder must be writable, as SQLite keeps its log beside the database; copy the folder"
        else:
            what = "restore it from a copy"
        raise StudyError(f"{database}: cannot be opened ({reason(error)}); {what}") from error


def reason(error: BaseException) -> str:
    """The innermost cause of a storage error, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(getattr(error, "orig", None) or error).split())


def studies(runs: Path) -> list[StudyFolder]:
    """The studies in a folder of runs, by name."""
    if not runs.is_dir():
        return []
    # A dot begins the name of a folder that is still being made, or whose maker died.
    visible = [path for path in sorted(runs.iterdir()) if not path.name.startswith(".")]
    return [folder for folder in map(StudyFolder, visible) if folder.exists]


def find(name: str, runs: Path) -> StudyFolder:
    """The study of that name in a folder of runs, or the study whose folder is given.

    Raises:
        StudyError: there is none; names that are near are suggested.
    """
    import difflib

    for path in (runs / name, Path(name)):
        if StudyFolder(path).exists:
            return StudyFolder(path)
    known = [folder.path.name for folder in studies(runs)]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"found {', '.join(known) or 'none'} there"
    raise StudyError(f"no study {name!r} in {runs}; {hint}")
