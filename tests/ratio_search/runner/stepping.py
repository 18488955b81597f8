"""A study whose fine-tunes go step by step, with files in all places that a study can name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ratio_search.spec import StudySpec

TRAINERS = Path(__file__).parents[2] / "trainers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A line of the ledger: a step that was trained."""

    job: str
    attempt: int
    step: int
    machine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SteppingStudy:
    """Its study file, and the ledger of its trainer."""

    file: Path
    ledger: Path

    @property
    def spec(self) -> StudySpec:
        return StudySpec.load(self.file)

    @property
    def steps(self) -> list[Step]:
        """The steps that were trained, in order."""
        lines = self.ledger.read_text().splitlines() if self.ledger.exists() else []
        parts = [line.split() for line in lines]
        return [Step(job=job, attempt=int(n), step=int(step), machine=machine) for job, n, step, machine in parts]


def stepping_study(
    folder: Path,
    ledger: Path,
    *modes: str,
    steps: int = 3,
    seconds: float = 0.0,
    needs: Mapping[str, float] | None = None,
    **keys: Any,
) -> SteppingStudy:
    """Makes a study.

    Args:
        folder: empty; everything is made in it, half of it not below the study file.
        ledger: the trainer's.
        modes: what the trainer does at last.
        steps: of a fine-tune.
        seconds: of a step.
        needs: resources of a trial.
        keys: replace those of the study file.
    """
    root = folder / "study"
    for place in (root / "trainer", root / "data", folder / "elsewhere"):
        place.mkdir(parents=True)
    for name in ("steps.py", "weights.py"):
        shutil.copy(TRAINERS / name, root / "trainer")
    files = {
        "inside": "data/inside",
        "beside": "../elsewhere/beside",
        "absolute": str(folder / "elsewhere" / "absolute"),
    }
    for name, file in files.items():
        for split, rows in (("train", 30), ("test", 5)):
            lines = [{"instruction": f"{name} {split} {i}", "output": "yes", "label": "yes"} for i in range(rows)]
            text = "".join(f"{json.dumps(line)}\n" for line in lines)
            (root / f"{file}.{split}.jsonl").write_text(text)
    document = {
        "name": "stepping",
        "domains": {name: {"train": f"{file}.tr*.jsonl", "test": f"{file}.test.jsonl"} for name, file in files.items()},
        "objective": {
            "kind": "command",
            "argv": ["{python}", "trainer/steps.py", str(ledger), str(steps), str(seconds), *modes],
            "rows": 40,
            "grace_s": 5,
            "resources": dict(needs or {}),
        },
        "metrics": [{"name": f"{name}/accuracy"} for name in files],
        "search": {"trials": 4, "parallel": 2},
        **keys,
    }
    file = root / "study.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    return SteppingStudy(file=file, ledger=ledger)
