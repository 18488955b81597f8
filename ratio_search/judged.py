"""Reads `metrics` of a study file: what follows from a metric's name, and what must be stated."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from objectives.backends import Backend
from objectives.domain import Domain
from objectives.errors import OptionsError, ScoreError
from objectives.metrics import BENCHMARK, KINDS, Comparison, MetricKind, OwnMetric
from objectives.scorer import EXPECTED, Balance, BalanceKind, Metric
from ratio_search.errors import SpecError
from ratio_search.reference import reference
from ratio_search.study_file import MetricSection


def measured_metric(position: int, section: MetricSection, domains: Sequence[Domain], root: Path) -> Metric:
    """A metric that the objective measures on a domain's test files.

    Args:
        position: its place in the list.
        section: what is stated.
        domains: the study's.
        root: folder that a reference's path refers to.

    Raises:
        SpecError: it is no such metric.
    """
    at = f"metrics[{position}]"
    domain_name, slash, short = section.name.partition("/")
    if not slash or not short:
        raise SpecError(f"{at}.name: expected '<domain>/<metric>', found {section.name!r}")
    domain = next((d for d in domains if d.name == domain_name), None)
    if domain is None:
        raise SpecError(f"{at}.name: {unknown(domain_name, [d.name for d in domains])}")
    if not domain.test and short not in domain.benchmarks:
        named = f", or name {short!r} among domains.{domain_name}.benchmarks" if domain.benchmarks else ""
        raise SpecError(
            f"{at}.name: {section.name!r} needs test files to be measured on; add domains.{domain_name}.test{named}"
        )
    kind = BENCHMARK if short in domain.benchmarks else KINDS.get(short)
    return _judged(at, section, f"{domain_name}/", root, kind, watched=not domain.mixed)


def told_metric(position: int, section: MetricSection, domains: Sequence[Domain], root: Path) -> Metric:
    """A metric that the caller tells: it may have any name, and belong to no domain; see `measured_metric`."""
    at = f"metrics[{position}]"
    if not section.name.strip() or not section.name.isprintable():
        raise SpecError(f"{at}.name: expected a name, found {section.name!r}")
    prefix, slash, _ = section.name.rpartition("/")
    domain = next((d for d in domains if slash and section.name.startswith(f"{d.name}/")), None)
    kind, watched = KINDS.get(section.name.removeprefix(f"{prefix}{slash}")), domain is not None and not domain.mixed
    return _judged(at, section, f"{prefix}{slash}", root, kind, watched=watched)


def _judged(
    at: str, section: MetricSection, prefix: str, root: Path, kind: MetricKind | None, *, watched: bool
) -> Metric:
    """A metric with what follows from its name.

    Args:
        at: its dotted path.
        section: what is stated.
        prefix: what stands before the part of its name that may be known.
        root: folder that a reference's path refers to.
        kind: what that part implies; None where it is not known.
        watched: whether it judges a domain without a share.
    """
    short = section.name.removeprefix(prefix)
    if kind is not None and section.function is not None:
        raise SpecError(
            f"{at}.function: {short!r} is measured without a function; remove it, or give this metric another name"
        )
    if kind is None and (section.goal is None or section.scale is None):
        near = difflib.get_close_matches(short, KINDS, n=1)
        hint = f"did you mean '{prefix}{near[0]}'? " if near else ""
        raise SpecError(
            f"{at}.name: {short!r} is not a known metric; {hint}known are {', '.join(KINDS)}; "
            "a metric of your own must state its goal and scale"
        )
    _check_stated(at, section, prefix.partition("/")[0] if watched else None)
    own_scale = section.scale is not None
    goal = section.goal or (kind.goal if kind is not None else None)
    assert goal is not None
    metric = Metric(
        name=section.name,
        goal=goal,
        comparison=Comparison.DIFFERENCE if kind is None or own_scale else kind.comparison,
        scale=section.scale if section.scale is not None else 1.0,
        weight=0.0 if watched else 1.0 if section.weight is None else section.weight,
        reference=_reference(at, section, root),
        guard=section.guard,
        confidence=EXPECTED if section.confidence is None else section.confidence,
        target=section.target,
        upper=None if kind is None or own_scale else kind.upper,
        function=section.function,
    )
    for key, value in (("reference", metric.reference), ("target", metric.target)):
        try:
            if value is not None:
                metric.check(value)
        except ScoreError as error:
            raise SpecError(f"{at}.{key}: {error}") from error
    return metric


def _check_stated(at: str, section: MetricSection, watched: str | None) -> None:
    """Checks that what is stated of a metric goes together.

    Args:
        at: its dotted path.
        section: what is stated.
        watched: the domain, if it has no share; None for any other.
    """
    if watched is not None:
        for key, stated in (("weight", section.weight or None), ("target", section.target)):
            if stated is not None:
                raise SpecError(
                    f"{at}.{key}: {watched!r} has no train files, so it can only be guarded; remove the {key}"
                )
    if section.target is not None and section.weight == 0:
        raise SpecError(f"{at}.target: found a target and weight 0, which is for guards alone; remove one of both")
    if section.confidence is not None and section.guard is None:
        raise SpecError(f"{at}.confidence: is that of a guard, and there is none; add a guard, or remove it")


def _reference(at: str, section: MetricSection, root: Path) -> float | None:
    try:
        return reference(section.reference, section.name, root)
    except SpecError as error:
        raise SpecError(f"{at}.reference: {error}") from error


def check_balance(balance: Balance, metrics: Sequence[Metric]) -> None:
    """Checks that the balance and the metrics' targets go together.

    Raises:
        SpecError: they do not.
    """
    aiming = balance.kind is BalanceKind.TARGET
    aimed = [i for i, metric in enumerate(metrics) if metric.target is not None]
    if aiming and not aimed:
        raise SpecError("balance.kind: found target, but no metric has one; state a target for one metric or more")
    if aimed and not aiming:
        raise SpecError(
            f"metrics[{aimed[0]}].target: only balance: {{kind: target}} aims at it, found kind {balance.kind}; change "
            "one of both"
        )
    if aiming and balance.mean:
        raise SpecError(
            "balance.mean: is not for kind target, which has the mean of the other metrics in it; remove it"
        )


def check_function(position: int, function: str, backend: Backend, root: Path) -> None:
    """Checks that a metric can be measured by a function of the user's own; imports it.

    Args:
        position: the metric's place in the list.
        function: its import path.
        backend: the objective's settings.
        root: the study's folder, where the function may lie.

    Raises:
        SpecError: it cannot.
    """
    at = f"metrics[{position}].function"
    if not backend.ANSWERS:
        raise SpecError(
            f"{at}: objective {backend.kind!r} reports all of its metrics itself, and has no answers for a function to "
            "judge; remove it"
        )
    try:
        OwnMetric.load(function, root)
    except OptionsError as error:
        raise SpecError(f"{at}: {error}") from error


def unknown(name: str, known: Sequence[str], what: str = "domain") -> str:
    """Says that a name is not known, and which is meant, or which there are.

    Args:
        name: what was found.
        known: what there is.
        what: what these are.
    """
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    return f"{name!r} is no {what}; {hint}"
