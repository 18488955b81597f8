"""Perplexity: among how many tokens a model is undecided, on average."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from objectives.base import Estimate
from objectives.metrics.loss import loss


def perplexity(nll: NDArray[np.float64], tokens: NDArray[np.int64]) -> Estimate:
    """Exponential of the mean negative log-likelihood per token; its standard error is carried through it.

    Args:
        nll: summed over each row's response tokens, nats, (n_rows,).
        tokens: response tokens of each row, (n_rows,), at least one in all.
    """
    mean = loss(nll, tokens)
    value = math.exp(mean.value)
    return Estimate(value=value, stderr=None if mean.stderr is None else value * mean.stderr, rows=mean.rows)
