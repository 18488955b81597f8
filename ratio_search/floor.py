"""A floor under the room on a study's disk: below it a study waits, as jobs that find the disk full would fail."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from objectives.disk import room
from ratio_search.study import Study

AGAIN = 1.05
"""How far above the floor there must be room to go on, so that a study does not begin and pause by turns."""


class DiskFloor:
    """Says whether there is room for something new, and tells of it when that changes."""

    def __init__(
        self,
        place: Path,
        floor_gb: float,
        wait_s: float,
        say: Callable[[str], None] = lambda text: None,
        log: Callable[..., None] = lambda event, **details: None,
    ) -> None:
        """Prepares a floor.

        Args:
            place: a folder on the disk.
            floor_gb: below it there is no room.
            wait_s: how long to wait for room once nothing runs any more.
            say: tells the user.
            log: adds an event with its details to a history.
        """
        self._place = place
        self._floor = floor_gb * 1e9
        self._wait_s = wait_s
        self._say = say
        self._log = log
        self._left = 0.0
        self._paused = False
        self._idle: float | None = None

    @classmethod
    def of(cls, study: Study, say: Callable[[str], None]) -> Self | None:
        """The floor under a study's folder; None where its file wants none."""
        health = study.spec.health
        if health.floor_gb is None:
            return None
        return cls(study.folder.path.resolve(), health.floor_gb, health.wait_s, say, study.folder.log)

    def low(self) -> bool:
        """Whether there is no room for anything new."""
        left = room(self._place)
        self._left = left or 0.0
        return left is not None and left < self._floor * (AGAIN if self._paused else 1.0)

    def pause(self) -> None:
        """Takes note that something is not started for lack of room."""
        if not self._paused:
            self._paused = True
            self._tell("paused", f"paused: {self._needs()}. Nothing new is started until there is; what runs goes on")

    def go_on(self) -> None:
        """Takes note that there is room again, or that none is needed any more."""
        self._idle = None
        if self._paused:
            self._paused = False
            self._tell("went_on", f"goes on: {self._left / 1e9:.3f} GB are free at {self._place}")

    def hopeless(self) -> str | None:
        """Why to wait no longer; None as long as that goes on. It begins with the first call, when nothing runs."""
        now = time.monotonic()
        self._idle = now if self._idle is None else self._idle
        if now - self._idle < self._wait_s:
            return None
        return f"{self._needs()}, for nothing runs any more that could, and {self._wait_s:g} s went by"

    def _needs(self) -> str:
        """What is lacking, in words."""
        return (
            f"{self._left / 1e9:.3f} GB are free at {self._place}, and health.floor_gb asks for {self._floor / 1e9:g}; "
            "make room there"
        )

    def _tell(self, event: str, text: str) -> None:
        self._say(text)
        details: dict[str, Any] = {"free_gb": self._left / 1e9, "floor_gb": self._floor / 1e9}
        with contextlib.suppress(OSError):  # the disk may really be full
            self._log(event, **details)
