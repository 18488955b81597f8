"""Plays the product's studies on cases, and keeps what they said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ratio_search import Study, StudySpec

from ..contestants.base import Setting
from ..contestants.ours import study_file
from ..contestants.registry import OWN, code
from ..problems import Floats, digest
from .cases import Case

PROTOCOL = 1
"""Raise it when the way in which studies are played changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a study says of a metric at the mixture that it recommends.

    Attributes:
        value, low, high: expected, and the ends of its interval, in the metric's own units.
        holds: the probability that its guard holds; None without a guard.
    """

    value: float
    low: float
    high: float
    holds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a study.

    Attributes:
        key: of all that it depends on.
        case: its name.
        shares: of the recommended mixture, (n_domains,).
        said: of each metric there, in the task's order, (n_metrics,).
        score: what that mixture is expected to score.
        tried: mixtures of the trials, (n_trials, n_domains).
        measured: their metrics, (n_trials, n_metrics).
    """

    key: str
    case: str
    shares: tuple[float, ...]
    said: tuple[Said, ...]
    score: float
    tried: tuple[tuple[float, ...], ...]
    measured: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Outcomes on disk, a line each.

    Attributes:
        file: where they are.
    """

    file: Path

    def read(self) -> dict[str, Outcome]:
        """All of them by key."""
        if not self.file.is_file():
            return {}
        lines = self.file.read_text(encoding="utf-8").splitlines()
        return {outcome.key: outcome for outcome in map(_outcome, map(json.loads, lines))}

    def add(self, outcome: Outcome) -> None:
        """Adds one."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(outcome)) + "\n")


def key_of(case: Case) -> str:
    """The hash of all that an outcome depends on: the case, and the code behind the product's method."""
    return digest([PROTOCOL, code(OWN), case.digest])


def play(case: Case) -> Outcome:
    """Plays a study, one trial at a time, and asks what it recommends."""
    task = case.task
    study = Study.create(StudySpec.parse(_study_file(case), Path.cwd()))
    tried, measured = [], []
    for number in range(case.trials):
        job = study.ask()
        assert job is not None and job.mixture is not None
        shares = np.array([job.mixture[name] for name in task.domains])
        # The same luck for each trial whatever the study did before.
        rng = np.random.default_rng([case.seed, number, int(case.problem.landscape.digest, 16)])
        values = case.problem.measure(shares, rng).tolist()
        study.tell(job.id, dict(zip((metric.name for metric in task.metrics), values, strict=True)))
        tried.append(tuple(shares.tolist()))
        measured.append(tuple(values))
    found = study.recommend()
    predictions = [found.predictions[metric.name] for metric in task.metrics]
    return Outcome(
        key=key_of(case),
        case=case.name,
        shares=tuple(found.mixture[name] for name in task.domains),
        said=tuple(Said(value=p.value, low=p.low, high=p.high, holds=p.holds) for p in predictions),
        score=found.score.balanced,
        tried=tuple(tried),
        measured=tuple(measured),
    )


def best_tried(case: Case, outcome: Outcome) -> Floats:
    """The mixture of the trial that measured the best score, (n_domains,)."""
    scorer, names = case.task.scorer, [metric.name for metric in case.task.metrics]
    scores = [scorer.score(dict(zip(names, values, strict=True))) for values in outcome.measured]
    best: Floats = np.array(outcome.tried[max(range(len(scores)), key=scores.__getitem__)])
    return best


def _study_file(case: Case) -> str:
    """The study file of a case: that of the other benchmark, with weights and guards."""
    setting = Setting(task=case.task, seed=case.seed, trials=case.trials, parallel=1)
    document: dict[str, Any] = yaml.safe_load(study_file(setting, {}))
    for section, metric in zip(document["metrics"], case.task.metrics, strict=True):
        section["weight"] = metric.weight
        if metric.guard is not None:
            section |= {"guard": metric.guard, "confidence": metric.confidence}
    return yaml.safe_dump(document, sort_keys=False)


def _outcome(record: Mapping[str, Any]) -> Outcome:
    return Outcome(
        key=record["key"],
        case=record["case"],
        shares=tuple(record["shares"]),
        said=tuple(Said(**one) for one in record["said"]),
        score=record["score"],
        tried=tuple(map(tuple, record["tried"])),
        measured=tuple(map(tuple, record["measured"])),
    )
