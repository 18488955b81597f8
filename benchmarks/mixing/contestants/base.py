"""What every contestant is: asked for mixtures, told what they measured, asked what to train with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ..problems import Floats, Task

START = 10
"""Trials before a model proposes, for those that do not decide it themselves: Optuna's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Finished trials, in the order in which they were asked for.

    Attributes:
        shares: mixtures, (n, n_domains).
        values: measured metrics, (n, n_metrics).
    """

    shares: Floats
    values: Floats

    def __len__(self) -> int:
        return len(self.shares)

    def with_trial(self, shares: Floats, values: Floats) -> History:
        """The history with one more trial: its mixture, (n_domains,), and its values, (n_metrics,)."""
        return History(shares=np.vstack([self.shares, shares]), values=np.vstack([self.values, values]))

    def save(self, file: Path) -> None:
        """Writes it to a file."""
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(file, shares=self.shares, values=self.values)

    @classmethod
    def load(cls, file: Path) -> History:
        """Reads it from a file."""
        with np.load(file) as kept:
            return cls(shares=kept["shares"], values=kept["values"])

    def first(self, n: int) -> History:
        """The history as it was after `n` trials."""
        return History(shares=self.shares[:n], values=self.values[:n])


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a contestant knows beforehand.

    Attributes:
        task: domains, metrics and balance.
        seed: of all its draws.
        trials: how many there will be.
        parallel: how many run at a time.
    """

    task: Task
    seed: int
    trials: int
    parallel: int


class Contestant(Protocol):
    """Takes part in one run; it may remember what it was asked."""

    def ask(self, history: History, pending: Floats) -> Floats:
        """The next mixture to try, (n_domains,).

        Args:
            history: finished trials; it only ever grows.
            pending: mixtures that were asked for and are not finished, (n_pending, n_domains).
        """
        ...

    def recommend(self, history: History) -> Floats:
        """What to train with, (n_domains,)."""
        ...


Maker = Callable[[Setting], Contestant]


def best_observed(task: Task, history: History) -> Floats:
    """The mixture of the finished trial that scored best."""
    best: Floats = history.shares[task.score(history.values).argmax()]
    return best


def uniform(task: Task) -> Floats:
    """The same share for every domain: the first trial of each contestant, as it is of ours."""
    return np.full(len(task.domains), 1 / len(task.domains))
