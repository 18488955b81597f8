"""Whether the kernel ended a process for lack of memory: a kill alone does not say who sent it, or why."""

from __future__ import annotations

import time
from pathlib import Path

COUNTERS = Path("/proc/vmstat")
"""Where Linux counts such kills, those within containers included, of the whole machine since it was started."""

RECENT_S = 1.0
"""What was counted longer ago is another process's affair."""


class OutOfMemory:
    """Looks for kills for lack of memory on this machine, again and again."""

    def __init__(self) -> None:
        self._before = self._latest = _kills()
        self._at = time.monotonic()

    def look(self) -> None:
        """Takes note of how things are while all is well."""
        if time.monotonic() - self._at >= RECENT_S:
            self._before, self._latest, self._at = self._latest, _kills(), time.monotonic()

    @property
    def happened(self) -> bool | None:
        """Whether there was one since the last look but one; None where nobody counts them."""
        now = _kills()
        return None if now is None or self._before is None else now > self._before


def _kills() -> int | None:
    try:
        counters = dict(line.split() for line in COUNTERS.read_text(encoding="ascii").splitlines())
        return int(counters["oom_kill"])
    except (OSError, ValueError, KeyError):
        return None
