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
from objectives.errors import Cancelled, DeviceError, ObjectiveError, ResultError
from objectives.memory import OutOfMemory

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
        memory = OutOfMemory()
        with ProcessGroup.start(
            self._argv,
            folder=self._root,
            environment=environment,
            output=handover.log_file,
            lock=context.lock,
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
                memory.look()
                time.sleep(POLL_S)
        yield from progress.news()
        if process.exit_code:
            raise _failed(process.exit_code, memory, handover.log())
        measured = self._result(handover)
        # It can be long, and the same blend can be made again at any time.
        handover.train_file.unlink(missing_ok=True)
        wall = time.monotonic() - started
        cost = {"wall_seconds": wall, "cpu_seconds": process.cpu_seconds}
        if gpus := self._settings.resources.gpus:  # else it may hold some elsewhere, and only it knows
            cost["gpu_seconds"] = gpus * wall
        yield dataclasses.replace(measured, cost={**cost, **measured.cost})

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


def _failed(exit_code: int, memory: OutOfMemory, log: str) -> ObjectiveError | DeviceError:
    """Why a trainer failed that nobody here has ended, and so whether another attempt is worth it.

    Args:
        exit_code: its own; negative for a signal, which a shell in between adds to 128.
        memory: looked while it ran.
        log: its last lines.
    """
    number = -exit_code if exit_code < 0 else exit_code - 128
    if number == signal.SIGTERM:
        message = "the trainer was ended by SIGTERM from elsewhere, as when its machine is taken away"
        return DeviceError(message, log=log)
    if number == signal.SIGKILL and memory.happened is not None:
        if memory.happened:
            message = "the machine ran out of memory, and the kernel ended the trainer; have it need less, or run fewer"
            return ObjectiveError(message, log=log)
        return DeviceError("the trainer was ended by SIGKILL from elsewhere, and not for lack of memory", log=log)
    if exit_code > 0:
        message = f"the trainer failed with exit status {exit_code}; its last lines say why"
        return ObjectiveError(message, log=log)
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    hint = " (perhaps the machine ran out of memory)" if number == signal.SIGKILL else ""
    return ObjectiveError(f"the trainer was ended by {name}{hint}", log=log)
