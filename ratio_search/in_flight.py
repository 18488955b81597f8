"""What becomes of a study's jobs between being asked for and being closed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from objectives.attempt import Attempt, Failure, FailureKind
from objectives.base import Job, JobKind, Measurement
from objectives.errors import ResultError
from ratio_search.budget import cost_so_far
from ratio_search.errors import StudyError
from ratio_search.jobs import Jobs
from ratio_search.lease import Lease
from ratio_search.record import MAX_LOSSES, JobState, Record
from ratio_search.stages import StageRecord
from ratio_search.standing import Standing
from ratio_search.trial import ATTEMPT, FAILURE, LOSSES, MEASUREMENT, SPENT, STAGES


class InFlight(Standing):
    """A study with the jobs of it that are open: their attempts, what these found, and how they end.

    Attributes:
        lease: of the driver that changes it; None where nobody else could run its jobs.
    """

    lease: Lease | None = None

    def unfinished(self) -> list[Job]:
        """Settles what a dead driver of the search left open, and gives the jobs that need another attempt.

        A trial whose intent was not completely stored is closed, at no cost. One whose failure is on record is
        closed, too. One whose result is on disk is told. Any other goes on, also one whose result is torn: from its
        last checkpoint, in a new attempt, or where its platform is with it.
        """
        return [*self._settled(self._references), *self._settled(self._trials)]

    def unconfirmed(self) -> list[Job]:
        """The same of jobs that confirm."""
        return self._settled(self._confirmations)

    def _settled(self, jobs: Jobs) -> list[Job]:
        pending = []
        jobs.drop_half_made()
        for record in jobs.records(JobState.RUNNING):
            result = self._outcome(record)
            if isinstance(result, Measurement):
                self.tell(record.job.id, result)
            elif isinstance(result, Failure):
                self.fail(record.job.id, result)
            else:
                pending.append(record.job if self.spec.backend.REMOTE else self.again(record.job))
        return pending

    def _outcome(self, record: Record) -> Measurement | Failure | None:
        """How an open job ended whose driver died before it could close it; None where it goes on."""
        if record.failure is not None and record.failure.kind is not FailureKind.UNFETCHED:
            return record.failure
        result = self.found(record.job)
        if isinstance(result, Failure):
            # Files of results appear whole, so that a torn one speaks of the disk. A platform still has what was in it;
            # here another attempt is worth more than a trial that failed.
            again = self.spec.backend.REMOTE or self.lost(record.job)
            result = record.measurement or (None if again else result)
        if result is None and record.losses >= MAX_LOSSES:
            message = f"{record.losses} attempts were lost to the infrastructure"
            return Failure(kind=FailureKind.INFRASTRUCTURE, message=message)
        return result

    def check_lease(self) -> None:
        """Checks that the study is still this driver's: before anything is submitted, and before a job is changed.

        Raises:
            LeaseError: it is not.
        """
        if self.lease is not None:
            self.lease.check()

    def start(self, job: Job) -> Attempt:
        """The job's attempt, on record as started: whatever follows, no later attempt shares its folder.

        Raises:
            LeaseError: see `check_lease`.
        """
        self.check_lease()
        attempt = self.attempt(job)
        attempt.folder.mkdir(parents=True, exist_ok=True)
        return attempt

    def again(self, job: Job) -> Job:
        """The next attempt at a job, its intent stored; the same attempt while that was never started."""
        if not self.attempt(job).folder.exists():
            return job
        self.note_spent(job)
        jobs, record = self._open(job.id)
        jobs.note(record, ATTEMPT, job.attempt + 1)
        return dataclasses.replace(job, attempt=job.attempt + 1)

    def lost(self, job: Job) -> bool:
        """Counts an attempt that the infrastructure lost; whether the job may be tried again."""
        jobs, record = self._open(job.id)
        if record.stages:  # what is known of them counts already
            return record.losses < MAX_LOSSES
        jobs.note(record, LOSSES, record.losses + 1)
        return record.losses + 1 < MAX_LOSSES

    def stages(self, job_id: str) -> tuple[StageRecord, ...]:
        """What is known of an open job's stages on its platform, in order.

        Raises:
            StudyError: no such job is open.
        """
        return self._open(job_id)[1].stages

    def keep_stages(self, job_id: str, stages: Sequence[StageRecord]) -> None:
        """Stores what is known of an open job's stages on its platform.

        Raises:
            StudyError: no such job is open.
        """
        jobs, record = self._open(job_id)
        jobs.note(record, STAGES, [stage.to_json() for stage in stages])

    def leave_open(self, job_id: str, failure: Failure) -> None:
        """Notes why a job's platform has it, and yet it is not finished; whoever resumes the study asks again.

        Raises:
            StudyError: no such job is open.
        """
        jobs, record = self._open(job_id)
        jobs.note(record, FAILURE, failure.to_json())

    def found(self, job: Job) -> Measurement | Failure | None:
        """What the latest attempt that finished has left on disk; the job is that attempt's from now on.

        An attempt that was given up may finish all the same: its worker outlived the driver for a moment.
        """
        try:
            finished = self.attempt(job).finished()
        except ResultError as error:
            return Failure(kind=FailureKind.RESULT, message=str(error))
        if finished is None:
            return None
        if finished.job.attempt != job.attempt:
            jobs, record = self._open(job.id)
            jobs.note(record, ATTEMPT, finished.job.attempt)
        return finished.result()

    def store(self, job_id: str, measurement: Measurement) -> Failure | None:
        """Stores all that a job reported, without closing it; what is wrong with it, if anything is.

        What is no number is not stored.
        """
        jobs, record = self._open(job_id)
        try:
            measurement = Measurement.from_json(measurement.to_json())
        except ResultError as error:
            return Failure(kind=FailureKind.RESULT, message=str(error))
        jobs.note(record, MEASUREMENT, measurement.to_json())
        # An attempt that was given up and finished after all has told its cost itself.
        given_up = [n for n in record.spent if not self._attempt(record.job, n).result_file.exists()]
        if len(given_up) < len(record.spent):
            jobs.note(record, SPENT, {str(n): dict(record.spent[n]) for n in given_up})
        try:
            self.spec.check_measured(measurement)
        except ResultError as error:
            return Failure(kind=FailureKind.RESULT, message=str(error))
        return None

    def tell(self, job_id: str, result: Measurement | Mapping[str, float]) -> Record:
        """Stores a job's result and closes the job: complete, or failed when a metric is missing or impossible.

        Args:
            job_id: as `ask` gave it.
            result: what the objective reported, or its metrics alone.

        Raises:
            StudyError: no such job is open.
        """
        if not isinstance(result, Measurement):
            result = Measurement.of_numbers(result)
        wrong = self.store(job_id, result)
        return self.close(job_id) if wrong is None else self.fail(job_id, wrong)

    def close(self, job_id: str) -> Record:
        """Closes a job whose good result is stored.

        Raises:
            StudyError: no such job is open.
        """
        jobs, record = self._open(job_id)
        if jobs.kind is JobKind.TRIAL:
            # In the order in which they were first stated: the file's own may have changed since.
            return jobs.close(record, [record.values[name] for name in self._optuna.metric_names or ()])
        return jobs.close(record, [0.0])  # an Optuna study needs a value; the attributes are the truth

    def fail(self, job_id: str, failure: Failure | str) -> Record:
        """Closes a job as failed.

        Args:
            job_id: as `ask` gave it.
            failure: the reason.

        Raises:
            StudyError: no such job is open.
        """
        if isinstance(failure, str):
            failure = Failure(kind=FailureKind.OBJECTIVE, message=failure)
        jobs, record = self._open(job_id)
        if record.measurement is None:
            self.note_spent(record.job)
        jobs.note(record, FAILURE, failure.to_json())
        return jobs.close(record, None)

    def note_spent(self, job: Job, seconds: float | None = None) -> None:
        """Keeps what an attempt cost that ended without a measurement, as far as that is known.

        Who says so first is believed; of a job on a platform, its stages know.

        Args:
            job: with the attempt.
            seconds: since a runner had it; None where only its files know.
        """
        jobs, record = self._open(job.id)
        cost = {} if record.stages else cost_so_far(self.attempt(job), self.spec.backend, seconds)
        if cost and job.attempt not in record.spent:
            known = {**record.spent, job.attempt: cost}
            jobs.note(record, SPENT, {str(attempt): dict(amounts) for attempt, amounts in known.items()})

    def _attempt(self, job: Job, number: int) -> Attempt:
        return self.attempt(dataclasses.replace(job, attempt=number))

    def _open(self, job_id: str) -> tuple[Jobs, Record]:
        """The job of that id, to be changed."""
        self.check_lease()
        for jobs in (self._references, self._trials, self._confirmations):
            record = jobs.open(job_id)
            if record is not None:
                return jobs, record
        raise StudyError(f"no open job {job_id!r} in study {self.spec.name!r}; it is closed, or was never asked for")
