"""Many simulated test sets, to compare standard errors with what they estimate."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from objectives.base import Estimate

SAMPLES = 400
"""Simulated test sets: the spread of their values has a relative error of about 1 / sqrt(2 x 400) = 3.5 %."""


def error_over_spread(estimates: Iterable[Estimate]) -> float:
    """The mean standard error of estimates on many test sets, in parts of the spread of their values."""
    found = list(estimates)
    errors = [estimate.stderr for estimate in found if estimate.stderr is not None]
    assert len(errors) == len(found)
    return float(np.mean(errors) / np.std([estimate.value for estimate in found], ddof=1))
