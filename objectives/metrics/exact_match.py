"""Exact match: the share of answers that are what was expected."""

from __future__ import annotations

from collections.abc import Sequence

from objectives.base import Estimate
from objectives.metrics.rate import rate


def exact_match(expected: Sequence[str], generated: Sequence[str]) -> Estimate:
    """Share of answers that are what was expected, but for white space at both ends; with a binomial standard error.

    Args:
        expected: the right answer per row, (n_rows,), n_rows >= 1.
        generated: the model's answer per row, (n_rows,).
    """
    return rate([right.strip() == answer.strip() for right, answer in zip(expected, generated, strict=True)])
