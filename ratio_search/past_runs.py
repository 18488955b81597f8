"""Runs from elsewhere, read from a CSV file and checked against a study; what comes of adding them to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from objectives.base import Estimate, Measurement, Value
from objectives.errors import ScoreError
from objectives.mixture import Mixture
from objectives.run_table import PARAM, Run, RunTable
from objectives.table import Problems, TableRow, number, shown
from ratio_search.hyperparameters import Choice, Hyperparameter, Whole
from ratio_search.record import Record
from ratio_search.space import SAME
from ratio_search.spec import StudySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """A run that is finished.

    Attributes:
        line: where it stands in its file.
        mixture: what it was trained on, over the study's domains.
        hyperparameters: a value for each that the study searches; it may lie outside of the range of now.
        measurement: every judged metric, and the others that the file has.
    """

    line: int
    mixture: Mixture
    hyperparameters: Mapping[str, Value]
    measurement: Measurement

    @property
    def values(self) -> dict[str, float]:
        """The metrics' values, without their standard errors."""
        return {name: estimate.value for name, estimate in self.measurement.metrics.items()}

    def same(self, record: Record) -> bool:
        """Whether a trial is this run: of the same mixture, with the same settings and the same values."""
        mixture = record.job.mixture
        return (
            all(record.values.get(name) == value for name, value in self.values.items())
            and dict(record.job.hyperparameters) == dict(self.hyperparameters)
            and mixture is not None
            and mixture.distance(self.mixture) <= SAME
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRuns:
    """The runs of a file.

    Attributes:
        path: the file.
        runs: those that a study can take, in order.
        incomplete: rows left out because they are not complete.
        baselines: rows left out because they are of the untuned model, which a study evaluates itself.
        removed: domains that the study lacks, each with the rows left out because it had a share in them.
        ignored: columns that mean nothing to the study.
    """

    path: Path
    runs: tuple[PastRun, ...]
    incomplete: int
    baselines: int
    removed: Mapping[str, int]
    ignored: tuple[str, ...]

    @classmethod
    def read(cls, path: str | Path, spec: StudySpec) -> Self:
        """Reads a file whose columns are those of `ratio-search trials NAME --csv`, or some of them.

        Needed are `share/<domain>`, or the bare names of domains; every judged metric; and `param/<name>` for each
        hyperparameter that is searched.

        Args:
            path: the file.
            spec: of the study that is to take the runs.

        Raises:
            DataError: anything in it is wrong; the message lists all lines and columns.
        """
        path = Path(path)
        judged = [metric.name for metric in spec.metrics]
        table = RunTable.read(path, [domain.name for domain in spec.mixed], judged)
        problems = Problems(path)
        _check_columns(table, spec, problems)
        problems.check()
        others = _other_metrics(table, spec)
        runs = [_run(table, run, spec, others, problems) for run in table.runs]
        problems.check()
        taken = {*judged, *others, *table.shares.values(), *(f"{PARAM}{name}" for name in spec.hyperparameters)}
        unknown = [c for c in table.table.columns if c.startswith(PARAM) or c in table.candidates]
        return cls(
            path=path,
            runs=tuple(run for run in runs if run is not None),
            incomplete=table.incomplete,
            baselines=len(table.untuned),
            removed=_removed(table),
            ignored=tuple(column for column in unknown if column not in taken),
        )

    @property
    def warnings(self) -> list[str]:
        """What a user may not have meant, a line each."""
        if not self.ignored:
            return []
        return [f"{self.path}: ignored what means nothing to the study: {', '.join(self.ignored)}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What came of adding past runs to a study.

    Attributes:
        source: the runs.
        added: the trials that were made of them, in order.
        already: runs that the study had before.
        outside: of the added ones, those that the bounds of now would not allow.
    """

    source: PastRuns
    added: tuple[Record, ...]
    already: int
    outside: int

    @property
    def lines(self) -> list[str]:
        """What happened, in words."""
        source = self.source
        lines = [f"{_runs(len(self.added))} imported"]
        if self.already:
            lines.append(f"skipped: {_runs(self.already)} that the study has already")
        if source.incomplete:
            lines.append(f"left out: {_runs(source.incomplete)} not complete")
        if source.baselines:
            lines.append(f"left out: {_runs(source.baselines)} of the untuned model, which a study evaluates itself")
        lines += [
            f"left out: {_runs(count)} with a share of {name!r}, which the study cannot mix: such a mixture cannot be "
            "tried any more"
            for name, count in source.removed.items()
        ]
        if self.outside:
            lines.append(
                f"of those imported, {self.outside} outside of the study's bounds: they are learned from, and never "
                "recommended"
            )
        return lines

    def to_json(self) -> dict[str, Any]:
        """The same as plain data."""
        source = self.source
        return {
            "imported": [record.job.id for record in self.added],
            "already": self.already,
            "outside_bounds": self.outside,
            "left_out": {
                "incomplete": source.incomplete,
                "baseline": source.baselines,
                "removed_domains": dict(source.removed),
            },
            "ignored_columns": list(source.ignored),
        }


def _runs(count: int) -> str:
    return f"{count:,} run{'' if count == 1 else 's'}"


def _check_columns(table: RunTable, spec: StudySpec, problems: Problems) -> None:
    """Notes the columns that a study needs and the file lacks."""
    for metric in spec.metrics:
        if metric.name not in table.table.columns:
            problems.add(f"{table.lacks(metric.name)}; the study is judged by it, so every run needs its value")
    for name in spec.hyperparameters:
        if f"{PARAM}{name}" not in table.table.columns:
            problems.add(
                f"has no column {PARAM}{name}, which the study searches; add one with the value that each run had"
            )


def _other_metrics(table: RunTable, spec: StudySpec) -> list[str]:
    """Metrics of the study's domains that it is not judged by: columns of numbers, as far as there is anything."""
    judged = {metric.name for metric in spec.metrics}
    domains = {domain.name for domain in spec.domains}
    return [
        column
        for column in table.candidates
        if column not in judged
        and "/" in column
        and column.partition("/")[0] in domains
        and all(number(run.row[column]) is not None for run in table.runs if run.row[column])
    ]


def _run(table: RunTable, run: Run, spec: StudySpec, others: Sequence[str], problems: Problems) -> PastRun | None:
    """The run of a row; None where it is wrong."""
    row, before = run.row, len(problems)
    metrics: dict[str, Estimate] = {}
    wanted = [metric.name for metric in spec.metrics]
    for name in [*wanted, *(other for other in others if row[other])]:
        estimate = table.estimate(row, name, problems)
        if estimate is not None:
            metrics[name] = estimate
    for metric in spec.metrics:
        try:
            if metric.name in metrics:
                metric.check(metrics[metric.name].value)
        except ScoreError as error:
            problems.add(str(error), line=row.line)
    values = {name: _value(row, name, of, problems) for name, of in spec.hyperparameters.items()}
    realised = table.realised(row, problems)
    if len(problems) > before:
        return None
    return PastRun(
        line=row.line,
        mixture=run.mixture,
        hyperparameters={name: value for name, value in values.items() if value is not None},
        measurement=Measurement(metrics=metrics, realised=realised),
    )


def _value(row: TableRow, name: str, of: Hyperparameter, problems: Problems) -> Value | None:
    """The value of a hyperparameter; None where it is wrong."""
    cell = row[f"{PARAM}{name}"]
    found = number(cell)
    value: Value | None = None
    if isinstance(of, Choice):
        alike = [choice for choice in of.choices if _is(choice, cell)]
        value, expected = alike[0] if len(alike) == 1 else None, f"one of {', '.join(map(str, of.choices))}"
    elif isinstance(of, Whole):
        value = int(found) if found is not None and found == int(found) else None
        expected = "a whole number"
    else:
        value, expected = found, "a finite number"
    if value is not None and not isinstance(of, Choice) and of.log and found is not None and found <= 0:
        value, expected = None, f"{expected} above 0, as its scale is logarithmic"
    if value is None:
        problems.add(f"expected {expected}, found {shown(cell)}", line=row.line, column=f"{PARAM}{name}")
    return value


def _is(choice: Value, cell: str) -> bool:
    """Whether a cell means a choice: `True` and `true`, `16` and `16.0` are the same."""
    if isinstance(choice, bool):
        return cell.lower() == str(choice).lower()
    return cell == str(choice).strip() or (not isinstance(choice, str) and number(cell) == choice)


def _removed(table: RunTable) -> dict[str, int]:
    """Domains of now gone, with the rows in which they had a share."""
    gone = Counter(
        name
        for row in table.rows
        if row.mixture is not None
        for name, share in row.mixture.items()
        if name not in table.domains and share > 0
    )
    return dict(gone)
