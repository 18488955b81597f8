"""The mean of what every row is worth, from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from objectives.base import Estimate


def rate(worth: Sequence[float] | NDArray[np.float64] | NDArray[np.bool_]) -> Estimate:
    """Mean worth of the rows, with its standard error: of rows that are right or wrong, the share that is right.

    The error is that of a mean, with two rows more, one that is worth nothing and one that is worth all. Of rows that
    are right or wrong it is the standard deviation of a Beta(hits + 1, misses + 1): what a binomial rate can be after
    these rows. It is close to sqrt(p (1 - p) / n), but not 0 where all rows are right, or none.

    Args:
        worth: one value from 0 to 1 per row, (n_rows,), n_rows >= 1.
    """
    values = np.asarray(worth, dtype=np.float64)
    n = len(values)
    middle = (float(values.sum()) + 1) / (n + 2)
    variance = (float(np.square(values).sum()) + 1) / (n + 2) - middle**2
    return Estimate(value=float(values.sum()) / n, stderr=math.sqrt(variance / (n + 3)), rows=n)
