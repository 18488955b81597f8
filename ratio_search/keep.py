"""Which trials' artefacts, such as trained adapters, stay on disk."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from ratio_search.confirmation import winning
from ratio_search.contest import Contest
from ratio_search.errors import NothingToRecommend
from ratio_search.record import JobState, Record
from ratio_search.study import Study


class Keeper:
    """Removes what is no longer needed: the artefacts of all but the best trials, and finished jobs' checkpoints.

    The best are the one whose confirmation was won, the recommended one, if it was tried, then those with the highest
    scores. They are kept from the first on, while they fit the study's `keep.disk_gb`; results and logs always stay.
    Until trials can be scored, nothing but checkpoints is removed. While a confirmation goes on, one run of each
    candidate stays beside them.
    """

    def __init__(self, study: Study) -> None:
        """Prepares to look after a study.

        Args:
            study: whose lease is held by this driver.
        """
        self._study = study
        # Closed jobs that are done with: a study may have thousands, and each is looked at once on disk.
        self._swept: set[str] = set()
        self._bare: set[str] = set()

    def tidy(self) -> None:
        """Looks at what may have changed since the last time; the first time, at everything."""
        baseline, confirmations = self._study.baseline(), self._study.confirmations()
        jobs = [*self._study.records(), *confirmations, *([baseline] if baseline is not None else [])]
        for record in jobs:
            if record.state is not JobState.RUNNING and record.job.id not in self._swept:
                for attempt in _attempts(self._study, record):
                    for left in attempt.glob("checkpoint*"):  # with what a dead driver was replacing
                        shutil.rmtree(left, ignore_errors=True)
                self._swept.add(record.job.id)
        if any(self._left(record) for record in jobs):
            self._choose(confirmations)

    def _choose(self, confirmations: Sequence[Record]) -> None:
        """Removes the artefacts of all but the best."""
        study = self._study
        best, ranked = winners(study), [record for record, _ in study.ranking()]
        room = study.spec.keep.disk_gb * 1e9
        for record in [*best, *(record for record in [*ranked, *confirmations] if record not in best)]:
            artefacts = self._left(record).values()
            size = sum(_size(path) for path in artefacts)
            if record in best and size <= room:
                room -= size
                continue
            for path in artefacts:
                shutil.rmtree(path, ignore_errors=True)

    def _left(self, record: Record) -> dict[str, Path]:
        """What `kept` finds of a job."""
        if record.job.id in self._bare:
            return {}
        found = kept(self._study, record)
        if not found and record.state is not JobState.RUNNING:
            self._bare.add(record.job.id)
        return found


def winners(study: Study) -> list[Record]:
    """The jobs whose artefacts stay while there is room, the most wanted first; see `Keeper`."""
    held, more = _held(study)
    places = study.spec.keep.best + (more if study.spec.keep.best else 0)
    return [*held, *_best_first(study)][:places]


def left(study: Study, record: Record) -> dict[str, str]:
    """A fine-tune's artefacts that are still there, each with its place: on disk, or on the study's platform."""
    if not study.spec.backend.REMOTE:
        return {name: str(path) for name, path in kept(study, record).items()}
    if record.job.mixture is None or record.measurement is None:
        return {}
    folder = study.attempt(record.job).folder
    gone = {place.rstrip("/") for place in study.discarded(record.job.id)}
    return {
        name: str(folder / place) if _exists(folder / place) else place
        for name, place in record.measurement.artefacts.items()
        if place.rstrip("/") not in gone
    }


def kept(study: Study, record: Record) -> dict[str, Path]:
    """Where a fine-tune's artefacts are on disk: those that were removed, or lie elsewhere, are left out."""
    if record.job.mixture is None or record.measurement is None:
        return {}
    folder = study.attempt(record.job).folder
    places = {name: folder / place for name, place in record.measurement.artefacts.items()}
    return {name: path for name, path in places.items() if _inside(path, folder)}


def _inside(path: Path, folder: Path) -> bool:
    """Whether a path is a folder in another one: a trainer's word decides what is removed, so it may name only that."""
    try:
        return path.is_dir() and folder in path.resolve().parents
    except OSError:  # such as a name that is too long for any file
        return False


def _exists(path: Path) -> bool:
    """Whether something is there; what a platform calls something may be too long for the name of a file."""
    try:
        return path.exists()
    except OSError:
        return False


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


def _held(study: Study) -> tuple[list[Record], int]:
    """The confirming runs whose artefacts stay, and how many of them take no trial's place.

    These are the first run of each candidate, and once all is known that of the winner, as long as it was the present
    recommendation that was confirmed. It is the first one, not the best, as all of them stand for the same mixture.
    """
    contest = Contest.of(study)
    if contest is None:
        return [], 0
    if contest.done:
        try:
            return (winning(contest)[:1] if contest.confirms(study.recommend()) else []), 0
        except NothingToRecommend:
            return [], 0
    runs = [contest.runs(entrant) for entrant in contest.lineup.entrants if entrant.candidate]
    first = [found[min(found)] for found in runs if found]
    return first, len(first)


def _attempts(study: Study, record: Record) -> list[Path]:
    found = study.attempt(record.job).folder.parent.glob("attempt-*")
    # What a trainer put in place of a folder may lead anywhere.
    return [path for path in found if path.resolve() == path]


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
