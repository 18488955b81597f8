"""Kills a process group when the process that started it has died. Run as a script, on the standard library alone.

Standard input holds the group's number, and then any second word if the group was ended in good order. Its end
comes when the writer closes it or dies, however it dies. Whatever else was left open for this process, such as a lock,
stays open until the group is gone.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import time

LOOK_S = 0.01
"""Seconds between two looks at what was killed."""


def main() -> None:
    """Waits for the end of standard input, then acts on it."""
    # Nobody's child: what ends the children of a dying worker must not end this one before its work is done.
    if os.fork():
        os._exit(0)
    words = sys.stdin.read().split()
    if len(words) == 1:
        group = int(words[0])
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says the latter where nobody is left
            while runs(group):
                os.killpg(group, signal.SIGKILL)
                time.sleep(LOOK_S)


def runs(group: int) -> bool:
    """Whether anyone of a group still runs; those that only wait to be collected do not."""
    try:
        processes = [entry.name for entry in os.scandir("/proc") if entry.name.isdigit()]
    except OSError:
        return True  # the kill itself will find that nobody does
    return any(map(functools.partial(belongs, group), processes))


def belongs(group: int, process: str) -> bool:
    """Whether a process is of a group, and runs."""
    try:
        file = os.open(f"/proc/{process}/stat", os.O_RDONLY)
        with os.fdopen(file, "rb") as stat:
            state, _, its_group = stat.read().rpartition(b")")[2].split()[:3]
    except OSError:
        return False
    return int(its_group) == group and state not in (b"Z", b"X")


if __name__ == "__main__":
    main()
