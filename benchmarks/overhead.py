"""What a trial costs beside its fine-tune: no-op trials with the random sampler, beside Optuna alone and Ray Tune.

    python benchmarks/overhead.py           # up to 2,000 trials, some minutes; needs pip install '.[bench]'
    python benchmarks/overhead.py --quick   # up to 100 trials, under a minute
    python benchmarks/overhead.py --json    # the figures as one JSON document

All have the same five shares as parameters, three metrics, and SQLite with a write-ahead log. Optuna alone is asked for
each trial, given the attributes that we keep of one, and told its values, in turns with a study, in one process. Ray
Tune has Optuna's searcher on the same storage, and runs two trials at a time, as we do on Ray. Each other measurement
is a process of its own.

Seconds of one core (`cpu`, of this process alone) depend less on what else the machine does than elapsed ones (`wall`),
and not on the disk. Those of asking and telling are medians over trials, the others what all trials took, divided by
their number.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import yaml

from objectives.backends import Blueprint
from objectives.backends.external import ExternalBackend
from objectives.base import Context, Estimate, Job, Measurement, Progress, Seeds
from objectives.mixture import Mixture
from ratio_search import Study, StudySpec
from ratio_search.console import PlainConsole
from ratio_search.driver import drive
from ratio_search.runner import Runner, SerialRunner

DOMAINS, METRICS, PARALLEL = ("a", "b", "c", "d", "e"), ("a/skill", "b/skill", "c/skill"), 2

TURN = 20
"""Trials that a study and Optuna alone run in turns; a window of growth has two of them."""

TARGETS = {
    "ask_tell_over_optuna_cpu": "at most 2.5",
    "ask_tell_over_optuna_wall": "at most 2.5",
    "ask_tell_growth_cpu": "at most 2",
    "ask_tell_growth_wall": "at most 2",
    "status_wall_s": "at most 3",
    "tune_over_ray_wall": "at least 20",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Seconds that something took."""

    cpu: float
    wall: float

    @classmethod
    def on(cls, work: Callable[[], object]) -> Spent:
        """What some work takes."""
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        return cls(cpu=time.process_time() - cpu, wall=time.perf_counter() - wall)

    @classmethod
    def usual(cls, trials: Sequence[Spent]) -> Spent:
        """The medians of some trials."""
        return cls(cpu=statistics.median(s.cpu for s in trials), wall=statistics.median(s.wall for s in trials))

    def over(self, trials: int) -> Spent:
        """One trial's part."""
        return Spent(cpu=self.cpu / trials, wall=self.wall / trials)

    def told(self, name: str) -> dict[str, float]:
        """Milliseconds, as figures of the benchmark."""
        return {f"{name}_cpu_ms": 1e3 * self.cpu, f"{name}_wall_ms": 1e3 * self.wall}


def law(shares: Mapping[str, float]) -> dict[str, float]:
    """Metrics of a mixture: each gains from its own domain and a little from the next one."""
    names = list(shares)
    own = {name: shares[name] + 0.3 * shares[names[i + 1]] for i, name in enumerate(names[: len(METRICS)])}
    return {metric: own[metric.partition("/")[0]] / (own[metric.partition("/")[0]] + 0.1) for metric in METRICS}


class Nothing:
    """An objective that trains nothing."""

    def run(self, job: Job, context: Context) -> Iterator[Progress | Measurement]:
        """Measures at once."""
        assert job.mixture is not None
        yield measured(job.mixture)


