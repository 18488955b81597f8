"""Who learns from trials as they come, and remembers what was learned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ratio_search.model.measurements import Array
from ratio_search.model.surrogate import Surrogate
from ratio_search.model.threads import one_thread

STEADY = 20
"""Hyperparameters are found anew when one further trial comes to so many others."""

ODD = 4.0
"""A trial so many standard deviations from what was expected of it is a reason to find them anew."""


class Learner:
    """Fits surrogates to ever more trials: hyperparameters seldom, where there are many of them.

    From 40 trials on hyperparameters are found with the first of them only, a number that grows by a twentieth of
    itself at a time; later trials are learned from with these. Where one of them is `ODD`, hyperparameters are found
    anew with it: it may have gone wrong, or what was believed. All follows from the trials alone, whoever asks, and
    whatever was asked before.
    """

    def __init__(self) -> None:
        """Knows nothing yet."""
        self._fits: dict[bytes, Surrogate] = {}
        self._latest: tuple[bytes, Surrogate] | None = None

    def surrogate(
        self, x: Array, gains: Array, variances: Array, *, domains: int, own: Sequence[int | None]
    ) -> Surrogate:
        """What trials lead to believe, the same object as before where they are the same.

        Args:
            x: shares of the trials in their order, then the coordinates of hyperparameters, (n, n_inputs).
            gains: what was measured; NaN where a metric is missing, at least one value of each, (n, n_metrics).
            variances: their known part, (n, n_metrics).
            domains: how many of the inputs are shares.
            own: for each metric, the place of the domain that it judges; None where it is of none of them.
        """
        key = _key(x, gains, variances, domains, own)
        if self._latest is None or self._latest[0] != key:
            with one_thread():
                self._latest = key, self._believed(x, gains, variances, domains, own)
        return self._latest[1]

    def _believed(self, x: Array, gains: Array, variances: Array, domains: int, own: Sequence[int | None]) -> Surrogate:
        fits, self._fits = self._fits, {}

        def fit(n: int) -> Surrogate:
            known = x[:n], gains[:n], variances[:n]
            key = _key(*known, domains, own)
            if key not in self._fits:
                self._fits[key] = fits.get(key) or Surrogate.fit(*known, domains=domains, own=own)
            return self._fits[key]

        settled = len(x) - len(x) % max(len(x) // STEADY, 1)
        if not all(_varies(column) for column in gains[:settled].T):
            settled = len(x)
        while settled < len(x):
            odd = fit(settled).surprises(x[settled:], gains[settled:], variances[settled:]) >= ODD
            if not np.any(odd):
                return fit(settled).further(x, gains, variances)
            settled += int(odd.argmax()) + 1
        return fit(settled)


def _key(x: Array, gains: Array, variances: Array, domains: int, own: Sequence[int | None]) -> bytes:
    return b"".join(part.tobytes() for part in (x, gains, variances)) + repr((domains, list(own))).encode()


def _varies(values: Array) -> bool:
    """Whether a metric has several values."""
    known = values[np.isfinite(values)]
    return len(known) > 0 and bool(np.ptp(known))
