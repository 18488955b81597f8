"""The jobs of a study as they lie in Optuna: one trial each, what is known of it in the trial's attributes."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import TrialState

from objectives.base import Job, JobKind, Seeds, Value
from objectives.mixture import Mixture
from ratio_search.distributions import distribution_with
from ratio_search.errors import StudyError
from ratio_search.hyperparameters import Hyperparameter
from ratio_search.past_runs import PastRun
from ratio_search.record import IMPORTED, JobState, Record
from ratio_search.rerun import Rerun
from ratio_search.sampler.strategy import Proposal
from ratio_search.space import SAME
from ratio_search.stored_trials import stored_trials
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
    number_of,
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
        self._stored = stored_trials(study, storage)
        self._reader = TrialReader(kind, domains)
        self._study_id = storage.get_study_id_from_name(study.study_name)
        self._ids: dict[int, int] = {}

    def records(self, *states: JobState) -> list[Record]:
        """The jobs in these states, or all, in order; those whose intent was not completely stored are left out."""
        trials = self._stored.all()
        return self._reader.records([t for t in trials if state_of(t) in states] if states else trials)

    def count(self, *states: JobState) -> int:
        """How many jobs that were run here, or are, are in these states."""
        return sum(not record.imported for record in self.records(*states))

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """How every parameter was stored, by the latest trial that has it."""
        return {name: of for trial in self._stored.all() for name, of in trial.distributions.items()}

    def add(
        self, made: Proposal | None, earlier: Sequence[Record], kinds: Mapping[str, Hyperparameter], seed: int
    ) -> Job:
        """A new job, its intent stored: in one piece, so that there is all of it or nothing.

        Args:
            made: what to run, and why; None for a job without a mixture.
            earlier: all jobs so far, as `records` gives them.
            kinds: of its hyperparameters, by name.
            seed: the study's; the job's own follow from it and from how often the same was run before.
        """
        replicate = 0 if made is None else _replicate(made, earlier)
        attributes = {
            SEEDS: dataclasses.asdict(Seeds.of(seed, replicate)),
            ATTEMPT: 1,
            ORIGIN: self.kind.value if made is None else made.origin,
        }
        if made is None:
            return self._made(attributes).job
        attributes[BASIS] = list(made.basis)
        if made.gain is not None:
            attributes[GAIN] = made.gain
        return self._made(attributes, _parameters(made.mixture, made.hyperparameters, kinds)).job

    def repeat(self, rerun: Rerun, seed: int) -> Job:
        """A new job of which nothing is searched, its intent stored: in one piece, too.

        Args:
            rerun: what to run.
            seed: the study's; the job's own follow from it and from the replicate.
        """
        attributes = {
            KIND: self.kind.value,
            MIXTURE: None if rerun.mixture is None else dict(rerun.mixture),
            HYPERPARAMETERS: dict(rerun.hyperparameters),
            REPLICATE: rerun.replicate,
            SEEDS: dataclasses.asdict(rerun.seeds(seed)),
            ATTEMPT: 1,
            ORIGIN: rerun.origin,
        }
        return self._made(attributes).job

    def take(self, run: PastRun, kinds: Mapping[str, Hyperparameter], values: Sequence[float], seed: int) -> Record:
        """Adds a run from elsewhere as a finished job: in one piece, too.

        Args:
            run: what was run, and what was measured.
            kinds: of its hyperparameters, by name.
            values: what Optuna shows of it, one for each direction of its study.
            seed: the study's; the run's own seeds are not known, and those of a first visit stand in for them.
        """
        attributes = {
            MEASUREMENT: run.measurement.to_json(),
            SEEDS: dataclasses.asdict(Seeds.of(seed, 0)),
            ATTEMPT: 1,
            ORIGIN: IMPORTED,
        }
        return self._made(attributes, _parameters(run.mixture, run.hyperparameters, kinds), values)

    def _made(
        self,
        attributes: Mapping[str, Any],
        parameters: Mapping[str, tuple[Value, BaseDistribution]] | None = None,
        values: Sequence[float] | None = None,
    ) -> Record:
        """Adds a job, open without values and finished with them, in one transaction of the storage."""
        parameters = parameters or {}
        trial = optuna.trial.create_trial(
            state=TrialState.RUNNING if values is None else TrialState.COMPLETE,
            values=None if values is None else list(values),
            # As a database gives them back.
            params={name: of.to_external_repr(of.to_internal_repr(value)) for name, (value, of) in parameters.items()},
            distributions={name: of for name, (_, of) in parameters.items()},
            user_attrs=dict(attributes),
        )
        return self._known(self._storage.create_new_trial(self._study_id, trial))

    def drop_half_made(self) -> None:
        """Closes, at no cost, trials without a whole intent, as versions left them that stored it piece by piece."""
        for trial in self._stored.all():
            if trial.state is TrialState.RUNNING and ORIGIN not in trial.user_attrs:
                self._study.tell(trial.number, state=TrialState.FAIL)

    def open(self, job_id: str) -> Record | None:
        """The job of that id that is not closed; None if there is none. No other job is read."""
        number = number_of(job_id, self.kind)
        try:
            trial = None if number is None else self._stored.one(self._id(number))
        except KeyError:
            trial = None
        record = None if trial is None else self._reader.record(trial)
        return record if record is not None and record.state is JobState.RUNNING else None

    def note(self, record: Record, name: str, value: Any) -> None:
        """Writes an attribute of an open job.

        Raises:
            StudyError: somebody else closed it meanwhile.
        """
        with _unless_closed(record):
            self._storage.set_trial_user_attr(self._id(record.number), name, value)

    def close(self, record: Record, values: Sequence[float] | None) -> Record:
        """Closes an open job.

        Args:
            record: the job.
            values: what Optuna shows of it, one for each direction of its study; None for a job that failed.

        Raises:
            StudyError: somebody else closed it meanwhile.
        """
        state = TrialState.FAIL if values is None else TrialState.COMPLETE
        with _unless_closed(record):
            if not self._storage.set_trial_state_values(self._id(record.number), state, values):
                raise optuna.exceptions.UpdateFinishedTrialError  # at this very moment
        return self._known(self._id(record.number))

    def _id(self, number: int) -> int:
        """What the storage calls a trial, which never changes.

        Raises:
            KeyError: there is no trial of this number.
        """
        if number not in self._ids:
            self._ids[number] = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        return self._ids[number]

    def _known(self, trial_id: int) -> Record:
        record = self._reader.record(self._stored.one(trial_id))
        assert record is not None
        self._ids[record.number] = trial_id
        return record


def _parameters(
    mixture: Mixture, hyperparameters: Mapping[str, Value], kinds: Mapping[str, Hyperparameter]
) -> dict[str, tuple[Value, BaseDistribution]]:
    """What is searched of a job, as Optuna keeps it: the shares' bounds are the space's affair."""
    shares = {f"{SHARE}{name}": (share, FloatDistribution(0, 1)) for name, share in mixture.items()}
    settings = {name: (value, distribution_with(kinds[name], value)) for name, value in hyperparameters.items()}
    return {**shares, **settings}


def _replicate(made: Proposal, earlier: Sequence[Record]) -> int:
    """How many jobs with the same mixture and hyperparameters are done or open; those whose seeds are known."""
    name, share = made.mixture.parts[0]
    return sum(
        record.state is not JobState.FAILED
        and not record.imported
        and record.job.mixture is not None
        and abs(record.job.mixture[name] - share) <= SAME  # most differ here already
        and record.job.mixture.distance(made.mixture) <= SAME
        and dict(record.job.hyperparameters) == dict(made.hyperparameters)
        for record in earlier
    )


@contextlib.contextmanager
def _unless_closed(record: Record) -> Iterator[None]:
    """Says of a write to a job that it came too late."""
    try:
        yield
    except optuna.exceptions.UpdateFinishedTrialError as error:
        raise StudyError(
            f"{record.job.id} was closed meanwhile, by another driver or caller of the same study; what that one told "
            "stays, and nothing was changed"
        ) from error
