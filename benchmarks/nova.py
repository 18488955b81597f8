"""Is a search of Nova's mix worth more than trying four mixes by hand? Both at equal cost, on simulated models.

    python benchmarks/nova.py                      # 25 models: minutes
    python benchmarks/nova.py --quick              # 2 models: under a minute
    python benchmarks/nova.py --seeds 1-9          # these models
    python benchmarks/nova.py --json               # the figures as one JSON document
    python benchmarks/nova.py --markdown           # the table for the documents

The study is studies/nova.yaml; the models are those of the local service that it is rehearsed on
(tests/services/sagemaker/effects.py states what they are drawn from), asked here without the service between. Ours
searches with as many fine-tunes as the study file says. By hand, as Amazon's pages advise, 10, 25, 50 and 75 % of
Nova's data are tried in its usual proportions, the team's own in natural or uniform ones: each mix five times, so that
both cost 20 fine-tunes, or once; the best by the mean of what was measured is taken, of those that keep all guards.
Then all choices are judged without noise, by the study's own scorer: one that breaks a guard is worse than any other.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

# Before numpy is imported, here and in the processes below: one core each.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the local service is

import numpy as np
import yaml

from objectives.backends.sagemaker.measured import measured
from objectives.backends.sagemaker.percentages import Percentages
from objectives.backends.sagemaker.questions import Questions
from objectives.base import Estimate, Measurement
from objectives.data import Corpus, Dataset, Split
from objectives.metrics import Answer
from objectives.mixture import Mixture
from objectives.scorer import Score, Scorer
from ratio_search import Study, StudySpec
from tests.services.sagemaker.answers import answers
from tests.services.sagemaker.outcome import benchmarked
from tests.services.sagemaker.training import Training
from tests.services.sagemaker.world import UNTUNED, World

STUDY = Path(__file__).resolve().parent.parent / "studies" / "nova.yaml"
NOVA = (0.10, 0.25, 0.50, 0.75)
"""Shares of Nova's data that are tried by hand."""

