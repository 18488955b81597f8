"""What the service took, ended and made, on disk before anybody is answered."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Ledger:
    """A file of events that only grows."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "ledger.jsonl"
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """All events; one that was being written when its process was killed never happened."""
        text = self._file.read_text() if self._file.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        for line in whole.splitlines():
            yield json.loads(line)

    def mend(self) -> None:
        """Cuts off what was being written when the process before was killed."""
        if self._file.exists():
            content = self._file.read_bytes()
            os.truncate(self._file, content.rfind(b"\n") + 1)

    def write(self, event: str, *, durable: bool = True, **details: Any) -> float:
        """Writes an event; the time that it bears.

        Args:
            event: what happened.
            durable: whether it is to outlive the machine, and not only the process.
            details: what belongs to it.
        """
        with self._lock, self._file.open("a") as file:
            now = time.time()
            file.write(json.dumps({"event": event, "time": now, **details}) + "\n")
            file.flush()
            if durable:
                os.fsync(file.fileno())
        return now
