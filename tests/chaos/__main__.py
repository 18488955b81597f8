"""Plays rounds of chaos by hand: `python -m tests.chaos --rounds 200`."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.rounds import Result, on_ray, plans, play, warm


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Kills drivers, workers and trainers of studies, and looks what is left."
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--runner", choices=["processes", "serial", "ray"], default="processes")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--first", type=int, default=0, help="number of the first round")
    parser.add_argument("--folder", type=Path, help="kept; otherwise only rounds that go wrong are")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background processes ignore it
    warm()
    calm = play(folder / "calm", options.runner, [], None)
    results: list[Result] = []
    with contextlib.suppress(KeyboardInterrupt):  # then what was played so far counts
        for number in range(options.first, options.first + options.rounds):
            drivers = (on_ray if options.runner == "ray" else plans)(number, random.Random(f"{options.seed}/{number}"))
            here = folder / f"round-{number:04d}"
            result = play(here, options.runner, drivers, folder / "calm")
            results.append(result)
            if not options.json:
                print(f"round {number}: {summary(result)}", flush=True)
            if not result.wrong and options.folder is None:
                shutil.rmtree(here)
    if options.json:
        print(json.dumps([dataclasses.asdict(result) for result in results]))
    else:
        total(results)
    return 1 if calm.wrong or any(result.wrong for result in results) else 0


def total(results: Sequence[Result]) -> None:
    """Prints what was hit how often in all rounds together."""
    hit = Counter(kill["point"] for result in results for kill in result.kills)
    for point, times in sorted(hit.items()):
        print(f"{times:5d}  {point}")
    repeated, steps = sum(result.repeated for result in results), sum(result.steps for result in results)
    print(
        f"{len(results)} rounds, {sum(bool(result.wrong) for result in results)} of them wrong; {sum(hit.values())} "
        f"kills at {len(hit)} points; {sum(result.drivers for result in results)} drivers; {repeated} of {steps} steps "
        "trained again"
    )


def summary(result: Result) -> str:
    return (
        f"{result.seconds:.1f} s, {result.drivers} drivers, {len(result.kills)} kills, {result.repeated} of "
        f"{result.steps} steps repeated"
        + (f", missed {', '.join(result.missed)}" if result.missed else "")
        + "".join(f"\n  WRONG: {what}" for what in result.wrong)
    )


if __name__ == "__main__":
    sys.exit(main())
