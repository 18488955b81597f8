"""Reads single rows of a large file, in any order."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import signal
from typing import IO, TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from objectives.data.identity import Identity
from objectives.data.rows import Problem, Row, parse
from objectives.errors import DataError

if TYPE_CHECKING:
    from objectives.data.index import FileIndex


class Reader:
    """Reads rows of an indexed file. The file may not change meanwhile, which is noticed.

    The file is mapped into memory where that is safe: touching a part that someone has cut off would end the whole
    process (SIGBUS). It is safe under a lease, with which the kernel lets nobody change the file before we let go
    (fcntl(2), "Leases"); elsewhere every row is a read call, which takes about three times as long.

    Attributes:
        view: the mapped file, to be touched between two checks only; None where it is not mapped.
    """

    def __init__(self, index: FileIndex) -> None:
        """Takes the index; the file is opened by entering the context."""
        self._index = index
        self._map: mmap.mmap | None = None
        self.view: memoryview | None = None

    def __enter__(self) -> Self:
        try:
            self._file: IO[bytes] = self._index.content.open("rb", buffering=0)
        except OSError as error:
            reason = error.strerror or str(error)
            raise DataError(f"{self._index.content}: cannot be read ({reason}); expected it where it was") from error
        descriptor = self._file.fileno()
        # The copy of a packed file is ours: nobody changes it. A file that has become empty cannot be mapped.
        if len(self._index) and (self._own or _leased(descriptor)) and os.fstat(descriptor).st_size:
            self._map = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
            self.view = memoryview(self._map)
        return self

    def __exit__(self, *_: object) -> None:
        if self._map is not None and self.view is not None:
            if not self._own:
                # The map has a descriptor of its own, which would keep the lease.
                fcntl.fcntl(self._file.fileno(), fcntl.F_SETLEASE, fcntl.F_UNLCK)
            with contextlib.suppress(BufferError):  # what was taken of it is still held, and keeps it mapped
                self.view.release()
                self._map.close()
        self._map = self.view = None
        self._file.close()

    def lines(self, numbers: NDArray[np.int64]) -> list[bytes]:
        """The lines of some rows, as they stand in the file, without line ends.

        Raises:
            DataError: the file is no longer what it was when it was indexed, or someone waits to change it.
        """
        self.check()  # before it is touched, as what is mapped may be shorter than what was indexed
        starts = self._index.offset[numbers]
        ends = starts + self._index.length[numbers]
        found = [self.read(start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        self.check()
        return found

    def read(self, start: int, end: int) -> bytes:
        """Bytes of the file, which is to be checked before and afterwards."""
        if self._map is not None:
            return self._map[start:end]
        return os.pread(self._file.fileno(), end - start, start)

    def rows(self, numbers: NDArray[np.int64]) -> list[Row]:
        """Some rows.

        Raises:
            DataError: see `lines`.
        """
        rows = []
        for line in self.lines(numbers):
            parsed = parse(line)
            assert not isinstance(parsed, Problem), (self._index.path, parsed)
            rows.append(parsed.row)
        return rows

    @property
    def _own(self) -> bool:
        return self._index.content != self._index.path

    def check(self) -> None:
        """Checks that the file is still what it was.

        Raises:
            DataError: it is not, or someone waits to change it.
        """
        if self._own:
            return
        descriptor = self._file.fileno()
        waited_for = self._map is not None and fcntl.fcntl(descriptor, fcntl.F_GETLEASE) != fcntl.F_RDLCK
        if waited_for or Identity.of(os.fstat(descriptor)) != self._index.identity:
            raise DataError(
                f"{self._index.path}: changed since it was indexed; let it stay as it is while it is used, and begin "
                "again"
            )


def _leased(descriptor: int) -> bool:
    """Asks for a lease on an open file."""
    if not hasattr(fcntl, "F_SETLEASE"):  # Linux only
        return False
    with contextlib.suppress(OSError):  # open for writing somewhere, not ours, or a file system that has no leases
        # By default the wish of others to change the file would come as a signal that ends the process.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        return True
    return False
