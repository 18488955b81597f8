"""How few trials does a search of shares and hyperparameters together need? Beside Optuna's samplers, in one run.

    python benchmarks/hyperparameters.py --quick          # two problems, 10 trials
    python benchmarks/hyperparameters.py --processes 2    # 48 problems, 40 trials: half an hour
    python benchmarks/hyperparameters.py --json           # the figures as one JSON document

Each study searches the shares of a fine-tuning law, a learning rate over three decades and one of three LoRA ranks
(`mixing/tuned.py` has the prior). All begin with equal shares and the middle of the range. Ours recommends by its
model; the others, which are the product's own `search.sampler`s, the best trial that they observed. Regret is 0 for the
best mixture with the best hyperparameters, 1 for a typical random draw of both, and counts as 0.005 below that.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import numpy as np
from mixing.contestants.base import Setting
from mixing.contestants.ours import OurStudy
from mixing.figures import FLOOR
from mixing.options import numbers
from mixing.problems import Floats, Noise
from mixing.suite import BALANCES
from mixing.tuned import SPACE, TunedProblem

from objectives.scorer import BalanceKind

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "mixing"
SAMPLERS = ("simplex-gp", "random", "tpe", "optuna-gp")
OURS, OPTUNA = "simplex-gp", ("tpe", "optuna-gp")
CHECKPOINTS = (10, 20, 40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One study: a draw of the laws, how its metrics are balanced, and who searches."""

    domains: int
    seed: int
    number: int
    balance: BalanceKind
    noise: Noise
    sampler: str
    trials: int


def played(run: Run) -> tuple[Run, Mapping[int, float]]:
    """The regrets of what is recommended after each of `CHECKPOINTS`."""
    problem = TunedProblem.of(run.domains, run.seed, run.number, run.balance, run.noise, CACHE)
    task, found = problem.still.task, {}
    search = {"sampler": run.sampler, "hyperparameters": SPACE}
    study = OurStudy(Setting(task=task, seed=0, trials=run.trials, parallel=1), search).study

    def shares(mixture: Mapping[str, float]) -> Floats:
        return np.array([mixture[name] for name in task.domains])

    best, highest = None, -np.inf
    for n in range(1, run.trials + 1):
        job = study.ask()
        assert job is not None and job.mixture is not None
        # Drawn for the trial's number alone, so that all samplers meet the same luck.
        rng = np.random.default_rng([n, run.number, run.domains])
        values = problem.measured(shares(job.mixture), job.hyperparameters, rng)
        study.tell(job.id, dict(zip((metric.name for metric in task.metrics), values.tolist(), strict=True)))
        if problem.score(values) > highest:
            best, highest = job, problem.score(values)
        if n in CHECKPOINTS:
            what = study.recommend() if run.sampler == OURS else best
            found[n] = max(problem.regret(shares(what.mixture), what.hyperparameters), FLOOR)
    return run, found


def figures(regrets: Mapping[Run, Mapping[int, float]]) -> dict[str, float]:
    """Geometric means by sampler, and ours by that of the best of Optuna's, with a 90 % interval by bootstrap."""
    found: dict[str, float] = {}
    rng = np.random.default_rng(0)
    for n in CHECKPOINTS:
        logs = {
            sampler: np.log([regret[n] for run, regret in regrets.items() if run.sampler == sampler and n in regret])
            for sampler in SAMPLERS
        }
        if not len(logs[OURS]):
            continue
        found |= {f"{sampler}_{n}": float(np.exp(log.mean())) for sampler, log in logs.items()}
        problems = len(logs[OURS])
        again = [np.arange(problems), *rng.integers(0, problems, (2000, problems))]
        ratios = [np.exp(max(logs[OURS][i].mean() - logs[peer][i].mean() for peer in OPTUNA)) for i in again]
        found[f"to_optuna_{n}"] = float(ratios[0])
        found[f"to_optuna_{n}_low"], found[f"to_optuna_{n}_high"] = np.quantile(ratios[1:], (0.05, 0.95)).tolist()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=numbers, default=[3, 5, 10], help="numbers of domains")
    parser.add_argument("--draws", type=int, default=4, help="laws of each")
    parser.add_argument("--law-seed", type=int, default=0, help="of the laws' draws")
    parser.add_argument("--trials", type=int, default=40, help="of each study")
    parser.add_argument("--processes", type=int, default=1, help="studies at a time")
    parser.add_argument("--quick", action="store_true", help="two problems of three domains, 10 trials")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON document")
    options = parser.parse_args()
    sizes, draws, trials = ([3], 1, 10) if options.quick else (options.sizes, options.draws, options.trials)
    noises = [Noise.LOW] if options.quick else [Noise.LOW, Noise.MEDIUM]
    runs = [
        Run(
            domains=domains,
            seed=options.law_seed,
            number=number,
            balance=balance,
            noise=noise,
            sampler=sampler,
            trials=trials,
        )
        for domains in sizes
        for number in range(draws)
        for balance in BALANCES
        for noise in noises
        for sampler in SAMPLERS
    ]
    with ProcessPoolExecutor(options.processes) as pool:
        done = {}
        for future in as_completed([pool.submit(played, run) for run in runs]):
            run, regret = future.result()
            done[run] = regret
            print(f"\r{len(done)} of {len(runs)} studies", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    # In one order for all samplers, so that problems can be paired.
    found = figures({run: done[run] for run in runs})
    print(
        json.dumps(found, indent=2) if options.json else "\n".join(f"{name:24s}{n:8.3f}" for name, n in found.items())
    )


if __name__ == "__main__":
    main()
