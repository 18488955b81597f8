"""The simulated model: what it can do depends on what was really asked for, as `effects` has it.

world = World.of(study_file, seed=7)
world.truth({"voc": 0.5, "support": 0.25, "other": 0.25})["voc/f1"]     # without any noise
world.truth(None)["general/mmlu"]                                        # the untuned model's
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from objectives.data import read_rows
from objectives.domain import Domain
from ratio_search.spec import StudySpec
from tests.services.sagemaker.effects import BENCHMARK_NOISE, SKILL_NOISE, Ability, Skill, generator
from tests.services.sagemaker.job import BATCH, STEPS
from tests.services.sagemaker.training import Training, worth

UNKNOWN = "unknown"
"""The domain of rows that belong to none."""

UNTUNED = Training(own={}, fresh={}, categories={})

LABELLED = frozenset({"accuracy", "exact_match", "f1", "micro_f1", "rouge_l", "token_f1"})
"""Metrics whose expected value is the probability of a right answer, where rows have labels."""

TEXTS = frozenset({"rouge_l", "token_f1"})
"""The same where answers are texts: as many of the words are right."""


@dataclass(frozen=True, eq=False)
class World:
    """A model and the team's data, as nobody but the simulation knows them.

    Attributes:
        seed: of the parameters and of all noise.
        sizes: training rows of each of the team's domains that can be mixed.
        rows: that a usual run trains on.
        domain_of: the domain of a row, by what its user says.
        domains: of the study.
        asked: metrics that the study judges.
        labelled: domains of which all test rows have labels.
    """

    seed: int
    sizes: Mapping[str, int]
    rows: int
    domain_of: Mapping[str, str]
    domains: Sequence[Domain] = ()
    asked: Sequence[str] = ()
    labelled: frozenset[str] = frozenset()

    @classmethod
    def blank(cls, seed: int) -> Self:
        """A model that takes all rows for those of one domain."""
        return cls(seed=seed, sizes={UNKNOWN: 10_000}, rows=STEPS * BATCH, domain_of={})

    @classmethod
    def of(cls, study_file: Path, seed: int) -> Self:
        """The model that a study file's domains are put to."""
        spec = StudySpec.load(study_file)
        domain_of: dict[str, str] = {}
        sizes: dict[str, int] = {}
        labelled = set()
        for domain in spec.domains:
            for paths in (domain.train, domain.test, domain.final):
                rows = list(read_rows(paths)) if paths else []
                for row in rows:
                    domain_of.setdefault(row.instruction, domain.name)
                if paths is domain.train and rows:
                    sizes[domain.name] = len(rows)
                if paths is domain.test and rows and all(row.label is not None for row in rows):
                    labelled.add(domain.name)
        return cls(
            seed=seed,
            sizes=sizes,
            rows=spec.backend.train_rows or STEPS * BATCH,
            domain_of=domain_of,
            domains=spec.domains,
            asked=[metric.name for metric in spec.metrics],
            labelled=frozenset(labelled),
        )

    def truth(self, mixture: Mapping[str, float] | None) -> dict[str, float]:
        """What the study's metrics are on average over all runs and test sets.

        Those of the study that have no such closed form (`exact_match` of texts, functions of the user's own) are left
        out; benchmarks are all there.

        Args:
            mixture: flat shares over the mixed domains; None for the untuned model.
        """
        training = UNTUNED if mixture is None else self.training(mixture)
        own = {name.partition("/")[0]: () for name in self.asked} | {domain.name: () for domain in self.domains}
        found = {}
        for domain in own:
            possible = LABELLED if domain in self.labelled else TEXTS
            for metric in (name for name in self.asked if name.partition("/")[0] == domain):
                if metric.partition("/")[2] in possible:
                    found[metric] = self.value(domain, training)
        benchmarks = [(domain.name, benchmark) for domain in self.domains for benchmark in domain.benchmarks]
        return found | {f"{name}/{benchmark}": self.benchmark(benchmark, training) for name, benchmark in benchmarks}

    def training(self, mixture: Mapping[str, float]) -> Training:
        """What a usual run on a mixture sees."""
        own = {name: mixture.get(name, 0.0) * self.rows for name in self.sizes}
        categories: dict[str, float] = {}
        for domain in self.domains:
            whole = sum(domain.categories.values())
            for category, part in domain.categories.items():
                categories[category] = mixture.get(domain.name, 0.0) * part / whole
        fresh = {name: worth(rows, self.sizes[name]) for name, rows in own.items()}
        return Training(own=own, fresh=fresh, categories=categories)

    def value(self, domain: str, training: Training) -> float:
        """How well a model does a domain of the team's: without noise, or with the run's where it has an identity."""
        whose = self._skills.get(domain) or Ability.drawn(domain, list(self.sizes), self.rows, self.seed)
        return self._noisy(whose.value(training), training, domain, SKILL_NOISE)

    def benchmark(self, task: str, training: Training) -> float:
        """The same of a public benchmark."""
        ability = Ability.drawn(task, list(self.sizes), self.rows, self.seed)
        return self._noisy(ability.value(training), training, task, BENCHMARK_NOISE)

    def seen(self, rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """What a training file holds: `rows`, and of each of the `domains` its number of rows and of different ones."""
        said: dict[str, list[str]] = {}
        for row in rows:
            users = [message for message in row["messages"] if message["role"] == "user"]
            text = "".join(block.get("text", "") for block in users[-1]["content"])
            said.setdefault(self.domain_of.get(text, UNKNOWN), []).append(json.dumps(row))
        return {
            "rows": sum(map(len, said.values())),
            "domains": {name: [len(texts), len(set(texts))] for name, texts in sorted(said.items())},
        }

    @cached_property
    def _skills(self) -> dict[str, Skill]:
        each = self.rows / len(self.sizes)
        usual = {name: worth(each, size) for name, size in self.sizes.items()}
        return {name: Skill.drawn(name, usual, self.seed) for name in self.sizes}

    def _noisy(self, value: float, training: Training, name: str, deviation: float) -> float:
        if not training.identity:
            return value
        noise = generator(self.seed, "run", training.identity, name).normal(0, deviation)
        return float(min(0.99, max(0.01, value + noise)))