REPEATS = 5
OURS = "ours"
SEEDS = tuple(range(401, 426))
"""Models of the table; whoever changes the method tries it on others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What somebody would train with, and what that is in truth.

    Attributes:
        by: who chose it.
        trials: fine-tunes that it took.
        shares: of the mixed domains, as they are realised.
        truth: the study's metrics there.
        gains: over the untuned model, likewise.
        kept: whether all guards hold.
        score: the balanced score.
    """

    by: str
    trials: int
    shares: Mapping[str, float]
    truth: Mapping[str, float]
    gains: Mapping[str, float]
    kept: bool
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Laboratory:
    """A simulated model, and the study's test sets.

    Attributes:
        spec: the study.
        world: the model.
        tests: the test rows, by domain.
        questions: they, as the service is asked them.
    """

    spec: StudySpec
    world: World
    tests: Mapping[str, Dataset]
    questions: Questions

    @classmethod
    def of(cls, seed: int) -> Laboratory:
        """That of a seed, which is the study's as well."""
        document = yaml.safe_load(STUDY.read_text(encoding="utf-8"))
        document["search"]["seed"] = seed
        spec = StudySpec.parse(yaml.safe_dump(document, sort_keys=False), STUDY.parent)
        tests = Corpus.open(spec.domains, spec.root, spec.data).of(Split.TEST)
        return cls(spec=spec, world=World.of(STUDY, seed), tests=tests, questions=Questions.of(tests))

    def realised(self, mixture: Mixture) -> Mixture:
        """The mixture that the service's tenths of a per cent make of one."""
        percentages = Percentages.of(mixture, self.spec.domains)
        return percentages.realised(percentages.own)

    def measured(self, mixture: Mixture | None, replicate: object) -> Measurement:
        """What a fine-tune and its evaluation find, or those of the untuned model.

        Args:
            mixture: as it is asked for; None for the untuned model.
            replicate: tells fine-tunes of one mixture apart.
        """
        realised = None if mixture is None else self.realised(mixture)
        training = UNTUNED
        if realised is not None:
            training = replace(self.world.training(realised), identity=f"{dict(realised)} {replicate}")
        asked = [json.loads(question.line) for question in self.questions.asked]
        own: dict[str, list[Answer]] = {name: [] for name in self.tests}
        for question, text in zip(self.questions.asked, answers(self.world, training, asked), strict=True):
            answer = Answer(
                domain=question.domain,
                row=question.row,
                digest=question.digest,
                expected=question.response,
                generated=text,
            )
            own[question.domain].append(answer)
        found = measured(own, self.tests, self.spec.metrics, self.spec.root, np.random.default_rng(0))
        return Measurement(metrics={**found, **self._benchmarks(training)}, realised=realised)

    def _benchmarks(self, training: Training) -> dict[str, Estimate]:
        found = {}
        for domain in self.spec.domains:
            for task in domain.benchmarks:
                value, stderr = benchmarked(self.world, task, training)
                found[f"{domain.name}/{task}"] = Estimate(value=value, stderr=stderr)
        return found

    def scorer(self, baseline: Mapping[str, float]) -> Scorer:
        """The study's."""
        return Scorer(metrics=self.spec.metrics, balance=self.spec.balance, baseline=baseline)

    def judged(self, by: str, trials: int, mixture: Mixture) -> Choice:
        """A choice beside the truth."""
        realised = self.realised(mixture)
        truth, untuned = self.world.truth(dict(realised)), self.world.truth(None)
        score = self.scorer(untuned).score(truth)
        return Choice(
            by=by,
            trials=trials,
            shares=dict(realised),
            truth=truth,
            gains=dict(score.gains),
            kept=score.feasible,
            score=score.balanced,
        )

    def searched(self) -> Choice:
        """What the study recommends; what runs at a time ends in the order in which it began."""
        with tempfile.TemporaryDirectory() as runs:
            study = Study.create(self.spec, runs)
            baseline = study.ask()
            assert baseline is not None and baseline.mixture is None
            study.tell(baseline.id, self.measured(None, None))
            running = []
            while True:
                while len(running) < self.spec.search.parallel and (job := study.ask()) is not None:
                    running.append(job)
                if not running:
                    break
                job = running.pop(0)
                study.tell(job.id, self.measured(job.mixture, job.seeds.data))
            return self.judged(OURS, study.complete, study.recommend().mixture)

    def by_hand(self, inside: str, repeats: int) -> Choice:
        """The best of Nova's usual proportions, a quarter of the fine-tunes for each share.

        Args:
            inside: whether the team's own data is mixed in `natural` or `uniform` shares.
            repeats: fine-tunes of each mix.
        """
        scorer = self.scorer(_values(self.measured(None, None)))
        found: list[tuple[Score, Mixture]] = []
        for nova in NOVA:
            mixture = self.usual(nova, inside)
            runs = [_values(self.measured(mixture, replicate)) for replicate in range(repeats)]
            means = {name: fmean(run[name] for run in runs) for name in runs[0]}
            found.append((scorer.score(means), mixture))
        _, best = max(found, key=lambda one: one[0])
        return self.judged(f"by hand, {len(NOVA)} x {repeats}, {inside}", len(NOVA) * repeats, best)

    def usual(self, nova: float, inside: str) -> Mixture:
        """A mixture with so much of Nova's data, in its usual proportions.

        Args:
            nova: its share.
            inside: see `by_hand`.
        """
        usual = self.spec.backend.platform_categories
        assert usual is not None
        weights = {}
        for domain in self.spec.mixed:
            if domain.categories:
                weights[domain.name] = nova * sum(domain.categories.values()) / sum(usual.values())
            else:
                part = self.world.sizes[domain.name] / sum(self.world.sizes.values())
                weights[domain.name] = (1 - nova) * (part if inside == "natural" else 1 / len(self.world.sizes))
        return Mixture.from_weights(weights)


