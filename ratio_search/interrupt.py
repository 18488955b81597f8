"""Ctrl-C, a closed terminal and termination notices: the first asks to end in good order, the second ends at once."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupt:
    """Catches SIGINT, SIGTERM and SIGHUP between `with` and its end.

    Attributes:
        received: the first signal that came; None while there was none.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            # Set explicitly: a process started in the background of a script inherits "ignore" for SIGINT.
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int | None:
        """What a shell expects of a program that a signal ended: 130, 143 or 129; None without a signal."""
        return None if self.received is None else 128 + self.received

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            for other in SIGNALS:
                signal.signal(other, signal.SIG_IGN)  # impatience must not interrupt the end itself
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
