"""The function: an objective fine-tunes on a mixture and evaluates every domain. It knows nothing of search.

This module also holds the plain data that crosses the wire between the driver and a worker. Everything here
turns into JSON and back without loss.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from objectives.errors import MixtureError, ResultError
from objectives.mixture import Mixture

Value = float | int | str | bool
"""What a hyperparameter can be."""


class JobKind(enum.StrEnum):
    """Why a job is run."""

    BASELINE = "baseline"
    """Evaluates the untuned base model: no mixture, no training."""
    TRIAL = "trial"
    """Fine-tunes on a mixture that the search asks about."""
    CONFIRMATION = "confirmation"
    """Fine-tunes again, or evaluates the untuned model, for a judgement on rows that the search never saw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """The two seeds of a job; all mixtures of one replicate share them (common random numbers).

    Attributes:
        data: which rows of a domain come first.
        training: initialisation, dropout and everything else that the trainer draws.
    """

    data: int
    training: int

    @classmethod
    def of(cls, seed: int, replicate: int) -> Self:
        """The seeds of a study's replicate: 0 for the first visit of a mixture, the next for a repeat."""
        data, training = np.random.SeedSequence([seed, replicate]).generate_state(2)
        return cls(data=int(data), training=int(training))


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to run.

    Attributes:
        id: unique in the study and a plain file name, such as `trial-0007`.
        kind: why it is run.
        mixture: what to train on; None for the untuned baseline.
        seeds: the job's two seeds; a retry keeps them.
        attempt: 1 for the first try, one more for each retry.
        hyperparameters: what is searched beside the shares, by name; empty for the untuned baseline.
    """

    id: str
    kind: JobKind
    mixture: Mixture | None
    seeds: Seeds
    attempt: int = 1
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The job as plain data."""
        return {
            "id": self.id,
            "kind": self.kind.value,
            "mixture": None if self.mixture is None else dict(self.mixture),
            "seeds": {"data": self.seeds.data, "training": self.seeds.training},
            "attempt": self.attempt,
            "hyperparameters": dict(self.hyperparameters),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The job that `to_json` wrote."""
        mixture = data["mixture"]
        return cls(
            id=data["id"],
            kind=JobKind(data["kind"]),
            mixture=None if mixture is None else Mixture.of(mixture),
            seeds=Seeds(**data["seeds"]),
            attempt=data["attempt"],
            hyperparameters=dict(data.get("hyperparameters", {})),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A metric's value as it was measured.

    Attributes:
        value: the finite value, in the metric's own units.
        stderr: its standard error from the finite test set, same units; None when unknown.
        rows: test rows behind it; None when unknown.
    """

    value: float
    stderr: float | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What a finished job reports.

    Attributes:
        metrics: `<domain>/<metric>` to its estimate.
        realised: the shares that were really trained on; None when nothing was trained, or not known.
        rows: training rows used per domain, repeats counted.
        cost: named amounts of this attempt, none below 0: `wall_seconds`, `cpu_seconds`, `gpu_seconds` (GPUs held
            times wall seconds), `tokens` (trained on, repeats counted), `usd` (what is billed), and others. One that is
            not known is left out.
        artefacts: what the job leaves behind, such as `adapter`, as paths relative to the attempt's folder or
            as names that the platform knows.
    """

    metrics: Mapping[str, Estimate]
    realised: Mixture | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    artefacts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_numbers(cls, values: Mapping[str, Any]) -> Self:
        """The measurement of metrics alone, as Python or a library of numbers has them; `from_json` checks them."""
        return cls(metrics={str(name): Estimate(value=_plain(value)) for name, value in values.items()})

    def to_json(self) -> dict[str, Any]:
        """The measurement as plain data."""
        return {
            "metrics": {
                name: {"value": m.value, "stderr": m.stderr, "rows": m.rows} for name, m in self.metrics.items()
            },
            "realised": None if self.realised is None else dict(self.realised),
            "rows": dict(self.rows),
            "cost": dict(self.cost),
            "artefacts": dict(self.artefacts),
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """The measurement in plain data; a metric may also be a bare number.

        Raises:
            ResultError: the data does not have this shape, or a number in it is not finite.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("metrics"), Mapping):
            raise ResultError('a result must be an object with "metrics": {"<domain>/<metric>": number, ...}')
        realised = data.get("realised")
        try:
            return cls(
                metrics={str(name): _estimate(str(name), raw) for name, raw in data["metrics"].items()},
                realised=None if realised is None else Mixture.from_weights(realised),
                rows={name: _whole(f"rows of {name!r}", n) for name, n in _object(data, "rows").items()},
                cost={name: _number(f"cost {name!r}", n) for name, n in _object(data, "cost").items()},
                artefacts={name: str(place) for name, place in _object(data, "artefacts").items()},
            )
        except (TypeError, ValueError, OverflowError, AttributeError, MixtureError) as error:
            raise ResultError(f"the result does not have the documented shape: {error}") from error


