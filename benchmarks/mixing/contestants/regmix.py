"""RegMix: trees on a random design."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..problems import Floats
from .base import History
from .random_search import RandomSearch

SAMPLES, TOP = 100_000, 100


class RegMix(RandomSearch):
    """Liu et al., "RegMix" (arXiv 2407.01492): gradient-boosted trees on a random design, then the mean of the best.

    One LightGBM regressor a metric; of 100 000 random mixtures, the 100 that are predicted best are averaged. Trees
    may be smaller than by default, as there are fewer runs than RegMix's 512.
    """

    def recommend(self, history: History) -> Floats:
        """The mean of the mixtures that are predicted best."""
        import lightgbm

        rng = np.random.default_rng([self.seed, len(history)])
        samples = rng.dirichlet(np.ones(len(self.task.domains)), size=SAMPLES)
        parameters: dict[str, Any] = {
            "objective": "regression",
            "learning_rate": 0.05,
            "num_leaves": 8,
            "min_data_in_leaf": 3,
            "verbosity": -1,
            "num_threads": 1,
            "seed": 0,
        }
        gains = self.task.gains(history.values)
        predicted = np.empty((len(samples), gains.shape[1]))
        for k, column in enumerate(gains.T):
            data = lightgbm.Dataset(history.shares, column, params={"min_data_in_bin": 1, "verbosity": -1})
            predicted[:, k] = np.asarray(lightgbm.train(parameters, data, num_boost_round=100).predict(samples))
        top = np.argsort(-self.task.balanced(predicted))[:TOP]
        mean: Floats = samples[top].mean(axis=0)
        return mean
