"""Accuracy: the share of rows whose class is predicted."""

from __future__ import annotations

from collections.abc import Sequence

from objectives.base import Estimate
from objectives.metrics.rate import rate


def accuracy(labels: Sequence[str], predictions: Sequence[str]) -> Estimate:
    """Share of rows whose class is predicted, with a binomial standard error.

    Args:
        labels: the right class per row, (n_rows,), n_rows >= 1.
        predictions: the predicted class per row, (n_rows,).
    """
    return rate([label == prediction for label, prediction in zip(labels, predictions, strict=True)])
