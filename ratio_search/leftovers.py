"""What jobs that lost have left on a study's platform, which may cost as long as it is there; and how it is deleted."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

from objectives.errors import ServiceError
from objectives.remote import Leftover, RemoteObjective
from ratio_search.base_models import BASE_MODEL
from ratio_search.chosen import Chosen
from ratio_search.errors import NothingToRecommend
from ratio_search.keep import winners
from ratio_search.record import JobState, Record
from ratio_search.stages import StageState
from ratio_search.study import Study

TRIES = 5
"""How often the platform is asked to delete something, while it only has no time for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """Something that a job left.

    Attributes:
        job: its id.
        leftover: what it is.
    """

    job: str
    leftover: Leftover

    def to_json(self) -> dict[str, Any]:
        """It as plain data."""
        return {"job": self.job, **dataclasses.asdict(self.leftover)}

    def __str__(self) -> str:
        return f"{self.job}: {self.leftover.what} {self.leftover.place}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """What jobs that lost have left, and nobody has deleted yet from here.

    Attributes:
        left: all of it.
        unknown: what of a failed job was done on the platform and may have left something that is not known here, in
            words.
    """

    left: tuple[Left, ...] = ()
    unknown: tuple[str, ...] = ()

    @classmethod
    def of(cls, study: Study, objective: RemoteObjective) -> Self:
        """The leftovers of a study; the platform is asked nothing.

        Args:
            study: read only.
            objective: the study's.
        """
        left: list[Left] = []
        unknown: list[str] = []
        for record in losers(study):
            job, artefacts = record.job.id, _artefacts(record)
            found, gone = objective.leftovers(artefacts), study.discarded(job)
            left += [Left(job=job, leftover=one) for one in found if one.place not in gone]
            if record.measurement is None and not found:
                unknown += [f"{job}: {stage} {handle}" for stage, handle in artefacts.items()]
        return cls(left=tuple(left), unknown=tuple(unknown))


def losers(study: Study) -> list[Record]:
    """The fine-tunes on a platform that nobody needs any more, and that left something there, as far as is known.

    All others are kept: what would be trained with now, whether by the search or by its confirmation; the trials
    that `keep.best` asks for; and all that are finished, while they cannot be compared.
    """
    if not study.spec.backend.REMOTE:
        return []
    closed = [record for record in study.jobs() if record.state is not JobState.RUNNING and not record.imported]
    trained = [record for record in closed if record.job.mixture is not None and _artefacts(record)]
    failed = [record for record in trained if record.state is JobState.FAILED]
    if len(failed) == len(trained) or not study.ranking():
        return failed
    needed = {record.job.id for record in _needed(study)}
    return [record for record in trained if record.job.id not in needed]


def untidied(study: Study) -> list[str]:
    """The jobs that lost and say that they left something, of which nothing was deleted yet."""
    return [
        record.job.id
        for record in losers(study)
        if record.measurement is not None and not study.discarded(record.job.id)
    ]


def discard(study: Study, objective: RemoteObjective, found: Sequence[Left]) -> Iterator[tuple[Left, str | None]]:
    """Deletes what was left, one after another, whatever becomes of the others. The caller holds the study's lease.

    Yields:
        each with why it could not be deleted; None where it is, and that is on record.

    Raises:
        LeaseError: the study is somebody else's by now.
    """
    for left in found:
        study.check_lease()
        why = _discarded(objective, left.leftover)
        if why is None:
            study.note_discarded(left.job, left.leftover.place)
        yield left, why


def _discarded(objective: RemoteObjective, leftover: Leftover) -> str | None:
    """Deletes something; why it could not be."""
    for i in range(TRIES):
        try:
            objective.discard(leftover)
            return None
        except ServiceError as error:
            if i == TRIES - 1:
                return str(error)
            time.sleep(min(1.0, objective.poll_s) * 2**i)
        except Exception as error:  # an objective's own mistake must not keep the others from being deleted
            return str(error) or type(error).__name__
    raise AssertionError("the last try ends it")


def _artefacts(record: Record) -> dict[str, str]:
    """By what the platform knows what a job left; empty where it left nothing."""
    if record.measurement is not None:
        found = dict(record.measurement.artefacts)
        return found if set(found) - {BASE_MODEL} else {}
    return {one.stage: one.handle for one in record.stages if one.state is StageState.DONE and one.handle is not None}


def _needed(study: Study) -> list[Record]:
    """The jobs that stay, however few `keep.best` asks for."""
    needed = winners(study)
    try:
        chosen = Chosen.of(study, study.recommend())
    except NothingToRecommend:
        return needed
    return [*needed, chosen.advice.record, *chosen.runs[:1]]
