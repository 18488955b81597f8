"""The points at which drivers, workers and trainers of a study die: every boundary of what is written when."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ratio_search.search import Moment
from tests.chaos.kill import Point


def path(name: str) -> Callable[..., bool]:
    """Whether this file or folder is meant."""
    return lambda where, *rest, **more: Path(where).name == name


STORAGE = "optuna.storages:RDBStorage"
COMMIT = "sqlalchemy.orm:Session.commit"
WRITE = "objectives.attempt:write_json"
RENAME = "pathlib:Path.rename"
WATCH = "objectives.backends.command.process:_Watcher.watch"

MOMENTS = (Moment.ASKED, Moment.SUBMITTED, Moment.PROGRESS, Moment.REPORTED, Moment.STORED, Moment.CLOSED)
"""The moments at which a driver dies."""

ASKING = (
    Point(name="driver: before it asks", target="ratio_search.study:Study.ask"),
    Point(name="driver: proposed, nothing stored", target="ratio_search.jobs:Jobs.add"),
    Point(name="driver: intent written, not committed", target=COMMIT, inside=f"{STORAGE}.create_new_trial"),
    Point(name="driver: intent stored, nobody heard", target=f"{STORAGE}.create_new_trial", after=True),
    Point(name="driver: before the attempt's folder", target="ratio_search.study:Study.start"),
    Point(name="driver: attempt's folder, not submitted", target="ratio_search.study:Study.start", after=True),
)
"""Those of a driver that asks for a new job."""

CLOSING = (
    Point(name="driver: measured, not committed", target=COMMIT, inside=f"{STORAGE}.set_trial_user_attr"),
    Point(name="driver: told, not committed", target=COMMIT, inside=f"{STORAGE}.set_trial_state_values"),
    Point(name="driver: told, nobody heard", target="ratio_search.jobs:Jobs.close", after=True),
    Point(name="driver: a checkpoint removed", target="shutil:rmtree", after=True, matching=path("checkpoint")),
)
"""Those of a driver that closes a job."""

RESUMING = (
    Point(name="driver: before it settles", target="ratio_search.jobs:Jobs.drop_half_made"),
    Point(name="driver: half-made trials dropped", target="ratio_search.jobs:Jobs.drop_half_made", after=True),
    Point(name="driver: next attempt not noted", target="ratio_search.study:Study.again"),
    Point(name="driver: next attempt noted", target="ratio_search.study:Study.again", after=True),
)
"""Those of a driver that goes on with what another left."""

TELLING = (
    Point(name="driver: result found, not told", target="ratio_search.study:Study.tell"),
    Point(name="driver: found result told", target="ratio_search.study:Study.tell", after=True),
)
"""Those of a driver that finds the result of an open job."""

LOSING = (
    Point(name="driver: loss not counted", target="ratio_search.study:Study.lost"),
    Point(name="driver: loss counted, no next attempt", target="ratio_search.study:Study.lost", after=True),
)
"""Those of a driver that has lost a worker."""

WORKER = (
    Point(name="worker: attempt's folder held, job not written", target=WRITE, matching=path("job.json")),
    Point(name="worker: checkpoint copied, not renamed", target=RENAME, matching=path("checkpoint.partial")),
    Point(name="worker: checkpoint renamed", target=RENAME, after=True, matching=path("checkpoint.partial")),
    Point(
        name="worker: handed over, no trainer",
        target="objectives.backends.command.handover:Handover.write",
        after=True,
    ),
    Point(name="worker: trainer started, not watched", target=WATCH),
    Point(name="worker: trainer watched, not let through", target=WATCH, after=True),
    Point(
        name="worker: trainer let through",
        target="objectives.backends.command.gated:GatedProgram.begin",
        after=True,
    ),
    Point(name="worker: progress written", target=WRITE, after=True, matching=path("progress.json")),
    Point(name="worker: measured, result not written", target=WRITE, matching=path("result.json")),
    Point(name="worker: result written, not reported", target=WRITE, after=True, matching=path("result.json")),
)
"""Those of a worker."""

TRAINER = (
    "trainer: before its first step",
    "trainer: step trained, not saved",
    "trainer: checkpoint written, not renamed",
    "trainer: checkpoint renamed",
    "trainer: result not written",
    "trainer: result written, not ended",
)
"""Those of a trainer, which knows them by name."""

DRIVER = (*ASKING, *CLOSING, *RESUMING, *TELLING, *LOSING)
