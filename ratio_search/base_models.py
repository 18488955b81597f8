"""Whether all fine-tunes of a study began with the same model: a platform may replace it while a study runs."""

from __future__ import annotations

from collections.abc import Iterable

from ratio_search.record import JobState, Record

BASE_MODEL = "base_model"
"""The artefact that says which model a job began with, exactly."""


def changed_base(records: Iterable[Record]) -> str | None:
    """That finished jobs began with different models, in words; None where that is not known to be so.

    Args:
        records: of a study's jobs, of all kinds; those that do not say what they began with are left alone.
    """
    first: dict[str, str] = {}
    for record in records:
        if record.state is JobState.COMPLETE and record.measurement is not None:
            base = record.measurement.artefacts.get(BASE_MODEL)
            if base is not None:
                first.setdefault(base, record.job.id)
    if len(first) < 2:
        return None
    told = ", ".join(f"{job} with {base}" for base, job in first.items())
    return (
        f"the base model changed while the study ran, so that results may not be comparable; the first jobs of each "
        f"are {told}; confirm what is recommended, which runs all of it again, or launch a new study"
    )
