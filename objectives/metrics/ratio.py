"""The ratio of two sums over rows, such as nats per token."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from objectives.base import Estimate


def ratio(above: NDArray[np.float64], below: NDArray[np.float64] | NDArray[np.int64]) -> Estimate:
    """Sum over sum, with rows as the units that vary; one row says nothing of its standard error.

    The standard error is that of a ratio estimator (Cochran, Sampling Techniques, 3rd ed., section 2.11).

    Args:
        above: what is added up above the line, (n_rows,), n_rows >= 1.
        below: what is added up below it, (n_rows,), with a positive sum.
    """
    n, total = len(above), float(below.sum())
    value = float(above.sum()) / total
    if n < 2:
        return Estimate(value=value, stderr=None, rows=n)
    residual = above - value * below
    stderr = math.sqrt(n / (n - 1) * float(np.square(residual).sum())) / total
    return Estimate(value=value, stderr=stderr, rows=n)
