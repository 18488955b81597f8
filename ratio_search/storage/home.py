"""What every place that keeps a study can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import optuna
from optuna.study import StudyDirection

from objectives.attempt import Attempt
from objectives.base import Job
from ratio_search.charter import Charter
from ratio_search.lease import Lease


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

    def check_new(self) -> None:
        """Checks, before much is done, that a new study can be made.

        Raises:
            StudyError: it cannot.
        """
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
            StudyError: they are damaged, not there, or another study's.
        """
        ...

    def lease(self) -> Lease:
        """Holds the study for one driver, from `with` to its end."""
        ...

    def attempt(self, job: Job) -> Attempt:
        """The given try at a job, going on from the last one that left a checkpoint."""
        ...

    def started(self) -> frozenset[str]:
        """The ids of all jobs that have a folder, as they were started once."""
        ...

    def log(self, event: str, **details: Any) -> None:
        """Adds a line to the study's history."""
        ...
