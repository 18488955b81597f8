"""Bits per byte: a loss that models with different tokenizers can be compared by."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from objectives.base import Estimate
from objectives.metrics.ratio import ratio


def bits_per_byte(nll: NDArray[np.float64], size: NDArray[np.int64]) -> Estimate:
    """Bits that a model needs for a byte of the responses, with the standard error of a ratio.

    It does not depend on how a tokenizer cuts the text into tokens (Gao et al., arXiv 2101.00027, section 3.1).

    Args:
        nll: summed over each row's response tokens, nats, (n_rows,).
        size: UTF-8 bytes of each row's response, (n_rows,), at least one in all.
    """
    return ratio(nll / math.log(2), size)
