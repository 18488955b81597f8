"""Random search: the least that a search must beat, and the design of those that only look at results in the end."""

from __future__ import annotations

import numpy as np

from ..problems import Floats
from .base import History, Setting, best_observed, uniform


class RandomSearch:
    """The centre, then mixtures drawn uniformly from the simplex; the best observed one is recommended."""

    def __init__(self, setting: Setting) -> None:
        self.task = setting.task
        self.seed = setting.seed

    def ask(self, history: History, pending: Floats) -> Floats:
        """The next random mixture."""
        number = len(history) + len(pending)
        if number == 0:
            return uniform(self.task)
        return np.random.default_rng([self.seed, number]).dirichlet(np.ones(len(self.task.domains)))

    def recommend(self, history: History) -> Floats:
        """The best observed."""
        return best_observed(self.task, history)