def _object(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = data.get(key)
    if found is not None and not isinstance(found, Mapping):
        raise ResultError(f"{key} must be an object with names and values, found {found!r}")
    return {str(name): value for name, value in (found or {}).items()}


def _estimate(name: str, raw: Any) -> Estimate:
    fields = raw if isinstance(raw, Mapping) else {"value": raw}
    if "value" not in fields or set(fields) - {"value", "stderr", "rows"}:
        raise ResultError(f"metric {name!r} must be a number or {{value, stderr, rows}}, found {raw!r}")
    stderr, rows = fields.get("stderr"), fields.get("rows")
    if stderr is not None and _number(f"metric {name!r}: stderr", stderr) < 0:
        raise ResultError(f"metric {name!r}: stderr must be >= 0, found {stderr!r}")
    return Estimate(
        value=_number(f"metric {name!r}: value", fields["value"]),
        stderr=None if stderr is None else float(stderr),
        rows=None if rows is None else _whole(f"metric {name!r}: rows", rows),
    )


def _plain(value: Any) -> Any:
    try:
        return value if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        return value


def _number(what: str, raw: Any) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw):
        raise ResultError(f"{what} must be a finite number, found {raw!r}")
    return float(raw)


def _whole(what: str, raw: Any) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or raw < 0:
        raise ResultError(f"{what} must be a whole number >= 0, found {raw!r}")
    return raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a running job is.

    Attributes:
        step, total: optimizer steps done and planned.
        note: what is going on, for people; may be empty.
        cost: what this attempt cost so far, as named amounts, where a `Measurement` would tell it; may be empty.
    """

    step: int
    total: int
    note: str = ""
    cost: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Where one attempt may write, and how it learns that it should end.

    Attributes:
        folder: the attempt's own existing folder, for logs and artefacts.
        checkpoint: an existing folder for checkpoints. It starts with a copy of what the last attempt left
            there, so a checkpoint must appear in it complete: written beside it and renamed.
        cancelled: asked between steps; once True, save a checkpoint and raise `Cancelled`.
        lock: number of the open file that keeps other attempts at the job out, for a process that ends what this one
            may leave behind, so that they are kept out until it has; None where there is none.
    """

    folder: Path
    checkpoint: Path
    cancelled: Callable[[], bool] = lambda: False
    lock: int | None = None


class Objective(Protocol):
    """Fine-tunes on a mixture, evaluates every domain, reports.

    A local objective is built once in a long-lived worker and runs many jobs there, one at a time. It keeps
    what is dear to load between jobs, and nothing that could make one job depend on another.
    """

    def run(self, job: Job, context: Context) -> Iterator[Progress | Measurement]:
        """Yields progress and, last, exactly one measurement.

        Raises:
            Cancelled: the context asked it to end.
            ObjectiveError: the fine-tune or its evaluation failed by its own fault.
            DataError, OptionsError: what it was given cannot be used.
        """
        ...
