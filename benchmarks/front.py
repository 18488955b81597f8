"""Is what a study calls unbeaten really unbeaten? Studies of random mixtures on simulated laws, whose truth is known.

    python benchmarks/front.py          # 36 studies for each level of noise, about a minute
    python benchmarks/front.py --quick  # 9
    python benchmarks/front.py --json   # the figures as one JSON document

Two or three metrics of each law count, as a front of many metrics is nearly all there is. `right` is the part of the
chosen mixtures that no other tried one, nor the recommended one, beats in truth; `found` the part of these that was
chosen: by the model, where it is unbeaten with a probability of at least a half, and by what each trial measured. Then
follows how often mixtures were unbeaten that the front left out, or gave such a probability.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from mixing.contestants.base import Setting
from mixing.contestants.ours import study_file
from mixing.laws import laws
from mixing.problems import Landscape, Noise, Problem
from numpy.typing import NDArray

from objectives.scorer import BalanceKind
from ratio_search import Study, StudySpec
from ratio_search.dominance import unbeaten

LAW_SEEDS, SIZES, DRAWS, TRIALS = (11, 12, 13), (3, 5, 8), 4, 24
BINS = (0.0, 0.5, 0.9, 1.01)

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a study, for each mixture that it tried.

    Attributes:
        truly: whether no other one beats it in truth, (n,).
        measured: whether no other one beats it by what was measured, (n,).
        said: the probability that none does; -1 where it is not on the front, (n,).
    """

    truly: Flags
    measured: Flags
    said: NDArray[np.float64]


def play(landscape: Landscape, noise: Noise) -> Outcome:
    """Runs a study of random mixtures and asks for its front."""
    problem = Problem.of(landscape, BalanceKind.WORST, noise)
    task, rng = problem.task, np.random.default_rng([7, int(landscape.digest, 16)])
    counted = sorted(rng.choice(len(task.metrics), min(int(rng.integers(2, 4)), len(task.metrics)), replace=False))
    document: dict[str, Any] = yaml.safe_load(study_file(Setting(task=task, seed=0, trials=TRIALS, parallel=1), {}))
    document["search"]["sampler"] = "random"
    for k, section in enumerate(document["metrics"]):
        section["weight"] = 1 if k in counted else 0
    study = Study.create(StudySpec.parse(yaml.safe_dump(document, sort_keys=False), Path.cwd()))
    names, shares, values = [metric.name for metric in task.metrics], [], []
    while (job := study.ask()) is not None:
        assert job.mixture is not None
        shares.append([job.mixture[name] for name in task.domains])
        values.append(problem.measure(shares[-1], rng))
        study.tell(job.id, dict(zip(names, values[-1].tolist(), strict=True)))
    said = np.full(len(shares), -1.0)
    for member in study.front().members:
        for record in member.candidate.records:
            assert member.unbeaten is not None
            said[record.number] = member.unbeaten

    def alone(found: NDArray[np.float64]) -> Flags:
        """Which values, (n, n_metrics), no others beat."""
        gains = task.gains(found).T[counted]
        return unbeaten(gains[:, :, None], np.ones((len(found), 1), dtype=bool))[:, 0]

    recommended = study.recommend().mixture
    everything = [*shares, [recommended[name] for name in task.domains]]
    truly = alone(problem.truth(everything))[: len(shares)]
    return Outcome(truly=truly, measured=alone(np.array(values)), said=said)


def figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """How right the fronts of some studies are."""
    truly = np.concatenate([outcome.truly for outcome in outcomes])
    measured = np.concatenate([outcome.measured for outcome in outcomes])
    said = np.concatenate([outcome.said for outcome in outcomes])
    found: dict[str, Any] = {"studies": len(outcomes), "mixtures": len(truly), "unbeaten": float(truly.mean())}
    for name, chosen in (("model", said >= 0.5), ("measured", measured)):
        found[name] = {"right": float(truly[chosen].mean()), "found": float(chosen[truly].mean())}
    groups = {"left out": said < 0}
    for low, high in itertools.pairwise(BINS):
        groups[f"{low:.0%} to {min(high, 1):.0%}"] = (said >= low) & (said < high)
    found["said"] = {
        name: {
            "mixtures": int(own.sum()),
            "said": float(said[own].mean()) if own.any() and name != "left out" else None,
            "unbeaten": float(truly[own].mean()) if own.any() else None,
        }
        for name, own in groups.items()
    }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a quarter of the studies")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    landscapes = [one for seed in LAW_SEEDS for one in laws(seed, SIZES, 1 if options.quick else DRAWS)]
    found = {noise.value: figures([play(landscape, noise) for landscape in landscapes]) for noise in Noise}
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for noise, of in found.items():
        print(f"{noise} noise: {of['studies']} studies, {of['mixtures']} mixtures, {of['unbeaten']:.0%} unbeaten")
        for name in ("model", "measured"):
            print(f"  by {name}: right {of[name]['right']:.0%}, found {of[name]['found']:.0%}")
        for name, group in of["said"].items():
            said = "" if group["said"] is None else f" said {group['said']:.0%},"
            print(f"  {name}: {group['mixtures']} mixtures,{said} unbeaten {group['unbeaten'] or 0:.0%}")


if __name__ == "__main__":
    main()
