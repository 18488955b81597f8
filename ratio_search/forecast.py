"""What a study would cost, as expected and in the worst case, before anything is spent; and how that is known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from objectives.data import Weigh
from ratio_search.account import Account
from ratio_search.budget import Amounts, Foreseen, Limit, allowed, amounts, priced
from ratio_search.errors import BudgetError
from ratio_search.identity import listed
from ratio_search.record import MAX_LOSSES
from ratio_search.searched import longest, usual
from ratio_search.space import SimplexSpace
from ratio_search.spec import StudySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class RowTokens:
    """Tokens of a training row, as the objective reads them.

    Attributes:
        usual: on average, in a run at uniform shares.
        most: on average, in a run on the domain with the longest rows.
        longest: that domain.
    """

    usual: float
    most: float
    longest: str

    @classmethod
    def of(cls, spec: StudySpec, space: SimplexSpace, means: Mapping[str, float]) -> Self | None:
        """What the rows of a study's domains come to; None where those of a domain are not known.

        Args:
            spec: of the study.
            space: the mixtures that it may try.
            means: tokens of a training row of each domain, on average.
        """
        names = [name for name, upper in zip(space.names, space.upper, strict=True) if upper > 0]
        if not set(names) <= set(means):
            return None
        found = [means[name] for name in names]
        # A share of tokens holds the fewer rows, the longer they are.
        of_tokens = spec.data.weigh_by is Weigh.TOKENS
        mean = len(found) / sum(1 / tokens for tokens in found) if of_tokens else sum(found) / len(found)
        longest = max(names, key=lambda name: means[name])
        return cls(usual=mean, most=means[longest], longest=longest)


def foreseen(spec: StudySpec, rows: RowTokens | None) -> Foreseen:
    """What an attempt at a study's jobs costs, by its settings and its rows.

    Args:
        spec: of the study.
        rows: of its training files; None where their tokens were not counted.
    """
    usually = spec.backend.with_hyperparameters(usual(spec.hyperparameters, spec.backend))
    longest_ = longest(spec.backend, spec.hyperparameters)
    return Foreseen(
        expected={
            tuned: usually.expected_cost(tuned=tuned, row_tokens=None if rows is None else rows.usual)
            for tuned in (True, False)
        },
        most={
            tuned: longest_.most_cost(tuned=tuned, row_tokens=None if rows is None else rows.most)
            for tuned in (True, False)
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What a study takes of one limit, all in all.

    Attributes:
        limit: which.
        expected: by what is known; None where it is not.
        most: in the worst case; None where nothing limits it.
        unknown: why one of them is not known; None where both are.
    """

    limit: Limit
    expected: float | None
    most: float | None
    unknown: str | None

    @property
    def worst(self) -> float | None:
        """The most, or where nothing limits it, what is expected."""
        return self.expected if self.most is None else self.most

    @property
    def words(self) -> str:
        """The figure in words."""
        if self.expected == self.most == 0:
            return "none"
        expected = None if self.expected is None else self.limit.told(self.expected)
        most = None if self.most is None else self.limit.told(self.most)
        if expected and most:
            return f"about {expected}, at most {most}"
        if expected:
            return f"about {expected}, with no upper limit, because {self.unknown}"
        if most:
            return f"at most {most}; how much to expect is unknown, because {self.unknown}"
        return f"unknown, because {self.unknown}"

    def to_json(self) -> dict[str, Any]:
        """The figure as plain data."""
        return {"expected": self.expected, "most": self.most, "unknown": self.unknown}


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a study would cost.

    Attributes:
        figures: of each limit; of money only where it has a limit or a price.
        allowed: the limits that are stated.
        how: how that was reckoned, in words.
    """

    figures: Mapping[Limit, Figure]
    allowed: Amounts
    how: str

    @classmethod
    def of(cls, spec: StudySpec, known: Foreseen, rows: RowTokens | None) -> Self:
        """The forecast of a study that has not begun.

        Args:
            spec: of the study.
            known: what an attempt costs.
            rows: of its training files; None where their tokens were not counted.
        """
        jobs = {True: spec.search.trials, False: int(spec.baseline)}
        return cls(figures=_figures(spec, known, jobs), allowed=allowed(spec.budget), how=_how(spec, rows))

    @classmethod
    def of_more(cls, spec: StudySpec, known: Foreseen, account: Account, wanted: int) -> Self:
        """The forecast of a study that goes on.

        Args:
            spec: of the study.
            known: what an attempt was expected to cost before any was run.
            account: what it has spent; what a fine-tune costs is known better by now.
            wanted: fine-tunes that are to follow.
        """
        more = _figures(spec, known, {True: wanted, False: 0})
        figures = {}
        for limit, figure in more.items():
            line = account.lines.get(limit)
            if line is None:
                continue
            expected, most = line.with_more(wanted, spec.parallel), None
            if figure.most is not None:
                most = max(line.spent + line.pending + figure.most, expected or 0.0)
            unknown = figure.unknown if expected is None else "nothing limits what a fine-tune takes"
            if expected is not None and most is not None:
                unknown = None
            figures[limit] = Figure(limit=limit, expected=expected, most=most, unknown=unknown)
        return cls(figures=figures, allowed=allowed(spec.budget), how=f"{wanted} more fine-tunes, {_AT_MOST}")

    @property
    def beyond(self) -> list[str]:
        """The limits that the worst case goes beyond, or what is expected where nothing limits that, in words."""
        found = []
        for limit, most in self.allowed.items():
            figure = self.figures.get(limit)
            if figure is not None and figure.worst is not None and figure.worst > most:
                found.append(f"budget.{limit}: {limit.told(most)}; the study would take {figure.words}")
        return found

    @property
    def lines(self) -> list[str]:
        """The forecast, line by line."""
        figures = [
            f"{limit.noun}: {figure.words}"
            + (f" (budget.{limit}: {limit.told(self.allowed[limit])})" if limit in self.allowed else "")
            for limit, figure in self.figures.items()
        ]
        return [*figures, f"reckoned with {self.how}"]

    def to_json(self) -> dict[str, Any]:
        """The forecast as plain data."""
        figures = {
            limit.value: {**figure.to_json(), "limit": self.allowed.get(limit)}
            for limit, figure in self.figures.items()
        }
        return {**figures, "how": self.how, "beyond": self.beyond}


def check_agreed(forecast: Forecast, yes: bool) -> None:
    """Checks that a forecast stays within the budget, or that somebody agreed to more.

    Raises:
        BudgetError: neither; the message says which limits, and what to do.
    """
    if forecast.beyond and not yes:
        raise BudgetError(
            f"the worst case goes beyond the budget ({forecast.how}):\n{listed(forecast.beyond)}\n"
            "nothing was started; the study would stop at the budget, with fewer trials: --yes starts it all the same, "
            "or raise the budget, or ask for fewer trials"
        )


def counts_tokens(spec: StudySpec) -> bool:
    """Whether a study's forecast needs to know how many tokens its rows have."""
    budget = spec.budget
    return budget.tokens is not None or budget.prices.usd_per_million_tokens is not None


