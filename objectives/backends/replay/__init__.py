"""Answers from a table of past runs, so that a study can be rehearsed before it is paid for."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from objectives.backends.backend import Backend
from objectives.base import Objective
from objectives.data.policy import DEFAULT_POLICY, DataPolicy
from objectives.domain import Domain
from objectives.errors import DataError, ScoreError
from objectives.run_table import RunTable
from objectives.scorer import Metric
from objectives.table import Problems

__all__ = ["By", "ReplayBackend"]

MODELLED_FROM = 5
"""Runs that a model needs at least: it is judged by five parts of them."""


class By(enum.StrEnum):
    """Where the values of a mixture come from that is not in the table."""

    NEAREST = "nearest"
    """The run whose mixture is nearest, in the distance of square roots of shares."""
    MODEL = "model"
    """A model that is fitted to all runs."""


class ReplayBackend(Backend):
    """Settings of the `replay` objective.

    Attributes:
        table: CSV file of past runs, in the columns of `ratio-search trials NAME --csv`, or some of them. A row without
            any share, or whose `kind` is `baseline`, is the untuned model.
        by: where the values of a mixture come from that is not in the table.
        noise: standard deviation that is added to every metric, in parts of that metric's own in the table.
        seconds: how long a job takes.
    """

    # Where the table lies does not matter: its content is in the fingerprint.
    POLICY: ClassVar[frozenset[str]] = Backend.POLICY | {"table", "seconds"}
    ELSEWHERE: ClassVar[bool] = True
    SEARCHED: ClassVar[frozenset[str]] = frozenset()
    COSTS: ClassVar[frozenset[str]] = frozenset({"wall_seconds", "cpu_seconds"})

    kind: Literal["replay"]
    table: Annotated[str, Field(min_length=1)]
    by: By = By.NEAREST
    noise: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False)

    def path(self, root: Path) -> Path:
        """Where the table is."""
        return root / Path(self.table).expanduser()

    def files(self, root: Path) -> tuple[Path, ...]:
        """The table."""
        return (self.path(root),)

    def moved(self, root: Path, place: Callable[[Path], Path]) -> Self:
        """With the table where it is there."""
        return self.model_copy(update={"table": str(place(self.path(root)))})

    def read(self, domains: Sequence[Domain], root: Path) -> RunTable:
        """The table.

        Args:
            domains: what can be mixed.
            root: folder that relative paths refer to.

        Raises:
            DataError: it cannot be used, or holds too few runs of these domains.
        """
        table = RunTable.read(self.path(root), [domain.name for domain in domains if domain.mixed])
        found, least = len(table.runs), MODELLED_FROM if self.by is By.MODEL else 1
        if found < least:
            raise DataError(
                f"{table.table.path}: has {found} complete runs of {', '.join(table.domains)}; expected {least} or more"
            )
        return table

    def expected_cost(self, *, tuned: bool, row_tokens: float | None) -> dict[str, float]:
        """The seconds that it waits."""
        return {"wall_seconds": self.seconds}

    def produces(self, labelled: Mapping[str, bool]) -> None:
        """The table has no test rows to speak of; `check_asked` looks for its columns."""

    def check_asked(self, domains: Sequence[Domain], root: Path, *, metrics: Sequence[Metric], baseline: bool) -> None:
        """Checks that the table has all that is asked of it: shares, every metric in every run, and the untuned model.

        Raises:
            DataError: it has not.
        """
        table = self.read(domains, root)
        problems = Problems(table.table.path)
        for metric in metrics:
            if metric.name not in table.table.columns:
                problems.add(f"{table.lacks(metric.name)}; the study is judged by it")
            elif metric.name not in table.candidates:
                problems.add(f"the column {metric.name!r} means something else here than a metric; rename it")
        problems.check()
        runs, untuned = table.runs, table.untuned
        if baseline and not untuned:
            problems.add(
                "has no row of the untuned model, which the study measures gains from: one without shares, or with "
                "baseline in a column called kind; add it, or state a reference for every metric"
            )
        for row in [run.row for run in runs] + (untuned[:1] if baseline else []):
            for metric in metrics:
                estimate = table.estimate(row, metric.name, problems)
                try:
                    if estimate is not None:
                        metric.check(estimate.value)
                except ScoreError as error:
                    problems.add(str(error), line=row.line)
        problems.check()

    def remarks(self, domains: Sequence[Domain], root: Path) -> tuple[str, ...]:
        """What there is to say of the table, and how far its model can be believed."""
        from objectives.backends.replay.objective import ReplayObjective

        return ReplayObjective(self, domains, root).remarks

    def fingerprint(self, root: Path) -> dict[str, str]:
        """The digest of the table.

        Raises:
            DataError: it cannot be read.
        """
        path = self.path(root)
        try:
            return {"table": hashlib.sha256(path.read_bytes()).hexdigest()}
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise DataError(f"objective.table: {path}: cannot be read ({why}); expected a CSV file") from error

    def check(self, root: Path) -> None:
        """Looks for the table.

        Raises:
            DataError: it cannot be read.
        """
        self.fingerprint(root)

    def build(
        self,
        domains: Sequence[Domain],
        root: Path,
        policy: DataPolicy = DEFAULT_POLICY,
        metrics: Sequence[Metric] = (),
    ) -> Objective:
        """Reads the table and fits the model.

        Raises:
            DataError: the table cannot be used.
        """
        from objectives.backends.replay.objective import ReplayObjective

        return ReplayObjective(self, domains, root)
