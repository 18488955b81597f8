"""How far a mixture falls short of the best one, where 1 is what a random mixture does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .maximise import Effort, maximise
from .problems import Floats, Problem, digest, random_mixtures

EFFORT = Effort(pool=60_000, starts=24, rounds=200)
VERSION = 1
"""Raise it when the search for the optimum changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """What a problem's scores are measured with.

    Attributes:
        shares: the best mixture, (n_domains,).
        best: its score.
        typical: the median score of random mixtures.
    """

    shares: tuple[float, ...]
    best: float
    typical: float

    @classmethod
    def of(cls, problem: Problem, cache: Path) -> Yardstick:
        """Searches for a problem's optimum, or reads it where it was found before.

        Args:
            problem: its noise does not matter.
            cache: a folder for what was found, by content.
        """
        key = digest([VERSION, EFFORT, problem.landscape.digest, problem.task.balance])
        task = problem.task

        def searched() -> dict[str, Any]:
            shares = maximise(task, lambda x: task.gains(problem.truth(x)), np.random.default_rng(0), EFFORT)
            best = float(problem.true_score(shares[None])[0])
            typical = float(np.median(problem.true_score(random_mixtures(len(task.domains)))))
            return {"shares": shares.tolist(), "best": best, "typical": typical}

        found = kept(cache / "optima" / f"{key}.json", searched)
        return cls(shares=tuple(found["shares"]), best=found["best"], typical=found["typical"])

    def regret(self, problem: Problem, shares: ArrayLike) -> Floats:
        """(best - score) / (best - typical) without noise, (n,), of mixtures, (n, n_domains).

        0 is the optimum, 1 the median of random mixtures. Anything that beats the optimum that was found counts as 0.
        """
        short = self.best - problem.true_score(shares)
        return np.maximum(short, 0.0) / (self.best - self.typical)


def kept(file: Path, found: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a file keeps, or what is found now and kept there in one piece, as several processes may look for it."""
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        made = file.with_suffix(f".{np.random.default_rng().integers(1 << 62)}")
        made.write_text(json.dumps(found()))
        made.replace(file)
    read: dict[str, Any] = json.loads(file.read_text())
    return read
