"""How a job lies in an Optuna trial: shares and hyperparameters as its parameters, all else as its attributes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from optuna.trial import TrialState

from objectives.attempt import Failure
from objectives.base import Job, JobKind, Measurement, Seeds
from objectives.mixture import Mixture
from ratio_search.record import JobState, Record
from ratio_search.stages import StageRecord, StageState
from ratio_search.stored_trials import StoredTrial

ORIGIN = "origin"
"""Attribute: why a mixture was proposed. It comes last of what describes a job: without it, a trial was never meant to
be run."""

BASIS, GAIN, SEEDS, ATTEMPT, LOSSES, STAGES = "basis", "gain", "seeds", "attempt", "losses", "stages"
MEASUREMENT, FAILURE, SPENT = "measurement", "failure", "spent"
KIND, MIXTURE, HYPERPARAMETERS, REPLICATE = "kind", "mixture", "hyperparameters", "replicate"
"""Names of the other attributes; those of the last line belong to jobs of which nothing was searched."""

SHARE = "share/"
"""What the names of shares begin with; all other parameters are hyperparameters."""

_STATES = {TrialState.COMPLETE: JobState.COMPLETE, TrialState.FAIL: JobState.FAILED}
_PREFIXES = {JobKind.TRIAL: "trial", JobKind.BASELINE: "reference", JobKind.CONFIRMATION: "confirmation"}


class TrialReader:
    """Reads jobs of one kind; those that are closed can no longer change, so that each is read once."""

    def __init__(self, kind: JobKind, domains: Sequence[str]) -> None:
        """Prepares a reader for the trials of one Optuna study.

        Args:
            kind: why the jobs are run.
            domains: what their mixtures are made of.
        """
        self._kind = kind
        self._domains = tuple(domains)
        self._closed: dict[int, Record] = {}

    def records(self, trials: Iterable[StoredTrial]) -> list[Record]:
        """The jobs of this kind that these trials hold; those whose intent was not completely stored are left out."""
        found = [self._closed.get(trial.number) or self.record(trial) for trial in trials]
        return [record for record in found if record is not None]

    def record(self, trial: StoredTrial) -> Record | None:
        """The job that a trial holds; None where it is of another kind, or its intent was not completely stored."""
        if trial.number in self._closed:
            return self._closed[trial.number]
        if ORIGIN not in trial.user_attrs or (self._kind is JobKind.CONFIRMATION) != (KIND in trial.user_attrs):
            return None
        record = self._read(trial)
        if trial.state.is_finished():
            self._closed[trial.number] = record
        return record

    def _read(self, trial: StoredTrial) -> Record:
        attributes, state = trial.user_attrs, state_of(trial)
        measured, failed = attributes.get(MEASUREMENT), attributes.get(FAILURE)
        stages = tuple(map(StageRecord.from_json, attributes.get(STAGES, ())))
        return Record(
            number=trial.number,
            job=Job(
                id=_id(self._kind, trial.number),
                kind=self._kind,
                mixture=self._mixture(trial),
                seeds=Seeds(**attributes[SEEDS]),
                attempt=attributes[ATTEMPT],
                hyperparameters=attributes[HYPERPARAMETERS]
                if self._kind is JobKind.CONFIRMATION
                else {k: value for k, value in trial.params.items() if not k.startswith(SHARE)},
            ),
            origin=attributes[ORIGIN],
            basis=tuple(attributes.get(BASIS, ())),
            gain=attributes.get(GAIN),
            state=state,
            measurement=None if measured is None else Measurement.from_json(measured),
            failure=None if failed is None or state is JobState.COMPLETE else Failure.from_json(failed),
            losses=attributes.get(LOSSES, 0) + sum(stage.state is StageState.LOST for stage in stages),
            started=trial.datetime_start,
            finished=trial.datetime_complete,
            replicate=attributes.get(REPLICATE),
            stages=stages,
            spent={int(attempt): cost for attempt, cost in attributes.get(SPENT, {}).items()},
        )

    def _mixture(self, trial: StoredTrial) -> Mixture | None:
        if self._kind is JobKind.TRIAL:
            return shares_of(trial, self._domains)
        shares = trial.user_attrs.get(MIXTURE)
        return None if shares is None else Mixture.of({name: shares[name] for name in self._domains})


def number_of(job_id: str, kind: JobKind) -> int | None:
    """The number that a job of this kind has by its id; None where that is no such id."""
    found = re.fullmatch(r"[a-z]+-([0-9]{4,9})", job_id)
    number = None if found is None else int(found[1])
    return None if number is None or job_id != _id(kind, number) else number


def _id(kind: JobKind, number: int) -> str:
    return f"{_PREFIXES[kind]}-{number:04d}"


def shares_of(trial: StoredTrial, names: Sequence[str]) -> Mixture:
    """The mixture that a trial's parameters hold."""
    return Mixture.of({name: trial.params[f"{SHARE}{name}"] for name in names})


def state_of(trial: StoredTrial) -> JobState:
    """Where the job of a trial stands."""
    return _STATES.get(trial.state, JobState.RUNNING)
