"""Is the product's judgement right? Its own words beside the truth, on simulated studies whose truth is known.

    python benchmarks/judgement.py                        # 64 studies without and 64 with a guard, by noise
    python benchmarks/judgement.py --quick                # 16 studies in all: under a minute
    python benchmarks/judgement.py --json                 # the figures as one JSON document
    python benchmarks/judgement.py --markdown             # tables for the documents
    python benchmarks/judgement.py --law-seed 2           # other laws: whoever changes the method judges it on these

A study of 20 trials is played on laws of fine-tuning of 3 to 6 domains (mixing/laws.py), with a low, a medium and a
high noise: as large as what a metric varies by over random mixtures. Then it is asked what to train with, and what it
says is held beside the truth, which it has never seen. Do intervals hold it as often as they should? Do guards hold as
often as they were asked to? Does the recommendation lose less than the trial that measured best? How often is the
winner of a confirmation truly better than a rival, where its verdict states some probability of that?

Studies are kept, and played again only when the code behind the method changes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

# Before numpy is imported, here and in the processes below: one core each.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

from mixing.judging.cases import Case, cases
from mixing.judging.figures import figures, markdown, reliability
from mixing.judging.plays import Kept, Outcome, key_of, play
from mixing.judging.truth import judged
from mixing.judging.verdicts import claims
from mixing.options import noises, numbers
from mixing.problems import Noise
from mixing.regret import Yardstick

ROOT = Path(__file__).resolve().parent.parent
OPTIMA = ROOT / ".cache" / "mixing"
KEPT = ROOT / ".cache" / "judging" / "outcomes.jsonl"


def planned(options: argparse.Namespace) -> list[Case]:
    """All studies that the options ask for."""
    return [
        case
        for noise in options.noise
        for guarded in (False, True)
        for case in cases(
            law_seed=options.law_seed,
            sizes=options.sizes,
            draws=options.draws,
            seeds=options.seeds,
            noise=noise,
            trials=options.trials,
            guarded=guarded,
        )
    ]


def played(wanted: Sequence[Case], kept: Kept, processes: int) -> list[tuple[Case, Outcome]]:
    """The outcomes of cases, kept ones or played now; without processes nothing is played."""
    found = kept.read()
    keys = {case.name: key_of(case) for case in wanted}
    missing = [case for case in wanted if keys[case.name] not in found and processes]
    if missing:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(processes, len(missing)), mp_context=spawn) as pool:
            waiting = [pool.submit(play, case) for case in missing]
            for number, done in enumerate(as_completed(waiting), 1):
                outcome = done.result()
                kept.add(outcome)
                found[outcome.key] = outcome
                print(f"\r{number} of {len(missing)} studies", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
    return [(case, found[keys[case.name]]) for case in wanted if keys[case.name] in found]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few laws, medium noise only")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.add_argument("--markdown", action="store_true", help="tables for the documents")
    parser.add_argument("--law-seed", type=int, default=1, help="of the laws' draws")
    parser.add_argument("--sizes", type=numbers, default=[3, 4, 5, 6], help="numbers of domains of the laws")
    parser.add_argument("--draws", type=int, default=8, help="laws of each size")
    parser.add_argument("--seeds", type=int, default=1, help="studies of each problem")
    parser.add_argument("--noise", type=noises, default=list(Noise), help="levels, separated by commas")
    parser.add_argument("--trials", type=int, default=20, help="of each study")
    parser.add_argument("--processes", type=int, default=2, help="studies at a time, one core each; 0: what is kept")
    parser.add_argument("--kept", type=Path, default=KEPT, help="file of the outcomes")
    parser.add_argument("--optima", type=Path, default=OPTIMA, help="folder of the problems' optima")
    options = parser.parse_args()
    if options.quick:
        options.sizes, options.draws, options.noise = [3, 5], 2, [Noise.MEDIUM]
    return options


def main() -> None:
    options = arguments()
    outcomes = played(planned(options), Kept(file=options.kept), options.processes)
    found = figures([judged(case, outcome, Yardstick.of(case.problem, options.optima)) for case, outcome in outcomes])
    found |= reliability([claim for case, outcome in outcomes for claim in claims(case, outcome)])
    if options.json:
        print(json.dumps(found, indent=2))
    elif options.markdown:
        print(markdown(found))
    else:
        for name, value in found.items():
            print(f"{name:32} {value:10.3g}")


if __name__ == "__main__":
    main()
