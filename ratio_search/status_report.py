"""Where studies stand, in tables."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from ratio_search.health import Doing

LOG_SHOWN = 5
"""Last lines of a log that people are shown; the plain data has more."""

JOBS_SHOWN = 5
"""Jobs that are named of those that failed for one reason; likewise."""


def status_table(found: dict[str, Any]) -> Table:
    """What `status` found, for people."""
    trials = found["trials"]
    table = Table(show_header=False, box=None, title=found["name"], title_justify="left")
    done = f"{trials['complete']} of {trials['planned']} done, {trials['running']} open, {trials['failed']} failed"
    if trials["imported"]:
        done += f", and {trials['imported']} imported"
    table.add_row("trials", done)
    if found["stopped_early"]:
        table.add_row("search", found["stopped_early"])
    table.add_row("driver", f"{found['driver'] or 'none'}, {found['driver_hours']:.2f} hours so far")
    for limit, line in found["budget"].items():
        if line["limit"] is not None:
            table.add_row("budget", f"{limit}: {line['words']}")
        elif limit != "hours" and line["spent"] + line["pending"]:
            table.add_row("cost", f"{limit}: {line['words']}")
    if found["denied"] is not None:
        table.add_row("platform", f"lets nothing be done: {found['denied']}")
    table.add_row("baseline", found["baseline"] or "not wanted")
    for warning in found["warnings"]:
        table.add_row("warning", warning)
    best = found["best"]
    if best is not None:
        shares = " ".join(f"{name}={share:.3f}" for name, share in best["shares"].items())
        guards = "" if best["feasible"] else ", breaks a guard"
        where = best["trial"] if best["tried"] else f"a new mixture near {best['trial']}"
        table.add_row("best", f"{where} with {best['score']:+.4f}{guards}: {shares}")
    confirmation = found["confirmation"]
    if confirmation is not None:
        table.add_row("confirmed", f"{confirmation['complete']} of {confirmation['planned']} runs")
        for line in confirmation["verdict"]:
            table.add_row("", line)
    if found["leftovers"]:
        count = len(found["leftovers"])
        whose = "a job that lost" if count == 1 else f"{count} jobs that lost"
        table.add_row("leftovers", f"of {whose}, which may cost: ratio-search leftovers {found['folder']} lists them")
    _add_health(table, found)
    return table


def overview_table(found: list[dict[str, Any]]) -> Table:
    """What `overview` found, for people."""
    table = Table("study", "driver", "done", "planned", "failed", "best score")
    for study in found:
        if "error" in study:
            table.add_row(study["name"], Text(study["error"], style="red"))
            continue
        trials, best = study["trials"], study["best"]
        score = "" if best is None else f"{best['score']:+.4f}"
        counts = (str(trials[key]) for key in ("complete", "planned", "failed"))
        table.add_row(study["name"], study["driver"] or "none", *counts, score)
    return table


def _add_health(table: Table, found: Mapping[str, Any]) -> None:
    """Adds what each open job does, why jobs failed, and the room on the disk."""
    for job in found["running"]:
        stuck = job["doing"] == Doing.STUCK
        table.add_row("stuck" if stuck else "open", f"{job['job']} attempt {job['attempt']}: {_doing(job, found)}")
        for line in job["log"].splitlines()[-LOG_SHOWN:]:
            table.add_row("", f"  {line}")
    for reason in found["health"]["reasons"]:
        table.add_row("failed", f"{_named(reason['jobs'])}: {reason['message']}")
        for line in reason["log"].splitlines()[-LOG_SHOWN:]:
            table.add_row("", f"  {line}")
    disk = found["health"]["disk"]
    if disk["free_gb"] is not None:
        low = f", below health.floor_gb, {disk['floor_gb']:g}: nothing new is started" if disk["low"] else ""
        table.add_row("disk", f"{disk['free_gb']:.3f} GB left{low}")


def _named(jobs: Sequence[str]) -> str:
    """Jobs that failed for one reason: how many, and the first of them."""
    if len(jobs) == 1:
        return jobs[0]
    more = f" and {len(jobs) - JOBS_SHOWN} more" if len(jobs) > JOBS_SHOWN else ""
    return f"{len(jobs)} for one reason, {', '.join(jobs[:JOBS_SHOWN])}{more}"


def _doing(job: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """What an open job does, in words."""
    last = job["progress"] or "nothing"
    lost = f"; attempts lost before: {job['lost_attempts']}" if job["lost_attempts"] else ""
    match Doing(job["doing"]):
        case Doing.WAITING:
            return f"waits for a worker{lost}"
        case Doing.STUCK:
            limit = f"health.stuck_after_s is {found['health']['stuck_after_s']:g}"
            then = "end what runs it, or stop and resume the study"
            since = f"no sign of life since {job['since']}, {_ago(job['silent_s'])}"
            return f"{since}; {limit}; last said: {last}{lost}; {then}"
        case Doing.ELSEWHERE:
            left_open = "" if job["unfetched"] is None else f"; {job['unfetched']}; repair it, then resume the study"
            return f"on its platform, {job['stages'][-1]}{lost}{left_open}"
        case Doing.LEFT:
            return f"goes on when the study is resumed; last said: {last}{lost}"
        case Doing.RUNNING:
            since = "" if job["quiet_s"] is None else f", {_ago(job['quiet_s'])}"
            return f"{job['progress'] or 'begun'}{since}{lost}"


def _ago(seconds: float) -> str:
    return f"{datetime.timedelta(seconds=round(seconds))} ago"
