"""How few trials does a search need? Ours beside others, on problems whose best mixture is known.

    python benchmarks/sample_efficiency.py                      # 1 draw of each law, 10 seeds; pip install '.[bench]'
    python benchmarks/sample_efficiency.py --full --high        # 5 draws, four trials at a time too, high noise too
    python benchmarks/sample_efficiency.py --quick              # ours, random search, Optuna's default: a minute
    python benchmarks/sample_efficiency.py --json               # the figures as one JSON document
    python benchmarks/sample_efficiency.py --peers all          # BoTorch, too
    python benchmarks/sample_efficiency.py --only ours,ours:x   # ablations: see mixing/contestants/ours.py
    python benchmarks/sample_efficiency.py --markdown --plot docs/sample-efficiency.svg

A problem is a law of fine-tuning drawn from a stated prior (mixing/laws.py), or nets fitted to real runs: RegMix's on
The Pile (mixing/pile.py), the quickstart's (mixing/quickstart.py). Everybody meets the same problems with the same
noise, starts with uniform shares, and is asked after 10, 20, 40 and 100 trials what to train with. Regret is how far
that falls short of the best mixture, without noise: 1 is a random mixture's. Others than ours recommend the best that
they observed, or what their method says; `<name>+ours` is what our model recommends from their trials.

What was played is kept, and played again only when the code behind it changes. Whoever tunes a method should judge it
with another `--law-seed`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

# Before numpy is imported, here and in the processes below: one core each.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

from mixing.contestants.registry import OWN, PEERS, SUFFIX, entry
from mixing.figures import figures, markdown, plot
from mixing.options import noises, numbers
from mixing.problems import Noise
from mixing.quickstart import make_table
from mixing.runs import Outcome, Results, Run, key_of, play
from mixing.suite import Suite

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "mixing"
OUTCOMES = ROOT / "benchmarks" / "mixing" / "outcomes.jsonl"


def planned(options: argparse.Namespace) -> list[Run]:
    """All runs that the options ask for, seed by seed, so that a result that is cut short covers all problems."""
    suite = Suite(
        law_seed=options.law_seed,
        sizes=tuple(options.sizes),
        draws=options.draws,
        tables=not options.no_tables,
        noises=tuple(options.noise),
    )
    for word in suite.missing(options.cache):
        print(f"left out: {word}", file=sys.stderr)
    names = options.only or [OWN, *PEERS[options.peers]]
    entries = {name: entry(name.removesuffix(SUFFIX)) for name in names}
    return [
        Run(
            contestant=name,
            suite=suite,
            problem=problem.name,
            seed=seed,
            parallel=parallel,
            trials=min(options.trials, one.most_trials),
        )
        for parallel in options.parallel
        for seed in range(options.seeds)
        for problem in suite.problems(options.cache)
        for name, one in entries.items()
        if seed < one.most_seeds
    ]


def played(runs: Sequence[Run], results: Results, processes: int) -> list[Outcome]:
    """The outcomes of all runs, from the results file or played now; the file grows as they come.

    Without processes nothing is played.
    """
    kept = results.read()
    problems = {(run.suite, p.name): p for run in runs for p in run.suite.problems(results.cache)} if runs else {}
    keys = {run: key_of(run, problems[run.suite, run.problem]) for run in runs}
    found = {run: kept[key] for run, key in keys.items() if key in kept}
    missing = [run for run in runs if run not in found and processes]
    # Recommendations from others' trials come last, as they need these.
    recommended = [run for run in missing if run.contestant.endswith(SUFFIX)]
    bases = [replace(run, contestant=run.contestant.removesuffix(SUFFIX)) for run in recommended]
    needed = [run for run in bases if not results.history(key_of(run, problems[run.suite, run.problem])).is_file()]
    first = dict.fromkeys([*needed, *(run for run in missing if run not in recommended)])
    for wave in (list(first), recommended):
        for number, (run, outcome) in enumerate(_play_all(wave, results, processes), 1):
            results.add(outcome)
            found[run] = outcome
            print(f"\r{number} of {len(wave)} runs", end="", file=sys.stderr, flush=True)
        if wave:
            print(file=sys.stderr)
    return [found[run] for run in runs if run in found]


def _play_all(runs: Sequence[Run], results: Results, processes: int) -> Iterator[tuple[Run, Outcome]]:
    if not runs:
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(runs)), mp_context=spawn) as pool:
        waiting = {pool.submit(play, run, results): run for run in runs}
        for done in as_completed(waiting):
            yield waiting[done], done.result()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few problems, 20 trials, one seed, three contestants")
    parser.add_argument("--full", action="store_true", help="five draws of each law, four trials at a time, too")
    parser.add_argument("--high", action="store_true", help="high noise, too")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.add_argument("--markdown", action="store_true", help="tables for the documents")
    parser.add_argument("--plot", type=Path, help="file to draw regret by trials to")
    parser.add_argument("--peers", choices=list(PEERS), default="optuna", help="beside whom")
    parser.add_argument("--only", type=lambda text: text.split(","), help="these contestants, separated by commas")
    parser.add_argument("--law-seed", type=int, default=0, help="of the laws' draws")
    parser.add_argument("--sizes", type=numbers, default=[3, 5, 10, 20], help="numbers of domains of the laws")
    parser.add_argument("--draws", type=int, default=1, help="laws of each size")
    parser.add_argument("--no-tables", action="store_true", help="without the problems fitted to real runs")
    parser.add_argument("--noise", type=noises, default=[Noise.LOW, Noise.MEDIUM], help="levels, separated by commas")
    parser.add_argument("--seeds", type=int, default=10, help="runs of each problem; slow contestants get fewer")
    parser.add_argument("--parallel", type=numbers, default=[1], help="trials at a time, such as 1,4")
    parser.add_argument("--trials", type=int, default=100, help="of each run")
    parser.add_argument("--processes", type=int, default=2, help="runs at a time, one core each; 0: what is kept")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of nets, optima and trials")
    parser.add_argument("--results", type=Path, default=OUTCOMES, help="file of the outcomes")
    parser.add_argument(
        "--make-quickstart-table", type=int, metavar="N", help="fine-tune N mixtures for real, then stop"
    )
    options = parser.parse_args()
    if options.full:
        options.draws, options.parallel = 5, [1, 4]
    if options.high:
        options.noise = list(Noise)
    if options.quick:
        options.only = options.only or [OWN, "random", "tpe-faq"]
        options.sizes, options.draws, options.no_tables = [3, 5], 1, True
        options.noise, options.seeds, options.trials = [Noise.MEDIUM], 1, 20
    return options


def main() -> None:
    options = arguments()
    if options.make_quickstart_table is not None:
        make_table(options.make_quickstart_table, options.processes)
        return
    results = Results(file=options.results, cache=options.cache)
    outcomes = played(planned(options), results, options.processes)
    if options.plot is not None:
        plot(outcomes, options.plot)
    if options.json:
        print(json.dumps(figures(outcomes), indent=2))
    elif options.markdown:
        print(markdown(outcomes))
    else:
        for name, value in figures(outcomes).items():
            print(f"{name:32} {value:10.3g}")


if __name__ == "__main__":
    main()
