"""The stages of a study's jobs as its storage has them, for whoever runs these on a platform."""

from __future__ import annotations

from objectives.base import Job
from ratio_search.stages import StageRecord, stage_name
from ratio_search.study import Study


class StudyJournal:
    """Keeps what is known of the stages of a study's open jobs; each call is durable when it returns."""

    def __init__(self, study: Study) -> None:
        """Opens the journal of a study.

        Args:
            study: whose lease is held by this driver.
        """
        self._study = study

    def stages(self, job_id: str) -> tuple[StageRecord, ...]:
        """All attempts at the job's stages, in order."""
        return self._study.stages(job_id)

    def stage_name(self, job: Job, stage: str, attempt: int) -> str:
        """What the platform is to call an attempt at a stage."""
        identifier = self._study.identifier
        assert identifier is not None, "its driver has begun"
        return stage_name(self._study.spec.name, identifier, job, stage, attempt)

    def keep_stage(self, job_id: str, stage: StageRecord) -> None:
        """Takes an attempt at a stage, in place of what was known of it."""
        known = self._study.stages(job_id)
        same = [i for i, one in enumerate(known) if (one.stage, one.attempt) == (stage.stage, stage.attempt)]
        place = same[0] if same else len(known)
        self._study.keep_stages(job_id, [*known[:place], stage, *known[place + 1 :]])

    def check_lease(self) -> None:
        """Checks that the study is still this driver's.

        Raises:
            LeaseError: it is not.
        """
        self._study.check_lease()
