"""One driver at a time: a lock that the kernel frees when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from objectives.fence import note
from ratio_search.errors import LeaseError, StudyError

TRIES = 1000
"""How often a lease is tried for while nobody but `held` is in the way."""


class Lease:
    """Holds a study for one driver, from `with` to its end or the process's death.

    The lock is `flock`, which the kernel drops with the process however it dies. It holds between processes of
    one machine; network file systems may not honour it.
    """

    def __init__(self, lock_file: Path) -> None:
        self._path = lock_file
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        """Takes the lease.

        Raises:
            LeaseError: another driver has it; the message says who and since when.
            StudyError: its file cannot be locked.
        """
        try:
            file = self._path.open("a+", encoding="utf-8")
            if not _acquired(file):
                file.close()
                raise LeaseError(
                    f"the study is being run by {holder(self._path)}; wait for it, or end it with "
                    f"`ratio-search stop {self._path.parent}`"
                )
        except OSError as error:
            raise StudyError(
                f"{self._path}: cannot be locked ({error.strerror}); a study's folder must be writable and on a "
                "file system with locks"
            ) from error
        file.truncate(0)
        json.dump(note(), file)
        file.flush()
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives the lease back."""
        assert self._file is not None
        self._file.close()
        self._file = None

    def check(self) -> None:
        """Checks, before anything is submitted, that the study is still held.

        Raises:
            LeaseError: it is not: another driver may run it.
        """
        assert self._file is not None
        try:
            if os.path.samestat(self._path.stat(), os.fstat(self._file.fileno())):
                return
        except OSError:
            pass
        raise LeaseError(
            f"{self._path}: was removed or replaced while this driver held it, so that another may run the study; this "
            "one ends; put the study's folder back where it was, then resume it"
        )


class OwnLease(Lease):
    """The lease of a study that no other process can see."""

    def __init__(self) -> None:
        super().__init__(Path(os.devnull))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def check(self) -> None:
        """Nobody can take it."""


def _acquired(file: IO[str]) -> bool:
    """Takes the lease if no driver has it.

    `held` locks for an instant, too, but shares: what cannot be shared either is a driver's.
    """
    for _ in range(TRIES):
        if _locked(file, fcntl.LOCK_EX):
            return True
        if not _locked(file, fcntl.LOCK_SH):
            return False
        fcntl.flock(file, fcntl.LOCK_UN)
        time.sleep(0.002)
    return False


def _locked(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def held(lock_file: Path) -> bool:
    """Whether a driver is running the study now."""
    try:
        file = lock_file.open(encoding="utf-8")
    except OSError:
        return False
    with file:
        return not _locked(file, fcntl.LOCK_SH)


def holder(lock_file: Path) -> str:
    """Who took the lease last, in words."""
    try:
        return told(json.loads(lock_file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return told(None)


def told(left: Any) -> str:
    """What `note` left, in words."""
    try:
        return f"process {left['pid']} on {left['host']} since {left['since']}"
    except (KeyError, TypeError):
        return "another driver"
