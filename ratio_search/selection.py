"""Which mixture of a study is asked for, as a value and as `--select` writes it."""

from __future__ import annotations

import abc
import dataclasses
import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from objectives.scorer import Balance, BalanceKind, Metric, Scorer
from ratio_search.errors import SelectionError

FORMS = ("balanced", "best:<metric>", "front:<k>", "weights:<name>=<weight>,...", "trial:<n>")
"""What can be asked for."""


class Selection(abc.ABC):
    """Which mixture of a study is asked for. Its text is one of `FORMS`."""

    __slots__ = ()

    @abc.abstractmethod
    def __str__(self) -> str: ...

    @property
    def aim(self) -> str | None:
        """What it is to be best in, in words; None where it is not chosen for being the best."""
        return None

    def judge(self, scorer: Scorer) -> Scorer:
        """The scorer that the mixture is to be best by.

        Args:
            scorer: the study's own.

        Raises:
            SelectionError: the study has nothing of that name.
        """
        return scorer

    @staticmethod
    def parse(text: str) -> Selection:
        """Reads one of `FORMS`.

        Raises:
            SelectionError: it is none.
        """
        kind, colon, rest = (part.strip() for part in text.partition(":"))
        if kind not in _PARSERS:
            near = difflib.get_close_matches(kind, _PARSERS, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise SelectionError(f"{text!r} is no selection; {hint}expected {', '.join(FORMS[:-1])} or {FORMS[-1]}")
        if bool(colon) != (kind != "balanced") or bool(colon) != bool(rest):
            raise SelectionError(f"{text!r} is no selection; expected {_form(kind)}")
        return _PARSERS[kind](rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Balanced(Selection):
    """The best one by the study's own balance."""

    @property
    def aim(self) -> str:
        """See `Selection`."""
        return "score"

    def __str__(self) -> str:
        return "balanced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Best(Selection):
    """The best one for a single metric, within the guards.

    Attributes:
        metric: its name.
    """

    metric: str

    @property
    def aim(self) -> str:
        """See `Selection`."""
        return f"gain of {self.metric}"

    def judge(self, scorer: Scorer) -> Scorer:
        """See `Selection`."""
        if self.metric not in [metric.name for metric in scorer.metrics]:
            raise SelectionError(f"{self}: {_unknown_metric(self.metric, scorer.metrics)}")
        return _weighted(scorer, {self.metric: 1.0})

    def __str__(self) -> str:
        return f"best:{self.metric}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread(Selection):
    """Some mixtures of the front that differ as much as possible.

    Attributes:
        count: how many, >= 1.
    """

    count: int

    def __str__(self) -> str:
        return f"front:{self.count}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted(Selection):
    """The best one by the weighted mean of the gains.

    Attributes:
        weights: by the name of a metric, or of a domain: its weight is shared out equally among its metrics that have
            a weight in the study file, or all of them where none has. Those of other metrics are 0. At least one is
            above 0.
    """

    weights: Mapping[str, float]

    @property
    def aim(self) -> str:
        """See `Selection`."""
        return f"weighted mean of the gains ({', '.join(_pairs(self.weights))})"

    def judge(self, scorer: Scorer) -> Scorer:
        """See `Selection`."""
        names = {metric.name for metric in scorer.metrics}
        found: dict[str, float] = {}
        for name, weight in self.weights.items():
            if name in names:
                continue
            inside = [metric for metric in scorer.metrics if metric.domain == name]
            if not inside:
                raise SelectionError(f"{self}: {_unknown_name(name, scorer.metrics)}")
            counted = [metric for metric in inside if metric.weight > 0] or inside
            found |= {metric.name: weight / len(counted) for metric in counted}
        found |= {name: weight for name, weight in self.weights.items() if name in names}
        if not any(found.values()):  # each domain's weight went to metrics that are named with 0
            raise SelectionError(f"{self}: leaves every metric with a weight of 0; raise one")
        return _weighted(scorer, found)

    def __str__(self) -> str:
        return f"weights:{','.join(_pairs(self.weights))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Single(Selection):
    """The mixture of a trial.

    Attributes:
        number: the trial's, from 0.
    """

    number: int

    def __str__(self) -> str:
        return f"trial:{self.number}"


def _weighted(scorer: Scorer, weights: Mapping[str, float]) -> Scorer:
    """The same guards, and the mean of the gains by these weights; 0 where none is stated."""
    metrics = [dataclasses.replace(metric, weight=weights.get(metric.name, 0.0)) for metric in scorer.metrics]
    return dataclasses.replace(scorer, metrics=metrics, balance=Balance(kind=BalanceKind.WEIGHTED))


def _unknown_metric(name: str, metrics: Sequence[Metric]) -> str:
    inside = [metric.name for metric in metrics if metric.domain == name]
    if inside:
        return f"{name!r} is a domain; choose one of its metrics: {', '.join(inside)}"
    return _unknown(name, [metric.name for metric in metrics], "metric of the study")


def _unknown_name(name: str, metrics: Sequence[Metric]) -> str:
    domains = dict.fromkeys(metric.domain for metric in metrics)
    known = list(dict.fromkeys([*domains, *(metric.name for metric in metrics)]))
    return _unknown(name, known, "metric of the study, and no domain that it judges")


def _unknown(name: str, known: Sequence[str], what: str) -> str:
    near = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known are {', '.join(known)}"
    return f"{name!r} is no {what}; {hint}"


def _pairs(weights: Mapping[str, float]) -> list[str]:
    return [f"{name}={short if float(short := f'{w:g}') == w else repr(w)}" for name, w in weights.items()]


def _form(kind: str) -> str:
    return next(form for form in FORMS if form.partition(":")[0] == kind)


def _balanced(_: str) -> Selection:
    return Balanced()


def _best(rest: str) -> Selection:
    return Best(metric=rest)


def _spread(rest: str) -> Selection:
    if not re.fullmatch("[0-9]{1,6}", rest) or int(rest) < 1:
        raise SelectionError(f"front:{rest}: expected how many mixtures of the front, such as front:3")
    return Spread(count=int(rest))


def _weights(rest: str) -> Selection:
    found: dict[str, float] = {}
    for part in rest.split(","):
        name, _, number = (piece.strip() for piece in part.rpartition("="))
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not name or not (math.isfinite(weight) and weight >= 0):
            raise SelectionError(
                f"weights:{rest}: expected <metric or domain>=<weight of at least 0>, with commas between them, "
                f"found {part!r}"
            )
        if name in found:
            raise SelectionError(f"weights:{rest}: {name!r} stands twice; remove one")
        found[name] = weight
    if not any(found.values()):
        raise SelectionError(f"weights:{rest}: expected at least one weight above 0")
    return Weighted(weights=found)


def _single(rest: str) -> Selection:
    # By its number, or as the trials are called in every list.
    matched = re.fullmatch("(?:trial-)?([0-9]{1,9})", rest)
    if matched is None:
        raise SelectionError(f"trial:{rest}: expected the number of a trial, such as trial:7")
    return Single(number=int(matched[1]))


_PARSERS = {"balanced": _balanced, "best": _best, "front": _spread, "weights": _weights, "trial": _single}
