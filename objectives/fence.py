"""One attempt at a job at a time, whatever is left of the last one: a lock that the kernel frees as its holders die."""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from objectives.errors import Cancelled, FenceError

PATIENCE_S = 60.0
"""How long an attempt waits for the one before it. What is left of a dead driver is gone within seconds."""

LOOK_S = 0.02
"""Seconds between two looks at a lock that somebody holds."""

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
"""What a file system without locks answers."""


class Fence:
    """Holds a job's folder for one attempt, from `with` to its end, or to the death of all who have its file open.

    The lock is `flock`: a process that inherits the open file holds it as well, so that what ends a dead worker's
    children keeps the next attempt out until they are gone. Where the file system has no locks, nothing is held.
    """

    def __init__(
        self, path: Path, holder: str, cancelled: Callable[[], bool] = lambda: False, patience_s: float = PATIENCE_S
    ) -> None:
        """Prepares a fence.

        Args:
            path: the lock's file, in an existing folder.
            holder: who wants it, for those that wait.
            cancelled: becomes true when waiting is no longer wanted.
            patience_s: how long to wait for it.
        """
        self._path = path
        self._holder = holder
        self._cancelled = cancelled
        self._patience_s = patience_s
        self._file: int | None = None

    def __enter__(self) -> Self:
        """Takes the lock, once nobody else has it.

        Raises:
            Cancelled: waiting for it was no longer wanted.
            FenceError: somebody still has it; the message says who.
        """
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            if self._taken(file):
                with contextlib.suppress(OSError):  # it is held, whether or not there is room to say by whom
                    os.ftruncate(file, 0)
                    os.pwrite(file, json.dumps({"holder": self._holder, **note()}).encode(), 0)
        except BaseException:
            os.close(file)
            raise
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Lets go; who inherited the lock still has it."""
        assert self._file is not None
        os.close(self._file)
        self._file = None

    @property
    def number(self) -> int:
        """The open file's number, for a process that is to inherit it."""
        assert self._file is not None
        return self._file

    def _taken(self, file: int) -> bool:
        """Waits for the lock; whether there is such a thing here."""
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if self._cancelled():
                    raise Cancelled("cancelled while an earlier attempt was still ending") from None
                if time.monotonic() >= deadline:
                    raise FenceError(
                        f"{self._path.parent}: still held by {_holder(self._path)}; expected it to be gone within "
                        f"{self._patience_s:g} s; end that process, or what it started, and resume the study"
                    ) from None
            except OSError as error:
                if error.errno in NO_LOCKS:
                    return False
                raise
            time.sleep(LOOK_S)


def lockable(folder: Path) -> bool:
    """Whether the file system of an existing folder has locks."""
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in NO_LOCKS
    finally:
        os.close(number)
    return True


def note() -> dict[str, Any]:
    """What a process leaves where it takes a lock: who it is, and since when it is there."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": now}


def _holder(path: Path) -> str:
    """Who took a lock last, in words."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return f"{data['holder']} (process {data['pid']} on {data['host']} since {data['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "an earlier attempt"
