"""What every back end's settings have in common."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from objectives.base import Objective, Value
from objectives.data.audit import Capacity
from objectives.data.policy import DEFAULT_POLICY, DataPolicy
from objectives.domain import Domain
from objectives.scorer import Metric


class Resources(BaseModel):
    """What one running job occupies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpus: float = Field(default=1, gt=0)
    gpus: float = Field(default=0, ge=0)

    @field_validator("gpus")
    @classmethod
    def _whole_above_1(cls, value: float) -> float:
        if value > 1 and not value.is_integer():
            raise ValueError(f"expected a part of one GPU, or a whole number of them, found {value:g}")
        return value


class Backend(BaseModel, abc.ABC):
    """The `objective:` section of a study file: checks itself and builds the objective.

    Importing and validating it must stay light: what is heavy is imported by `build`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    POLICY: ClassVar[frozenset[str]] = frozenset({"resources"})
    """Keys that may change while a study runs, because no result depends on them."""

    EXTERNAL: ClassVar[bool] = False
    """Whether the caller runs the trials, through ask and tell."""

    ELSEWHERE: ClassVar[bool] = False
    """Whether trainer and data are elsewhere, so that nothing can be trained here: domains then need no files, and
    metrics may have any names."""

    ANSWERS: ClassVar[bool] = False
    """Whether the model's answers to test rows can be judged by a function of the user's own."""

    SEARCHED: ClassVar[frozenset[str] | None] = None
    """Keys whose values a search may choose, dotted where they are nested; None where any name may be searched, because
    its values are only handed on with the job."""

    kind: str
    resources: Resources = Resources()

    @property
    def train_rows(self) -> int | None:
        """Rows that one job trains on, repeats counted; None when the trainer decides."""
        return None

    def with_hyperparameters(self, values: Mapping[str, Value]) -> Self:
        """The settings of a job: a copy in which values that are searched replace the stated ones.

        Args:
            values: by key, dotted where it is nested, as `SEARCHED` has them.

        Raises:
            ValidationError: settings cannot have these values.
        """
        if self.SEARCHED is None or not values:
            return self
        return self.model_validate(self._replaced(values))

    def _replaced(self, values: Mapping[str, Value]) -> dict[str, Any]:
        """These settings as plain data, with other values at dotted keys."""
        data = self.model_dump()
        for key, value in values.items():
            *sections, last = key.split(".")
            place = data
            for section in sections:
                place = place[section]
            place[last] = value
        return data

    @property
    def rows_per_step(self) -> int | None:
        """Rows of one optimizer step; None when the trainer decides."""
        return None

    @abc.abstractmethod
    def produces(self, labelled: Mapping[str, bool]) -> frozenset[str] | None:
        """Names of all metrics that this objective reports; None when only it can know.

        Args:
            labelled: each tested domain, with whether all of its test rows have labels.
        """

    def capacity(self, root: Path) -> Capacity:
        """How this objective reads rows; what is heavy is loaded when something is counted.

        Args:
            root: folder that relative paths refer to.
        """
        return Capacity()

    def check(self, root: Path) -> None:
        """Finds out, without starting anything, whether the settings can work on this machine.

        Args:
            root: folder that relative paths refer to.

        Raises:
            OptionsError: they cannot; the message says why and what to do.
        """

    def check_asked(self, domains: Sequence[Domain], root: Path, *, metrics: Sequence[Metric], baseline: bool) -> None:
        """Finds out whether trials can report all that a study asks, where more than `produces` is known of it.

        Args:
            domains: what can be mixed and tested.
            root: folder that relative paths refer to.
            metrics: what is judged.
            baseline: whether the untuned model is evaluated, too.

        Raises:
            DataError, OptionsError: they cannot; the message says why and what to do.
        """

    def remarks(self, domains: Sequence[Domain], root: Path) -> tuple[str, ...]:
        """What a user should know before a study with these settings begins, a line each; it may take seconds.

        Args:
            domains: what can be mixed and tested.
            root: folder that relative paths refer to.
        """
        return ()

    def fingerprint(self, root: Path) -> dict[str, str]:
        """What results depend on beside settings and data, such as a base model's content: name to digest.

        Args:
            root: folder that relative paths refer to.
        """
        return {}

    @abc.abstractmethod
    def build(
        self,
        domains: Sequence[Domain],
        root: Path,
        policy: DataPolicy = DEFAULT_POLICY,
        metrics: Sequence[Metric] = (),
    ) -> Objective:
        """Builds the objective, loading what is heavy.

        Args:
            domains: what can be mixed and tested.
            root: folder that relative paths refer to.
            policy: what the study wants of its data; what it refuses has been refused before.
            metrics: what is judged; whatever else costs nothing is reported as well.

        Raises:
            DataError, OptionsError: what it was given cannot be used.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """Everything a worker needs to build its objective; small, and safe to send."""

    backend: Backend
    domains: tuple[Domain, ...]
    root: Path
    policy: DataPolicy = DEFAULT_POLICY
    metrics: tuple[Metric, ...] = ()

    def build(self) -> Objective:
        """Builds the objective that this describes."""
        return self.backend.build(self.domains, self.root, self.policy, self.metrics)
