"""Studies of Amazon Nova on the local service, which makes mistakes, by drivers that are killed at random moments.

`python -m tests.chaos.nova --seeds 101 102 103 104 105` plays a study of 20 trials for each seed, which the simulated
model, the mistakes and the kills are drawn from.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from objectives.backends.sagemaker.percentages import Percentages
from objectives.mixture import Mixture
from ratio_search.record import JobState, Record
from ratio_search.study import Study
from tests.services.sagemaker.account import GROUP
from tests.services.sagemaker.rehearsal import ROOT, STUDY, rehearsed, secluded
from tests.services.sagemaker.server import BUCKET, SagemakerServer
from tests.services.sagemaker.world import World

NAME = "nova-chaos"
KILLS, MOST_DRIVERS = 2, 6
JOB = re.compile(rf"{NAME}-[0-9a-f]+-(?P<job>[a-z]+-\d+)-(?P<stage>[a-z0-9-]+)-a\d+")
"""Names of jobs on the service."""

CHANCES = {
    "throttle": 0.03,
    "busy": 0.01,
    "broken": 0.01,
    "limit": 0.03,
    "silent": 0.01,
    "hang": 0.005,
    "capacity": 0.005,
    "preempt": 0.005,
}
"""Mistakes at every call that can have them; the last two end a running job."""

GUARD, GAIN = 0.02, 0.10
"""How far MMLU may be below the untuned model's, and how much F1 has to be gained, both in truth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a study.

    Attributes:
        seed: the round's.
        drivers: how many it took.
        kills: jobs that the service had taken when a driver was killed.
        jobs: that the service took.
        lost: of these, by its own fault.
        failed: trials that failed by their own, as they were meant to.
        gains: of the recommended mixture over the untuned model, in truth.
        shares: of that mixture.
        wrong: what is not as it must be; empty for a round that is well.
        seconds: how long it took.
    """

    seed: int
    drivers: int
    kills: list[int]
    jobs: int
    lost: int
    failed: int
    gains: dict[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    wrong: list[str]
    seconds: float


def study_file(folder: Path, seed: int, trials: int) -> Path:
    """Writes the study of a round."""
    document = rehearsed(STUDY, {"trials": trials, "seed": seed})
    document["name"] = NAME
    document["objective"] |= {
        "place": f"s3://{BUCKET}/chaos",
        "model_package_group": GROUP,
        "poll_s": 0.05,
        "timeout_s": 3,
    }
    del document["budget"]
    file = folder / f"{NAME}.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return file


def play(folder: Path, seed: int, *, trials: int = 20) -> Result:
    """Plays a round.

    Args:
        folder: for all that it writes; not there yet.
        seed: of the simulated model, and of all that is left to chance.
        trials: of the study.
    """
    began = time.monotonic()
    folder.mkdir(parents=True)
    generator = random.Random(f"nova/{seed}")
    file = study_file(folder, seed, trials)
    wrong: list[str] = []
    kills: list[int] = []
    jobs = 4 * trials + 3
    # In the first and the second half of what the service will be asked for.
    moments = [generator.randint(2, jobs // 2), generator.randint(jobs // 2, jobs - 4)][:KILLS]
    with SagemakerServer(folder / "service", world=file, seed=seed, length=2, chances=CHANCES, chaos=seed) as server:
        server.fault("DescribeTrainingJob", "overrun", stage="train", after=generator.randint(trials, 3 * trials // 2))
        for driver in range(MOST_DRIVERS):
            until = moments[driver] if driver < len(moments) else None
            code = drive(folder, server, until, generator)
            if code == -signal.SIGKILL:
                kills.append(taken(server))
            elif code != 0:
                wrong.append(f"driver {driver} ended with {code}: {(folder / 'driver.txt').read_text()[-2000:]}")
            elif until is None:
                break
        else:
            wrong.append(f"not done after {MOST_DRIVERS} drivers")
        jobs_known = server.jobs
    study = Study.open(folder / "runs" / NAME)
    records = [record for record in (study.baseline(), *study.records()) if record is not None]
    complete = [record for record in records if record.state is JobState.COMPLETE]
    if len(complete) != trials + 1:
        wrong.append(f"{len(complete)} jobs are complete, expected {trials + 1}")
    wrong += unpaid(records, jobs_known)
    mixture = study.recommend().mixture
    gains, shares = judged(World.of(file, seed), study, mixture)
    return Result(
        seed=seed,
        drivers=driver + 1,
        kills=kills,
        jobs=len(jobs_known),
        lost=sum(map(lost, jobs_known.values())),
        failed=len(records) - len(complete),
        gains=gains,
        shares=shares,
        wrong=wrong,
        seconds=time.monotonic() - began,
    )


def drive(folder: Path, server: SagemakerServer, until: int | None, generator: random.Random) -> int:
    """Has a driver run until it ends, or until it is killed; its exit code.

    Args:
        folder: of the round.
        server: the service.
        until: jobs that the service has taken when the driver is to die; None for never.
        generator: of how much longer it lives.
    """
    runs = folder / "runs"
    begun = (runs / NAME / "manifest.json").exists()
    command = ["resume", NAME] if begun else ["launch", str(folder / f"{NAME}.yaml")]
    with (folder / "driver.txt").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ratio_search", *command, "--runs", str(runs)],
            cwd=ROOT,
            env=secluded(os.environ, server.environment),
            stdout=output,
            stderr=output,
        )
    with process:
        while until is not None and taken(server) < until and process.poll() is None:
            time.sleep(0.02)
        if until is not None:
            time.sleep(generator.uniform(0, 0.3))
            process.kill()
        return process.wait()


def taken(server: SagemakerServer) -> int:
    """How many jobs the service has taken."""
    return sum(line["event"] == "taken" for line in server.ledger)


def lost(job: Mapping[str, Any]) -> bool:
    """Whether a job failed by the service's fault."""
    return job["status"] == "Failed"


