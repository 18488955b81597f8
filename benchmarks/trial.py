"""What one trial of the quickstart's kind costs, in a warm worker and in a fresh process.

A trial is a LoRA fine-tune of the tiny model for 150 steps of 16 rows, and its evaluation on four test sets. The
warm one runs on a Ray worker that has its model loaded; the fresh one is a new Python that imports, builds and runs.

    python benchmarks/trial.py [--quick] [--json]

Seconds of one core (`cpu`) hardly depend on what else the machine does; elapsed ones (`wall`) do.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from objectives.attempt import Attempt
from objectives.backends import Blueprint
from objectives.backends.hf import HfBackend
from objectives.backends.hf.tiny import tiny_model
from objectives.base import Job, JobKind, Measurement, Progress, Seeds
from objectives.data import read_rows
from objectives.domain import Domain
from objectives.mixture import Mixture
from ratio_search.runner.on_ray import RayRunner

DATA = Path(__file__).resolve().parents[1] / "studies" / "data"
DOMAINS = ("support", "legal", "manuals", "pydocs")

TARGETS = {
    "warm_cpu_s": "at most 8",
    "warm_first_step_s": "at most 0.5",
    "worker_peak_gb": "at most 0.9",
    "fresh_to_warm_wall": "at least 1.8",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One trial: seconds from its submission to its end and to its first step, and of CPU."""

    wall_s: float
    first_step_s: float
    cpu_s: float


def blueprint() -> Blueprint:
    """The trial's settings and data."""
    domains = tuple(
        Domain(name=name, train=(DATA / "train" / f"{name}.jsonl",), test=(DATA / "test" / f"{name}.jsonl",))
        for name in DOMAINS
    )
    return Blueprint(backend=HfBackend(kind="hf", steps=150, batch_size=16), domains=domains, root=DATA)


def attempt(folder: Path, number: int) -> Attempt:
    """A trial with a mixture and seeds of its own; number 0 is the untuned baseline."""
    mixture = Mixture.from_weights({name: 1 + (number + i) % 3 for i, name in enumerate(DOMAINS)})
    kind = JobKind.TRIAL if number else JobKind.BASELINE
    seeds = Seeds(data=number, training=number)
    job = Job(id=f"{kind}-{number}", kind=kind, mixture=mixture if number else None, seeds=seeds)
    return Attempt(job=job, folder=folder / job.id)


def fresh_child(folder: Path, number: int) -> None:
    """What a fresh process does."""
    *_, last = attempt(folder, number).run(blueprint().build())
    assert isinstance(last, Measurement), last
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"cpu_s": usage.ru_utime + usage.ru_stime}))


def fresh(folder: Path, number: int) -> Timing:
    """A trial in a new Python."""
    begun = time.perf_counter()
    command = [sys.executable, __file__, "--child", str(folder), str(number)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    cpu = json.loads(done.stdout)["cpu_s"]
    return Timing(wall_s=time.perf_counter() - begun, first_step_s=float("nan"), cpu_s=cpu)


def warm(runner: RayRunner, folder: Path, number: int) -> Timing:
    """A trial on the runner's only worker."""
    begun = time.perf_counter()
    first = float("nan")  # the untuned baseline takes no step
    runner.submit(attempt(folder, number))
    while True:
        for report in runner.reports(60):
            event, since = report.event, time.perf_counter() - begun
            if isinstance(event, Progress):
                if math.isnan(first) and event.step:
                    first = since
            else:
                assert isinstance(event, Measurement), event
                return Timing(wall_s=since, first_step_s=first, cpu_s=event.cost["cpu_seconds"])


def workers() -> dict[str, float]:
    """Process id to peak memory in GB, of all Ray workers on this machine; empty where there is no /proc."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_bytes().startswith(b"ray::Worker"):
                status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
                found[folder.name] = int(status["VmHWM"].split()[0]) * 1024 / 1e9
        except OSError:
            continue  # it has ended since
    return found


def measure(trials: int) -> dict[str, float]:
    """Medians over `trials` warm and `trials` fresh trials, run in turn."""
    tiny_model()  # not part of any trial
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        others = set(workers())
        with RayRunner(blueprint(), slots=1) as runner:
            warm(runner, folder / "warm", 0)
            pairs = [(warm(runner, folder / "warm", i), fresh(folder / "fresh", i)) for i in range(1, trials + 1)]
            peaks = [peak for pid, peak in workers().items() if pid not in others]
    warms, news = zip(*pairs, strict=True)
    return {
        "trials": trials,
        "test_rows": sum(len(read_rows(domain.test)) for domain in blueprint().domains),
        "warm_cpu_s": statistics.median(timing.cpu_s for timing in warms),
        "warm_wall_s": statistics.median(timing.wall_s for timing in warms),
        "warm_first_step_s": statistics.median(timing.first_step_s for timing in warms),
        "fresh_cpu_s": statistics.median(timing.cpu_s for timing in news),
        "fresh_wall_s": statistics.median(timing.wall_s for timing in news),
        "fresh_to_warm_cpu": statistics.median(new.cpu_s / old.cpu_s for old, new in pairs),
        "fresh_to_warm_wall": statistics.median(new.wall_s / old.wall_s for old, new in pairs),
        "worker_peak_gb": max(peaks, default=float("nan")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one trial of each kind instead of five")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    parser.add_argument("--child", nargs=2, metavar=("FOLDER", "NUMBER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        fresh_child(Path(options.child[0]), int(options.child[1]))
        return
    found = measure(1 if options.quick else 5)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for key, value in found.items():
        print(f"{key:20} {value:8.3g}  {TARGETS.get(key, '')}".rstrip())


if __name__ == "__main__":
    main()
