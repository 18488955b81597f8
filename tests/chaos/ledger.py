"""What the trainer of a study did, by its own account, and what it should not have done."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

STEPS, EVERY = 6, 2
"""Steps of a trial, and after how many of them its trainer saves a checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """A trainer's ledger.

    Attributes:
        lines: of each job, in order.
    """

    lines: dict[str, list[dict[str, Any]]]

    @classmethod
    def read(cls, path: Path) -> Self:
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            found[entry["job"]].append(entry)
        return cls(lines=dict(found))

    @property
    def steps(self) -> int:
        """How many were trained in all."""
        return sum(entry["what"] == "step" for lines in self.lines.values() for entry in lines)

    @property
    def repeated(self) -> int:
        """How many of them were trained again."""
        return self.steps - sum(len(_trained(lines)) for lines in self.lines.values())

    def wrong(self) -> list[str]:
        """Steps that were trained although a checkpoint had them, and what a trainer did after its successor began."""
        return [f"{job}: {what}" for job, lines in self.lines.items() for what in (*_faults(lines), *_gaps(job, lines))]


def _trained(lines: Sequence[dict[str, Any]]) -> set[int]:
    return {entry["step"] for entry in lines if entry["what"] == "step"}


def _gaps(job: str, lines: Sequence[dict[str, Any]]) -> list[str]:
    whole = set(range(1, STEPS + 1)) if job.startswith("trial") else _trained(lines)
    return [] if _trained(lines) == whole else [f"trained {sorted(_trained(lines))}"]


def _faults(lines: Sequence[dict[str, Any]]) -> list[str]:
    found: list[str] = []
    saved, at = 0, 0
    begun: list[int] = []
    for entry in lines:
        what, step, attempt = entry["what"], entry["step"], entry["attempt"]
        if what == "start":
            begun.append(entry["process"])
            at = step
            if step < saved:
                found.append(f"attempt {attempt} starts at step {step}, saved is {saved}")
        if entry["process"] != begun[-1]:
            found.append(f"{what} {step} by a trainer of attempt {attempt}, which has a successor")
        if what == "step":
            if step != at + 1 or step <= saved:
                found.append(f"step {step} trained after {at}, saved is {saved}")
            at = step
        if what == "saved":
            saved = step
    return found
