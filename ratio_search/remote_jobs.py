"""What a study has on its platform: what may run there without a driver, and how it is cancelled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from objectives.attempt import Failure
from objectives.errors import AccessError
from ratio_search.journal import StudyJournal
from ratio_search.record import JobState, Record
from ratio_search.runner.remote import RemoteRunner
from ratio_search.stages import StageRecord, StageState, spent
from ratio_search.standing import Standing
from ratio_search.study import Study

ANSWER_S = 0.5
"""How long a round of cancelling waits for what comes of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteJob:
    """An open job with the stage of it that is, or was, on the platform.

    Attributes:
        job: its id.
        stage: the stage.
        cost: what the job cost so far, all stages together.
    """

    job: str
    stage: StageRecord
    cost: Mapping[str, float]

    @classmethod
    def of(cls, record: Record) -> Self | None:
        """What a job has on its platform; None where that is nothing."""
        left = next((stage for stage in record.stages if stage.left), None)
        if left is None or record.state is not JobState.RUNNING:
            return None
        return cls(job=record.job.id, stage=left, cost=spent(record.stages))

    def to_json(self) -> dict[str, Any]:
        """It as plain data."""
        return {"job": self.job, "stage": self.stage.stage, "name": self.stage.name, "cost": dict(self.cost)}

    def __str__(self) -> str:
        return f"{self.job}: {self.stage.stage} {self.stage.name}, {told(self.cost)} so far"


def cancelled_jobs(study: Standing) -> list[RemoteJob]:
    """The open jobs of which a stage was cancelled on the platform."""
    last = [
        (record, record.stages[-1]) for record in study.jobs() if record.stages and record.state is JobState.RUNNING
    ]
    return [
        RemoteJob(job=record.job.id, stage=stage, cost=spent(record.stages))
        for record, stage in last
        if stage.state is StageState.CANCELLED
    ]


def remote_jobs(study: Standing) -> list[RemoteJob]:
    """The jobs that may run on the platform, whether a driver watches them or not."""
    return [found for found in map(RemoteJob.of, study.jobs()) if found is not None]


def cancel_remote(study: Study) -> dict[str, str]:
    """Cancels what a study has on its platform; what came of it in words, by job. The caller holds its lease.

    The jobs stay open: whoever resumes the study repeats the stages that were cancelled, and no others.

    Raises:
        DataError, OptionsError: its objective cannot be built here.
    """
    searching = [record for record in [*study.records(), study.baseline()] if record is not None]
    said = _cancelled(study, searching)
    confirming = study.confirmations()
    return {**said, **_cancelled(study, confirming, final=True)}


def _cancelled(study: Study, records: list[Record], *, final: bool = False) -> dict[str, str]:
    left = [record for record in records if RemoteJob.of(record) is not None]
    if not left:
        return {}
    said: dict[str, str] = {}
    spec = study.spec.on_final() if final else study.spec
    try:
        with RemoteRunner(spec.blueprint, len(left), StudyJournal(study), lambda: True) as runner:
            runner.cancel()
            for record in left:
                runner.submit(study.start(record.job))
            while len(said) < len(left):
                for report in runner.reports(ANSWER_S):
                    if isinstance(report.event, Failure):
                        said[report.attempt.job.id] = report.event.message
    except AccessError as error:  # before it was asked for anything
        return {record.job.id: str(error) for record in left}
    return said


def told(cost: Mapping[str, float]) -> str:
    """Named amounts in words."""
    known = (f"${amount:,.2f}" if name == "usd" else f"{amount:,.0f} {name}" for name, amount in cost.items())
    return ", ".join(known) or "no cost known"
