"""Is the quickstart's recommendation any good? Beside uniform and natural shares, with new seeds and on unseen rows.

    make quickstart
    python benchmarks/quickstart_result.py                             # 10 seeds of 3 mixtures, about a minute
    python benchmarks/quickstart_result.py --quick                     # 3 seeds
    python benchmarks/quickstart_result.py --test                      # on the rows that the search looked at
    python benchmarks/quickstart_result.py --json                      # the numbers as one JSON document
    python benchmarks/quickstart_result.py --svg docs/quickstart.svg   # also draws the study's own table

Where there is no finished study it first runs one, with --quick of 8 trials only. All mixtures are trained again and
judged on the `final` files, which the search never saw. Runs with one seed are paired: they see the same order of each
domain's rows and the same initial adapter. `docs/quickstart-result.md` holds what it printed and reads it.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fleet import fine_tune
from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from scipy import stats

from objectives.base import Seeds
from objectives.mixture import Mixture
from objectives.scorer import Scorer
from ratio_search import Study, StudySpec
from ratio_search.console import PlainConsole
from ratio_search.driver import drive
from ratio_search.recipe import Recipe
from ratio_search.report import comparison
from ratio_search.runner import Runner
from ratio_search.runner.on_ray import RayRunner

ROOT = Path(__file__).resolve().parent.parent
STUDY_FILE, FOLDER = ROOT / "studies" / "quickstart.yaml", ROOT / "runs" / "quickstart"

FIRST_REPLICATE = 1
"""The search used replicate 0 of the study's seed."""

RIVALS = ("uniform", "natural")


def measure(study: Study, seeds: int, processes: int, *, final: bool) -> dict[str, Any]:
    """The mixtures' metrics, seed by seed, and the recommendation's lead over its rivals.

    Args:
        study: a finished one.
        seeds: fine-tunes of each mixture.
        processes: fine-tunes at a time.
        final: whether to judge on the final files instead of the test files.
    """
    names = study.spec.space.names
    mixtures = {
        "recommended": study.recommend().mixture,
        "uniform": Mixture.uniform(names),
        "natural": Mixture.from_weights(study.manifest.train_rows),
    }
    replicates = [Seeds.of(study.spec.search.seed, FIRST_REPLICATE + i) for i in range(seeds)]
    asked = [(None, replicates[0]), *((mixture, seed) for seed in replicates for mixture in mixtures.values())]
    untuned, *measured = fine_tune(STUDY_FILE, asked, processes=processes, final=final)
    baseline = {name: estimate.value for name, estimate in untuned.metrics.items()}
    scorer = Scorer(metrics=study.spec.metrics, balance=study.spec.balance, baseline=baseline)
    judged: dict[str, dict[str, list[float]]] = {name: {} for name in mixtures}
    gains: dict[str, dict[str, list[float]]] = {name: {} for name in mixtures}
    for i, run in enumerate(measured):
        name = list(mixtures)[i % len(mixtures)]
        values = {metric: estimate.value for metric, estimate in run.metrics.items()}
        score = scorer.score(values)
        for metric in study.spec.metrics:
            judged[name].setdefault(metric.name, []).append(values[metric.name])
            gains[name].setdefault(metric.name, []).append(score.gains[metric.name])
        gains[name].setdefault("worst gain", []).append(score.balanced)
    labels = [*(metric.name for metric in study.spec.metrics), "worst gain"]
    return {
        "seeds": seeds,
        "split": "final" if final else "test",
        "trials": study.complete,
        "shares": {name: dict(mixture) for name, mixture in mixtures.items()},
        "untuned": {metric.name: baseline[metric.name] for metric in study.spec.metrics},
        "values": {name: {label: _mean_sd(found) for label, found in rows.items()} for name, rows in judged.items()},
        "gains": {name: {label: _mean_sd(found) for label, found in rows.items()} for name, rows in gains.items()},
        "lead": {
            rival: {label: _paired(gains["recommended"][label], gains[rival][label]) for label in labels}
            for rival in RIVALS
        },
        "promised": study.recommend().score.balanced,
    }


def _mean_sd(values: Sequence[float]) -> tuple[float, float]:
    return statistics.fmean(values), statistics.stdev(values)


def _paired(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Mean of the paired differences, and the 95 % interval of Student's t."""
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    mean, sd = _mean_sd(differences)
    half = float(stats.t.ppf(0.975, len(differences) - 1)) * sd / math.sqrt(len(differences))
    return {"mean": mean, "low": mean - half, "high": mean + half}


def markdown(found: Mapping[str, Any]) -> str:
    """The numbers as two Markdown tables."""
    names = list(found["values"])
    lines = [
        f"| on `{found['split']}`, {found['seeds']} new seeds | untuned | {' | '.join(names)} |",
        f"|---|---:{'|---:' * len(names)}|",
    ]
    for metric, untuned in found["untuned"].items():
        cells = ["{:.3f} ± {:.3f}".format(*found["values"][name][metric]) for name in names]
        lines.append(f"| {metric} | {untuned:.3f} | {' | '.join(cells)} |")
    cells = ["{:.3f} ± {:.3f}".format(*found["gains"][name]["worst gain"]) for name in names]
    lines.append(f"| **worst gain** | | {' | '.join(cells)} |")
    lines += ["", f"| gain of recommended over | {' | '.join(RIVALS)} |", f"|---{'|---:' * len(RIVALS)}|"]
    for label in found["lead"][RIVALS[0]]:
        cells = ["{mean:+.3f} ({low:+.3f} to {high:+.3f})".format(**found["lead"][rival][label]) for rival in RIVALS]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    shares = " ".join(f"{name} {share:.3f}" for name, share in found["shares"]["recommended"].items())
    lines += [
        "",
        f"Recommended after {found['trials']} trials: {shares}. The search expected a worst gain of "
        f"{found['promised']:.3f} for it.",
    ]
    return "\n".join(lines)


def draw(study: Study, path: Path) -> None:
    """Draws the table that a study ends with."""
    console = Console(width=80, record=True, file=io.StringIO(), force_terminal=True)
    console.print(comparison(study, Recipe.of(study, study.folder.recipe_file)))
    console.save_svg(str(path), title="make quickstart", theme=DIMMED_MONOKAI)


def ray_runner(spec: StudySpec, stopping: Callable[[], bool]) -> Runner:
    return RayRunner(spec.blueprint, slots=spec.search.parallel)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="3 seeds instead of 10")
    parser.add_argument("--test", action="store_true", help="judge on the test files instead of the final ones")
    parser.add_argument("--json", action="store_true", help="print the numbers as one JSON document")
    parser.add_argument("--processes", type=int, default=2, help="runs at a time, one CPU core each")
    parser.add_argument("--study", type=Path, default=FOLDER, help="the finished study's folder")
    parser.add_argument("--svg", type=Path, help="file to draw the study's table to")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as elsewhere:
        if (options.study / "manifest.json").is_file():
            study = Study.open(options.study)
        else:
            study = Study.create(StudySpec.load(STUDY_FILE), elsewhere)
            drive(study, ray_runner, PlainConsole(stderr=True), trials=8 if options.quick else None)
        if options.svg is not None:
            draw(study, options.svg)
        found = measure(study, 3 if options.quick else 10, options.processes, final=not options.test)
    print(json.dumps(found, indent=2) if options.json else markdown(found))


if __name__ == "__main__":
    main()
