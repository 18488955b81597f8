"""The product, by its public Python interface alone."""

from __future__ import annotations

import csv
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import yaml

from objectives.metrics import Comparison, Goal
from objectives.scorer import Metric

from ..problems import Floats
from .base import History, Maker, Setting


class OurStudy:
    """A study in memory whose trials the benchmark runs, through `ask`, `tell` and `recommend`."""

    def __init__(self, setting: Setting, search: dict[str, Any] | None = None) -> None:
        """Makes the study.

        Args:
            setting: what is known beforehand.
            search: further keys of the study file's `search`.
        """
        # Only here, so that the others can play while our code is being changed.
        from ratio_search import Study, StudySpec

        self.task = setting.task
        self.study = Study.create(StudySpec.parse(study_file(setting, search or {}), Path.cwd()))
        self.jobs: list[str] = []
        self.told = 0

    def _tell(self, history: History) -> None:
        for job, values in zip(self.jobs[self.told : len(history)], history.values[self.told :].tolist(), strict=True):
            self.study.tell(job, dict(zip((metric.name for metric in self.task.metrics), values, strict=True)))
        self.told = len(history)

    def ask(self, history: History, pending: Floats) -> Floats:
        """The study's next job."""
        self._tell(history)
        job = self.study.ask()
        assert job is not None and job.mixture is not None
        self.jobs.append(job.id)
        return np.array([job.mixture[name] for name in self.task.domains])

    def recommend(self, history: History) -> Floats:
        """The study's recommendation."""
        self._tell(history)
        mixture = self.study.recommend().mixture
        return np.array([mixture[name] for name in self.task.domains])


class Altered(OurStudy):
    """Ours with other values of a module's constants: an ablation, for what no study file can say."""

    def __init__(self, setting: Setting, module: str = "surrogate", **constants: Any) -> None:
        """Makes the study.

        Args:
            setting: what is known beforehand.
            module: of `ratio_search.model`.
            constants: its, by name.
        """
        super().__init__(setting)
        self.module = f"ratio_search.model.{module}"
        self.constants = constants

    def ask(self, history: History, pending: Floats) -> Floats:
        """The next job of a study whose model is another."""
        with mock.patch.multiple(self.module, **self.constants):
            return super().ask(history, pending)

    def recommend(self, history: History) -> Floats:
        """What such a model recommends."""
        with mock.patch.multiple(self.module, **self.constants):
            return super().recommend(history)


class OneScore(OurStudy):
    """Ours, told nothing but the balanced score: one model of that instead of one for each metric."""

    def __init__(self, setting: Setting) -> None:
        """Makes the study."""
        super().__init__(replace(setting, task=replace(setting.task, metrics=(_SCORE,))))
        self.full = setting.task

    def _tell(self, history: History) -> None:
        scores = self.full.score(history.values)[:, None]
        super()._tell(replace(history, values=scores))


def study_file(setting: Setting, search: dict[str, Any]) -> str:
    """The study file of a setting."""
    metrics = []
    for metric in setting.task.metrics:
        section: dict[str, Any] = {"name": metric.name, "goal": str(metric.goal), "reference": metric.reference}
        # A stated scale means a comparison by difference.
        if metric.comparison is Comparison.DIFFERENCE:
            section["scale"] = metric.scale
        metrics.append(section)
    return yaml.safe_dump(
        {
            "name": "benchmark",
            "domains": {name: {} for name in setting.task.domains},
            "objective": {"kind": "external"},
            "metrics": metrics,
            "balance": {"kind": str(setting.task.balance)},
            "search": {"trials": setting.trials, "parallel": setting.parallel, "seed": setting.seed, **search},
            "storage": "memory",
        },
        sort_keys=False,
    )


def our_recommendation(setting: Setting, history: History) -> Floats:
    """What our model recommends from trials that another search proposed, (n_domains,): they are imported as past runs.

    Behind the contestants `<name>+ours`.
    """
    ours = OurStudy(setting)
    task = setting.task
    with tempfile.NamedTemporaryFile("w", suffix=".csv", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"share/{name}" for name in task.domains), *(metric.name for metric in task.metrics)])
        writer.writerows(np.hstack([history.shares, history.values]).tolist())
        file.flush()
        ours.study.import_runs(file.name)
    return ours.recommend(History(shares=history.shares[:0], values=history.values[:0]))


def _with(**search: Any) -> Maker:
    """Ours with other keys of the study file's `search`."""
    return lambda setting: OurStudy(setting, search)


def _view(power: float, **prior: Any) -> tuple[float, dict[str, Any]]:
    return power, prior


def _model(*views: tuple[float, dict[str, Any]]) -> Maker:
    """Ours with other processes for each metric."""

    def make(setting: Setting) -> OurStudy:
        from ratio_search.model.fit import Expert
        from ratio_search.model.prior import Prior

        return Altered(setting, EXPERTS=tuple(Expert(power=power, prior=Prior(**prior)) for power, prior in views))

    return make


_SCORE = Metric(name="score", goal=Goal.MAXIMIZE, scale=1.0, reference=0.0)

VARIANTS: dict[str, Maker] = {
    # The strategies that the product offers for comparison; our model recommends from what they try.
    "random": _with(sampler="random"),
    "tpe": _with(sampler="tpe"),
    "optuna-gp": _with(sampler="optuna-gp"),
    "one-score": OneScore,
    "square-roots": _model(_view(0.5)),
    "raw-shares": _model(_view(1.0)),
    "isotropic": _model(_view(0.5, spread=None)),
    "independent-errors": lambda setting: Altered(setting, COMMON=0.0),
    "one-way": lambda setting: Altered(setting, "view", WAYS=1),
}
"""Ablations of our method: `ours:<name>` is made by what stands here under <name>.

Results of a variant are
kept until the code that `registry.OURS` lists changes, or this file does.
"""
