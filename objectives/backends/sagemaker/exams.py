"""The evaluation stages of a job: which of them asks a model what."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from objectives.backends.sagemaker import EvaluateBy, SagemakerBackend
from objectives.backends.sagemaker.questions import Questions
from objectives.data import Dataset
from objectives.domain import Domain
from objectives.errors import OptionsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Exams:
    """What a model is asked, by stage. Each is a job of its own.

    Attributes:
        questions: the team's own test rows, by the stage that asks them.
        benchmarks: public benchmarks, likewise.
        asked_for: domains that want each benchmark.
    """

    questions: Mapping[str, Questions]
    benchmarks: Mapping[str, str]
    asked_for: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, settings: SagemakerBackend, domains: Sequence[Domain], tests: Mapping[str, Dataset]) -> Self:
        """Those of a study; a benchmark that several domains want is done once.

        Args:
            settings: of the study.
            domains: what can be tested.
            tests: test rows of the domains that have them.

        Raises:
            DataError: a row cannot be asked.
            OptionsError: names differ too little to tell stages apart.
        """
        asked_for: dict[str, tuple[str, ...]] = {}
        for domain in domains:
            for task in domain.benchmarks:
                asked_for[task] = (*asked_for.get(task, ()), domain.name)
        if settings.evaluate_by is EvaluateBy.TRIAL:
            questions = {"evaluate": Questions.of(tests)} if tests else {}
        else:
            stages = _stages("evaluate", list(tests))
            questions = {stages[name]: Questions.of({name: data}) for name, data in tests.items()}
        benchmarks = {stage: task for task, stage in _stages("benchmark", list(asked_for)).items()}
        return cls(questions=questions, benchmarks=benchmarks, asked_for=asked_for)

    @property
    def stages(self) -> tuple[str, ...]:
        """All of them, in order."""
        return (*self.questions, *self.benchmarks)


def _stages(kind: str, names: Sequence[str]) -> dict[str, str]:
    """Names of stages, for domains or benchmarks: lower-case letters, digits and hyphens."""
    found: dict[str, str] = {}
    for name in names:
        stage = f"{kind}-{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}"
        if other := next((known for known, taken in found.items() if taken == stage), None):
            raise OptionsError(
                f"the names {other!r} and {name!r} both make stage {stage!r}; expected names that differ by more than "
                "signs and capitals"
            )
        found[name] = stage
    return found
