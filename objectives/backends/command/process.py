"""A program in a process group of its own, which is ended as a whole."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from objectives.backends.command.gated import GatedProgram
from objectives.errors import OptionsError
from objectives.log import CappedLog, Drain

POLL_S = 0.05
"""Seconds between two looks at a running program."""

KILLED_S = 1.0
"""Seconds to wait for killed processes to be gone. Longer takes only one that hangs in the kernel, or one that has
ended and that a container without an init process never collects."""

SETTLED_S = 1.0
"""Seconds to wait for the rest of what an ended group has said. Only one that left the group can say more."""

WATCH = Path(__file__).with_name("watch.py")


class ProcessGroup:
    """A running program with all processes that it starts, but for those that leave its group.

    Attributes:
        exit_code: of the program, once it has ended; negative for a signal.
        cpu_seconds: of the program and the children that it waited for, once it has ended.
    """

    def __init__(self, leader: subprocess.Popen[bytes], output: Drain) -> None:
        """Takes a process that leads its own group, and what reads its output; `start` makes one."""
        self.exit_code: int | None = None
        self.cpu_seconds = 0.0
        self._leader = leader
        self._output = output
        self._over = False

    @classmethod
    @contextlib.contextmanager
    def start(
        cls,
        argv: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        output: Path,
        lock: int | None = None,
    ) -> Iterator[Self]:
        """Starts a program; on leaving, what is left of its group is killed, also if this process dies before.

        Args:
            argv: program and arguments.
            folder: to run it in.
            environment: all of its environment variables.
            output: file for its standard output and error, of which it keeps the beginning and the end.
            lock: number of an open file that is to stay open until the group is gone, should this process die; None
                where there is none.

        Raises:
            OptionsError: it cannot be started.
        """
        with _Watcher(lock) as watcher:
            log = CappedLog(output)
            reading, writing = os.pipe()
            drain = Drain(reading, log)
            try:
                gated = GatedProgram.start(argv, folder=folder, environment=environment, output=writing)
            except (OSError, ValueError) as error:
                raise OptionsError(f"objective.argv: {argv[0]} cannot be started in {folder} ({error})") from error
            finally:
                os.close(writing)
            group = cls(gated.process, drain)
            try:
                watcher.watch(gated.process.pid)
                try:
                    gated.begin()
                except OSError as error:
                    raise OptionsError(f"objective.argv: {argv[0]} cannot be started in {folder} ({error})") from error
                yield group
            finally:
                gated.close()
                group.end(grace_s=0)
                watcher.over = group.gone

    def running(self) -> bool:
        """Whether the program itself still runs."""
        if self.exit_code is None:
            pid, status, usage = os.wait4(self._leader.pid, os.WNOHANG)
            if pid:
                self.exit_code = self._leader.returncode = os.waitstatus_to_exitcode(status)
                self.cpu_seconds = usage.ru_utime + usage.ru_stime
        return self.exit_code is None

    def end(self, grace_s: float) -> None:
        """Ends the whole group, whether the program itself still runs or not; a second call does nothing.

        Args:
            grace_s: seconds between the request to end (SIGTERM) and the kill.
        """
        if self._over:
            return
        for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, KILLED_S)):
            self._send(number)
            if self._gone_within(patience_s):
                break
        # From now on the group's number may belong to someone else.
        self._over = True
        self._output.settle(SETTLED_S)

    @property
    def gone(self) -> bool:
        """Whether nothing is left of the group."""
        return not self.running() and not self._send(0)

    def _send(self, number: int) -> bool:
        """Sends a signal to the group; 0 only asks whether there is anyone."""
        try:
            os.killpg(self._leader.pid, number)
        except (ProcessLookupError, PermissionError):  # macOS refuses permission where Linux finds nobody
            return False
        return True

    def _gone_within(self, patience_s: float) -> bool:
        deadline = time.monotonic() + patience_s
        while not self.gone:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_S)
        return True


class _Watcher:
    """A process that outlives this one for as long as it takes to kill a group that this one left behind.

    Attributes:
        over: whether nothing is left of the group.
    """

    def __init__(self, lock: int | None) -> None:
        """Prepares it.

        Args:
            lock: number of an open file that it holds open as long; None where there is none.
        """
        self.over = True
        self._lock = lock

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(WATCH)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a terminal's Ctrl-C is not for it
            pass_fds=() if self._lock is None else (self._lock,),
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.over:
            self._say("over")
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def watch(self, group: int) -> None:
        """Names the group."""
        self.over = False
        self._say(str(group))

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        # It is a safety net: a job does not fail because someone ended it.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{word}\n".encode())
