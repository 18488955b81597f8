"""What a study has spent and what is pending, limit by limit, and whether one more fine-tune fits."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ratio_search.budget import Amounts, Limit, allowed, amounts
from ratio_search.record import JobState, Record
from ratio_search.stages import spent as spent_on_stages
from ratio_search.study_file import BudgetSection, PricesSection

ROUNDING = 1e-9
"""Part of a limit that adding up may be wrong by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The account of one limit.

    Attributes:
        limit: which.
        allowed: how much may be spent; None for any amount.
        spent: by all that has ended.
        pending: what is under way will still add, as far as can be told: a job costs what finished ones did on average,
            or what it has cost already, where that is more.
        each: what one more fine-tune would add; None while nobody knows.
        shared: the part of it that fine-tunes side by side have in common, such as the time.
        assumed: finished jobs that did not report it, and were taken to have cost what the others did on average.
    """

    limit: Limit
    allowed: float | None
    spent: float
    pending: float
    each: float | None
    shared: float = 0.0
    assumed: int = 0

    @property
    def left(self) -> float | None:
        """What is neither spent nor pending; None for any amount."""
        return None if self.allowed is None else max(0.0, self.allowed - self.spent - self.pending)

    @property
    def takes_another(self) -> bool:
        """Whether one more fine-tune is expected to fit; where nobody knows what it costs, whether anything is left."""
        if self.allowed is None:
            return True
        bound, each = self.allowed * (1 + ROUNDING), self.each or 0.0
        if self.limit is Limit.HOURS:  # one more runs beside those that are under way
            return self.spent < self.allowed and self.spent + max(self.pending, each) <= bound
        committed = self.spent + self.pending
        return committed < self.allowed and committed + each <= bound

    def with_more(self, wanted: int, parallel: int) -> float | None:
        """What will be spent once so many more fine-tunes are finished; None while nobody knows what one costs.

        Args:
            wanted: fine-tunes.
            parallel: how many run side by side.
        """
        if self.each is None:
            return None
        rounds = -(-wanted // parallel)
        return self.spent + self.pending + wanted * (self.each - self.shared) + rounds * self.shared

    @property
    def words(self) -> str:
        """How the limit stands, in one line."""
        pending = f" and {self.limit.told(self.pending)} pending" if self.pending else ""
        assumed = ""
        if self.assumed:
            jobs = "1 finished job did" if self.assumed == 1 else f"{self.assumed} finished jobs did"
            assumed = f"; {jobs} not report it, taken to have cost the mean of its kind, where that is known"
        if self.allowed is None:
            return f"{self.limit.told(self.spent)} spent{pending}{assumed}"
        left = self.limit.told(self.left or 0.0)
        return f"{self.limit.told(self.spent)} of {self.limit.told(self.allowed)} spent{pending}, {left} left{assumed}"

    def to_json(self) -> dict[str, Any]:
        """The line as plain data."""
        return {
            "limit": self.allowed,
            "spent": self.spent,
            "pending": self.pending,
            "left": self.left,
            "each": self.each,
            "assumed": self.assumed,
            "words": self.words,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a study has spent, and what is under way.

    Attributes:
        lines: of each limit that is stated, or of which anything is known.
        learning: whether a fine-tune is under way, while a limit is stated of which nobody knows how much it takes.
    """

    lines: Mapping[Limit, Line]
    learning: bool

    @classmethod
    def of(
        cls,
        records: Iterable[Record],
        budget: BudgetSection,
        *,
        hours: float,
        running: Mapping[str, Mapping[str, float]],
        foreseen: Mapping[bool, Mapping[str, float]],
    ) -> Self:
        """Adds up a study's jobs; those that were imported cost it nothing.

        Args:
            records: of all its jobs, of every kind.
            budget: the study's.
            hours: wall-clock time of its drivers.
            running: what each job that is under way has cost so far, in this attempt.
            foreseen: what a job was expected to cost before any was run: of one that trains (True), and of one that
                evaluates the untuned model (False).
        """
        own = [record for record in records if not record.imported]
        prices, limits = budget.prices, allowed(budget)
        under_way = [record for record in own if record.state is JobState.RUNNING and record.job.id in running]
        still = {record.job.id for record in under_way}
        costs = {record.job.id: _cost(record, prices, under_way=record.job.id in still) for record in own}
        each = {
            tuned: _each(own, costs, tuned, amounts(foreseen.get(tuned, {}), prices, tuned=tuned))
            for tuned in (True, False)
        }
        sums: dict[Limit, _Sum] = {limit: _Sum() for limit in Limit}
        for record in own:
            usual = each[record.job.mixture is not None]
            for limit, total in sums.items():
                total.close(costs[record.job.id].get(limit), usual.get(limit), record.state is JobState.COMPLETE)
        for record in under_way:
            tuned = record.job.mixture is not None
            so_far = amounts(running[record.job.id], prices, tuned=tuned, whole=False)
            for limit, total in sums.items():
                total.open(so_far.get(limit), each[tuned].get(limit))
        lines = {limit: total.line(limit, limits.get(limit), each[True].get(limit)) for limit, total in sums.items()}
        lines[Limit.HOURS] = _hours(lines[Limit.HOURS], hours, sums[Limit.HOURS].remaining)
        lines[Limit.USD] = _with_hours(lines[Limit.USD], lines[Limit.HOURS], prices.usd_per_hour)
        blind = [limit for limit in limits if limit is not Limit.HOURS and lines[limit].each is None]
        known = {limit for limit, total in sums.items() if total.known} | {*limits, Limit.HOURS}
        if prices.usd_per_hour is not None:
            known.add(Limit.USD)
        return cls(
            lines={limit: line for limit, line in lines.items() if limit in known},
            learning=bool(blind) and any(record.job.mixture is not None for record in under_way),
        )

    @property
    def full(self) -> Line | None:
        """The first limit that one more fine-tune would go beyond; None where it fits."""
        return next((line for line in self.lines.values() if not line.takes_another), None)

    @property
    def allows_another(self) -> bool:
        """Whether one more fine-tune may start now; while nobody knows what one costs, they start one by one."""
        return self.full is None and not self.learning

    def ended(self, wanted: int, parallel: int, file: Path) -> str:
        """Why nothing more may start, and what would be done with more, in words.

        Args:
            wanted: fine-tunes that would follow.
            parallel: how many run side by side.
            file: the study file, to raise limits in.
        """
        line = self.full or min(self.lines.values(), key=lambda one: math.inf if one.left is None else one.left)
        each = "" if line.each is None else f", and one more is expected to take {line.limit.told(line.each)}"
        raised = []
        for one in self.lines.values():
            then = one.with_more(wanted, parallel)
            if one is line or (one.allowed is not None and then is not None and then > one.allowed):
                to = "" if then is None or then <= (one.allowed or 0.0) else f" to about {one.limit.told(then)}"
                raised.append(f"budget.{one.limit}{to}")
        more = (
            f"{wanted} more {'is' if wanted == 1 else 'are'} wanted: to go on, raise {' and '.join(raised)} in {file}"
        )
        return f"budget.{line.limit} is spent: {line.words}{each}. {more}"

    def to_json(self) -> dict[str, Any]:
        """The account as plain data."""
        return {limit.value: line.to_json() for limit, line in self.lines.items()}


