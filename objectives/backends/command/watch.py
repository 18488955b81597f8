"""Kills a process group when the process that started it has died. Run as a script, on the standard library alone.

Standard input holds the group's number, and then any second word if the group was ended in good order. Its end
comes when the writer closes it or dies, however it dies.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys


def main() -> None:
    """Waits for the end of standard input, then acts on it."""
    # Nobody's child: what ends the children of a dying worker must not end this one before its work is done.
    if os.fork():
        os._exit(0)
    words = sys.stdin.read().split()
    if len(words) == 1:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(words[0]), signal.SIGKILL)


if __name__ == "__main__":
    main()
