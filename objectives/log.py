"""What a trainer says: a log file that keeps its beginning and its end, however much is written."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

LOG_CAP = 16 * 2**20
"""Bytes that a log file may take."""

LOG_PART = LOG_CAP // 4
"""Bytes of its beginning that a full log keeps, and, at least, of its end."""

LOG_LINES = 40
"""Last lines of a log that an error carries."""

LOG_BYTES = 16_384
"""At most this much of a log's end is read for them."""

CHUNK = 2**16
"""Bytes that are read of a pipe at a time."""


class CappedLog:
    """A log file that never grows past its cap: when it is full, its middle is left out.

    The file is shortened in place, the end being copied before anything is cut off: a process that is killed here
    leaves the last moments readable, and a full disk is in nobody's way. What finds no room is not kept.
    """

    def __init__(self, path: Path, cap: int = LOG_CAP, part: int = LOG_PART) -> None:
        """Begins an empty log.

        Args:
            path: the file; one that is there is replaced.
            cap: bytes that it may take.
            part: bytes of its beginning that are kept, and, at least, of its end; four of them must fit.
        """
        assert 4 * part <= cap
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        self._cap = cap
        self._part = part
        self._size = 0
        self._kept = 0
        self._unkept = 0

    def write(self, data: bytes) -> None:
        """Adds to the log; never fails, as a log is no reason to lose a fine-tune.

        Args:
            data: at most as long as the part that is kept.
        """
        said = len(data)
        assert said <= self._part
        if self._unkept:
            data = _note(f"{self._unkept} bytes found no room on the disk") + data
        if self._size + len(data) > self._cap and not self._leave_out_the_middle():
            self._unkept += said
            return
        written = _written(self._file, data, self._size)
        self._size += written
        self._kept += written
        self._unkept = len(data) - written if written else self._unkept + said

    def close(self) -> None:
        """Ends the log."""
        os.close(self._file)

    def _leave_out_the_middle(self) -> bool:
        """Shortens the file to its beginning and its end; whether that went well."""
        end = _note(f"{self._kept - 2 * self._part} bytes are left out here")
        with contextlib.suppress(OSError):
            end += os.pread(self._file, self._part, self._size - self._part)
            if _written(self._file, end, self._part) == len(end):
                os.ftruncate(self._file, self._part + len(end))
                self._size = self._part + len(end)
                return True
        return False


class Drain:
    """Reads a pipe to its end and logs it, so that whoever writes to it never waits."""

    def __init__(self, pipe: int, log: CappedLog) -> None:
        """Begins to read.

        Args:
            pipe: the reading end; closed once all writers have closed theirs.
            log: what is read goes there; closed likewise.
        """
        self._pipe = pipe
        self._log = log
        # A process that left its group may write for longer than the job lasts: it is still read.
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def settle(self, patience_s: float) -> None:
        """Waits until all is logged that was written, at most this long where some writer is still there."""
        self._thread.join(patience_s)

    def _run(self) -> None:
        try:
            while data := os.read(self._pipe, CHUNK):
                self._log.write(data)
        finally:
            os.close(self._pipe)
            self._log.close()


def last_lines(path: Path) -> str:
    """The last lines of a log, as text that can be shown and stored anywhere; empty where there is none."""
    text = ""
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_BYTES))
        text = file.read().decode("utf-8", errors="replace")
    # A progress bar redraws its line with carriage returns: only its last state counts.
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.rstrip().split("\n")[-LOG_LINES:]]
    return "\n".join(map(printable, lines))


def printable(text: str) -> str:
    """Text without what could move a terminal's cursor, or break a file."""
    return "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in text)


def _note(text: str) -> bytes:
    return f"\n[{text}]\n".encode()


def _written(file: int, data: bytes, at: int) -> int:
    """Writes data at an offset; how many bytes of it found room."""
    done = 0
    with contextlib.suppress(OSError):
        while done < len(data):
            done += os.pwrite(file, data[done:], at + done)
    return done
