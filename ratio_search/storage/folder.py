"""A study's folder: everything of it but its trials, and these too where no server keeps them.

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
  jobs/<job>/lock           held by the job's running attempt
  jobs/<job>/attempt-<n>/   what each attempt was asked, wrote and left behind
```
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import getpass
import json
import os
import re
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

import optuna
from optuna.study import StudyDirection

from objectives.attempt import Attempt, write_json
from objectives.base import Job
from ratio_search.charter import Charter
from ratio_search.database_url import DatabaseUrl
from ratio_search.errors import StudyError
from ratio_search.identity import digest
from ratio_search.lease import Lease, held, holder
from ratio_search.storage.database import (
    DATABASE_ERRORS,
    STORAGE_ERRORS,
    Database,
    Made,
    made_of,
    reason,
    reference_name,
)
from ratio_search.storage.patience import Patience
from ratio_search.storage.postgresql import PostgresDatabase
from ratio_search.storage.server_lease import ServerLease, server_holder
from ratio_search.storage.sqlite import SqliteDatabase
from ratio_search.study_file import parse
from ratio_search.yaml_file import read

LONGEST_SELECTION = 150
"""Characters of a selection that a file is named by: names of files end at 255 bytes."""


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """A study's folder and the names in it.

    Attributes:
        path: the folder.
        url: of the server that keeps the study's trials; None where a database in the folder does.
        patience: how long a call waits while that server is away.
    """

    path: Path
    url: DatabaseUrl | None = None
    patience: Patience = field(default_factory=Patience, compare=False, repr=False)

    def kept_by(self, url: DatabaseUrl | None) -> Self:
        """The same folder, with the trials on a server, or in it."""
        return dataclasses.replace(self, url=url)

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
        """Optuna's SQLite database, where the trials are kept in the folder."""
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

    def as_stated(self) -> Self:
        """The same folder, with the trials where its study file says.

        Raises:
            SpecError: it cannot be read.
        """
        stated = parse(read(self.study_file)).storage
        return self.kept_by(stated if isinstance(stated, DatabaseUrl) else None)

    @property
    def trials(self) -> Database:
        """What keeps the study's trials."""
        return SqliteDatabase(self.database) if self.url is None else PostgresDatabase(self.url, self.patience)

    def check_new(self) -> None:
        """Checks that what keeps the trials has room for a new study; see `StudyHome.check_new`."""
        self.trials.check_new(self.path.name)

    def make(self, study_file: str, charter: Charter, directions: Mapping[str, StudyDirection]) -> None:
        """Makes the folder with all that a new study needs; see `StudyHome.make`."""
        if self.path.exists():
            raise StudyError(f"{self.path}: is there but holds no study; move it away, or choose another name")
        # The dot hides it from everybody else.
        partial = StudyFolder(self.path.with_name(f".{self.path.name}.{os.getpid()}.partial"), self.url)
        shutil.rmtree(partial.path, ignore_errors=True)
        try:
            made = self._made()
            partial.path.mkdir(parents=True)
            partial.study_file.write_text(study_file, encoding="utf-8")
            write_json(partial.manifest_file, dataclasses.replace(charter, mark=made.mark).to_json())
            partial.trials.make(self.path.name, directions, made)
            try:
                partial.path.rename(self.path)
            except OSError:
                partial.trials.remove(self.path.name)
                raise
        except STORAGE_ERRORS as error:
            raise StudyError(f"{self.path}: cannot be made ({reason(error)}); nothing was started") from error
        finally:
            shutil.rmtree(partial.path, ignore_errors=True)

    def _made(self) -> Made:
        """Where a study comes from that is made here and now."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        try:
            who = getpass.getuser()
        except (OSError, KeyError):  # a container's user may have no name
            who = f"user {os.getuid()}"
        words = f"on {socket.gethostname()} in {self.path.resolve()} by {who} at {now}"
        return Made(mark=secrets.token_hex(8), words=words)

    def storage(self) -> optuna.storages.BaseStorage:
        """Opens the study's trials.

        Raises:
            StudyError: they are damaged, not there, or another study's.
        """
        charter, trials = self.charter(), self.trials
        name, storage = str(charter.identity["name"]), trials.open()
        try:
            made = made_of(storage, name)
            storage.get_study_id_from_name(reference_name(name))
        except KeyError as error:
            raise StudyError(
                f"{trials.place}: holds no study {name!r}, though the folder is this study's; {trials.remedy}"
            ) from error
        if charter.mark is not None and (made is None or made.mark != charter.mark):
            how = "by another program" if made is None else made.words
            raise StudyError(
                f"{trials.place}: its study {name!r} is another one than that of {self.path}: it was made {how}; "
                f"{trials.remedy}"
            )
        return storage

    def lease(self) -> Lease:
        """Holds the study for one driver, from `with` to its end: here, and on the server that keeps the trials."""
        if self.url is None:
            return Lease(self.lock_file)
        database = PostgresDatabase(self.url, self.patience)
        return ServerLease(self.lock_file, database, str(self.charter().identity["name"]))

    def driver(self) -> str | None:
        """Who runs the study now, in words; None where nobody does.

        Raises:
            StudyError: the server that keeps the trials cannot be asked.
        """
        if held(self.lock_file):
            return holder(self.lock_file)
        if self.url is None:
            return None
        return server_holder(PostgresDatabase(self.url, self.patience), str(self.charter().identity["name"]))

    def unwritable(self, error: BaseException) -> str:
        """What to say when the study cannot be written to."""
        if self.url is not None and isinstance(error, DATABASE_ERRORS):
            where, what = str(self.url), "see that its role may write there (docs/postgresql.md)"
        else:
            where, what = str(self.path), "make room there"
        return f"{where}: cannot be written to ({reason(error)}); {what}"

    @contextlib.contextmanager
    def patient(self, say: Callable[[str], None], stopping: Callable[[], bool]) -> Iterator[None]:
        """Waits for as long as it takes when the server that keeps the trials goes away, from `with` to its end.

        Args:
            say: tells people when waiting begins and ends; the study's history has it, too.
            stopping: see `Patience.endless`.
        """

        def told(event: str, words: str) -> None:
            self.log(event, words=words)
            now = "waiting for it" if event == "database_lost" else "going on"
            say(f"{event.replace('_', ' ')}: {self.url}: {words}; {now}")

        with self.patience.endless(told, stopping):
            yield

    def attempt(self, job: Job) -> Attempt:
        """The given try at a job, going on from the last one that left a checkpoint."""
        folder = self.path.resolve() / "jobs" / job.id
        earlier = tuple(folder / f"attempt-{n}" for n in range(job.attempt - 1, 0, -1))
        return Attempt(job=job, folder=folder / f"attempt-{job.attempt}", earlier=earlier)

    def started(self) -> frozenset[str]:
        """The ids of all jobs that have a folder, as they were started once."""
        return frozenset(path.parent.name for path in self.path.glob("jobs/*/attempt-1"))

    def relocate(self, root: Path) -> None:
        """Has relative paths start from another folder from now on. The caller holds the lease.

        Args:
            root: the folder, absolute.
        """
        charter = self.charter()
        if root != charter.root:
            write_json(self.manifest_file, dataclasses.replace(charter, root=root).to_json())
            self.log("relocated", root=str(root), was=str(charter.root))

    def log(self, event: str, **details: Any) -> None:
        """Adds a line to the study's history."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        line = json.dumps({"time": now, "event": event, **details})
        with (self.path / "history.jsonl").open("ab+") as file:
            begin = "\n" if _torn(file) else ""
            file.write(f"{begin}{line}\n".encode())


def _torn(file: IO[bytes]) -> bool:
    """Whether a file of lines ends within one, as a full disk may have cut it short."""
    if not file.seek(0, os.SEEK_END):
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"


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
