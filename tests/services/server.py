"""Starts, ends and questions the pretend platform."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]


class PretendServer:
    """The pretend platform in a process of its own, from `with` to its end."""

    def __init__(self, folder: Path, length: int = 3) -> None:
        """Prepares a server.

        Args:
            folder: where it writes.
            length: polls that a stage takes.
        """
        self.folder = folder
        self.length = length
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(exist_ok=True)
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()

    def start(self) -> None:
        """Starts it, on the port that it had before if it had one."""
        file = self.folder / "port"
        port = [file.read_text()] if file.exists() else []
        file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.services.pretend", str(self.folder), str(self.length), *port]
        self._process = subprocess.Popen(command, cwd=ROOT)
        while not file.exists():
            assert self._process.poll() is None, "the pretend platform did not start"
            time.sleep(0.01)

    def kill(self) -> None:
        """Ends it as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{(self.folder / 'port').read_text()}"

    def fault(self, call: str, *faults: str, stage: str | None = None, after: int = 0) -> None:
        """Plans mistakes in calls of a kind, once so many were spared."""
        self._post("/faults", {"call": call, "faults": faults, "stage": stage, "after": after})

    def repair(self) -> None:
        """Forgets all mistakes that are still planned."""
        self._post("/repair", {})

    def release(self) -> None:
        """Lets calls go on that wait for it, now and later."""
        self._post("/release", {})

    def rebase(self, base: str) -> None:
        """Has stages begin with another base model from now on."""
        self._post("/base", {"base": base})

    @property
    def deleted(self) -> list[str]:
        """What was deleted, in order."""
        return [line["place"] for line in self.ledger if line["event"] == "deleted"]

    @property
    def ledger(self) -> list[dict[str, Any]]:
        file = self.folder / "ledger.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def taken(self, stage: str | None = None) -> Counter[tuple[str, str]]:
        """How often each job's stage was begun."""
        asked = [line["asked"] for line in self.ledger if line["event"] == "taken"]
        return Counter((one["job"], one["stage"]) for one in asked if stage in (None, one["stage"]))

    def ended(self, state: str) -> list[str]:
        """Names of what ended so."""
        return [line["name"] for line in self.ledger if line["event"] == "ended" and line["state"] == state]

    def _post(self, path: str, body: Any) -> None:
        request = urllib.request.Request(f"{self.url}{path}", data=json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=10):
            pass
