"""A table of runs whose law is known, and the objective that answers from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from objectives.backends.replay import ReplayBackend
from objectives.domain import Domain

HEAD = "kind,share/a,share/b,share/c,a/f1,b/loss,steadiness,notes"


def law(a: float, b: float, c: float) -> tuple[float, float, float]:
    """What a mixture leads to in the table: a rate, a loss, and a metric of no known kind."""
    return 0.3 + 0.5 * a**0.5, 2.0 - b**0.5, 5 * c - 2


def written(folder: Path) -> Path:
    """A table of forty runs that follow the law exactly, and the untuned model."""
    rng = np.random.default_rng(0)
    shares = np.vstack([np.full(3, 1 / 3), np.eye(3), rng.dirichlet(np.ones(3), 36)])
    lines = [",".join(map(repr, map(float, [*row, *law(*row)]))) for row in shares.tolist()]
    file = folder / "runs.csv"
    file.write_text("\n".join([HEAD, "baseline,,,,0.25,2.5,0,untuned", *(f"trial,{line},fine" for line in lines)]))
    return file


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return written(tmp_path)


@pytest.fixture
def domains() -> Sequence[Domain]:
    return tuple(Domain(name=name, elsewhere=True) for name in "abc")


@pytest.fixture
def settings(table: Path) -> Callable[..., ReplayBackend]:
    def make(**keys: Any) -> ReplayBackend:
        return ReplayBackend.model_validate({"kind": "replay", "table": table.name, **keys})

    return make
