"""Simulators fitted to a public table of real runs: RegMix's small language models on 17 domains of The Pile.

Source of the table: Liu et al., "RegMix" (arXiv 2407.01492), GitHub `sail-sg/regmix`, folder `data/`, MIT licence. One
row is one pre-training run: its mixture, and its losses on 13 validation sets. Needed are `train_1m.csv`,
`test_1m.csv` (512 and 256 models of 1M parameters) and `test_60m.csv` (256 of 60M), with columns `run`, `w_<domain>`
and `y_loss_the_pile_<domain>_val`.

The nets are held to runs that were not fitted. All runs are of sparse mixtures, and the best dense ones are a little
further from the nearest run (a Hellinger distance of 0.35 to 0.41) than runs are from each other (0.31 to 0.34): what
the simulators say there is of the right kind, but no measurement.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from objectives.metrics import Comparison, Goal
from objectives.scorer import Metric

from .nets import fitted
from .problems import Floats, Landscape, random_mixtures

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("REGMIX_PILE", ROOT.parent / "shared" / "tables" / "regmix_pile"))
"""Where the table is, unless the environment says otherwise."""

WHERE = f"{FOLDER}: no table of RegMix's runs there; get it from GitHub sail-sg/regmix, data/ (see mixing/pile.py)"

HELD_OUT_60M = 56


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Runs:
    """Runs: mixtures, (n, n_domains), and losses, (n, n_losses)."""

    domains: tuple[str, ...]
    measured: tuple[str, ...]
    shares: Floats
    losses: Floats

    @classmethod
    def read(cls, file: Path) -> Runs:
        """Reads a table."""
        with file.open(encoding="utf-8", newline="") as lines:
            header, *rows = csv.reader(lines)
        values = np.array(rows, dtype=np.float64)
        weights = [i for i, name in enumerate(header) if name.startswith("w_")]
        losses = [i for i, name in enumerate(header) if name.startswith("y_loss_")]
        return cls(
            domains=tuple(header[i].removeprefix("w_") for i in weights),
            measured=tuple(header[i].removeprefix("y_loss_the_pile_").removesuffix("_val") for i in losses),
            shares=values[:, weights] / values[:, weights].sum(axis=1, keepdims=True),
            losses=values[:, losses],
        )

    def rows(self, first: int, last: int | None) -> Runs:
        """Some of them."""
        return replace(self, shares=self.shares[first:last], losses=self.losses[first:last])


def pile(cache: Path) -> list[Landscape]:
    """The simulators of both sizes of model; none where the table is missing.

    Args:
        cache: a folder for fitted nets, by content.
    """
    if not (FOLDER / "train_1m.csv").is_file():
        return []
    large = Runs.read(FOLDER / "test_60m.csv")
    return [
        _landscape("pile-1m", Runs.read(FOLDER / "train_1m.csv"), Runs.read(FOLDER / "test_1m.csv"), cache),
        _landscape("pile-60m", large.rows(HELD_OUT_60M, None), large.rows(0, HELD_OUT_60M), cache),
    ]


def _landscape(name: str, train: Runs, held_out: Runs, cache: Path) -> Landscape:
    nets = fitted(train.shares, train.losses, np.ones(len(train.measured), dtype=bool), cache)
    r2 = nets.r2(held_out.shares, held_out.losses)
    # A random mixture's loss. Measured from the untuned model's, the same for all metrics, the worst gain would always
    # be that of the domain that is hardest to learn.
    references = np.median(nets(random_mixtures(len(train.domains))), axis=0)
    metrics = [
        Metric(name=f"{domain}/loss", goal=Goal.MINIMIZE, comparison=Comparison.LOG_RATIO, reference=reference)
        for domain, reference in zip(train.measured, references.tolist(), strict=True)
    ]
    return Landscape(
        name=name,
        domains=train.domains,
        metrics=tuple(metrics),
        own=np.array([[domain == own for domain in train.domains] for own in train.measured]),
        model=nets,
        note=f"R2 on {len(held_out.shares)} held-out runs: median {np.median(r2):.3f}, lowest {r2.min():.3f}",
    )
