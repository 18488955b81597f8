"""How long does it take to judge a study otherwise? One of 200 trials with 8 domains and 8 metrics.

    python benchmarks/rescoring.py          # each figure is the median of 5 studies
    python benchmarks/rescoring.py --quick  # of 1 study
    python benchmarks/rescoring.py --json   # the figures as one JSON document

Each study lies in a folder and is opened anew, as `ratio-search score` does. `open` reads it; `first` is the first
recommendation, which fits the models; `again` judges all trials and recommends once more, by another balance, for
which the models stay. What the command does after the study is loaded is `first` and `again` together.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import yaml
from numpy.typing import NDArray

from objectives.scorer import BalanceKind
from ratio_search import Study, StudySpec
from ratio_search.change import Change
from ratio_search.rescoring import Judgement

T = TypeVar("T")

TRIALS, DOMAINS, NOISE = 200, 8, 0.02
NAMES = [f"d{i}" for i in range(DOMAINS)]
METRICS = [f"{name}/skill" for name in NAMES]

CHANGES = {
    "weighted": Change(kind=BalanceKind.WEIGHTED),
    "target": Change(kind=BalanceKind.TARGET, targets={METRICS[0]: 0.9}),
    "weights": Change(weights={METRICS[1]: 3.0}),
    "guard": Change(guards={METRICS[2]: 0.0}),
}


def law(shares: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Metrics of mixtures, (n, DOMAINS): each gains from its own domain and from the next one, with some noise."""
    own = shares + 0.3 * np.roll(shares, -1, axis=1)
    found: NDArray[np.float64] = own / (own + 0.1) + NOISE * rng.standard_normal(shares.shape)
    return found


def made(seed: int, runs: Path) -> Path:
    """The folder of a study with so many finished trials: most near a good mixture, as a search leaves them."""
    rng = np.random.default_rng(seed)
    document = {
        "name": f"study-{seed}",
        "domains": {name: {} for name in NAMES},
        "objective": {"kind": "external"},
        "metrics": [{"name": name, "goal": "maximize", "scale": 1.0, "reference": 0.3} for name in METRICS],
        "search": {"trials": TRIALS, "seed": seed},
    }
    study = Study.create(StudySpec.parse(yaml.safe_dump(document), runs), runs)
    shares = np.concatenate(
        [rng.dirichlet(np.full(DOMAINS, concentration), TRIALS // 2) for concentration in (1.0, 10.0)]
    )
    table = runs / f"{seed}.csv"
    rows = np.hstack([shares, law(shares, rng)])
    header = ",".join([*(f"share/{name}" for name in NAMES), *METRICS])
    np.savetxt(table, rows, delimiter=",", header=header, comments="", fmt="%.17g")
    study.import_runs(table)
    return study.folder.path


def timed(call: Callable[[], T]) -> tuple[float, T]:
    """The seconds that a call takes, and what it gives."""
    begun = time.perf_counter()
    found = call()
    return time.perf_counter() - begun, found


def figures(folder: Path) -> dict[str, float]:
    """Seconds of one study."""
    found = {}

    def opened() -> Study:
        study = Study.open(folder)
        study.records()
        return study

    found["open"], study = timed(opened)
    found["first"], now = timed(lambda: Judgement.of(study))
    for name, change in CHANGES.items():
        spec = change.applied(study.spec)
        scorer = type(now.scorer)(metrics=spec.metrics, balance=spec.balance, baseline=now.scorer.baseline)
        found[f"again, {name}"], _ = timed(lambda scorer=scorer: Judgement.of(study, scorer))  # type: ignore[misc]
    found["again, slowest"] = max(seconds for name, seconds in found.items() if name.startswith("again"))
    found["after loading"] = found["first"] + found["again, slowest"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="one study")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON document")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as runs:
        studies = [figures(made(seed, Path(runs))) for seed in range(1 if options.quick else 5)]
    found = {f"{name}, seconds": statistics.median(study[name] for study in studies) for name in studies[0]}
    print(
        json.dumps(found, indent=2) if options.json else "\n".join(f"{name:28s}{n:10.3g}" for name, n in found.items())
    )


if __name__ == "__main__":
    main()
