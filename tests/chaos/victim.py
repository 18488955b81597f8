"""A driver that may have to die: what it runs, and the processes that hang on it.

Run as a script, it drives a study's folder to its end, with the plan in the environment:
`python -m tests.chaos.victim FOLDER processes`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from objectives.backends import Blueprint
from objectives.backends.backend import Backend
from objectives.base import Job, Objective
from objectives.data import DEFAULT_POLICY, DataPolicy
from objectives.domain import Domain
from objectives.scorer import Metric
from ratio_search.lease import Lease
from ratio_search.runner import Runner, SerialRunner
from ratio_search.search import Moment, Search
from ratio_search.study import Study
from tests.chaos.kill import Plan
from tests.chaos.points import DRIVER, WORKER

WORKERS = ("ratio_search.runner.worker", "ray::Actor")
"""What the command line of a worker shows."""


class Haunted(Backend):
    """A back end whose workers may have to die."""

    inner: Any

    def produces(self, labelled: Mapping[str, bool]) -> frozenset[str] | None:
        found: frozenset[str] | None = self.inner.produces(labelled)
        return found

    def build(
        self,
        domains: Sequence[Domain],
        root: Path,
        policy: DataPolicy = DEFAULT_POLICY,
        metrics: Sequence[Metric] = (),
    ) -> Objective:
        Plan.given().arm(WORKER)
        built: Objective = self.inner.build(domains, root, policy, metrics)
        return built


def family(driver: int, victim: str) -> list[int]:
    """The processes of a driver that a victim's name stands for: `worker`, `trainer`, `raylet` or `driver`."""
    if victim == "driver":
        return [driver]
    try:
        below = psutil.Process(driver).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [process.pid for process in below if _is(process, victim)]


def _is(process: psutil.Process, victim: str) -> bool:
    try:
        line = " ".join(process.cmdline())
    except psutil.Error:
        return False
    if victim == "worker":
        return any(name in line for name in WORKERS)
    return {"trainer": "mortal.py", "raylet": "raylet/raylet"}[victim] in line


def drive(folder: str, kind: str) -> None:
    """Drives a study to its end."""
    plan = Plan.given()
    plan.arm(DRIVER)
    study = Study.open(folder)

    def find(victim: str) -> list[int]:
        return [os.getpid()] if victim == "self" else family(os.getpid(), victim)[:1]

    def listener(moment: Moment, job: Job, detail: object) -> None:
        if job.mixture is not None:
            plan.reached(moment, find)

    spec = study.spec
    blueprint = Blueprint(
        backend=Haunted(kind="haunted", inner=spec.backend, resources=spec.backend.resources),
        domains=spec.domains,
        root=spec.root,
        policy=spec.blueprint.policy,
        metrics=spec.blueprint.metrics,
    )
    with Lease(study.folder.lock_file), runner(kind, blueprint, spec.search.parallel) as running:
        Search(study, running, listener).run()


def runner(kind: str, blueprint: Blueprint, slots: int) -> Runner:
    if kind == "serial":
        return SerialRunner(blueprint)
    if kind == "processes":
        from ratio_search.runner.processes import ProcessRunner

        return ProcessRunner(blueprint, slots)
    from ratio_search.runner.on_ray import RayRunner

    return RayRunner(blueprint, slots)


if __name__ == "__main__":
    drive(*sys.argv[1:])
