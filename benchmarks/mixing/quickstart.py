"""The quickstart's own study as a problem: real fine-tunes of many mixtures, and nets fitted to them."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np

from objectives.metrics import Comparison
from objectives.mixture import Mixture

from .nets import fitted
from .problems import Landscape

ROOT = Path(__file__).resolve().parents[2]
STUDY = ROOT / "studies" / "quickstart.yaml"
TABLE = ROOT / "benchmarks" / "tables" / "quickstart.csv"
WHERE = f"{TABLE}: no table there; make it with --make-quickstart-table 200, some 10 minutes on two cores"

UNTUNED = "untuned"
HELD_OUT = 5
"""One run in so many is not fitted."""


def quickstart(cache: Path) -> list[Landscape]:
    """The problem, in a list; none where the table is missing.

    Args:
        cache: a folder for fitted nets, by content.
    """
    if not TABLE.is_file():
        return []
    from ratio_search import StudySpec

    spec = StudySpec.load(STUDY)
    names = tuple(domain.name for domain in spec.mixed)
    with TABLE.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    untuned = next(row for row in rows if row["run"] == UNTUNED)
    runs = [row for row in rows if row["run"] != UNTUNED]
    shares = np.array([[float(row[f"share/{name}"]) for name in names] for row in runs])
    values = np.array([[float(row[metric.name]) for metric in spec.metrics] for row in runs])
    log = np.array([metric.comparison is Comparison.LOG_RATIO for metric in spec.metrics])
    held_out = np.arange(len(runs)) % HELD_OUT == HELD_OUT - 1
    nets = fitted(shares[~held_out], values[~held_out], log, cache)
    r2 = nets.r2(shares[held_out], values[held_out])
    # Nets may pass a rate's upper limit by a little.
    metrics = [replace(m, reference=float(untuned[m.name]), upper=None) for m in spec.metrics]
    return [
        Landscape(
            name="quickstart",
            domains=names,
            metrics=tuple(metrics),
            own=np.array([[metric.domain == name for name in names] for metric in metrics]),
            model=nets,
            note=f"R2 on {held_out.sum()} held-out runs: "
            + ", ".join(f"{metric.name} {one:.2f}" for metric, one in zip(metrics, r2, strict=True)),
        )
    ]


def make_table(runs: int, processes: int) -> None:
    """Fine-tunes for real the untuned model and `runs` mixtures, each with seeds of its own, and writes the table.

    The mixtures are the corners and the centre, then dense and sparse random ones in turn.
    """
    from fleet import fine_tune

    from objectives.base import Seeds
    from ratio_search import StudySpec

    names = [domain.name for domain in StudySpec.load(STUDY).mixed]
    rng = np.random.default_rng(0)
    drawn = [rng.dirichlet(np.full(len(names), 1.0 if number % 2 else 0.4)) for number in range(runs)]
    design = [*np.eye(len(names)), np.ones(len(names)), *drawn][:runs]
    mixtures = [None, *(Mixture.from_weights(dict(zip(names, row.tolist(), strict=True))) for row in design)]
    jobs = [(mixture, Seeds.of(1, number)) for number, mixture in enumerate(mixtures)]
    measured = fine_tune(STUDY, jobs, processes=processes)
    TABLE.parent.mkdir(exist_ok=True)
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["run", *(f"share/{name}" for name in names), *measured[0].metrics])
        for number, (mixture, found) in enumerate(zip(mixtures, measured, strict=True)):
            shares = ["" if mixture is None else f"{mixture[name]:.4f}" for name in names]
            label = UNTUNED if mixture is None else number
            writer.writerow([label, *shares, *(f"{estimate.value:.5g}" for estimate in found.metrics.values())])
