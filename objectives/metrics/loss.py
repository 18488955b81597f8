"""Loss: nats per token."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from objectives.base import Estimate
from objectives.metrics.ratio import ratio


def loss(nll: NDArray[np.float64], tokens: NDArray[np.int64]) -> Estimate:
    """Mean negative log-likelihood per response token, nats, with the standard error of a ratio.

    Args:
        nll: summed over each row's response tokens, nats, (n_rows,).
        tokens: response tokens of each row, (n_rows,), at least one in all.
    """
    return ratio(nll, tokens)