def _values(measurement: Measurement) -> dict[str, float]:
    return {name: estimate.value for name, estimate in measurement.metrics.items()}


def play(seed: int) -> list[Choice]:
    """All choices on a model, ours first."""
    laboratory = Laboratory.of(seed)
    hands = [laboratory.by_hand(inside, n) for n in (REPEATS, 1) for inside in ("natural", "uniform")]
    return [laboratory.searched(), *hands]


def played(seeds: Sequence[int], processes: int) -> dict[int, list[Choice]]:
    """All choices on all models."""
    found = {}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(seeds)), mp_context=spawn) as pool:
        waiting = {pool.submit(play, seed): seed for seed in seeds}
        for number, done in enumerate(as_completed(waiting), 1):
            found[waiting[done]] = done.result()
            print(f"\r{number} of {len(seeds)} models", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return {seed: found[seed] for seed in seeds}


def figures(outcomes: Mapping[int, Sequence[Choice]]) -> dict[str, dict[str, float]]:
    """What each chooser's choices are on average, and how ours compare with them, by chooser."""
    found: dict[str, dict[str, float]] = {}
    ours = [next(choice for choice in choices if choice.by == OURS) for choices in outcomes.values()]
    for by in (choice.by for choice in next(iter(outcomes.values()))):
        own = [next(choice for choice in choices if choice.by == by) for choices in outcomes.values()]
        found[by] = {
            "fine-tunes": median(choice.trials for choice in own),
            "guards kept": fmean(choice.kept for choice in own),
            **{f"gain of {name}": fmean(choice.gains[name] for choice in own) for name in own[0].gains},
            "least gain of voc/f1": min(choice.gains["voc/f1"] for choice in own),
            "score": fmean(choice.score for choice in own),
        }
        if by != OURS:
            ahead = [(mine.kept, mine.score) > (other.kept, other.score) for mine, other in zip(ours, own, strict=True)]
            kept = [mine.score - other.score for mine, other in zip(ours, own, strict=True) if mine.kept and other.kept]
            found[by] |= {"ours is better": fmean(ahead)}
            if kept:
                found[by] |= {"ours is ahead by": fmean(kept), "by at least": min(kept)}
    return found


def markdown(found: Mapping[str, Mapping[str, float]]) -> str:
    """The figures as a table, a column for each chooser."""
    names = list(dict.fromkeys(name for own in found.values() for name in own))
    lines = [f"| | {' | '.join(found)} |", f"|---{'|---:' * len(found)}|"]
    for name in names:
        lines.append(f"| {name} | {' | '.join(_shown(name, own.get(name)) for own in found.values())} |")
    return "\n".join(lines)


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if name == "fine-tunes" else f"{value:.0%}" if name in SHARES else f"{value:.4f}"


SHARES = ("guards kept", "ours is better")


def seeds_of(text: str) -> list[int]:
    """Seeds such as `1,2,101-105`."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two models")
    parser.add_argument("--json", action="store_true", help="figures, and every choice, as JSON")
    parser.add_argument("--markdown", action="store_true", help="a table for the documents")
    parser.add_argument("--seeds", type=seeds_of, default=list(SEEDS), help="models, such as 1,2,101-105")
    parser.add_argument("--processes", type=int, default=2, help="models at a time, one core each")
    options = parser.parse_args()
    outcomes = played(options.seeds[:2] if options.quick else options.seeds, options.processes)
    found = figures(outcomes)
    if options.json:
        choices: dict[str, Any] = {str(seed): [asdict(choice) for choice in own] for seed, own in outcomes.items()}
        print(json.dumps({"figures": found, "choices": choices}, indent=2))
    elif options.markdown:
        print(markdown(found))
    else:
        for by, own in found.items():
            print(by)
            for name, value in own.items():
                print(f"  {name:28} {_shown(name, value):>8}")


if __name__ == "__main__":
    main()
