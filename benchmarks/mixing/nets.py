"""Small neural nets that stand for a table of real runs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .problems import Floats, digest

MEMBERS, HIDDEN, DECAY, ITERATIONS = 5, 48, 1.0, 400
VERSION = 1
"""Raise it when the nets' form changes."""

SHIPPED = Path(__file__).with_name("fitted")
"""Nets that were fitted once for all.

Another processor rounds otherwise and has another net 400 steps later, on which kept results would not count.
"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Nets:
    """An ensemble of nets from shares to metrics' values.

    They see each share as it is, its square root and its logarithm, so that none of these, in which one contestant or
    the other thinks, is at an advantage.

    Attributes:
        layers: weights and biases in turn, each with the members first.
        mean, deviation: of what the nets predict, (n_metrics,).
        log: whether that is the value's logarithm, (n_metrics,).
    """

    layers: tuple[Floats, ...]
    mean: Floats
    deviation: Floats
    log: NDArray[np.bool_]

    def __call__(self, shares: Floats) -> Floats:
        """Values, (n, n_metrics), of mixtures, (n, n_domains)."""
        state: Floats = _inputs(shares)[None]
        *hidden, weights, biases = self.layers
        for weight, bias in zip(hidden[::2], hidden[1::2], strict=True):
            state = np.tanh(state @ weight + bias[:, None])
        out: Floats = (state @ weights + biases[:, None]).mean(axis=0) * self.deviation + self.mean
        values: Floats = np.where(self.log, np.exp(np.where(self.log, out, 0)), out)
        return values

    def r2(self, shares: Floats, values: Floats) -> Floats:
        """Coefficients of determination on runs that were not fitted, (n_metrics,)."""
        predicted, truth = (np.where(self.log, np.log(side), side) for side in (self(shares), values))
        unexplained: Floats = ((predicted - truth) ** 2).mean(axis=0) / truth.var(axis=0)
        return 1 - unexplained


def fitted(shares: Floats, values: Floats, log: NDArray[np.bool_], cache: Path) -> Nets:
    """Nets fitted to runs, or read where they were fitted before.

    Args:
        shares: the runs' mixtures, (n, n_domains).
        values: what they measured, (n, n_metrics).
        log: whether to fit a metric's logarithm, (n_metrics,).
        cache: a folder for fitted nets, by content; those in `SHIPPED` come first.
    """
    key = digest([VERSION, MEMBERS, HIDDEN, DECAY, ITERATIONS, shares.round(12), values.round(12), log])
    file = SHIPPED / f"{key}.npz"
    if not file.is_file():
        file = cache / "nets" / file.name
    if not file.is_file():
        nets = _fit(shares, np.where(log, np.log(np.where(log, values, 1)), values), log)
        file.parent.mkdir(parents=True, exist_ok=True)
        made = file.with_suffix(f".{np.random.default_rng().integers(1 << 62)}.npz")
        np.savez(made, *nets.layers, mean=nets.mean, deviation=nets.deviation)
        made.replace(file)
    with np.load(file) as found:
        layers = tuple(found[f"arr_{i}"] for i in range(len(found.files) - 2))
        return Nets(layers=layers, mean=found["mean"], deviation=found["deviation"], log=log)


def _fit(shares: Floats, targets: Floats, log: NDArray[np.bool_]) -> Nets:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    mean, deviation = targets.mean(axis=0), targets.std(axis=0)
    members = []
    for member in range(MEMBERS):
        net = MLPRegressor(
            hidden_layer_sizes=(HIDDEN, HIDDEN),
            activation="tanh",
            solver="lbfgs",
            alpha=DECAY,
            max_iter=ITERATIONS,
            random_state=member,
        )
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            net.fit(_inputs(shares), (targets - mean) / deviation)
        members.append([part for pair in zip(net.coefs_, net.intercepts_, strict=True) for part in pair])
    layers = tuple(np.stack(parts) for parts in zip(*members, strict=True))
    return Nets(layers=layers, mean=mean, deviation=deviation, log=log)


def _inputs(shares: Floats) -> Floats:
    positive, size = np.clip(shares, 0, None), np.sqrt(shares.shape[-1])
    return np.concatenate([positive * size, np.sqrt(positive) * size, np.log(positive + 0.01) / 2 + 1.5], axis=-1)
