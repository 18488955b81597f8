"""Mistakes that are made in calls: planned one by one, or by chance.

    throttle       ThrottlingException                  busy     503, ServiceUnavailable
    broken         500, InternalFailure                 limit    ResourceLimitExceeded
    refuse         ValidationException                  forbidden   AccessDeniedException
    expired        ExpiredTokenException                unrecognized   UnrecognizedClientException
    late           does it and answers after a while    silent   does it and hangs up
    hang           does nothing, hangs up after a while wait     does nothing until it is released
    role           the job's role cannot be assumed      idle     the job gets no further

and of a job that is looked at, when it fails or is stopped instead of going on:

    capacity       no machines were free                preempt  the service lost it
    overrun        it took too long                     stop     somebody else stops it
    fail           its own fault
"""

from __future__ import annotations

import random
import threading
from collections.abc import Collection, Mapping
from typing import Any

LATE_S = 0.6
"""How long an answer takes that is late; a client has to wait less to miss it."""

ENDS = frozenset({"capacity", "preempt", "overrun", "stop", "fail"})
"""What becomes of a running job by a mistake; one that is over is spared."""

ASKED = frozenset({"limit", "refuse", "role"})
"""Refusals that only make sense where something is asked for."""


class Faults:
    """The mistakes to make."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self._planned: list[dict[str, Any]] = []
        self._chances: dict[str, float] = {}
        self._random = random.Random(0)
        self._lock = threading.Lock()

    def change(self, chances: Mapping[str, float], seed: int) -> None:
        """Sets the chance of each mistake in a call, and the seed that decides; what is planned stays planned."""
        with self._lock:
            if dict(chances) != self._chances:
                self._chances = dict(chances)
                self._random = random.Random(seed)

    def plan(self, planned: dict[str, Any]) -> None:
        """Plans mistakes: `call`, `faults`, and perhaps `stage` and how many calls `after` which."""
        with self._lock:
            self._planned.append(planned)

    def next(self, call: str, stages: Collection[str] = (), *, running: bool = False) -> str | None:
        """The mistake to make now, if any.

        Args:
            call: name of the operation.
            stages: of the job that it is about.
            running: whether that job runs.
        """
        with self._lock:
            for planned in self._planned:
                if planned["call"] != call or planned.get("stage") not in (None, *stages):
                    continue
                if planned.get("after", 0) > 0:
                    planned["after"] -= 1
                    continue
                if planned["faults"] and (running or planned["faults"][0] not in ENDS):
                    return str(planned["faults"].pop(0))
            return self._by_chance(call, running)

    def _by_chance(self, call: str, running: bool) -> str | None:
        drawn = self._random.random()
        for name, chance in sorted(self._chances.items()):
            if (name in ENDS and not running) or (name in ASKED and call != "CreateTrainingJob"):
                continue
            if drawn < chance:
                return name
            drawn -= chance
        return None
