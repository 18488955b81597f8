"""Runs attempts in processes of this machine: what Ray does here, without Ray and its seconds."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import wait
from types import TracebackType
from typing import IO, Self

from objectives.attempt import LOG_TAIL, Attempt, Event, Failure, FailureKind
from objectives.backends import Blueprint
from objectives.base import Progress
from objectives.memory import OutOfMemory
from ratio_search.runner.gpus import VISIBLE, check_room, dealt, visible
from ratio_search.runner.runner import Report
from ratio_search.runner.worker import Cancel, Run, Said

BEGIN = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[3]); "
    "from ratio_search.runner.worker import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)
"""What a worker's Python is told: our modules, and a user's, are where they are for the driver."""

LOG_CAP = 2**20
"""Bytes of a worker's own output that may lie on disk; its end is shown should the worker die."""


class ProcessRunner:
    """Runs attempts in long-lived worker processes, one for each slot, which keep the objective loaded.

    A worker that dies is reported as a failure, and its slot gets a new one. None outlives the driver, or the driver's
    thread that submitted its first attempt.
    """

    stuck = False

    def __init__(self, blueprint: Blueprint, slots: int) -> None:
        """Prepares the runner; workers are started when they are first needed.

        Args:
            blueprint: what workers build.
            slots: attempts at a time, >= 1.
        """
        self.slots = slots
        self._blueprint = blueprint
        self._gpus: list[tuple[str, ...]] = [()] * slots
        self._workers: dict[int, _Worker] = {}
        self._running: dict[int, Attempt] = {}
        self._cancelled = False

    def __enter__(self) -> Self:
        """Deals the machine's GPUs among the slots.

        Raises:
            RunnerError: there are fewer GPUs than they need.
        """
        each = self._blueprint.backend.resources.gpus
        if each:
            devices = visible()
            check_room(len(devices), each, self.slots)
            self._gpus = dealt(devices, each, self.slots)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.clear()
        while self._workers:
            self._dismiss(next(iter(self._workers)))

    def submit(self, attempt: Attempt) -> None:
        """Hands the attempt to a free slot's worker."""
        slot = min(set(range(self.slots)) - set(self._running))
        self._running[slot] = attempt
        self._begin(slot, attempt)

    def reports(self, timeout_s: float) -> Iterator[Report]:
        """Events of running attempts, as they come; waits at most this long for the first."""
        if not self._running:
            return
        wait([self._workers[slot].pipe for slot in self._running], timeout_s)
        for slot, attempt in list(self._running.items()):
            for event in self._workers[slot].news():
                if event is None:  # it died before it was asked for anything: nothing is lost with it
                    self._dismiss(slot)
                    self._begin(slot, attempt)
                    break
                report = Report(attempt=attempt, event=event)
                if report.last:
                    del self._running[slot]
                    if isinstance(event, Failure) and event.kind is FailureKind.INFRASTRUCTURE:
                        # A worker that survived what it ran on is good for nothing more.
                        self._dismiss(slot)
                yield report

    def cancel(self) -> None:
        """Asks every running attempt, and those that follow, to save a checkpoint and end."""
        self._cancelled = True
        for slot, attempt in self._running.items():
            self._workers[slot].cancel(attempt)

    def _begin(self, slot: int, attempt: Attempt) -> None:
        if slot not in self._workers:
            self._workers[slot] = _Worker(self._blueprint, self._gpus[slot])
        self._workers[slot].begin(attempt)
        if self._cancelled:
            self._workers[slot].cancel(attempt)

    def _dismiss(self, slot: int) -> None:
        # Out of the table only once it is dead: an interrupt in between may come here again.
        self._workers[slot].end()
        del self._workers[slot]


class _Worker:
    """The driver's side of a worker process.

    Attributes:
        pipe: to it.
    """

    def __init__(self, blueprint: Blueprint, gpus: tuple[str, ...]) -> None:
        """Starts a worker.

        Args:
            blueprint: what it builds.
            gpus: what it may use.
        """
        self.pipe, its = Pipe()
        self._log = _scratch()
        self._memory = OutOfMemory()
        cores = max(1, int(blueprint.backend.resources.cpus))
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-c", BEGIN, str(its.fileno()), str(os.getpid()), json.dumps(sys.path)],
                # Libraries would otherwise take all cores in every worker, as they would on Ray.
                env={"OMP_NUM_THREADS": str(cores), **os.environ, VISIBLE: ",".join(gpus)},
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                pass_fds=(its.fileno(),),
                start_new_session=True,  # a terminal's Ctrl-C is the driver's affair
            )
        self._silent, self._fresh = True, True
        self.say(blueprint)

    def say(self, message: object) -> None:
        """Tells it something, if it is there."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.pipe.send(message)

    def begin(self, attempt: Attempt) -> None:
        """Has it run an attempt."""
        self._silent = True
        self._memory = OutOfMemory()
        self._forget()
        self.say(Run(attempt=attempt))

    def cancel(self, attempt: Attempt) -> None:
        """Has an attempt end."""
        self.say(Cancel(job_id=attempt.job.id, attempt=attempt.job.attempt))

    def news(self) -> Iterator[Event | None]:
        """What it has said since the last call; last, if it is dead, how it died, or None if no attempt was begun."""
        if os.fstat(self._log.fileno()).st_size > LOG_CAP:
            self._forget()
        gone = self._process.poll() is not None  # asked first: by then it has said whatever it will have said
        try:
            while self.pipe.poll():
                said: Said = self.pipe.recv()
                self._silent = self._fresh = False  # the first word comes at once
                yield said.event
                if not isinstance(said.event, Progress):
                    return
        except (EOFError, OSError):
            gone = True
        if gone:
            yield None if self._silent and not self._fresh else self._death()
        else:
            self._memory.look()

    def end(self) -> None:
        """Ends it at once."""
        self._process.kill()
        self._process.wait()
        self.pipe.close()
        self._log.close()

    def _forget(self) -> None:
        """Empties the log. Its end is the worker's, too."""
        self._log.seek(0)
        self._log.truncate()

    def _death(self) -> Failure:
        code = self._process.wait()
        self._log.seek(0)
        log = self._log.read().decode("utf-8", errors="replace")[-LOG_TAIL:]
        if code == -signal.SIGKILL and self._memory.happened:
            message = (
                "the machine ran out of memory, and the kernel ended the worker; lower search.parallel, or what one "
                "trial needs"
            )
            return Failure(kind=FailureKind.OBJECTIVE, message=message, log=log)
        return Failure(kind=FailureKind.INFRASTRUCTURE, message=f"the worker was lost: {_end(code)}", log=log)


def _scratch() -> IO[bytes]:
    """A file without a name."""
    return tempfile.TemporaryFile(buffering=0)


def _end(code: int) -> str:
    if code >= 0:
        return f"it ended with exit status {code}"
    try:
        return f"it was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was ended by signal {-code}"
