"""What does `search.stop: auto` save, and what does it cost? Studies that may stop early beside those that may not.

    python benchmarks/early_stop.py                # 12 runs one trial at a time, 4 runs of four at a time: minutes
    python benchmarks/early_stop.py --worth 0.002  # another gain that a trial must be worth
    python benchmarks/early_stop.py --law-seed 1   # on other draws of the laws

Problems and noise are those of sample_efficiency.py: both studies of a pair meet the same luck. Regret is in score; a
random mixture's is told beside it.
"""

from __future__ import annotations

import argparse
import os
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import numpy as np
from mixing.contestants.base import Setting
from mixing.contestants.ours import OurStudy
from mixing.problems import Problem
from mixing.regret import Yardstick
from mixing.suite import Suite

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "mixing"
TRIALS = 40
SINGLE = [f"{domains}-{draw}/worst/medium" for domains in (3, 5, 10) for draw in (0, 1)]
SINGLE += [f"{domains}-0/{rest}" for domains in (3, 5, 10) for rest in ("worst/low", "weighted/medium")]
PARALLEL = [f"{name}/worst/medium" for name in ("3-0", "5-0", "5-1", "10-0")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A study that was run to its end.

    Attributes:
        trials: that it took.
        regret: of what it recommends then, in score.
    """

    trials: int
    regret: float


def played(problem: Problem, yardstick: Yardstick, parallel: int, search: dict[str, Any]) -> Played:
    """Runs a study, its trials finished in the order in which they were asked for."""
    task = problem.task
    study = OurStudy(Setting(task=task, seed=0, trials=TRIALS, parallel=parallel), search).study
    pending: list[Any] = []
    while True:
        while len(pending) < parallel and (job := study.ask()) is not None:
            pending.append(job)
        if not pending:
            break
        job = pending.pop(0)
        rng = np.random.default_rng([0, study.complete, int(problem.landscape.digest, 16)])
        values = problem.measure([job.mixture[name] for name in task.domains], rng)
        study.tell(job.id, dict(zip((metric.name for metric in task.metrics), values.tolist(), strict=True)))
    assert study.done
    mixture = study.recommend().mixture
    [regret] = yardstick.regret(problem, np.array([[mixture[name] for name in task.domains]]))
    return Played(trials=study.complete, regret=float(regret) * (yardstick.best - yardstick.typical))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worth", type=float, help="search.worth; the default without it")
    parser.add_argument("--law-seed", type=int, default=0, help="of the laws' draws")
    options = parser.parse_args()
    suite = Suite(law_seed=options.law_seed, sizes=(3, 5, 10), draws=2, tables=False)
    suffix = f"-seed{options.law_seed}" if options.law_seed else ""
    problems = {problem.name: problem for problem in suite.problems(CACHE)}
    stop = {"stop": "auto", **({} if options.worth is None else {"worth": options.worth})}
    for parallel, names in ((1, SINGLE), (4, PARALLEL)):
        pairs = []
        for name in names:
            law, _, rest = name.partition("/")
            problem = problems[f"laws-{law}{suffix}/{rest}"]
            yardstick = Yardstick.of(problem, CACHE)
            whole, early = (played(problem, yardstick, parallel, search) for search in ({}, stop))
            pairs.append((whole, early))
            print(
                f"{problem.name}, {parallel} at a time: {early.trials} of {whole.trials} trials, regret "
                f"{early.regret:.4f} instead of {whole.regret:.4f} (random {yardstick.best - yardstick.typical:.3f})",
                flush=True,
            )
        saved = 1 - sum(early.trials for _, early in pairs) / sum(whole.trials for whole, _ in pairs)
        costs = [early.regret - whole.regret for whole, early in pairs]
        print(
            f"{parallel} at a time: {saved:.0%} of the trials saved; regret higher by {statistics.mean(costs):.4f} on "
            f"average, median {statistics.median(costs):.4f}, at most {max(costs):.4f}\n"
        )


if __name__ == "__main__":
    main()
