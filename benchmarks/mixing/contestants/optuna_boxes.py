"""Optuna's own samplers, given the simplex as a box and the score as the objective."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import optuna

from ..problems import Floats
from .base import History, Maker, Setting, best_observed
from .boxes import Box

optuna.logging.set_verbosity(optuna.logging.WARNING)

Sampler = Callable[[int], optuna.samplers.BaseSampler]
"""Makes a sampler of a seed."""


class OptunaBox:
    """A study in memory; what is pending are its running trials. The best observed mixture is recommended."""

    def __init__(self, setting: Setting, sampler: Sampler, box: Callable[[int], Box]) -> None:
        self.task = setting.task
        self.box = box(len(setting.task.domains))
        self.study = optuna.create_study(direction="maximize", sampler=sampler(setting.seed))
        self.trials: list[optuna.Trial] = []
        self.told = 0
        self.study.enqueue_trial(self._parameters(self.box.centre()))

    def _parameters(self, point: Floats) -> dict[str, float]:
        return {f"x{i}": float(x) for i, x in enumerate(point)}

    def ask(self, history: History, pending: Floats) -> Floats:
        """What the sampler suggests."""
        for trial, score in zip(self.trials[self.told : len(history)], self._scores(history), strict=True):
            self.study.tell(trial, score)
        self.told = len(history)
        trial = self.study.ask()
        self.trials.append(trial)
        return self.box.shares(np.array([trial.suggest_float(f"x{i}", 0, 1) for i in range(self.box.size)]))

    def _scores(self, history: History) -> list[float]:
        scores: list[float] = self.task.score(history.values[self.told :]).tolist()
        return scores

    def recommend(self, history: History) -> Floats:
        """The best observed."""
        return best_observed(self.task, history)


def tpe(box: Callable[[int], Box]) -> Maker:
    """Optuna's default sampler."""
    return lambda setting: OptunaBox(setting, lambda seed: optuna.samplers.TPESampler(seed=seed), box)


def gp(box: Callable[[int], Box]) -> Maker:
    """Optuna's Gaussian process; it learns the noise."""
    return lambda setting: OptunaBox(setting, lambda seed: optuna.samplers.GPSampler(seed=seed), box)