def unreported(record: Record, budget: BudgetSection) -> Limit | None:
    """The first limit of which a finished fine-tune did not report what it takes; None where all is known."""
    if record.state is not JobState.COMPLETE or record.job.mixture is None:
        return None
    known = _cost(record, budget.prices)
    return next((limit for limit in allowed(budget) if limit is not Limit.HOURS and limit not in known), None)


def _cost(record: Record, prices: PricesSection, *, under_way: bool = False) -> Amounts:
    """What all attempts at a job cost that have ended, as far as it is known.

    Args:
        record: the job.
        prices: of what is not billed.
        under_way: whether its latest attempt still is.
    """
    tuned = record.job.mixture is not None
    total: dict[Limit, float] = {}
    parts = [amounts(cost, prices, tuned=tuned, whole=False) for cost in record.spent.values()]
    staged = {} if under_way else spent_on_stages(record.stages)
    if record.measurement is not None or staged:
        measured = {} if record.measurement is None else record.measurement.cost
        # A platform's amounts may stand in both.
        cost = {name: max(staged.get(name, 0.0), measured.get(name, 0.0)) for name in {**staged, **measured}}
        whole = record.state is JobState.COMPLETE
        last = amounts(cost, prices, tuned=tuned, whole=whole)
        if whole:  # of one that is finished, all is known or nothing
            parts = [{limit: part[limit] for limit in part if limit in last} for part in parts]
        parts.append(last)
    for part in parts:
        for limit, amount in part.items():
            total[limit] = total.get(limit, 0.0) + amount
    return total


def _each(records: Sequence[Record], costs: Mapping[str, Amounts], tuned: bool, foreseen: Amounts) -> Amounts:
    """What a job costs: the mean of those that are finished and reported it, else what was foreseen."""
    done = [
        costs[record.job.id]
        for record in records
        if record.state is JobState.COMPLETE and (record.job.mixture is not None) == tuned
    ]
    found = {limit: [cost[limit] for cost in done if limit in cost] for limit in Limit}
    return {**foreseen, **{limit: math.fsum(some) / len(some) for limit, some in found.items() if some}}


@dataclass(slots=True)
class _Sum:
    """One limit, while a study's jobs are added up."""

    spent: float = 0.0
    pending: float = 0.0
    remaining: float = 0.0
    assumed: int = 0
    known: bool = False

    def close(self, cost: float | None, usual: float | None, complete: bool) -> None:
        """Adds what has ended of a job."""
        if cost is not None:
            self.spent += cost
            self.known = True
        elif complete:
            self.spent += usual or 0.0
            self.assumed += 1

    def open(self, so_far: float | None, usual: float | None) -> None:
        """Adds what is under way of a job."""
        self.pending += max(so_far or 0.0, usual or 0.0)
        self.remaining = max(self.remaining, (usual or 0.0) - (so_far or 0.0))

    def line(self, limit: Limit, most: float | None, each: float | None) -> Line:
        """The account of it."""
        return Line(limit=limit, allowed=most, spent=self.spent, pending=self.pending, each=each, assumed=self.assumed)


def _hours(line: Line, hours: float, remaining: float) -> Line:
    """The driver's hours in place of those of the jobs, which run side by side."""
    return dataclasses.replace(line, spent=hours, pending=remaining, shared=line.each or 0.0, assumed=0)


def _with_hours(line: Line, hours: Line, price: float | None) -> Line:
    """Money, with what the driver's hours cost."""
    if price is None:
        return line
    longer = price * max(0.0, (hours.each or 0.0) - hours.pending)
    return dataclasses.replace(
        line,
        spent=line.spent + price * hours.spent,
        pending=line.pending + price * hours.pending,
        each=None if line.each is None else line.each + longer,
        shared=longer,
    )
