"""A study that is kept in one process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.study import StudyDirection

from objectives.attempt import Attempt
from objectives.base import Job
from ratio_search.charter import Charter
from ratio_search.lease import Lease, OwnLease
from ratio_search.storage.database import create_studies


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

    def check_new(self) -> None:
        """There is always room for it."""

    def make(self, study_file: str, charter: Charter, directions: Mapping[str, StudyDirection]) -> None:
        """Makes all that a new study needs, but keeps no study file; see `StudyHome.make`."""
        assert not self.exists
        create_studies(self._storage, self._name, directions)
        self._charter = charter

    def charter(self) -> Charter:
        """What was settled when the study began."""
        assert self._charter is not None, "make comes first"
        return self._charter

    def storage(self) -> optuna.storages.InMemoryStorage:
        """The study's trials."""
        return self._storage

    def lease(self) -> Lease:
        """No other process can see the study, so that it is always free."""
        return OwnLease()

    def attempt(self, job: Job) -> Attempt:
        """The try at a job, with a folder that can never be there."""
        return Attempt(job=job, folder=self.NOWHERE / "jobs" / job.id / f"attempt-{job.attempt}")

    def started(self) -> frozenset[str]:
        """Nothing runs in a folder."""
        return frozenset()

    def log(self, event: str, **details: Any) -> None:
        """Keeps no history."""
