"""What a measurement is worth that is not taken yet: by how much better a choice becomes with it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def informed(worth: Array, seen: Array) -> Array:
    """What comes of choosing by what is seen, in each draw of what may be true, (n_draws,).

    What a choice is worth by what is seen is its regression on that over the draws (Strong, Oakley and Brennan,
    "Estimating multiparameter partial expected value of perfect information from a probabilistic sensitivity analysis
    sample", Medical Decision Making 34, 2014), here linear. Each half of the draws is predicted from the other, as a
    regression would otherwise take chance for knowledge. The mean over the draws, less that for less that is seen, is
    what seeing more is worth; where that is nothing it can come out a little below 0.

    Args:
        worth: of each choice in each draw, (n_choices, n_draws), n_draws even.
        seen: what is measured, its noise included, (n_quantities, n_draws), n_quantities >= 0.
    """
    features = np.vstack([np.ones((1, worth.shape[1])), seen])
    found = np.empty(worth.shape[1])
    halves = np.arange(worth.shape[1]).reshape(-1, 2).T
    for fitted, applied in (halves, halves[::-1]):
        slopes, *_ = np.linalg.lstsq(features[:, fitted].T, worth[:, fitted].T, rcond=None)
        chosen = (features[:, applied].T @ slopes).argmax(axis=1)
        found[applied] = worth[chosen, applied]
    return found
