"""The `command` objective: hands every job to a program and reads back what it measured."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from objectives.backends.command.handover import Handover, ProgressFile
from objectives.backends.command.process import POLL_S, ProcessGroup
from objectives.base import Context, Job, Measurement, Progress
from objectives.data import Capacity, Corpus, DataPolicy, Split, usable
from objectives.domain import Domain
from objectives.errors import Cancelled, ObjectiveError, ResultError

if TYPE_CHECKING:
    from objectives.backends.command import CommandBackend

JOB_VARIABLE = "RATIO_SEARCH_JOB"
"""Environment variable with the path of the JSON file that describes the job."""


class CommandObjective:
    """Runs the team's own trainer, one process group per job."""

    def __init__(self, settings: CommandBackend, domains: Sequence[Domain], root: Path, policy: DataPolicy) -> None:
        """Looks through the training rows; `CommandBackend.build` makes it.

        Args:
            settings: the study's.
            domains: what can be mixed and tested.
            root: folder that the program runs in.
            policy: what the study wants of its data.
        """
        self._settings = settings
        self._root = root.resolve()
        self._argv = settings.resolved(self._root)
        self._corpus = usable(Corpus.open(domains, self._root, policy), Capacity())
        for name, data in self._corpus.of(Split.TRAIN).items():
            data.check_holds(settings.format, f"domains.{name}.train", "objective.format")
        self._tests = {d.name: [self._root / path for path in d.test] for d in domains if d.test}

    def run(self, job: Job, context: Context) -> Iterator[Progress | Measurement]:
        """Hands the job over, waits, and reads the result.

        Raises:
            Cancelled: the context asked for it; whether there is a checkpoint is the program's affair.
            DataError: the mixture needs rows of a domain that has none.
            ObjectiveError: the program failed, or ran out of time.
            OptionsError: the program cannot be started.
            ResultError: it ended well, but its result is missing or cannot be used.
        """
        started = time.monotonic()
        if context.cancelled():
            raise Cancelled("cancelled before the trainer was started")
        handover = self._handover(job, context)
        handover.write(self._corpus.of(Split.TRAIN), self._settings.format)
        progress = ProgressFile(handover.progress_file)
        environment = {**os.environ, JOB_VARIABLE: str(handover.job_file)}
        with ProcessGroup.start(
            self._argv, folder=self._root, environment=environment, output=handover.log_file
        ) as process:
            limit = time.monotonic() + (self._settings.time_limit_s or float("inf"))
            while process.running():
                if context.cancelled():
                    process.end(self._settings.grace_s)
                    if process.exit_code == 0 and self._finished(handover):
                        break  # it was about to, and has: what is paid for is kept
                    raise Cancelled("cancelled while the trainer ran", log=handover.log())
                if time.monotonic() >= limit:
                    process.end(self._settings.grace_s)
                    raise ObjectiveError(self._overrun(), log=handover.log())
                yield from progress.news()
                time.sleep(POLL_S)
        yield from progress.news()
        if process.exit_code:
            raise ObjectiveError(_because(process.exit_code), log=handover.log())
        measured = self._result(handover)
        # It can be long, and the same blend can be made again at any time.
        handover.train_file.unlink(missing_ok=True)
        cost = {"wall_seconds": time.monotonic() - started, "cpu_seconds": process.cpu_seconds}
        yield dataclasses.replace(measured, cost={**measured.cost, **cost})

    def _handover(self, job: Job, context: Context) -> Handover:
        blend = None
        if job.mixture is not None:
            blend = self._corpus.blend(job.mixture, seed=job.seeds.data, rows=self._settings.rows)
        # The program runs in another folder than we do.
        absolute = dataclasses.replace(
            context, folder=context.folder.resolve(), checkpoint=context.checkpoint.resolve()
        )
        return Handover(job=job, context=absolute, blend=blend, tests=self._tests)

    def _finished(self, handover: Handover) -> bool:
        try:
            handover.result()
        except ResultError:
            return False
        return True

    def _result(self, handover: Handover) -> Measurement:
        try:
            return handover.result()
        except ResultError as error:
            raise ResultError(f"{handover.result_file}: {error}", log=handover.log()) from error

    def _overrun(self) -> str:
        return (
            f"the trainer ran longer than objective.time_limit_s, {self._settings.time_limit_s:g} s, and was ended; "
            "raise the limit or give it less to do"
        )


def _because(exit_code: int) -> str:
    if exit_code > 0:
        return f"the trainer failed with exit status {exit_code}; its last lines say why"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    hint = " (perhaps the machine ran out of memory)" if -exit_code == signal.SIGKILL else ""
    return f"the trainer was ended by {name}{hint}"
