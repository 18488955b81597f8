"""How alike a quantity is believed to be at two points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from ratio_search.model.inputs import Inputs
from ratio_search.model.measurements import Array
from ratio_search.model.prior import Prior

ROOT5 = math.sqrt(5)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kernel:
    """A constant of variance 1, a curved part of all inputs, and perhaps one of a single input alone; Matern 5/2 both.

    A sum with a part of one input tells early what that input does by itself (Duvenaud, Nickisch and Rasmussen,
    "Additive Gaussian processes", NeurIPS 2011).

    Attributes:
        lengths: of the curved part, (n_inputs,).
        signal: its variance.
        noise: variance of a measurement that is run again.
        own: the place of the input that has a part alone; None for no such part.
        alone: the variance of that part.
        alone_length: its length scale.
    """

    lengths: Array
    signal: float
    noise: float
    own: int | None
    alone: float = 0.0
    alone_length: float = 1.0

    @classmethod
    def of(cls, theta: Array, prior: Prior, inputs: Inputs) -> Self:
        """The kernel of hyperparameters, in the order that `Prior` says."""
        q = prior.lengths(inputs)
        lengths = np.exp(theta[:q])
        if prior.spread is None:
            lengths = np.concatenate([np.full(inputs.shares, lengths[0]), lengths[1:]])
        signal, noise, *alone = np.exp(theta[q:]).tolist()
        part = {} if inputs.own is None else {"alone": alone[0], "alone_length": alone[1]}
        return cls(lengths=lengths, signal=signal, noise=noise, own=inputs.own, **part)

    @property
    def variance(self) -> float:
        """Of the quantity at any point."""
        return 1.0 + self.signal + self.alone

    def between(self, a: Array, b: Array) -> Array:
        """Covariances of the quantity at some points with that at others, (n_a, n_b).

        Args:
            a: points, (n_a, n_inputs).
            b: others, (n_b, n_inputs).
        """
        scales = ROOT5 / self.lengths
        root = _distances(a * scales, b * scales)
        found = _matern(root, np.exp(-root), self.signal)
        if self.own is not None:
            found += _matern(*self._along(a[:, self.own], b[:, self.own]), self.alone)
        found += 1.0
        return found

    def with_slopes(self, x: Array) -> tuple[Array, Slopes]:
        """Covariances of the quantity at points with itself, (n, n), and how they move.

        Args:
            x: (n, n_inputs).
        """
        scaled = x * (ROOT5 / self.lengths)
        root = _distances(scaled, scaled)
        decay = np.exp(-root)
        decay *= self.signal
        # By the logarithm of a length: this times a third of the squared scaled difference in that input.
        moved = root + 1
        moved *= decay
        curved = _third_of_square(root)
        curved *= decay
        curved += moved
        kernel = curved + 1.0
        if self.own is None:
            return kernel, Slopes(scaled=scaled, moved=moved, curved=curved, alone=())
        step, decay = self._along(x[:, self.own], x[:, self.own])
        decay *= self.alone
        linear = step + 1
        linear *= decay
        longer = _third_of_square(step)
        alone = longer * decay
        alone += linear
        longer *= linear
        kernel += alone
        return kernel, Slopes(scaled=scaled, moved=moved, curved=curved, alone=(alone, longer))

    def _along(self, a: Array, b: Array) -> tuple[Array, Array]:
        """Distances along one input, times the root of 5, and their exponential decay, (n_a, n_b) both."""
        a, b = a * (ROOT5 / self.alone_length), b * (ROOT5 / self.alone_length)
        step = np.subtract.outer(a, b)
        np.abs(step, out=step)
        # Exponentials of the points are far fewer than those of the distances.
        decay = np.multiply.outer(np.exp(a), np.exp(-b))
        np.minimum(decay, 1 / decay, out=decay)
        return step, decay


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slopes:
    """How the covariances of n points move with a kernel's hyperparameters.

    Attributes:
        scaled: the points in length scales, times the root of 5, (n, n_inputs).
        moved: by the logarithm of a length scale, over a third of the squared scaled differences in its input, (n, n).
        curved: by the logarithm of the signal, (n, n).
        alone: by the logarithms of variance and length scale of the part that depends on one input alone, (n, n) both.
    """

    scaled: Array
    moved: Array
    curved: Array
    alone: tuple[Array, ...]

    def along(self, pull: Array, noise: float, *, together: int) -> Array:
        """How what pulls at each covariance adds up for each hyperparameter, (n_hyperparameters,).

        Args:
            pull: symmetric, (n, n).
            noise: the variance of a measurement.
            together: how many inputs, the first ones, have one length scale for all of them; 0 where each has its own.
        """
        # Summed over pairs, squared differences take two products instead of a matrix for each input.
        moved = pull * self.moved
        by_input = moved.sum(axis=1) @ np.square(self.scaled) - (self.scaled * (moved @ self.scaled)).sum(axis=0)
        if together:
            by_input = np.concatenate([by_input[:together].sum(keepdims=True), by_input[together:]])
        signal, *alone = (np.vdot(pull, by) for by in (self.curved, *self.alone))
        return np.array([*(2 / 3 * by_input), signal, pull.trace() * noise, *alone])


def _matern(root: Array, decay: Array, variance: float) -> Array:
    """The Matern 5/2 kernel at distances times the root of 5, of which the decay is given; both are written over."""
    decay *= variance
    found = _third_of_square(root)
    root += 1
    found += root
    found *= decay
    return found


def _third_of_square(root: Array) -> Array:
    found: Array = root * root
    found /= 3
    return found


def _distances(a: Array, b: Array) -> Array:
    """Euclidean distances, (n_a, n_b)."""
    found: Array = a @ (-2 * b).T
    found += np.einsum("ij,ij->i", a, a)[:, None]
    found += np.einsum("ij,ij->i", b, b)
    np.maximum(found, 0, out=found)
    return np.sqrt(found, out=found)
