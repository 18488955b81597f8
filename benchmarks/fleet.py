"""Many fine-tunes of one study, side by side in processes of their own. Used by the benchmarks beside it."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from objectives.base import Context, Job, JobKind, Measurement, Objective, Seeds
from objectives.mixture import Mixture
from ratio_search import StudySpec


class _Worker:
    """A process's objective, kept between jobs."""

    objective: Objective

    @classmethod
    def start(cls, study: Path, final: bool) -> None:
        spec = StudySpec.load(study)
        cls.objective = (spec.on_final() if final else spec).blueprint.build()

    @classmethod
    def run(cls, mixture: Mixture | None, seeds: Seeds) -> Measurement:
        kind = JobKind.BASELINE if mixture is None else JobKind.TRIAL
        with tempfile.TemporaryDirectory() as folder:
            context = Context(folder=Path(folder), checkpoint=Path(folder) / "checkpoint")
            context.checkpoint.mkdir()
            *_, last = cls.objective.run(Job(id="benchmark", kind=kind, mixture=mixture, seeds=seeds), context)
        assert isinstance(last, Measurement)
        return last


def fine_tune(
    study: Path, jobs: Sequence[tuple[Mixture | None, Seeds]], *, processes: int, final: bool = False
) -> list[Measurement]:
    """What each job measures, in order.

    Args:
        study: a study file.
        jobs: what to train on, None for the untuned model, and with which seeds.
        processes: jobs at a time, one CPU core each.
        final: evaluate on the `final` files instead of the `test` files.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn, initializer=_Worker.start, initargs=(study, final)) as pool:
        running = [pool.submit(_Worker.run, mixture, seeds) for mixture, seeds in jobs]
        return [job.result() for job in running]
