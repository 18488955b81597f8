"""The jobs of a study as they lie in Optuna: one trial each, what is known of it in the trial's attributes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from objectives.attempt import Failure
from objectives.base import Job, JobKind, Measurement, Seeds
from ratio_search.record import JobState, Record
from ratio_search.sampler import ORIGIN, shares_of

SEEDS, ATTEMPT, LOSSES, MEASUREMENT, FAILURE = "seeds", "attempt", "losses", "measurement", "failure"
"""Names of trial attributes. `ORIGIN` is written last of what describes a job: with it, the job may be run."""

_STATES = {TrialState.COMPLETE: JobState.COMPLETE, TrialState.FAIL: JobState.FAILED}
_PREFIXES = {JobKind.TRIAL: "trial", JobKind.BASELINE: "reference"}


class Jobs:
    """All jobs of one kind, kept in an Optuna study of their own.

    Attributes:
        kind: why they are run.
    """

    def __init__(
        self, study: optuna.Study, storage: optuna.storages.BaseStorage, kind: JobKind, domains: Sequence[str]
    ) -> None:
        """Takes an Optuna study.

        Args:
            study: where the jobs are kept.
            storage: where the study is kept.
            kind: why the jobs are run.
            domains: what their mixtures are made of.
        """
        self.kind = kind
        self._study = study
        self._storage = storage
        self._domains = tuple(domains)

    def records(self, *states: JobState) -> list[Record]:
        """The jobs in these states, or all, in order; those whose intent was not completely stored are left out."""
        found = [self._record(trial) for trial in self._study.get_trials(deepcopy=False)]
        return [record for record in found if record is not None and (not states or record.state in states)]

    def count(self, *states: JobState) -> int:
        """How many jobs are in these states."""
        trials = self._study.get_trials(deepcopy=False)
        return sum(ORIGIN in trial.user_attrs and _state(trial) in states for trial in trials)

    def add(self, propose: Callable[[optuna.Trial], str], seeds: Seeds) -> Job:
        """A new job, its intent stored.

        Args:
            propose: gives the new trial its parameters, and says why these.
            seeds: the job's.
        """
        trial = self._study.ask()
        origin = propose(trial)
        trial.set_user_attr(SEEDS, dataclasses.asdict(seeds))
        trial.set_user_attr(ATTEMPT, 1)
        trial.set_user_attr(ORIGIN, origin)
        return self._known(trial.number).job

    def drop_half_made(self) -> None:
        """Closes, at no cost, the trials of a driver that died before a job's intent was completely stored."""
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if ORIGIN not in trial.user_attrs:
                self._study.tell(trial.number, state=TrialState.FAIL)

    def open(self, job_id: str) -> Record | None:
        """The job of that id that is not closed; None if there is none."""
        return next((record for record in self.records(JobState.RUNNING) if record.job.id == job_id), None)

    def note(self, record: Record, name: str, value: Any) -> None:
        """Writes an attribute of an open job."""
        study_id = self._storage.get_study_id_from_name(self._study.study_name)
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(study_id, record.number)
        self._storage.set_trial_user_attr(trial_id, name, value)

    def close(self, record: Record, values: Sequence[float] | None) -> Record:
        """Closes an open job.

        Args:
            record: the job.
            values: what Optuna shows of it, one for each direction of its study; None for a job that failed.
        """
        if values is None:
            self._study.tell(record.number, state=TrialState.FAIL)
        else:
            self._study.tell(record.number, values)
        return self._known(record.number)

    def _known(self, number: int) -> Record:
        record = self._record(self._study.get_trials(deepcopy=False)[number])
        assert record is not None
        return record

    def _record(self, trial: FrozenTrial) -> Record | None:
        attributes = trial.user_attrs
        if ORIGIN not in attributes:
            return None
        state, measured, failed = _state(trial), attributes.get(MEASUREMENT), attributes.get(FAILURE)
        return Record(
            number=trial.number,
            job=Job(
                id=f"{_PREFIXES[self.kind]}-{trial.number:04d}",
                kind=self.kind,
                mixture=shares_of(trial, self._domains) if self.kind is JobKind.TRIAL else None,
                seeds=Seeds(**attributes[SEEDS]),
                attempt=attributes[ATTEMPT],
            ),
            origin=attributes[ORIGIN],
            state=state,
            measurement=None if measured is None else Measurement.from_json(measured),
            # An open job with a failure is one whose driver died before it could close it.
            failure=None if failed is None or state is JobState.COMPLETE else Failure.from_json(failed),
            losses=attributes.get(LOSSES, 0),
            started=trial.datetime_start,
            finished=trial.datetime_complete,
        )


def _state(trial: FrozenTrial) -> JobState:
    return _STATES.get(trial.state, JobState.RUNNING)
