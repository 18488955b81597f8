"""What every back end's settings have in common."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator

from objectives.base import Objective, Value
from objectives.data.audit import Capacity
from objectives.data.policy import DEFAULT_POLICY, DataPolicy
from objectives.domain import Domain
from objectives.metrics import source_files
from objectives.mixture import Mixture
from objectives.remote import RemoteObjective
from objectives.scorer import Metric

if TYPE_CHECKING:
    from objectives.data import Blend, Corpus, Lengths


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

    REMOTE: ClassVar[bool] = False
    """Whether jobs run on a platform, so that `build` gives a `RemoteObjective`, which the driver itself calls."""

    COSTS: ClassVar[frozenset[str] | None] = None
    """Costs that measurements name; None where only the objective can know."""

    ANSWERS: ClassVar[bool] = False
    """Whether the model's answers to test rows can be judged by a function of the user's own."""

    SEARCHED: ClassVar[frozenset[str] | None] = None
    """Keys whose values a search may choose, dotted where they are nested; None where any name may be searched, because
    its values are only handed on with the job."""

    kind: str
    resources: Resources = Resources()

    @property
    def platform_categories(self) -> Mapping[str, float] | None:
        """Categories of training data that the platform has of its own, with their usual proportions (any sum).

        None where there is no such data: every domain that is trained on then needs files.
        """
        return None

    @property
    def platform_share(self) -> float:
        """The share that the platform's own data usually has, 0 to 1; of meaning only where there is such data."""
        return 0.0

    @property
    def platform_benchmarks(self) -> frozenset[str]:
        """Public benchmarks that the platform runs, each of which is a metric of the domain that asks for it."""
        return frozenset()

    @property
    def most_at_once(self) -> int | None:
        """Jobs that may run at a time, whatever a study asks; None where only the study limits them."""
        return None

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

    def filed(self, mixture: Mixture, domains: Sequence[Domain]) -> Mixture:
        """What a run's training file holds of a mixture: all of it, unless the platform adds data of its own.

        Args:
            mixture: over the mixed domains.
            domains: what can be mixed and tested.
        """
        return mixture

    def training_blend(
        self, corpus: Corpus, mixture: Mixture, *, seed: int, rows: int, lengths: Mapping[str, Lengths]
    ) -> Blend:
        """The rows of a run's training file: all that it trains on, likewise.

        Args:
            corpus: the study's data.
            mixture: over the mixed domains.
            seed: the job's data seed.
            rows: that the run trains on, repeats counted.
            lengths: tokens of each domain's rows.

        Raises:
            DataError: a domain has no rows, or would repeat too often.
        """
        return corpus.blend(mixture, seed=seed, rows=rows, lengths=lengths)

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

    def expected_cost(self, *, tuned: bool, row_tokens: float | None) -> dict[str, float]:
        """What an attempt at a job with these settings should cost, in the names of `Measurement.cost`.

        What nobody can know before one was run is left out.

        Args:
            tuned: whether the job trains; else it evaluates the untuned model.
            row_tokens: tokens of a training row, on average; None where they were not counted.
        """
        return {}

    def most_cost(self, *, tuned: bool, row_tokens: float | None) -> dict[str, float]:
        """The most that it can cost, likewise; what nothing limits is left out.

        Args:
            tuned: see `expected_cost`.
            row_tokens: tokens of a training row, in the longest run that there can be; None where not counted.
        """
        return {}

    def files(self, root: Path) -> tuple[Path, ...]:
        """What a worker reads beside the data: all files that another machine would have to be sent.

        Args:
            root: folder that relative paths refer to.

        Raises:
            OptionsError: something that the settings name is not there.
        """
        return ()

    def moved(self, root: Path, place: Callable[[Path], Path]) -> Self:
        """These settings for a machine that has the files elsewhere.

        Args:
            root: folder that relative paths referred to.
            place: where a file or a folder is there.
        """
        return self

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
    ) -> Objective | RemoteObjective:
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
    """Everything a worker needs to build its objective, but for files; small, and safe to send."""

    backend: Backend
    domains: tuple[Domain, ...]
    root: Path
    policy: DataPolicy = DEFAULT_POLICY
    metrics: tuple[Metric, ...] = ()

    def files(self) -> tuple[Path, ...]:
        """All files that a worker reads.

        Raises:
            OptionsError: something that the objective's settings name is not there.
        """
        data = [path for domain in self.domains for path in (*domain.train, *domain.test, *domain.final)]
        functions = [metric.function for metric in self.metrics if metric.function is not None]
        judges = [path for function in functions for path in source_files(function, self.root)]
        return tuple(dict.fromkeys([*data, *self.backend.files(self.root), *judges]))

    def moved(self, place: Callable[[Path], Path]) -> Self:
        """The blueprint for a machine that has all files elsewhere.

        Args:
            place: where a file or a folder is there.
        """

        def placed(paths: Sequence[Path]) -> tuple[Path, ...]:
            return tuple(place(path) for path in paths)

        domains = tuple(
            replace(domain, train=placed(domain.train), test=placed(domain.test), final=placed(domain.final))
            for domain in self.domains
        )
        return replace(self, backend=self.backend.moved(self.root, place), domains=domains, root=place(self.root))

    def build(self) -> Objective:
        """Builds the local objective that this describes."""
        assert not self.backend.REMOTE, "a platform runs its jobs"
        return cast(Objective, self._built())

    def connect(self) -> RemoteObjective:
        """Builds the remote objective that this describes."""
        assert self.backend.REMOTE, "its jobs are run here"
        return cast(RemoteObjective, self._built())

    def _built(self) -> Objective | RemoteObjective:
        return self.backend.build(self.domains, self.root, self.policy, self.metrics)