def measured(mixture: Mapping[str, float]) -> Measurement:
    return Measurement(metrics={name: Estimate(value=value) for name, value in law(mixture).items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingToDo(Blueprint):
    """What a worker builds that trains nothing."""

    def build(self) -> Nothing:
        """Builds it at once."""
        return Nothing()


def study(folder: Path, trials: int) -> Study:
    """A new study in a folder."""
    text = yaml.safe_dump(
        {
            "name": "overhead",
            "domains": {name: {} for name in DOMAINS},
            "objective": {"kind": "external"},
            "metrics": [{"name": name, "goal": "maximize", "scale": 1.0, "reference": 0.0} for name in METRICS],
            "baseline": False,
            "search": {"trials": trials, "parallel": PARALLEL, "sampler": "random"},
        }
    )
    return Study.create(StudySpec.parse(text, folder), folder)


def storage(folder: Path) -> optuna.storages.RDBStorage:
    """A database of the same settings as a study's: a commit appends to a log, and reaches the disk."""
    folder.mkdir()
    file = folder / "study.db"
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    return optuna.storages.RDBStorage(f"sqlite:///{file}", engine_kwargs={"connect_args": {"timeout": 60}})


class Bare:
    """Optuna, asked and told as its documents show, with what we keep of a trial as the trial's attributes."""

    def __init__(self, folder: Path) -> None:
        kept = storage(folder)
        self.engine = kept.engine
        self.study = optuna.create_study(
            storage=kept,
            sampler=optuna.samplers.RandomSampler(seed=0),
            directions=["maximize"] * len(METRICS),
        )

    def trial(self) -> None:
        """Asks for one trial and tells it."""
        trial = self.study.ask()
        shares = {name: trial.suggest_float(f"share/{name}", 0, 1) for name in DOMAINS}
        trial.set_user_attr("basis", [])
        trial.set_user_attr("seeds", dataclasses.asdict(Seeds.of(0, 0)))
        trial.set_user_attr("attempt", 1)
        trial.set_user_attr("origin", "random")
        found = measured(Mixture.from_weights(shares))
        trial.set_user_attr("measurement", found.to_json())
        self.study.tell(trial, [estimate.value for estimate in found.metrics.values()])


def ask_tell(study: Study) -> None:
    """Asks a study for one trial and tells it."""
    job = study.ask()
    assert job is not None and job.mixture is not None
    study.tell(job.id, measured(job.mixture))


# What each process does; the name is the first argument of the process.


def job_ask_tell(folder: Path, trials: int) -> dict[str, float]:
    """A study and Optuna alone in turns, and then the study alone, up to two turns more than `trials`."""
    window = 2 * TURN
    bare, ours = Bare(folder / "optuna"), study(folder, trials + window)
    both = min(trials, 10 * TURN)
    own: list[Spent] = []
    other: list[Spent] = []
    while len(own) < both:
        own.extend(Spent.on(lambda: ask_tell(ours)) for _ in range(TURN))
        other.extend(Spent.on(bare.trial) for _ in range(TURN))
    own.extend(Spent.on(lambda: ask_tell(ours)) for _ in range(trials + window - both))
    early, late = Spent.usual(own[TURN : TURN + window]), Spent.usual(own[-window:])
    usual, peer = Spent.usual(own[TURN:both]), Spent.usual(other[TURN:])
    return {
        **usual.told("ask_tell"),
        **peer.told("optuna"),
        "ask_tell_over_optuna_cpu": usual.cpu / peer.cpu,
        "ask_tell_over_optuna_wall": usual.wall / peer.wall,
        **early.told("ask_tell_after_20"),
        **late.told(f"ask_tell_after_{trials}"),
        "ask_tell_growth_cpu": late.cpu / early.cpu,
        "ask_tell_growth_wall": late.wall / early.wall,
    }


def driven(folder: Path, trials: int, runner: Callable[[Blueprint], Runner]) -> Spent:
    """A whole study, from the driver's start to its end."""
    made = study(folder, trials)
    idle = NothingToDo(backend=ExternalBackend(kind="external"), domains=(), root=folder)
    spent = Spent.on(lambda: drive(made, lambda spec, stopping: runner(idle), PlainConsole(stderr=True)))
    assert made.complete == trials, made.complete
    return spent.over(trials)


def job_serial(folder: Path, trials: int) -> dict[str, float]:
    """The driver with trials in its own process."""
    return driven(folder, trials, SerialRunner).told("serial")


def job_ray(folder: Path, trials: int) -> dict[str, float]:
    """The driver with trials on Ray, whose own start does not count."""
    from ratio_search.runner.on_ray import RayRunner

    begun: list[Spent] = []

    class Entered(RayRunner):
        def __enter__(self) -> Entered:
            begun.append(Spent.on(super().__enter__))
            return self

        def __exit__(self, *details: Any) -> None:
            begun.append(Spent.on(lambda: super(Entered, self).__exit__(*details)))

    spent = driven(folder, trials, lambda blueprint: Entered(blueprint, slots=PARALLEL))
    start, end = (part.over(trials) for part in begun)
    return Spent(cpu=spent.cpu - start.cpu - end.cpu, wall=spent.wall - start.wall - end.wall).told("ray")


def job_tune(folder: Path, trials: int) -> dict[str, float]:
    """Ray Tune as it comes; Ray's own start does not count."""
    import ray
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    def objective(config: dict[str, float]) -> None:
        tune.report(law(config))

    ray.init("local", num_cpus=PARALLEL, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    kept = storage(folder / "tune")
    search = OptunaSearch(
        {name: optuna.distributions.FloatDistribution(0, 1) for name in DOMAINS},
        metric=list(METRICS),
        mode=["max"] * len(METRICS),
        sampler=optuna.samplers.RandomSampler(seed=0),
        study_name="tune",
        storage=kept,
    )
    tuner = tune.Tuner(
        objective,
        tune_config=tune.TuneConfig(search_alg=search, num_samples=trials, max_concurrent_trials=PARALLEL),
        run_config=tune.RunConfig(storage_path=str(folder), name="results", verbose=0),
    )
    spent = Spent.on(tuner.fit)
    done = [trial.state for trial in optuna.load_study(study_name="tune", storage=kept).trials]
    assert done == [optuna.trial.TrialState.COMPLETE] * trials, done
    ray.shutdown()
    return spent.over(trials).told("tune")


JOBS = {"ask_tell": job_ask_tell, "serial": job_serial, "ray": job_ray, "tune": job_tune}


def status(folder: Path, times: int) -> Spent:
    """The program's answer on a study, in a new process each time."""
    command = [sys.executable, "-m", "ratio_search", "status", "overhead", "--runs", str(folder), "--json"]
    found = []
    for _ in range(times):
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found.append(Spent(cpu=cpu, wall=wall))
    return Spent.usual(found)


def run(name: str, folder: Path, trials: int) -> dict[str, float]:
    """The figures of a job, in a process and a folder of its own."""
    folder.mkdir()
    out = folder / "figures.json"
    command = [sys.executable, __file__, "--child", name, str(folder), str(trials), str(out)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} ended with {done.returncode}:\n{done.stdout}")
    figures: dict[str, float] = json.loads(out.read_text(encoding="utf-8"))
    return figures


def measure(*, quick: bool, only: Sequence[str]) -> dict[str, float]:
    """All figures, by name."""
    many, some, few = (100, 60, 10) if quick else (2000, 300, 40)
    planned = {"ask_tell": many, "serial": some, "ray": some, "tune": few}
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        for job, trials in planned.items():
            if job not in only:
                continue
            found |= run(job, Path(name) / job, trials)
            if job == "ask_tell":
                told = status(Path(name) / job, 1 if quick else 3)
                found |= {"trials": many, "status_cpu_s": told.cpu, "status_wall_s": told.wall}
    if {"ray", "tune"} <= set(only):
        found |= {
            f"tune_over_ray_{kind}": found[f"tune_{kind}_ms"] / found[f"ray_{kind}_ms"] for kind in ("cpu", "wall")
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="up to 100 trials, 10 of Ray Tune")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON document")
    parser.add_argument("--only", default=",".join(JOBS), help=f"some of {','.join(JOBS)}")
    parser.add_argument("--child", nargs=4, metavar=("JOB", "FOLDER", "TRIALS", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        job, folder, trials, out = options.child
        Path(out).write_text(json.dumps(JOBS[job](Path(folder), int(trials))), encoding="utf-8")
        return
    found = measure(quick=options.quick, only=options.only.split(","))
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for key, value in found.items():
        print(f"{key:28} {value:9.3g}  {TARGETS.get(key, '')}".rstrip())


if __name__ == "__main__":
    main()
