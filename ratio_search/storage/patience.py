"""What a study does while the server that keeps its trials is away: it waits."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from ratio_search.errors import Unreachable
from ratio_search.storage.database import away, reason

T = TypeVar("T")

SHORT_S = 10.0
"""How long anybody waits who is no driver: a server that is only started again is back by then."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
"""Between two tries; each pause is twice as long as the one before."""

Told = Callable[[str, str], None]
"""Is given an event, `database_lost` or `database_back`, and words that say more of it."""


class Patience:
    """How long a call waits for a server that went away, and who is told. A driver waits for as long as it takes."""

    def __init__(self) -> None:
        self._limit_s: float | None = SHORT_S
        self._told: Told = lambda event, words: None
        self._stopping: Callable[[], bool] = lambda: False

    @contextlib.contextmanager
    def endless(self, told: Told, stopping: Callable[[], bool]) -> Iterator[None]:
        """Waits for as long as it takes, from `with` to its end.

        Args:
            told: hears when waiting begins and ends.
            stopping: asked while waiting; once true, the wait is short, and ends as a second Ctrl-C would end it, as
                nothing can be stored any more.
        """
        before = self._limit_s, self._told, self._stopping
        self._limit_s, self._told, self._stopping = None, told, stopping
        try:
            yield
        finally:
            self._limit_s, self._told, self._stopping = before

    def through(self, call: Callable[[], T]) -> T:
        """What a call gives, made again while the server is away.

        Args:
            call: may be made again after it failed half-way.

        Raises:
            Unreachable: the server stayed away for too long.
        """
        began, pause, told = time.monotonic(), 0.0, False
        while True:
            try:
                result = call()
            except Exception as error:
                if not away(error):
                    raise
                self._check(time.monotonic() - began, error)
                if pause and not told:
                    told = True
                    self._told("database_lost", reason(error))
                time.sleep(pause)
                pause = min(max(2 * pause, FIRST_PAUSE_S), LONGEST_PAUSE_S)
            else:
                if told:
                    self._told("database_back", f"after {time.monotonic() - began:.1f} s")
                return result

    def _check(self, spent_s: float, error: BaseException) -> None:
        """Ends a wait that took too long."""
        stopping = self._stopping()
        limit_s = SHORT_S if stopping else self._limit_s
        if limit_s is None or spent_s < limit_s:
            return
        if stopping:
            raise KeyboardInterrupt from error
        raise Unreachable(
            f"the database server stayed away for {spent_s:.0f} s ({reason(error)}); try again when it is back"
        ) from error
