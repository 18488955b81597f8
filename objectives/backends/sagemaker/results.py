"""The figures that the service itself reports of an evaluation job: a file `results_<time>.json`.

Its shape, and the names of figures in two spellings, are from the SageMaker developer guide,
"model-customize-evaluation-metrics-formats", and the Amazon Nova user guide, "nova-model-evaluation".
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from objectives.backends.sagemaker.output import called
from objectives.base import Estimate
from objectives.errors import ResultError

ALL = "all"
"""What the service calls the figures over all tasks and subtasks of a job."""

RATES: Mapping[str, tuple[str, ...]] = {
    "accuracy": ("acc",),
    "bleu": (),
    "deflection": (),
    "exact_match": ("em",),
    "f1_score": ("f1",),
    "f1_score_quasi": ("f1_quasi", "quasi_f1_score"),
    "pass@1": ("pass_at_1",),
    "quasi_exact_match": ("qem",),
    "rouge1": (),
    "rouge2": (),
    "rougeL": (),
}
"""Figures that are rates, each with its other spellings; case and signs between letters do not count."""

PER_CENT = frozenset({"bleu"})
"""Rates that the service reports from 0 to 100."""

ROUNDING = 1e-6
"""How far sums of rounded numbers can be outside of a rate's range."""

SHOWN = 12
"""Figures of an error that are named."""


def results_file(uris: Iterable[str]) -> str:
    """The newest of a job's files that hold results, by the time in its name.

    Args:
        uris: of all its files.

    Raises:
        ResultError: none does.
    """
    found = called("results_*.json", uris)
    return max(found, key=lambda uri: [int(number) for number in re.findall(r"\d+", uri.rpartition("/")[2])])


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The figures of an evaluation job.

    Attributes:
        tasks: task, as the service spells it, such as `custom|mmlu_zs_cot|0`, to its figures.
    """

    tasks: Mapping[str, Mapping[str, Any]]

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """Reads a file.

        Raises:
            ResultError: it holds no results.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ResultError(f"the evaluation job's results are no JSON, or are torn: {error}") from error
        results = data.get("results") if isinstance(data, dict) else None
        tasks = results if isinstance(results, dict) else {}
        found = {name: figures for name, figures in tasks.items() if isinstance(figures, dict) and figures}
        if not found:
            raise ResultError(
                'the evaluation job\'s results must have "results": {"<task>": {"<metric>": number, ...}}, '
                f"found {text[:80]!r}"
            )
        return cls(tasks=found)

    def estimate(self, task: str, metric: str) -> Estimate:
        """A figure of a task. A rate is one from 0 to 1, also where the service reports it in per cent.

        Only those rates are taken for per cent that are documented so. One above 1 that is not could be in per cent,
        but then a model that does badly would have values below 1 as well, and be taken for a good one.

        Args:
            task: such as `mmlu`.
            metric: the figure, in any spelling that is known, or as it stands there.

        Raises:
            ResultError: it is not there, or not what it can be.
        """
        name = next((name for name, others in RATES.items() if _plain(metric) in map(_plain, (name, *others))), None)
        spellings = [metric] if name is None else [metric, name, *RATES[name]]
        for figures in self._places(task):
            known = {_plain(key): key for key in figures}
            for key in (known[_plain(spelling)] for spelling in spellings if _plain(spelling) in known):
                return _estimate(f"{key} of {task}", figures[key], figures.get(f"{key}_stderr"), name)
        there = sorted({key for figures in self.tasks.values() for key in figures if not key.endswith("_stderr")})
        raise ResultError(
            f"the evaluation job's results lack {metric} of {task}; found {', '.join(there[:SHOWN])} of "
            f"{', '.join(list(self.tasks)[:SHOWN])}; state the right one as objective.benchmarks.{task}.metric"
        )

    def _places(self, task: str) -> Iterator[Mapping[str, Any]]:
        """Where a task's figures may stand, the likeliest first."""
        own = [name for name in self.tasks if name != ALL and _is_of(name, task)]
        if len(own) == 1:
            yield self.tasks[own[0]]
        if ALL in self.tasks:
            yield self.tasks[ALL]
        averages = [name for name in own if "_average" in name]
        if len(averages) == 1:
            yield self.tasks[averages[0]]
        if len(self.tasks) == 1:
            yield from self.tasks.values()


def _estimate(what: str, value: Any, stderr: Any, rate: str | None) -> Estimate:
    """A figure with its standard error.

    Args:
        what: what to call it in an error.
        value: as it stands there.
        stderr: likewise; None where there is none.
        rate: its name among `RATES`; None where it is no such.
    """
    scale = 100.0 if rate in PER_CENT else 1.0
    found = _number(what, value) / scale
    if rate is not None:
        if not -ROUNDING <= found <= 1 + ROUNDING:
            raise ResultError(
                f"{what} is {value:g}; expected a rate from 0 to {scale:g}, as the service documents it. Should it "
                "report another scale by now, its figures cannot be compared with earlier ones; leave the metric out"
            )
        found = min(max(found, 0.0), 1.0)
    # An error of 0 says that all rows were worth the same, and nothing of other rows; that of a single row is NaN.
    if stderr is None or stderr == 0 or (isinstance(stderr, float) and math.isnan(stderr)):
        return Estimate(value=found)
    spread = _number(f"the standard error of {what}", stderr) / scale
    if spread < 0:
        raise ResultError(f"the standard error of {what} is {stderr:g}; expected a number from 0 on")
    return Estimate(value=found, stderr=spread)


def _number(what: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ResultError(f"{what} is {value!r}; expected a finite number; look at the evaluation job's log")
    return float(value)


def _is_of(name: str, task: str) -> bool:
    """Whether the service's name of a task, such as `custom|mmlu_zs_cot:anatomy|0`, is of one."""
    return any(re.fullmatch(rf"{re.escape(task)}([_:].*)?", part, re.IGNORECASE) for part in name.split("|"))


def _plain(name: str) -> str:
    """A figure's name without case and signs."""
    return re.sub(r"[^a-z0-9]", "", name.casefold())
