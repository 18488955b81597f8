"""F1 of predicted classes, averaged over classes (macro) or over rows (micro).

Both look at the classes that occur among the labels: a prediction outside of them is simply wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from objectives.base import Estimate
from objectives.metrics.ratio import ratio

BOOTSTRAP_SAMPLES = 200
"""Resamples behind the standard error of macro F1: its own relative error is about 1 / sqrt(2 x 200) = 5 %."""


def macro_f1(labels: Sequence[str], predictions: Sequence[str], rng: np.random.Generator) -> Estimate:
    """Mean of the classes' F1 over the classes that occur among `labels`, with a bootstrap standard error.

    A prediction outside those classes is simply wrong.

    Args:
        labels: the right class per row, (n_rows,), n_rows >= 1.
        predictions: the predicted class per row, (n_rows,).
        rng: draws the resamples.
    """
    # Takes a second to import, and the check of a study file needs only names.
    from sklearn.metrics import f1_score

    classes = sorted(set(labels))
    value = float(f1_score(labels, predictions, labels=classes, average="macro", zero_division=0))
    index = {name: i for i, name in enumerate(classes)}
    true = np.array([index[label] for label in labels])
    predicted = np.array([index.get(label, len(classes)) for label in predictions])
    # Drawing rows with replacement is one multinomial draw of how often each (class, prediction) occurs.
    cells, counts = np.unique(np.stack([true, predicted]), axis=1, return_counts=True)
    draws = rng.multinomial(len(true), counts / len(true), size=BOOTSTRAP_SAMPLES)

    def totals(of: NDArray[np.int64], chosen: NDArray[np.bool_] | slice = slice(None)) -> NDArray[np.float64]:
        """Draws of the chosen cells, added up by class, (n_samples, n_classes)."""
        added = np.zeros((len(classes) + 1, BOOTSTRAP_SAMPLES))
        np.add.at(added, of[chosen], draws.T[chosen])
        return added[:-1].T

    hits, support = totals(cells[0], cells[0] == cells[1]), totals(cells[0])
    denominator = support + totals(cells[1])
    per_class = np.divide(2.0 * hits, denominator, out=np.zeros(hits.shape), where=denominator > 0)
    # A class that a resample misses has no F1 there; averaging it in as 0 would inflate the spread.
    present = support > 0
    resampled = (per_class * present).sum(axis=1) / present.sum(axis=1)
    return Estimate(value=value, stderr=float(resampled.std(ddof=1)), rows=len(true))


def micro_f1(labels: Sequence[str], predictions: Sequence[str]) -> Estimate:
    """F1 of all rows' hits, misses and false alarms added up, with the standard error of a ratio.

    Where every prediction is one of the classes that occur among `labels`, it is the accuracy. The standard error is
    that of two rows more, one hit and one miss, as `rate` has them, so that it is never 0.

    Args:
        labels: the right class per row, (n_rows,), n_rows >= 1.
        predictions: the predicted class per row, (n_rows,).
    """
    classes = set(labels)
    hits = np.array([label == prediction for label, prediction in zip(labels, predictions, strict=True)], np.float64)
    # Each row is missed or hit once, and raises a false alarm, or is hit, where a class of the labels' is predicted.
    alarms = 1 + np.array([prediction in classes for prediction in predictions], np.float64)
    spread = ratio(np.append(2 * hits, [2, 0]), np.append(alarms, [2, 2]))
    return Estimate(value=2 * float(hits.sum()) / float(alarms.sum()), stderr=spread.stderr, rows=len(hits))
