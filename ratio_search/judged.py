"""Reads `metrics` of a study file: what follows from a metric's name, and what must be stated."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from objectives.domain import Domain
from objectives.errors import ScoreError
from objectives.metrics import KINDS, Comparison
from objectives.scorer import Metric
from ratio_search.errors import SpecError
from ratio_search.study_file import MetricSection


def measured_metric(position: int, section: MetricSection, domains: Sequence[Domain]) -> Metric:
    """A metric that the objective measures on a domain's test files.

    Args:
        position: its place in the list.
        section: what is stated.
        domains: the study's.

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
    if not domain.test:
        raise SpecError(
            f"{at}.name: {section.name!r} needs test files to be measured on; add domains.{domain_name}.test"
        )
    return _judged(at, section, short, f"{domain_name}/", watched=not domain.mixed)


def told_metric(position: int, section: MetricSection, domains: Sequence[Domain]) -> Metric:
    """A metric that the caller tells: it may have any name, and belong to no domain; see `measured_metric`."""
    at = f"metrics[{position}]"
    if not section.name.strip() or not section.name.isprintable():
        raise SpecError(f"{at}.name: expected a name, found {section.name!r}")
    prefix, slash, short = section.name.rpartition("/")
    domain = next((d for d in domains if slash and section.name.startswith(f"{d.name}/")), None)
    return _judged(at, section, short, f"{prefix}{slash}", watched=domain is not None and not domain.mixed)


def _judged(at: str, section: MetricSection, short: str, prefix: str, *, watched: bool) -> Metric:
    """A metric with what follows from its name.

    Args:
        at: its dotted path.
        section: what is stated.
        short: the part of its name that may be known.
        prefix: what stands before it.
        watched: whether it judges a domain without a share.
    """
    kind = KINDS.get(short)
    if kind is None and (section.goal is None or section.scale is None):
        near = difflib.get_close_matches(short, KINDS, n=1)
        hint = f"did you mean '{prefix}{near[0]}'? " if near else ""
        raise SpecError(
            f"{at}.name: {short!r} is not a known metric; {hint}known are {', '.join(KINDS)}; "
            "a metric of your own must state its goal and scale"
        )
    if watched and section.weight:
        domain = prefix.partition("/")[0]
        raise SpecError(f"{at}.weight: {domain!r} has no train files, so it can only be guarded; remove the weight")
    own_scale = section.scale is not None
    goal = section.goal or (kind.goal if kind is not None else None)
    assert goal is not None
    metric = Metric(
        name=section.name,
        goal=goal,
        comparison=Comparison.DIFFERENCE if kind is None or own_scale else kind.comparison,
        scale=section.scale if section.scale is not None else 1.0,
        weight=0.0 if watched else 1.0 if section.weight is None else section.weight,
        reference=section.reference,
        guard=section.guard,
        upper=None if kind is None or own_scale else kind.upper,
    )
    if metric.reference is not None:
        try:
            metric.check(metric.reference)
        except ScoreError as error:
            raise SpecError(f"{at}.reference: {error}") from error
    return metric


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
