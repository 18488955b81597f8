"""Measures whether the sample data's domains pull against each other: every mixture, several seeds, every metric.

    python benchmarks/sample_data.py                  # 13 mixtures x 5 seeds, about 3 minutes on 2 cores
    python benchmarks/sample_data.py --quick          # 4 mixtures x 2 seeds, under a minute
    python benchmarks/sample_data.py --json           # the numbers as one JSON document

The setting is that of `studies/quickstart.yaml`. `docs/sample-data.md` holds what it printed and reads it.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet import fine_tune

from objectives.base import Seeds
from objectives.data import read_rows
from objectives.mixture import Mixture
from objectives.scorer import Metric, Scorer
from ratio_search import StudySpec

STUDY = Path(__file__).resolve().parent.parent / "studies" / "quickstart.yaml"

CANDIDATES = ((0.24, 0.16, 0.28, 0.32), (0.22, 0.20, 0.27, 0.31), (0.22, 0.17, 0.29, 0.32))
"""Shares that did well in earlier runs with other seeds than those used here, or lie near such."""

QUICK = ("uniform", "natural", "70 % support", "24 16 28 32")

FIRST_DATA_SEED, FIRST_TRAINING_SEED = 1_000, 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One finished job.

    Attributes:
        mixture: its name; None for the untuned baseline.
        values: metric to value.
        cpu_seconds: of training and evaluation.
    """

    mixture: str | None
    values: Mapping[str, float]
    cpu_seconds: float


def mixtures(sizes: Mapping[str, int]) -> dict[str, Mixture]:
    """The mixtures by name: two anchors, each domain raised to 70 % and lowered to 10 %, and the candidates.

    Args:
        sizes: training rows per domain.
    """
    names = list(sizes)
    found = {"uniform": Mixture.uniform(names), "natural": Mixture.from_weights(sizes)}
    for percent in (70, 10):
        rest = (100 - percent) / (len(names) - 1)
        for raised in names:
            weights = {name: percent if name == raised else rest for name in names}
            found[f"{percent} % {raised}"] = Mixture.from_weights(weights)
    for shares in CANDIDATES:
        found[" ".join(f"{100 * share:.0f}" for share in shares)] = Mixture.of(dict(zip(names, shares, strict=True)))
    return found


def measure(chosen: Mapping[str, Mixture], seeds: int, processes: int) -> list[Run]:
    """Runs the untuned baseline once and every mixture with every seed."""
    asked: list[tuple[str | None, int]] = [(None, 0)]
    asked += [(name, replicate) for replicate in range(seeds) for name in chosen]
    jobs = [
        (
            None if name is None else chosen[name],
            Seeds(data=FIRST_DATA_SEED + replicate, training=FIRST_TRAINING_SEED + replicate),
        )
        for name, replicate in asked
    ]
    return [
        Run(
            mixture=name,
            values={metric: estimate.value for metric, estimate in measured.metrics.items()},
            cpu_seconds=measured.cost["cpu_seconds"],
        )
        for (name, _), measured in zip(asked, fine_tune(STUDY, jobs, processes=processes), strict=True)
    ]


def summary(runs: Sequence[Run], spec: StudySpec) -> dict[str, Any]:
    """What the runs show, as plain data.

    A spread is the standard deviation between the mixtures' means; a noise is that between the seeds of one
    mixture, pooled over the mixtures (root mean square).
    """
    (baseline,) = (run for run in runs if run.mixture is None)
    scorer = Scorer(metrics=spec.metrics, balance=spec.balance, baseline=baseline.values)
    names = list(dict.fromkeys(run.mixture for run in runs if run.mixture is not None))
    series = {
        metric.name: {name: [run.values[metric.name] for run in runs if run.mixture == name] for name in names}
        for metric in spec.metrics
    }
    series["worst gain"] = {
        name: [scorer.score(run.values).balanced for run in runs if run.mixture == name] for name in names
    }
    table = {label: {name: _mean_sd(values) for name, values in rows.items()} for label, rows in series.items()}
    noise = {label: statistics.fmean(sd**2 for _, sd in rows.values()) ** 0.5 for label, rows in table.items()}
    spread = {label: statistics.stdev(mean for mean, _ in rows.values()) for label, rows in table.items()}
    worst = {name: mean for name, (mean, _) in table["worst gain"].items()}
    best = max(worst, key=worst.__getitem__)
    repeats = statistics.fmean(table["worst gain"][name][1] ** 2 for name in (best, "uniform")) ** 0.5
    return {
        "baseline": {metric.name: baseline.values[metric.name] for metric in spec.metrics},
        "table": table,
        "spread": spread,
        "noise": noise,
        "ratio": {label: spread[label] / noise[label] for label in table},
        "best": best,
        "lead": worst[best] - worst["uniform"],
        "lead_in_sds": (worst[best] - worst["uniform"]) / repeats,
        "cpu_seconds": statistics.fmean(run.cpu_seconds for run in runs if run.mixture is not None),
    }


def _mean_sd(values: Sequence[float]) -> tuple[float, float]:
    return statistics.fmean(values), statistics.stdev(values)


def markdown(found: Mapping[str, Any], metrics: Sequence[Metric]) -> str:
    """The summary as a Markdown table, mean +- standard deviation of the seeds."""
    labels = list(found["table"])
    lines = [f"| mixture | {' | '.join(labels)} |", f"|---{'|---:' * len(labels)}|"]
    untuned = [f"{found['baseline'][metric.name]:.3f}" for metric in metrics]
    lines.append(f"| *untuned* | {' | '.join([*untuned, ''])} |")
    for name in found["table"]["worst gain"]:
        cells = ["{:.3f} ± {:.3f}".format(*found["table"][label][name]) for label in labels]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for row, places in (("spread", 3), ("noise", 3), ("ratio", 1)):
        lines.append(f"| **{row}** | {' | '.join(f'{found[row][label]:.{places}f}' for label in labels)} |")
    lines.append("")
    lines.append(
        f"Best: {found['best']}. Its worst gain is {found['lead']:.3f} above uniform's, {found['lead_in_sds']:.1f} "
        f"standard deviations of the two mixtures' repeats. CPU seconds per trial: {found['cpu_seconds']:.1f}."
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer mixtures and seeds, under a minute")
    parser.add_argument("--json", action="store_true", help="print the numbers as one JSON document")
    parser.add_argument("--processes", type=int, default=2, help="runs at a time, one CPU core each")
    options = parser.parse_args()
    spec = StudySpec.load(STUDY)
    chosen = mixtures({domain.name: len(read_rows(domain.train)) for domain in spec.mixed})
    if options.quick:
        chosen = {name: chosen[name] for name in QUICK}
    found = summary(measure(chosen, 2 if options.quick else 5, options.processes), spec)
    print(json.dumps(found, indent=2) if options.json else markdown(found, spec.metrics))


if __name__ == "__main__":
    main()
