"""Studies from plain data, and records of trials as a study would keep them, made from numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from objectives.attempt import Failure, FailureKind
from objectives.base import Estimate, Job, JobKind, Measurement, Seeds, Value
from objectives.metrics import Goal
from objectives.mixture import Mixture
from objectives.scorer import Balance, Metric, Scorer
from ratio_search import Study, StudySpec
from ratio_search.record import JobState, Record
from ratio_search.sampler.strategy import Strategy

Document = Mapping[str, Any]
"""A study file as plain data."""

Law = Callable[[Mixture], Mapping[str, float]]


def text_of(document: Document, **keys: Any) -> str:
    """A study file; keywords replace its keys."""
    return yaml.safe_dump({**document, **keys}, sort_keys=False)


def study_of(document: Document, **keys: Any) -> Study:
    """A new study of it, in the current folder."""
    return Study.create(StudySpec.parse(text_of(document, **keys), Path.cwd()))


def trial(
    number: int,
    mixture: Mixture,
    metrics: Mapping[str, float | Estimate] | None = None,
    *,
    failed: bool = False,
    realised: Mixture | None = None,
    hyperparameters: Mapping[str, Value] | None = None,
) -> Record:
    """A finished trial; a running one without metrics, unless it failed before it could report."""
    told = None
    if metrics is not None:
        found = {name: m if isinstance(m, Estimate) else Estimate(value=m) for name, m in metrics.items()}
        told = Measurement(metrics=found, realised=realised)
    return Record(
        number=number,
        job=Job(
            id=f"trial-{number:04d}",
            kind=JobKind.TRIAL,
            mixture=mixture,
            seeds=Seeds(data=0, training=0),
            hyperparameters=hyperparameters or {},
        ),
        origin="test",
        basis=(),
        state=JobState.FAILED if failed else JobState.RUNNING if told is None else JobState.COMPLETE,
        measurement=told,
        failure=Failure(kind=FailureKind.OBJECTIVE, message="broken") if failed else None,
        losses=0,
        started=None,
        finished=None,
    )


def gains_of(*names: str, balance: Balance | None = None, guards: Mapping[str, float] | None = None) -> Scorer:
    """Judges metrics whose values are their own gains; those with a guard have no weight."""
    guards = guards or {}
    metrics = [
        Metric(
            name=name,
            goal=Goal.MAXIMIZE,
            reference=0.0,
            guard=guards.get(name),
            weight=0.0 if name in guards else 1.0,
        )
        for name in names
    ]
    return Scorer(metrics=metrics, balance=balance or Balance(), baseline={})


def searched(strategy: Strategy, scorer: Scorer, law: Law, trials: int, records: Sequence[Record] = ()) -> list[Record]:
    """The trials of a study that asks a strategy, one after the other."""
    found = list(records)
    for number in range(len(found), trials):
        proposal = strategy.propose(found, scorer, number, trials - number - 1)
        found.append(trial(number, proposal.mixture, law(proposal.mixture), hyperparameters=proposal.hyperparameters))
    return found
