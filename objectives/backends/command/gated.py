"""A program that does not begin before it is told to, so that by then somebody else knows its number."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

GATE = Path(__file__).with_name("gate.py")


class GatedProgram:
    """A process that becomes the program once it is let through, and ends by itself when nobody is left to do so.

    Attributes:
        process: the program's; it leads a session and a group of its own.
    """

    def __init__(self, process: subprocess.Popen[bytes], go: int, answer: int) -> None:
        """Takes a process and our ends of its pipes; `start` makes them."""
        self.process = process
        self._go: int | None = go
        self._answer = answer

    @classmethod
    def start(cls, argv: Sequence[str], *, folder: Path, environment: Mapping[str, str], output: int) -> Self:
        """Starts the process.

        Args:
            argv: program and arguments.
            folder: to run it in.
            environment: all of its environment variables.
            output: number of an open file for its standard output and error.

        Raises:
            OSError, ValueError: it cannot be started.
        """
        (waits, go), (answer, says) = os.pipe(), os.pipe()
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GATE), str(waits), str(says), *argv],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(waits, says),
            )
        except BaseException:
            os.close(go)
            os.close(answer)
            raise
        finally:
            os.close(waits)
            os.close(says)
        return cls(process, go, answer)

    def begin(self) -> None:
        """Lets it through; it is the program on return.

        Raises:
            OSError: there is no such program, or it cannot be run.
        """
        assert self._go is not None
        with contextlib.suppress(BrokenPipeError):  # somebody killed it; the program's end will say so
            os.write(self._go, b".")
        error = os.read(self._answer, 16)
        self.close()
        if error:
            raise OSError(int(error), os.strerror(int(error)))

    def close(self) -> None:
        """Ends what was never let through; nothing otherwise."""
        if self._go is not None:
            os.close(self._go)
            os.close(self._answer)
            self._go = None