def unpaid(records: Sequence[Record], jobs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Every stage that the service began too often or too rarely, that the study does not know, or that cost more."""
    began: Counter[tuple[str, str]] = Counter()
    losses: Counter[tuple[str, str]] = Counter()
    for name, job in jobs.items():
        match = JOB.fullmatch(name)
        assert match is not None, name
        began[match["job"], match["stage"]] += 1
        losses[match["job"], match["stage"]] += lost(job)
    wrong = [
        f"{job}: {stage} was begun {number} times, and lost {losses[job, stage]} times"
        for (job, stage), number in sorted(began.items())
        if number != losses[job, stage] + 1
    ]
    for record in records:
        names = [stage.name for stage in record.stages]
        if record.state is JobState.COMPLETE and record.job.mixture is not None and not began[record.job.id, "train"]:
            wrong.append(f"{record.job.id}: was never trained")
        billed = sum(jobs[name]["tokens"] for name in names if name in jobs)
        if record.cost.get("tokens", 0.0) != billed:
            wrong.append(f"{record.job.id}: {record.cost.get('tokens')} tokens on record, billed were {billed}")
    known = {stage.name for record in records for stage in record.stages}
    if not set(jobs) <= known:
        wrong.append(f"not on record: {sorted(set(jobs) - known)}")
    return wrong


def judged(world: World, study: Study, mixture: Mixture) -> tuple[dict[str, float], dict[str, float]]:
    """What a mixture gains over the untuned model, in truth, and the shares that it really makes."""
    percentages = Percentages.of(mixture, study.spec.domains)
    shares = dict(percentages.realised(percentages.own))
    tuned, untuned = world.truth(shares), world.truth(None)
    return {name: tuned[name] - untuned[name] for name in tuned}, shares


def short(result: Result) -> list[str]:
    """What the recommended mixture lacks of what it should be."""
    lacking = []
    if result.gains["general/mmlu"] < -GUARD:
        lacking.append(f"MMLU falls by {-result.gains['general/mmlu']:.4f}, more than {GUARD}")
    if result.gains["voc/f1"] < GAIN:
        lacking.append(f"F1 gains {result.gains['voc/f1']:.4f}, less than {GAIN}")
    return lacking


def main() -> int:
    parser = argparse.ArgumentParser(description="Plays studies of Nova on a service that makes mistakes.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="chaos-nova-"))
    results = []
    for seed in options.seeds:
        result = play(folder / f"seed-{seed}", seed, trials=options.trials)
        results.append(result)
        if not options.json:
            print(summary(result), flush=True)
    if options.json:
        print(json.dumps([dataclasses.asdict(result) for result in results]))
    return 1 if any(result.wrong or short(result) for result in results) else 0


def summary(result: Result) -> str:
    lines = "".join(f"\n  WRONG: {what}" for what in (*result.wrong, *short(result)))
    gains = ", ".join(f"{name} {gain:+.4f}" for name, gain in result.gains.items())
    shares = " ".join(f"{name}={share:.3f}" for name, share in result.shares.items())
    return (
        f"seed {result.seed}: {result.seconds:.0f} s, {result.drivers} drivers, killed after {result.kills} jobs, "
        f"{result.jobs} jobs, {result.lost} lost, {result.failed} trials failed; {gains}; {shares}{lines}"
    )


if __name__ == "__main__":
    sys.exit(main())
