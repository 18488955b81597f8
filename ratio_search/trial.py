"""How a job lies in an Optuna trial: shares and hyperparameters as its parameters, all else as its attributes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from optuna.trial import FrozenTrial, TrialState

from objectives.attempt import Failure
from objectives.base import Job, JobKind, Measurement, Seeds
from objectives.mixture import Mixture
from ratio_search.record import JobState, Record

ORIGIN = "origin"
"""Attribute: why a mixture was proposed. It is written last of what describes a job: without it, a trial was never
meant to be run."""

BASIS, GAIN, SEEDS, ATTEMPT, LOSSES = "basis", "gain", "seeds", "attempt", "losses"
MEASUREMENT, FAILURE = "measurement", "failure"
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

    def records(self, trials: Iterable[FrozenTrial]) -> list[Record]:
        """The jobs of this kind that these trials hold; those whose intent was not completely stored are left out."""
        found = (self.record(trial) for trial in trials)
        return [record for record in found if record is not None]

    def record(self, trial: FrozenTrial) -> Record | None:
        """The job that a trial holds; None where it is of another kind, or its intent was not completely stored."""
        if ORIGIN not in trial.user_attrs or (self._kind is JobKind.CONFIRMATION) != (KIND in trial.user_attrs):
            return None
        if not trial.state.is_finished():
            return self._read(trial)
        if trial.number not in self._closed:
            self._closed[trial.number] = self._read(trial)
        return self._closed[trial.number]

    def _read(self, trial: FrozenTrial) -> Record:
        attributes, state = trial.user_attrs, state_of(trial)
        measured, failed = attributes.get(MEASUREMENT), attributes.get(FAILURE)
        return Record(
            number=trial.number,
            job=Job(
                id=f"{_PREFIXES[self._kind]}-{trial.number:04d}",
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
            # An open job with a failure is one whose driver died before it could close it.
            failure=None if failed is None or state is JobState.COMPLETE else Failure.from_json(failed),
            losses=attributes.get(LOSSES, 0),
            started=trial.datetime_start,
            finished=trial.datetime_complete,
            replicate=attributes.get(REPLICATE),
        )

    def _mixture(self, trial: FrozenTrial) -> Mixture | None:
        if self._kind is JobKind.TRIAL:
            return shares_of(trial, self._domains)
        shares = trial.user_attrs.get(MIXTURE)
        return None if shares is None else Mixture.of({name: shares[name] for name in self._domains})


def shares_of(trial: FrozenTrial, names: Sequence[str]) -> Mixture:
    """The mixture that a trial's parameters hold."""
    return Mixture.of({name: trial.params[f"{SHARE}{name}"] for name in names})


def state_of(trial: FrozenTrial) -> JobState:
    """Where the job of a trial stands."""
    return _STATES.get(trial.state, JobState.RUNNING)
