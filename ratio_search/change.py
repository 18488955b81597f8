"""What is to be judged otherwise than a study file states."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from objectives.errors import ScoreError
from objectives.scorer import EXPECTED, Balance, BalanceKind, Metric
from objectives.table import number
from ratio_search.errors import SpecError
from ratio_search.judged import check_balance, unknown
from ratio_search.spec import StudySpec

NONE = "none"
"""What takes a guard or a target away."""

Assigned = Mapping[str, float | None]
"""Metrics with what each is to have; None for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be judged otherwise than a study file states.

    Attributes:
        kind: of the balance; None for the study's own, or `target` where a target is among the changes.
        mean: of the balance `worst`; None for the study's own.
        weights: by the metrics' names, >= 0.
        targets: likewise, in the metrics' own units; those of the study are kept only if the balance is `target`.
        guards: likewise, >= 0.
    """

    kind: BalanceKind | None = None
    mean: float | None = None
    weights: Assigned = field(default_factory=dict)
    targets: Assigned = field(default_factory=dict)
    guards: Assigned = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything is to be otherwise."""
        stated = (self.kind, self.mean, *(value or None for value in (self.weights, self.targets, self.guards)))
        return any(value is not None for value in stated)

    def applied(self, spec: StudySpec) -> StudySpec:
        """The study as it would be with the change.

        Raises:
            SpecError: a name is no metric of the study's, a number none that it can have, or the change is none that a
                study file could state.
        """
        names = [metric.name for metric in spec.metrics]
        for key, assigned in (("weights", self.weights), ("target", self.targets), ("guard", self.guards)):
            for name in assigned:
                if name not in names:
                    raise SpecError(f"{key}: {unknown(name, names, f'metric of study {spec.name!r}')}")
        balance = self._balance(spec.balance)
        metrics = tuple(self._metric(metric, balance, spec) for metric in spec.metrics)
        if not any(metric.weight > 0 for metric in metrics):
            raise SpecError("weights: none is left above 0; leave at least one metric a weight")
        check_balance(balance, metrics)
        return dataclasses.replace(spec, balance=balance, metrics=metrics)

    def _balance(self, now: Balance) -> Balance:
        aiming = any(target is not None for target in self.targets.values())
        kind = self.kind or (BalanceKind.TARGET if aiming else now.kind)
        if aiming and kind is not BalanceKind.TARGET:
            raise SpecError(f"target: only the balance target aims at it, found {kind}; leave out one of both")
        adds = kind in (BalanceKind.WORST, BalanceKind.PARETO)
        if self.mean is not None and not (math.isfinite(self.mean) and self.mean >= 0):
            raise SpecError(f"mean: expected a number of at least 0, found {self.mean:g}")
        if self.mean is not None and not adds:
            raise SpecError(f"mean: is added to the balance worst, found {kind}; leave out one of both")
        return Balance(kind=kind, mean=(now.mean if self.mean is None else self.mean) if adds else 0.0)

    def _metric(self, metric: Metric, balance: Balance, spec: StudySpec) -> Metric:
        name = metric.name
        weight, guard = self.weights.get(name, metric.weight), self.guards.get(name, metric.guard)
        target = self.targets.get(name, metric.target) if balance.kind is BalanceKind.TARGET else None
        if weight is None or weight < 0:
            raise SpecError(f"weights: expected a number of at least 0 for {name}, found {_shown(weight)}")
        if guard is not None and guard < 0:
            raise SpecError(f"guard: expected a number of at least 0 or {NONE} for {name}, found {guard:g}")
        if weight and metric.domain in {domain.name for domain in spec.domains if not domain.mixed}:
            raise SpecError(f"weights: {metric.domain!r} has no train files, so {name} can only be guarded")
        if target is not None and not weight:
            raise SpecError(f"target: {name} has weight 0, which is for guards alone; give it a weight")
        try:
            if target is not None:
                metric.check(target)
        except ScoreError as error:
            raise SpecError(f"target: {error}") from error
        confidence = EXPECTED if guard is None else metric.confidence
        return dataclasses.replace(metric, weight=weight, guard=guard, confidence=confidence, target=target)


def assigned(key: str, texts: Sequence[str]) -> dict[str, float | None]:
    """Numbers that are given to metrics in texts such as `support/f1=0.85,legal/f1=0.8`; `none` takes one away.

    Args:
        key: what is given, for errors.
        texts: in any number of parts.

    Raises:
        SpecError: a part is none, or one metric is there twice.
    """
    found: dict[str, float | None] = {}
    for text in texts:
        name = ""
        for part in text.split(","):
            name += part  # up to its "=": a metric of one's own may have a comma in its name
            if "=" not in part:
                name += ","
                continue
            metric, _, value = (piece.strip() for piece in name.rpartition("="))
            if not metric or (value != NONE and number(value) is None):
                break
            if metric in found:
                raise SpecError(f"{key}: {metric!r} is there twice; leave one out")
            found[metric], name = number(value), ""
        if name:
            raise SpecError(f"{key}: expected <domain>/<metric>=<number>, with commas between several, found {text!r}")
    return found


def _shown(value: float | None) -> str:
    return NONE if value is None else f"{value:g}"
