"""Becomes a program once it is told to. Run as a script, on the standard library alone.

Arguments: the numbers of two open pipes, the program and its arguments. A byte from the first lets it begin; its end
without one, as when whoever would have written it died, ends this process. Why it cannot begin goes to the second.
"""

from __future__ import annotations

import os
import signal
import sys


def main(waits: str, says: str, *argv: str) -> None:
    """Waits for leave, then runs the program in place of this one."""
    go, answer = int(waits), int(says)
    if not os.read(go, 1):
        return
    os.set_inheritable(go, False)
    os.set_inheritable(answer, False)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)  # Python ignores them, and what is ignored stays so
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(answer, str(error.errno).encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
