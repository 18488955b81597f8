"""A table of past runs: mixtures and what was measured of them, in the columns of `ratio-search trials NAME --csv`."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from objectives.base import Estimate
from objectives.mixture import SUM_TOLERANCE, Mixture
from objectives.table import Problems, Table, TableRow, number, shown

ROUNDING = 0.005
"""How far shares may be from 1 in all: tables are rounded."""

SHARE, REALISED, PARAM = "share/", "realised/", "param/"
"""What the names of columns begin with that a run is told by: the shares asked and realised, and hyperparameters."""

KIND, STATE = "kind", "state"
"""Columns that set rows apart: `baseline` as kind, and any state but `complete`."""

OWN = frozenset(
    {
        "trial",
        "origin",
        "basis",
        "expected_gain",
        STATE,
        "attempt",
        "started",
        "seconds",
        "score",
        "feasible",
        "failure",
        "message",
        KIND,
    }
)
OWN_PREFIXES = (SHARE, REALISED, PARAM, "seed/", "rows/", "cost/", "artefact/")
"""Other columns that `trials --csv` prints, which are no metrics."""

BESIDE = ("stderr", "rows", "gain", "violation", "missed")
"""What may follow a metric's name and a slash in the names of further columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRow:
    """A row of the table.

    Attributes:
        row: its cells.
        mixture: over the domains that are mixed and those that only the table knows; None for the untuned model.
    """

    row: TableRow
    mixture: Mixture | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that today's domains can tell.

    Attributes:
        row: its cells.
        mixture: over the domains that are mixed now.
    """

    row: TableRow
    mixture: Mixture


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTable:
    """Past runs.

    Attributes:
        table: as it stands in the file.
        domains: what is mixed; one that the table lacks had no share.
        shares: domain to column, of all domains that the table names.
        candidates: columns that may be metrics, in order.
        rows: the runs and untuned models that are complete.
        incomplete: how many rows are not.
    """

    table: Table
    domains: tuple[str, ...]
    shares: Mapping[str, str]
    candidates: tuple[str, ...]
    rows: tuple[PastRow, ...]
    incomplete: int

    @classmethod
    def read(cls, path: Path, domains: Sequence[str], metrics: Iterable[str] = ()) -> Self:
        """Reads a file.

        Args:
            path: the file.
            domains: what is mixed now.
            metrics: names that are known to be metrics, whatever else they could mean.

        Raises:
            DataError: it is no table, or has impossible shares; the message lists the lines.
        """
        table, problems = Table.read(path), Problems(path)
        shares = _share_columns(table.columns, domains, set(metrics))
        if not set(shares) & set(domains):
            problems.add(f"has no shares; expected columns such as {SHARE}{domains[0]}, for {', '.join(domains)}")
        problems.check()
        own = OWN - set(metrics) - set(shares.values())
        rows, incomplete = [], 0
        for row in table.rows:
            if STATE in own and row[STATE].lower() not in ("", "complete"):
                incomplete += 1
            elif (KIND in own and row[KIND].lower() == "baseline") or _no_shares(row, shares):
                rows.append(PastRow(row=row, mixture=None))
            elif (mixture := _mixture(row, shares, domains, problems)) is not None:
                rows.append(PastRow(row=row, mixture=mixture))
        problems.check()
        return cls(
            table=table,
            domains=tuple(domains),
            shares=shares,
            candidates=_candidates(table.columns, own | set(shares.values()), set(metrics)),
            rows=tuple(rows),
            incomplete=incomplete,
        )

    @property
    def runs(self) -> list[Run]:
        """The runs whose mixtures can be tried now, in order."""
        kept = [(past.row, None if past.mixture is None else self.kept(past.mixture)) for past in self.rows]
        return [Run(row=row, mixture=mixture) for row, mixture in kept if mixture is not None]

    @property
    def untuned(self) -> list[TableRow]:
        """The rows of the untuned model, in order."""
        return [past.row for past in self.rows if past.mixture is None]

    def kept(self, mixture: Mixture) -> Mixture | None:
        """A mixture over the domains of now; None where another one has a share in it."""
        if any(share > 0 for name, share in mixture.items() if name not in self.domains):
            return None
        return Mixture.of({name: mixture[name] for name in self.domains})

    def realised(self, row: TableRow, problems: Problems) -> Mixture | None:
        """The shares that were really trained on, over the domains of now; None where they are not stated."""
        columns = {c.removeprefix(REALISED): c for c in self.table.columns if c.startswith(REALISED)}
        if _no_shares(row, columns):
            return None
        mixture = _mixture(row, columns, self.domains, problems)
        return None if mixture is None else self.kept(mixture)

    def estimate(self, row: TableRow, metric: str, problems: Problems) -> Estimate | None:
        """What was measured of a metric, with its `<metric>/stderr` and `<metric>/rows`; None where any is wrong."""
        value = number(row[metric])
        if value is None:
            problems.add(f"expected a finite number, found {shown(row[metric])}", line=row.line, column=metric)
            return None
        beside: dict[str, float | None] = {}
        for name in ("stderr", "rows"):
            cell = row[f"{metric}/{name}"]
            beside[name] = found = number(cell)
            if cell and (found is None or found < 0 or (name == "rows" and found % 1)):
                what = "a number of at least 0" if name == "stderr" else "a whole number of at least 0"
                problems.add(f"expected {what}, found {shown(cell)}", line=row.line, column=f"{metric}/{name}")
                return None
        rows = beside["rows"]
        return Estimate(value=value, stderr=beside["stderr"], rows=None if rows is None else int(rows))

    def lacks(self, metric: str) -> str:
        """Why a metric cannot be read from the table, which has no such column."""
        near = difflib.get_close_matches(metric, self.table.columns, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"has no column {metric!r}; {hint}found {', '.join(self.table.columns)}"


def _share_columns(columns: Sequence[str], domains: Sequence[str], metrics: set[str]) -> dict[str, str]:
    """Domain to column. Bare names of domains will do where no column says `share/`."""
    prefixed = [column for column in columns if column.startswith(SHARE) and column not in metrics]
    stated = {column.removeprefix(SHARE): column for column in prefixed}
    bare = {name: name for name in domains if name in columns and name not in OWN and name not in metrics}
    return stated or bare


def _candidates(columns: Sequence[str], other: set[str] | frozenset[str], metrics: set[str]) -> tuple[str, ...]:
    """The columns that are metrics, or may be."""
    found = []
    for column in columns:
        of, _, beside = column.rpartition("/")
        derived = beside in BESIDE and of in columns
        if column in metrics or not (column in other or column.startswith(OWN_PREFIXES) or derived):
            found.append(column)
    return tuple(found)


def _no_shares(row: TableRow, columns: Mapping[str, str]) -> bool:
    return all(not row[column] or number(row[column]) == 0 for column in columns.values())


def _mixture(row: TableRow, columns: Mapping[str, str], domains: Sequence[str], problems: Problems) -> Mixture | None:
    """The mixture that a row states; None where it is wrong. Nothing is 0: the sum shows whether that is meant."""
    shares = dict.fromkeys(domains, 0.0)
    before = len(problems)
    for name, column in columns.items():
        share = number(row[column]) if row[column] else 0.0
        if share is None or not 0 <= share <= 1 + ROUNDING:
            problems.add(f"expected a share from 0 to 1, found {shown(row[column])}", line=row.line, column=column)
        else:
            shares[name] = share
    if len(problems) > before:
        return None
    total = math.fsum(shares.values())
    if abs(total - 1) > ROUNDING:
        problems.add(f"expected shares that sum to 1, found {total:.6g} ({', '.join(columns.values())})", line=row.line)
        return None
    exact = abs(total - 1) <= SUM_TOLERANCE and max(shares.values()) <= 1
    return Mixture.of(shares) if exact else Mixture.from_weights(shares)
