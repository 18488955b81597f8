"""A model of one layer and a small study on disk, which the tests of the `hf` objective share."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from objectives.backends.hf.tiny import TinyRecipe, tiny_model
from objectives.data import Row
from objectives.domain import Domain

RECIPE = TinyRecipe(
    vocabulary=320,
    layers=1,
    width=32,
    heads=2,
    inner=48,
    context=64,
    steps=80,
    batch_size=8,
    learning_rate=1e-2,
    max_length=48,
)

COLOURS = ("red", "green", "blue")
SHAPES = ("round", "square", "triangular", "flat")
"""Classes of the two labelled domains, `colours` and `shapes`."""

DOMAINS = (
    Domain(name="colours", train=(Path("colours/train.jsonl"),), test=(Path("colours/test.jsonl"),)),
    Domain(name="shapes", train=(Path("shapes/train.jsonl"),), test=(Path("shapes/test.jsonl"),)),
    Domain(name="echoes", test=(Path("echoes/test.jsonl"),)),
)
"""The study on disk: `echoes` is only tested."""


def rows_of(domain: str, count: int, seed: str) -> list[Row]:
    """Rows whose answer follows from the instruction; `echoes` has no labels."""
    rng = random.Random(f"{domain}/{seed}")
    rows = []
    for _ in range(count):
        number = rng.randrange(100)
        if domain == "echoes":
            rows.append(Row.of(f"repeat {number}", f"{number} {number}"))
        else:
            classes = COLOURS if domain == "colours" else SHAPES
            label = classes[number % len(classes)]
            rows.append(Row.of(f"{domain} of {number % len(classes)} {number}", f"{label} indeed", label))
    return rows


def write_rows(path: Path, rows: Sequence[Row]) -> Path:
    """Writes rows as JSON lines and returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for row in rows:
        data = {"instruction": row.instruction, "output": row.output}
        lines.append(json.dumps(data if row.label is None else {**data, "label": row.label}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that has seen the form of the rows, made by the same code as the tiny one."""
    rows = {name: rows_of(name, 40, "base") for name in ("colours", "shapes", "echoes")}
    return tiny_model(rows, RECIPE, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study's folder: `colours` and `shapes` to be mixed, `echoes` only to be tested."""
    folder = tmp_path_factory.mktemp("study")
    for name in ("colours", "shapes", "echoes"):
        write_rows(folder / name / "test.jsonl", rows_of(name, 24, "test"))
        if name != "echoes":
            write_rows(folder / name / "train.jsonl", rows_of(name, 30, "train"))
    return folder


@pytest.fixture(scope="session")
def domains() -> tuple[Domain, ...]:
    return DOMAINS
