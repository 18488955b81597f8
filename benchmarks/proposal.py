"""How long does a proposal take, and how much memory? With 20 domains and 10 metrics, after many trials.

    python benchmarks/proposal.py           # after 100 and after 500 trials, beside Optuna's Gaussian process
    python benchmarks/proposal.py --quick   # after 100 trials, fewer proposals
    python benchmarks/proposal.py --json    # the figures as one JSON document

Each study is kept in memory, imports random past runs, and is then asked and told in turn. The peer is `search.sampler:
optuna-gp`, which models the one score instead of ten metrics, in the same study after the same runs; it needs torch.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from ratio_search import Study, StudySpec

DOMAINS, METRICS = 20, 10


def law(shares: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Metrics of mixtures, (n, METRICS): each gains from its own domain and the one behind it; with a little noise."""
    own = shares[:, :METRICS] + 0.3 * shares[:, 1 : METRICS + 1]
    found: NDArray[np.float64] = own / (own + 0.1) + 0.02 * rng.standard_normal((len(shares), METRICS))
    return found


def seconds(sampler: str, trials: int, proposals: int) -> list[float]:
    """The times of proposals after so many trials."""
    rng = np.random.default_rng(0)
    names, metrics = [f"d{i}" for i in range(DOMAINS)], [f"d{i}/skill" for i in range(METRICS)]
    study = Study.create(
        StudySpec.parse(
            yaml.safe_dump(
                {
                    "name": "proposal",
                    "domains": {name: {} for name in names},
                    "objective": {"kind": "external"},
                    "metrics": [{"name": m, "goal": "maximize", "scale": 1.0, "reference": 0.0} for m in metrics],
                    "search": {"trials": trials + proposals + 1, "sampler": sampler},
                    "storage": "memory",
                }
            ),
            Path.cwd(),
        )
    )
    with tempfile.NamedTemporaryFile("w", suffix=".csv", newline="", encoding="utf-8") as file:
        shares = rng.dirichlet(np.ones(DOMAINS), trials)
        writer = csv.writer(file)
        writer.writerow([*(f"share/{name}" for name in names), *metrics])
        writer.writerows(np.hstack([shares, law(shares, rng)]).tolist())
        file.flush()
        study.import_runs(file.name)
    taken = []
    for _ in range(proposals + 1):
        begun = time.perf_counter()
        job = study.ask()
        taken.append(time.perf_counter() - begun)
        assert job is not None and job.mixture is not None
        values = law(np.array([[job.mixture[name] for name in names]]), rng)[0]
        study.tell(job.id, dict(zip(metrics, values.tolist(), strict=True)))
    # The first one is an anchor.
    return taken[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="after 100 trials only, 3 proposals")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON document")
    options = parser.parse_args()
    proposals = 3 if options.quick else 9
    found: dict[str, float] = {}
    for trials in (100,) if options.quick else (100, 500):
        taken = seconds("simplex-gp", trials, proposals)
        found[f"seconds_after_{trials}"] = statistics.median(taken)
        # With hyperparameters that are found anew.
        found[f"slowest_after_{trials}"] = max(taken)
    # Before the peer, which loads torch.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    found["peer_over_ours_after_100"] = (
        statistics.median(seconds("optuna-gp", 100, proposals)) / found["seconds_after_100"]
    )
    print(
        json.dumps(found, indent=2) if options.json else "\n".join(f"{name:28s}{n:10.3g}" for name, n in found.items())
    )


if __name__ == "__main__":
    main()
