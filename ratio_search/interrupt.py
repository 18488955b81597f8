"""Ctrl-C, a closed terminal and termination notices: the first asks to end in good order, the second ends at once."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

AGAIN_S = 0.05
"""How soon a second signal comes again that fell into a place which lets no exception out."""


class Interrupt:
    """Catches SIGINT, SIGTERM and SIGHUP between `with` and its end.

    Attributes:
        received: the first signal that came; None while there was none.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._again: threading.Timer | None = None

    def __enter__(self) -> Self:
        for number in SIGNALS:
            # Set explicitly: a process started in the background of a script inherits "ignore" for SIGINT.
            self._before[number] = signal.signal(number, self._receive)
        self._hook, sys.unraisablehook = sys.unraisablehook, self._swallowed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._again is not None:
            self._again.cancel()
        sys.unraisablehook = self._hook
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

    def _swallowed(self, error: UnraisableHookArgs) -> None:
        """Sends the second signal again where a finalizer or a callback of the collector would have kept it."""
        if error.exc_type is not KeyboardInterrupt:
            self._hook(error)
            return
        signal.signal(signal.SIGINT, self._receive)
        main = threading.main_thread().ident
        self._again = threading.Timer(AGAIN_S, signal.pthread_kill, (main, signal.SIGINT))
        self._again.daemon = True
        self._again.start()
