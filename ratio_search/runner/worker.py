"""A worker process of this machine: runs the attempts that come through its pipe, and says there what they report.

It dies with the driver, whatever it is doing: nobody would hear of what it finds.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import signal
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from objectives.attempt import Attempt, Event, Failure
from objectives.backends import Blueprint
from ratio_search.runner.workplace import Workplace

PR_SET_PDEATHSIG = 1
"""Linux: which signal a process gets when its parent dies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """To a worker: run this attempt."""

    attempt: Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """To a worker: have an attempt end, whether it has begun or not."""

    job_id: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """From a worker: what its attempt reports."""

    event: Event


class Worker:
    """Runs one attempt after another, and listens meanwhile."""

    def __init__(self, blueprint: Blueprint, pipe: Connection[Any, Any]) -> None:
        """Prepares a worker.

        Args:
            blueprint: what it builds.
            pipe: to the driver.
        """
        self._workplace = Workplace(blueprint)
        self._pipe = pipe
        self._attempts: queue.SimpleQueue[Attempt] = queue.SimpleQueue()
        self._cancelled: set[tuple[str, int]] = set()

    def work(self) -> None:
        """Works until the driver is gone."""
        threading.Thread(target=self._listen, name="driver", daemon=True).start()
        while True:
            self._run(self._attempts.get())

    def _run(self, attempt: Attempt) -> None:
        key = attempt.job.id, attempt.job.attempt
        try:
            for event in self._workplace.run(attempt, lambda: key in self._cancelled):
                self._pipe.send(Said(event=event))
        except OSError:
            os._exit(1)  # nobody is there any more
        except BaseException as error:
            # Such as `sys.exit` in a library: it would happen again.
            self._pipe.send(Said(event=Failure.of(error)))

    def _listen(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                message = self._pipe.recv()
                if isinstance(message, Run):
                    self._attempts.put(message.attempt)
                else:
                    self._cancelled.add((message.job_id, message.attempt))
        os._exit(1)


def main(number: int, driver: int) -> None:
    """Is a worker; the blueprint is the first that comes through the pipe.

    Args:
        number: of the open pipe to the driver.
        driver: the driver's process.
    """
    # The pipe's end tells the same, but not while a library keeps all threads waiting.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != driver:
        return
    pipe: Connection[Any, Any] = Connection(number)
    Worker(pipe.recv(), pipe).work()
