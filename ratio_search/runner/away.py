"""An attempt on a machine that has no disk in common with the driver: what it leaves is sent there."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from objectives.attempt import Attempt, Event, Failure, FailureKind
from objectives.base import Measurement, Progress
from ratio_search.runner.parcel import Box, Parcel, Seal, packed

LOOK_S = 0.5
"""Seconds between two looks at the checkpoints."""

PAUSE_S = 3.0
"""Least time between two checkpoints that are sent."""

PAUSE_PER_SENT = 5.0
"""Least time between them, in parts of how long the last one took."""

Signature = dict[Path, tuple[int, int, int]]


class Away:
    """Runs an attempt, and tells the driver what it reports and leaves.

    A checkpoint is sent while the fine-tune goes on: it is frozen by links, which takes no time and no room, as no file
    of a checkpoint is ever written to.
    """

    def __init__(self, attempt: Attempt) -> None:
        """Takes an attempt whose checkpoints, if it goes on from any, are in its folder."""
        self._attempt = attempt
        self._sent = _signature(attempt.checkpoint)
        self._pause_until = 0.0

    def run(self, events: Iterator[Event]) -> Iterator[Event | Parcel | Seal]:
        """Passes events on, and between them what is to be kept; the last event comes last.

        Args:
            events: of the attempt; never raises.
        """
        reported: queue.SimpleQueue[Event] = queue.SimpleQueue()

        def work() -> None:
            try:
                for event in events:
                    reported.put(event)
            except BaseException as error:
                reported.put(Failure.of(error))  # such as `sys.exit` in a library

        thread = threading.Thread(target=work, name="attempt", daemon=True)
        thread.start()
        while True:
            with contextlib.suppress(queue.Empty):
                event = reported.get(timeout=LOOK_S)
                if not isinstance(event, Progress):
                    break
                yield event
            if time.monotonic() >= self._pause_until:
                yield from self._checkpoint()
        thread.join()
        with contextlib.suppress(OSError):  # what cannot be read is no reason to lose a measurement
            yield from self._left(event)
        yield event

    def _checkpoint(self) -> Iterator[Parcel | Seal]:
        """The checkpoint, if it is another one than was sent last."""
        began = time.monotonic()
        found = _signature(self._attempt.checkpoint)
        if not found or found == self._sent:
            return
        frozen = self._attempt.folder / "frozen.partial"
        shutil.rmtree(frozen, ignore_errors=True)
        try:
            for path in found:
                link = frozen / path
                link.parent.mkdir(parents=True, exist_ok=True)
                _link(self._attempt.checkpoint / path, link)
            if _signature(self._attempt.checkpoint) != found:
                return  # it was being replaced: soon there is a whole one
            yield from packed(Box.CHECKPOINT, frozen, list(found))
            self._sent = found
            self._pause_until = time.monotonic() + max(PAUSE_S, PAUSE_PER_SENT * (time.monotonic() - began))
        except OSError:
            return  # gone meanwhile, or no room: no reason to lose a fine-tune
        finally:
            shutil.rmtree(frozen, ignore_errors=True)

    def _left(self, last: Event) -> Iterator[Parcel | Seal]:
        """What is to be kept of an attempt that is over."""
        files = self._attempt.belongings()
        if not isinstance(last, Measurement):
            files = [path for path in files if self._attempt.folder / path == self._attempt.log_file]
        if isinstance(last, Failure) and last.kind in (FailureKind.CANCELLED, FailureKind.INFRASTRUCTURE):
            yield from self._checkpoint()
        if files:
            yield from packed(Box.BELONGINGS, self._attempt.folder, files)


def _signature(folder: Path) -> Signature:
    """What tells a checkpoint from the next one: its files, but for those that are being written."""
    found: Signature = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        with contextlib.suppress(OSError):
            status = path.stat()
            if path.is_file() and not any(part.endswith(".partial") for part in name.parts):
                found[name] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def _link(path: Path, link: Path) -> None:
    try:
        os.link(path, link)
    except OSError:
        shutil.copy2(path, link)
