"""A sign of life: whoever runs an attempt renews it, also while the trainer says nothing."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

BEAT_S = 10.0
"""Seconds between two beats."""

BOOT = Path("/proc/sys/kernel/random/boot_id")
"""What tells one start of a machine from another, where there is such a file."""


class Heartbeat:
    """Renews a file from `with` to its end, or to the death of the process.

    Each beat has the machine's monotonic clock, which nobody sets. The file's own time counts only for a reader on
    another machine, and is then compared with what the same file system calls now.
    """

    def __init__(self, path: Path, every_s: float = BEAT_S) -> None:
        """Prepares a heartbeat.

        Args:
            path: the file; its folder must be there.
            every_s: seconds between two beats.
        """
        self._path = path
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._beat()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._every_s):
            self._beat()

    def _beat(self) -> None:
        # Always as long, and written in place: a disk that is full has room for it. It is a mere report: a job does not
        # fail because it cannot be written.
        beat = json.dumps({"boot": _boot(), "seconds": f"{time.monotonic():020.3f}"}).encode()
        with contextlib.suppress(OSError):
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                os.pwrite(file, beat, 0)
            finally:
                os.close(file)


def silence(path: Path) -> float | None:
    """Seconds since the last beat in a file; None before the first one."""
    try:
        written, content = path.stat().st_mtime, path.read_bytes()
    except OSError:
        return None
    boot, seconds = _read(content)
    since = time.monotonic() - seconds if boot is not None and boot == _boot() else _now(path.parent) - written
    return max(0.0, since)


def age(path: Path) -> float | None:
    """Seconds since a file was written, by its file system's clock; None where it is not there."""
    try:
        return max(0.0, _now(path.parent) - path.stat().st_mtime)
    except OSError:
        return None


def _read(content: bytes) -> tuple[str | None, float]:
    """Which start of which machine a beat is from, None where that is not known, and its clock."""
    try:
        data = json.loads(content)
        return data["boot"], float(data["seconds"])
    except (ValueError, TypeError, KeyError):
        return None, 0.0


def _boot() -> str | None:
    try:
        return BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return None


def _now(folder: Path) -> float:
    """What a folder's file system calls now, which is not this machine's affair where it is another's disk."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()  # a folder that may only be read
