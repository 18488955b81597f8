"""The jobs of a study as they lie in Optuna: one trial each, what is known of it in the trial's attributes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import TrialState

from objectives.base import Job, JobKind, Seeds
from ratio_search.distributions import distribution_with
from ratio_search.hyperparameters import Hyperparameter
from ratio_search.past_runs import PastRun
from ratio_search.record import IMPORTED, JobState, Record
from ratio_search.rerun import Rerun
from ratio_search.sampler.strategy import Proposal
from ratio_search.space import SAME
from ratio_search.trial import (
    ATTEMPT,
    BASIS,
    GAIN,
    HYPERPARAMETERS,
    KIND,
    MEASUREMENT,
    MIXTURE,
    ORIGIN,
    REPLICATE,
    SEEDS,
    SHARE,
    TrialReader,
    state_of,
)


class Jobs:
    """All jobs of one kind, kept in an Optuna study of their own or among jobs of other kinds.

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
        self._reader = TrialReader(kind, domains)
        self._study_id = storage.get_study_id_from_name(study.study_name)

    def records(self, *states: JobState) -> list[Record]:
        """The jobs in these states, or all, in order; those whose intent was not completely stored are left out."""
        trials = self._study.get_trials(deepcopy=False)
        return self._reader.records(trial for trial in trials if not states or state_of(trial) in states)

    def count(self, *states: JobState) -> int:
        """How many jobs that were run here, or are, are in these states."""
        return sum(not record.imported for record in self.records(*states))

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """How every parameter was stored, by the latest trial that has it."""
        trials = self._study.get_trials(deepcopy=False)
        return {name: of for trial in trials for name, of in trial.distributions.items()}

    def add(self, propose: Callable[[optuna.Trial], Proposal | None], seed: int) -> Job:
        """A new job, its intent stored.

        Args:
            propose: gives the new trial its parameters, and says which and why; None for a job without a mixture.
            seed: the study's; the job's own follow from it and from how often the same was run before.
        """
        trial = self._study.ask()
        made = propose(trial)
        if made is not None:
            trial.set_user_attr(BASIS, list(made.basis))
        if made is not None and made.gain is not None:
            trial.set_user_attr(GAIN, made.gain)
        trial.set_user_attr(SEEDS, dataclasses.asdict(Seeds.of(seed, self._replicate(made))))
        trial.set_user_attr(ATTEMPT, 1)
        trial.set_user_attr(ORIGIN, self.kind.value if made is None else made.origin)
        return self._known(trial.number).job

    def repeat(self, rerun: Rerun, seed: int) -> Job:
        """A new job of which nothing is searched, its intent stored.

        Args:
            rerun: what to run.
            seed: the study's; the job's own follow from it and from the replicate.
        """
        trial = self._study.ask()
        trial.set_user_attr(KIND, self.kind.value)
        trial.set_user_attr(MIXTURE, None if rerun.mixture is None else dict(rerun.mixture))
        trial.set_user_attr(HYPERPARAMETERS, dict(rerun.hyperparameters))
        trial.set_user_attr(REPLICATE, rerun.replicate)
        trial.set_user_attr(SEEDS, dataclasses.asdict(rerun.seeds(seed)))
        trial.set_user_attr(ATTEMPT, 1)
        trial.set_user_attr(ORIGIN, rerun.origin)
        return self._known(trial.number).job

    def _replicate(self, made: Proposal | None) -> int:
        """How many jobs with the same mixture and hyperparameters are done or open; whose seeds are known."""
        if made is None:
            return 0
        here = (record for record in self.records(JobState.COMPLETE, JobState.RUNNING) if not record.imported)
        earlier = (record.job for record in here)
        return sum(
            job.mixture is not None
            and job.mixture.distance(made.mixture) <= SAME
            and dict(job.hyperparameters) == dict(made.hyperparameters)
            for job in earlier
        )

    def take(self, run: PastRun, kinds: Mapping[str, Hyperparameter], values: Sequence[float], seed: int) -> Record:
        """Adds a run from elsewhere as a finished job: in one piece, so that there is all of it or nothing.

        Args:
            run: what was run, and what was measured.
            kinds: of its hyperparameters, by name.
            values: what Optuna shows of it, one for each direction of its study.
            seed: the study's; the run's own seeds are not known, and those of a first visit stand in for them.
        """
        shares = {f"{SHARE}{name}": share for name, share in run.mixture.items()}
        trial = optuna.trial.create_trial(
            state=TrialState.COMPLETE,
            values=list(values),
            params={**shares, **run.hyperparameters},
            distributions={
                **{name: FloatDistribution(0, 1) for name in shares},
                **{name: distribution_with(kinds[name], value) for name, value in run.hyperparameters.items()},
            },
            user_attrs={
                MEASUREMENT: run.measurement.to_json(),
                SEEDS: dataclasses.asdict(Seeds.of(seed, 0)),
                ATTEMPT: 1,
                ORIGIN: IMPORTED,
            },
        )
        self._study.add_trial(trial)
        return self._known(len(self._study.get_trials(deepcopy=False)) - 1)

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
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, record.number)
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
        record = self._reader.record(self._study.get_trials(deepcopy=False)[number])
        assert record is not None
        return record
