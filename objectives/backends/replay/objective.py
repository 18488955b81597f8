"""The `replay` objective: looks a mixture up in a table of past runs, or in a model of them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from objectives.attempt import write_json
from objectives.backends.replay import By, ReplayBackend
from objectives.backends.replay.model import MetricModel, Scale
from objectives.base import Context, Estimate, Job, Measurement, Progress
from objectives.domain import Domain
from objectives.errors import Cancelled, ObjectiveError
from objectives.mixture import Mixture
from objectives.table import Problems, TableRow, number

TICK_S = 0.2
"""Seconds of a job between two looks at whether it should end."""


class ReplayObjective:
    """Reports what a table of past runs says.

    Attributes:
        remarks: how many runs there are, and how far the model of each metric can be believed.
    """

    def __init__(self, settings: ReplayBackend, domains: Sequence[Domain], root: Path) -> None:
        """Reads the table; `ReplayBackend.build` makes it.

        Args:
            settings: the study's.
            domains: what can be mixed.
            root: folder that relative paths refer to.

        Raises:
            DataError: the table cannot be used.
        """
        self._settings = settings
        self._table = table = settings.read(domains, root)
        self._runs = table.runs
        rows = [run.row for run in self._runs]
        self._metrics = [name for name in table.candidates if all(number(row[name]) is not None for row in rows)]
        shares = [[run.mixture[name] for name in table.domains] for run in self._runs]
        self._x = np.sqrt(np.array(shares).reshape(len(rows), len(table.domains)))
        values = {name: np.array([number(row[name]) for row in rows], dtype=float) for name in self._metrics}
        self._scales = {name: Scale.of(name, own) for name, own in values.items()}
        self._models: dict[str, MetricModel] = {}
        self.remarks: tuple[str, ...] = (f"{table.table.path}: {len(rows)} runs",)
        if settings.by is By.MODEL:
            self._models = {name: MetricModel.fit(self._x, own, self._scales[name]) for name, own in values.items()}
            self.remarks += tuple(f"model of {name}: {_believed(model)}" for name, model in self._models.items())

    def run(self, job: Job, context: Context) -> Iterator[Progress | Measurement]:
        """Waits for as long as a job takes, and reports what the table says of its mixture.

        Raises:
            Cancelled: the context asked for it; how long the job ran is its checkpoint.
            ObjectiveError: it is the untuned baseline, which is not in the table.
        """
        started = time.monotonic(), time.process_time()
        yield from self._wait(context)
        metrics, realised = self._baseline() if job.mixture is None else self._measured(job, job.mixture)
        yield Measurement(
            metrics=metrics,
            realised=realised,
            cost={
                "wall_seconds": time.monotonic() - started[0],
                "cpu_seconds": time.process_time() - started[1],
            },
        )

    def _wait(self, context: Context) -> Iterator[Progress]:
        """Lets a job's seconds pass, but for those that an earlier attempt waited."""
        total = max(1, round(self._settings.seconds / TICK_S))
        begun = context.checkpoint / "waited.json"
        done = min(total, int(json.loads(begun.read_text())["ticks"])) if begun.exists() else 0
        for tick in range(done, total):
            yield Progress(step=tick, total=total)
            if context.cancelled():
                write_json(begun, {"ticks": tick})
                raise Cancelled(f"told to end after {tick} of {total} steps")
            time.sleep(self._settings.seconds / total)
        yield Progress(step=total, total=total)

    def _baseline(self) -> tuple[dict[str, Estimate], None]:
        untuned = self._table.untuned
        if not untuned:
            raise ObjectiveError(
                f"{self._table.table.path}: has no row of the untuned model, one without shares or with baseline in a "
                "column called kind; add it, or state a reference for every metric of the study"
            )
        return self._estimates(untuned[0]), None

    def _measured(self, job: Job, mixture: Mixture) -> tuple[dict[str, Estimate], Mixture]:
        """Estimates of a trial, and the mixture that they are of."""
        x = np.sqrt([mixture[name] for name in self._table.domains])
        off = self._off(job, mixture)
        if self._models:
            estimates = {name: Estimate(value=model.value(x, off[name])) for name, model in self._models.items()}
            return estimates, mixture
        away = np.square(self._x - x).sum(axis=1)
        # Of runs that are as near, a repeat takes another one.
        nearest = np.flatnonzero(away <= away.min() + 1e-12)
        run = self._runs[int(nearest[job.seeds.data % len(nearest)])]
        estimates = self._estimates(run.row)
        if self._settings.noise:
            estimates = {
                name: Estimate(value=self._disturbed(name, estimate.value, off[name]))
                for name, estimate in estimates.items()
            }
        return estimates, run.mixture

    def _disturbed(self, name: str, value: float, off: float) -> float:
        scale = self._scales[name]
        return scale.back(float(scale.there(np.array(value))) + off * scale.spread)

    def _off(self, job: Job, mixture: Mixture) -> dict[str, float]:
        """How far each metric is disturbed, in spreads: by the job's seeds and its mixture, and nothing else."""
        shares = hashlib.sha256(repr([mixture[name] for name in self._table.domains]).encode()).digest()
        rng = np.random.default_rng([job.seeds.data, job.seeds.training, *shares])
        return {name: self._settings.noise * float(rng.standard_normal()) for name in self._metrics}

    def _estimates(self, row: TableRow) -> dict[str, Estimate]:
        # What is wrong was refused before a study began, as far as it is judged by it.
        unheard = Problems(self._table.table.path)
        found = {name: self._table.estimate(row, name, unheard) for name in self._metrics}
        return {name: estimate for name, estimate in found.items() if estimate is not None}


def _believed(model: MetricModel) -> str:
    if model.explained is None:
        return "all runs have the same value"
    return f"explains {model.explained:.0%} of what runs that it was not fitted to vary by"
