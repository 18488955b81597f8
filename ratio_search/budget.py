"""What a study may spend, and what the costs of its jobs amount to."""

from __future__ import annotations

import enum
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from objectives.attempt import Attempt
from objectives.backends import Backend
from ratio_search.errors import SpecError
from ratio_search.study_file import BudgetSection, PricesSection


class Limit(enum.StrEnum):
    """What can be limited, by its key in the study file."""

    USD = "usd"
    HOURS = "hours"
    GPU_HOURS = "gpu_hours"
    TOKENS = "tokens"

    @property
    def noun(self) -> str:
        """What it is called in a text."""
        return {Limit.USD: "money", Limit.GPU_HOURS: "GPU hours"}.get(self, self.value)

    @property
    def needs(self) -> str:
        """What a job has to report of it."""
        return {Limit.USD: "cost.usd, or all that has a price", Limit.GPU_HOURS: "cost.gpu_seconds"}.get(
            self, f"cost.{self.value}"
        )

    @property
    def remedy(self) -> str:
        """What to do where jobs do not."""
        prices = "State prices of what it does report in budget.prices, or let" if self is Limit.USD else "Let"
        return f"{prices} the trainer report it (docs/command-objective.md)"

    def told(self, amount: float) -> str:
        """An amount of it, in words."""
        if self is Limit.USD:
            return f"${amount:,.2f}" if amount >= 0.995 or not amount else f"${amount:.2g}"
        if self is Limit.TOKENS:
            return f"{amount:,.0f} tokens"
        number = f"{amount:,.0f}" if amount >= 1000 else f"{amount:.3g}"
        return f"{number} {self.noun.removesuffix('s') if number == '1' else self.noun}"


Amounts = Mapping[Limit, float]
"""How much of each limit; what is not known is left out. Hours are those of wall-clock time."""


def amounts(cost: Mapping[str, float], prices: PricesSection, *, tuned: bool = True, whole: bool = True) -> Amounts:
    """What the named costs of a job amount to.

    Args:
        cost: as a `Measurement` names them.
        prices: of what is not billed.
        tuned: whether the job trains; the untuned model's evaluation takes no tokens.
        whole: whether money is only known where all is that has a price; else what is not known costs nothing.
    """
    known = {name: amount for name, amount in cost.items() if amount >= 0}
    found = {
        limit: known[name] / unit
        for limit, name, unit in (
            (Limit.HOURS, "wall_seconds", 3600),
            (Limit.GPU_HOURS, "gpu_seconds", 3600),
            (Limit.TOKENS, "tokens", 1),
        )
        if name in known
    }
    if not tuned:
        found.setdefault(Limit.TOKENS, 0.0)
    if "usd" in known:
        return {**found, Limit.USD: known["usd"]}
    stated = priced(prices)
    own = stated.keys() - {Limit.HOURS}  # those with a price are the driver's
    if stated and (not whole or own <= found.keys()):
        found[Limit.USD] = math.fsum(stated[limit] * found.get(limit, 0.0) for limit in own)
    return found


def priced(prices: PricesSection) -> dict[Limit, float]:
    """What has a price, with that of one of it."""
    stated = {
        Limit.HOURS: prices.usd_per_hour,
        Limit.GPU_HOURS: prices.usd_per_gpu_hour,
        Limit.TOKENS: None if prices.usd_per_million_tokens is None else prices.usd_per_million_tokens / 1e6,
    }
    return {limit: price for limit, price in stated.items() if price is not None}


def allowed(budget: BudgetSection) -> Amounts:
    """The limits that are stated."""
    stated = {limit: getattr(budget, limit.value) for limit in Limit}
    return {limit: amount for limit, amount in stated.items() if amount is not None}


def check_knowable(budget: BudgetSection, backend: Backend) -> None:
    """Checks that what is limited can be known of an objective's jobs, as far as settings tell.

    Raises:
        SpecError: it never can; the message says what to state instead.
    """
    limits, prices = allowed(budget), budget.prices
    if limits and backend.EXTERNAL:
        raise SpecError(
            f"budget.{next(iter(limits))}: trials of objective {backend.kind!r} are run by their caller, whom nothing "
            "here can stop; remove it, and state search.trials"
        )
    if backend.COSTS is None:
        return
    if Limit.TOKENS in limits and "tokens" not in backend.COSTS:
        raise SpecError(f"budget.tokens: objective {backend.kind!r} does not report tokens; remove it")
    if Limit.GPU_HOURS in limits and not backend.resources.gpus:
        raise SpecError(
            "budget.gpu_hours: would never be reached, as objective.resources.gpus is 0; expected a job that holds "
            "GPUs, or another limit, such as budget.hours"
        )
    if Limit.USD in limits and "usd" not in backend.COSTS and not priced(prices):
        raise SpecError(
            f"budget.usd: objective {backend.kind!r} does not report what its jobs cost; add budget.prices, with one "
            f"or more of {', '.join(PricesSection.model_fields)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """What an attempt at a job costs, by what is known before any was run; named amounts, unknown ones left out.

    Attributes:
        expected: of one that trains (True), and of one that evaluates the untuned model (False).
        most: at most, likewise.
    """

    expected: Mapping[bool, Mapping[str, float]]
    most: Mapping[bool, Mapping[str, float]]

    def to_json(self) -> dict[str, Any]:
        """It as plain data."""
        return {
            name: {"tuned": dict(of[True]), "untuned": dict(of[False])}
            for name, of in (("expected", self.expected), ("most", self.most))
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> Self:
        """What `to_json` wrote; None where nothing was foreseen."""
        nothing: Mapping[str, Any] = {"tuned": {}, "untuned": {}}
        expected, most = ((data or {}).get(name, nothing) for name in ("expected", "most"))
        return cls(
            expected={True: expected["tuned"], False: expected["untuned"]},
            most={True: most["tuned"], False: most["untuned"]},
        )


def cost_so_far(attempt: Attempt, backend: Backend, seconds: float | None = None) -> dict[str, float]:
    """What is known of the cost of an attempt that has left no measurement, as named amounts.

    Args:
        attempt: under way, or over.
        backend: the study's.
        seconds: since a runner has it; None where only its files know.
    """
    cost = attempt.spent()
    if seconds is not None:
        # It may have waited for a place. A clock that was put back knows nothing of that.
        since = math.inf if attempt.begun is None else time.time() - attempt.begun
        ran = since if 0 <= since < seconds else seconds
        cost["wall_seconds"] = max(ran, cost.get("wall_seconds", 0.0))
    if "wall_seconds" in cost and backend.resources.gpus and not backend.REMOTE:
        cost.setdefault("gpu_seconds", backend.resources.gpus * cost["wall_seconds"])
    return cost