_AT_MOST = f"at most {MAX_LOSSES} attempts at each; trials that fail are asked for anew, which comes on top"


def _figures(spec: StudySpec, known: Foreseen, jobs: Mapping[bool, int]) -> dict[Limit, Figure]:
    """What so many jobs take, of those that train (True) and of those that do not (False)."""
    prices = spec.budget.prices
    expected = _totals(known.expected, jobs, spec)
    most = _totals(known.most, jobs, spec, attempts=MAX_LOSSES)
    found = {}
    for limit in Limit:
        if limit is Limit.USD and limit not in allowed(spec.budget) and not priced(prices):
            continue
        here, at_most = expected.get(limit), most.get(limit)
        unknown = None
        if here is None or at_most is None:
            missing = [of.noun for of in priced(prices) if of not in (expected if here is None else most)]
            unknown = _unknown(limit, spec, here) if limit is not Limit.USD or not missing else _lacks(missing)
        found[limit] = Figure(limit=limit, expected=here, most=at_most, unknown=unknown)
    return found


def _totals(
    cost: Mapping[bool, Mapping[str, float]], jobs: Mapping[bool, int], spec: StudySpec, *, attempts: int = 1
) -> Amounts:
    """What jobs take together; what is not known of some of them is left out.

    Args:
        cost: of an attempt, by whether it trains.
        jobs: how many there are, likewise.
        spec: of the study.
        attempts: at each.
    """
    prices = spec.budget.prices
    each = {tuned: amounts(cost[tuned], prices, tuned=tuned) for tuned, count in jobs.items() if count}
    total = {
        limit: attempts * math.fsum(jobs[tuned] * of[limit] for tuned, of in each.items())
        for limit in Limit
        if all(limit in of for of in each.values())
    }
    if Limit.HOURS in total:  # jobs run side by side, and as many of them at a time end with the longest
        rounds = -(-sum(jobs.values()) // spec.parallel)
        total[Limit.HOURS] = attempts * rounds * max((of[Limit.HOURS] for of in each.values()), default=0.0)
    if prices.usd_per_hour is not None and Limit.USD in total:
        if Limit.HOURS in total:
            total[Limit.USD] += prices.usd_per_hour * total[Limit.HOURS]
        else:
            del total[Limit.USD]
    return total


def _unknown(limit: Limit, spec: StudySpec, expected: float | None) -> str:
    """Why a figure is not known."""
    backend = spec.backend
    if limit is Limit.TOKENS:
        if expected is not None:
            return "how often it trains on a row is the trainer's own affair"
        if any(domain.categories for domain in spec.mixed):
            return "how long the platform's own rows are shows when the first fine-tune has ended"
        return "the tokens of training rows were not counted, or are not here"
    if limit is Limit.USD:
        return "what a fine-tune costs shows when the first has ended"
    hint = ""
    if "time_limit_s" in type(backend).model_fields and getattr(backend, "time_limit_s", None) is None:
        hint = "; objective.time_limit_s would limit it"
    return f"how long a fine-tune takes shows when the first has ended{hint}"


def _lacks(nouns: Sequence[str]) -> str:
    return f"{' and '.join(nouns)} have a price, and are not known"


def _how(spec: StudySpec, rows: RowTokens | None) -> str:
    """How a forecast was reckoned, in words."""
    of = "" if spec.train_rows is None else f" of {spec.train_rows:,} rows"
    words = f"{spec.search.trials} fine-tunes{of}{' and the untuned baseline' * spec.baseline}"
    words += f", {spec.parallel} at a time"
    if rows is not None and spec.train_rows is not None:
        words += f"; {rows.usual:.3g} tokens a row at uniform shares, {rows.most:.3g} in {rows.longest}, the longest"
    return f"{words}; {_AT_MOST}"
