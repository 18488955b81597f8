"""Where studies stand, as plain data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from objectives.errors import RatioSearchError
from ratio_search.bookkeeping import account_of
from ratio_search.confirmation import Confirmation
from ratio_search.contest import Contest
from ratio_search.database_url import DatabaseUrl
from ratio_search.errors import NothingToRecommend, Unreachable
from ratio_search.health import Health
from ratio_search.leftovers import untidied
from ratio_search.record import JobState
from ratio_search.storage import studies
from ratio_search.study import Study


def status(study: Study) -> dict[str, Any]:
    """Where a study stands, as plain data."""
    records, baseline = study.records(), study.baseline()
    jobs = [*([baseline] if baseline is not None else []), *records, *study.confirmations()]
    driven = study.folder.driver() is not None
    health = Health.of(study, jobs, driven=driven)
    return {
        "name": study.spec.name,
        "folder": str(study.folder.path),
        "driver": "running" if driven else None,
        "baseline": _baseline(study),
        "denied": study.denied,
        "warnings": study.warnings(),
        "trials": {
            "planned": study.spec.search.trials,
            "complete": study.complete,
            "running": sum(record.state is JobState.RUNNING for record in records),
            "failed": sum(record.state is JobState.FAILED and record.failure is not None for record in records),
            "imported": sum(record.imported for record in records),
        },
        "driver_hours": study.driver_hours,
        "budget": account_of(study).to_json(),
        "stopped_early": None if study.early_stop is None else study.early_stop.reason,
        "best": _best(study),
        "confirmation": _confirmation(study),
        "leftovers": untidied(study),
        "running": [activity.to_json() for activity in health.activities],
        "failures": [
            {"job": record.job.id, **record.failure.to_json()}
            for record in jobs
            if record.state is JobState.FAILED and record.failure is not None
        ],
        "health": health.to_json(),
    }


def overview(runs: Path) -> list[dict[str, Any]]:
    """The status of every study in a folder of runs; of one that cannot be opened, its name and why."""
    found: list[dict[str, Any]] = []
    away: dict[DatabaseUrl | None, Unreachable] = {}
    for folder in studies(runs):
        try:
            folder = folder.as_stated()
            if folder.url in away:  # one wait for a server is enough
                raise away[folder.url]
            found.append(status(Study.open(folder)))
        except RatioSearchError as error:
            if isinstance(error, Unreachable):
                away[folder.url] = error
            found.append({"name": folder.path.name, "folder": str(folder.path), "error": str(error)})
    return found


def _best(study: Study) -> dict[str, Any] | None:
    """What would be recommended now, with what is expected of it; None where nothing would be."""
    try:
        advice = study.recommend()
    except NothingToRecommend:
        return None
    return {
        "trial": advice.record.job.id,
        "tried": advice.tried,
        "score": advice.score.balanced,
        "feasible": advice.score.feasible,
        "shares": dict(advice.mixture),
    }


def _confirmation(study: Study) -> dict[str, Any] | None:
    """How far the confirmation is, and what it says so far; None where there is none."""
    contest = Contest.of(study)
    if contest is None:
        return None
    found = Confirmation.of(contest)
    return {
        "planned": contest.planned,
        "complete": contest.complete,
        "winner": None if found is None else found.winner,
        "verdict": [] if found is None else list(found.words),
    }


def _baseline(study: Study) -> str | None:
    """Where the baseline stands; None where none is wanted."""
    found = study.baseline()
    if found is not None:
        return found.state.value
    return "not yet" if study.spec.baseline else None
