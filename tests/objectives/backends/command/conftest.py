"""A small study on disk, and objectives that run any program on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from objectives.backends.command import CommandBackend
from objectives.base import Context, Job, JobKind, Objective, Seeds
from objectives.domain import Domain
from objectives.mixture import Mixture

TRAINER = Path(__file__).parents[3] / "trainers" / "memory.py"
TRAIN_ROWS = {"colours": 30, "shapes": 20}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A study's folder: two domains to be mixed, and one that is only tested."""
    folder = tmp_path / "study"
    folder.mkdir()
    for name in ("colours", "shapes", "watched"):
        for split, size in (("train", TRAIN_ROWS.get(name, 0)), ("test", 15)):
            lines = [json.dumps({"instruction": f"{name} {i}", "output": "yes", "label": "yes"}) for i in range(size)]
            (folder / f"{name}.{split}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return folder


@pytest.fixture
def domains() -> tuple[Domain, ...]:
    mixed = (
        Domain(name=name, train=(Path(f"{name}.train.jsonl"),), test=(Path(f"{name}.test.jsonl"),))
        for name in TRAIN_ROWS
    )
    return (*mixed, Domain(name="watched", test=(Path("watched.test.jsonl"),)))


@pytest.fixture
def command(root: Path, domains: tuple[Domain, ...]) -> Callable[..., Objective]:
    """Makes the objective that runs an argument list; keywords are further settings."""

    def make(*argv: str, **settings: Any) -> Objective:
        backend = CommandBackend.model_validate({"kind": "command", "argv": argv, "rows": 24, **settings})
        return backend.build(domains, root)

    return make


@pytest.fixture
def python(command: Callable[..., Objective]) -> Callable[..., Objective]:
    """Makes the objective that runs Python code, in which `job` is what was handed over."""

    def make(code: str, **settings: Any) -> Objective:
        before = "import json, os, pathlib, signal, subprocess, sys, time\n"
        before += "job = json.load(open(os.environ['RATIO_SEARCH_JOB']))\n"
        return command("{python}", "-c", before + code, **settings)

    return make


@pytest.fixture
def job() -> Job:
    mixture = Mixture.of({"colours": 0.25, "shapes": 0.75})
    return Job(
        id="trial-0004",
        kind=JobKind.TRIAL,
        mixture=mixture,
        seeds=Seeds(data=8, training=9),
        attempt=2,
        hyperparameters={"warmth": 0.5, "loss": "hinge"},
    )


@pytest.fixture
def here(tmp_path: Path) -> Context:
    """An attempt's empty folders."""
    folder = tmp_path / "attempt"
    (folder / "checkpoint").mkdir(parents=True)
    return Context(folder=folder, checkpoint=folder / "checkpoint")
