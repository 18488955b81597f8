"""The command that stops a study, and what it has on a platform."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from ratio_search.cli.app import RUNS, JsonOption, NameArgument, RunsOption, app, print_json

if TYPE_CHECKING:
    from ratio_search.study import Study

DRIVER_ENDS_S = 120.0
"""How long a driver may take to end before what it left on its platform can be cancelled."""


@app.command()
def stop(
    name: NameArgument,
    runs: RunsOption = RUNS,
    cancel_remote: Annotated[
        bool, typer.Option("--cancel-remote", help="Cancel what it has on a platform, too; else that goes on there.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask a running study to save checkpoints and end; it can be resumed."""
    from ratio_search.errors import LeaseError, StudyFailed
    from ratio_search.lease import held
    from ratio_search.stop_request import StopRequest
    from ratio_search.storage import find

    folder = find(name, runs).as_stated()
    driver = folder.driver()
    running = held(folder.lock_file)
    if driver is not None and not running:
        raise LeaseError(f"{folder.path}: is a copy of a folder that {driver} works in; stop the study there")
    if running:
        StopRequest(folder.stop_file).ask(cancel_remote=cancel_remote)
    if not as_json:
        print(f"{folder.path.name}: asked to stop" if running else f"{folder.path.name}: no driver is running")
    if not cancel_remote:
        if as_json:
            print_json({"name": folder.path.name, "asked": running})
        return
    from ratio_search.remote_jobs import cancelled_jobs, remote_jobs
    from ratio_search.study import Study

    study = Study.open(folder)
    why = _cancel(study) if study.spec.backend.REMOTE else {}
    cancelled, left = cancelled_jobs(study), remote_jobs(study)
    if as_json:
        both = {"cancelled": cancelled, "left": left}
        found = {key: [job.to_json() for job in jobs] for key, jobs in both.items()}
        print_json({"name": folder.path.name, "asked": running, **found})
    else:
        for job in cancelled:
            print(f"cancelled: {job}")
    if left:
        lines = "".join(f"\n  {job}: {why.get(job.job, 'it was begun meanwhile')}" for job in left)
        raise StudyFailed(f"this may still run on the platform:{lines}\ncancel it there, or try again")


def _cancel(study: Study) -> dict[str, str]:
    """Cancels what its driver has not, once that has ended; what came of it, in words, by job."""
    from ratio_search.errors import LeaseError
    from ratio_search.remote_jobs import cancel_remote

    deadline = time.monotonic() + DRIVER_ENDS_S
    while True:
        try:
            with study.home.lease():
                return cancel_remote(study)
        except LeaseError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.1)
