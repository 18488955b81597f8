"""Which trials' artefacts, such as trained adapters, stay on disk."""

from __future__ import annotations

import shutil
from pathlib import Path

from objectives.base import JobKind
from ratio_search.errors import NothingToRecommend
from ratio_search.record import JobState, Record
from ratio_search.study import Study


def keep_best(study: Study) -> None:
    """Removes what is no longer needed: the artefacts of all but the best trials, and finished jobs' checkpoints.

    The best are the recommended one, if it was tried, then those with the highest scores. They are kept from the first
    on, while they fit the study's `keep.disk_gb`; results and logs always stay. Until trials can be scored, nothing
    but checkpoints is removed.
    """
    closed = [record for record in study.records() if record.state is not JobState.RUNNING]
    baseline = study.baseline()
    for record in [*closed, *([baseline] if baseline is not None else [])]:
        if record.state is not JobState.RUNNING:
            for attempt in _attempts(study, record):
                shutil.rmtree(attempt / "checkpoint", ignore_errors=True)
    room = study.spec.keep.disk_gb * 1e9
    for place, record in enumerate(_best_first(study)):
        artefacts = kept(study, record).values()
        size = sum(_size(path) for path in artefacts)
        if place < study.spec.keep.best and size <= room:
            room -= size
            continue
        for path in artefacts:
            shutil.rmtree(path, ignore_errors=True)


def kept(study: Study, record: Record) -> dict[str, Path]:
    """Where a finished trial's artefacts are on disk: those that were removed, or lie elsewhere, are left out."""
    if record.job.kind is not JobKind.TRIAL or record.measurement is None:
        return {}
    folder = study.attempt(record.job).folder
    places = {name: folder / place for name, place in record.measurement.artefacts.items()}
    # A trainer's word decides what is removed, so it may name only what is inside its own folder.
    return {name: path for name, path in places.items() if path.is_dir() and folder in path.resolve().parents}


def _best_first(study: Study) -> list[Record]:
    """The finished trials, the best first; empty until they can be scored."""
    # What was imported left nothing here, and takes nobody's place.
    ranked = [record for record, _ in study.ranking() if not record.imported]
    if len(ranked) <= study.spec.keep.best:
        return ranked
    try:
        advice = study.recommend()
    except NothingToRecommend:
        return ranked
    chosen = [record for record in ranked if advice.tried and record.number == advice.record.number]
    return [*chosen, *(record for record in ranked if record not in chosen)]


def _attempts(study: Study, record: Record) -> list[Path]:
    return list(study.attempt(record.job).folder.parent.glob("attempt-*"))


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
