"""A fixed order of a data set's rows, of which any part can be had at once, whatever the data set's size."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROUNDS = 12
"""Of the Feistel network. With 8, orders of 6 or 9 numbers still favour some neighbours; with 12 none did."""

_MULTIPLIER_A, _MULTIPLIER_B = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = tuple(np.uint64(bits) for bits in (30, 27, 31))


@dataclass(frozen=True, slots=True, kw_only=True)
class Permutation:
    """A keyed order of the numbers 0 to size - 1, computed place by place and never held.

    A Feistel network whose round function is a keyed hash, on a rectangle of just over `size` places; a number
    that falls outside is put through again until it falls inside (Black and Rogaway, "Ciphers with arbitrary finite
    domains", CT-RSA 2002). The hash is SplitMix64's finalizer (Steele, Lea and Flood, OOPSLA 2014), keyed by BLAKE2b:
    integer arithmetic alone, the same on every machine and with every version of every library.

    Attributes:
        size: how many numbers, >= 1.
        key: names the order; another key gives another one.
    """

    size: int
    key: str

    def __call__(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The numbers at some places of the order.

        Args:
            places: from 0 to size - 1, (n,).
        """
        assert self.size >= 1, self.size
        keys = np.frombuffer(hashlib.blake2b(self.key.encode(), digest_size=8 * 8).digest(), dtype="<u8")
        numbers = self._network(places.astype(np.uint64), keys)
        outside = np.flatnonzero(numbers >= self.size)
        while len(outside):
            numbers[outside] = self._network(numbers[outside], keys)
            outside = outside[numbers[outside] >= self.size]
        return numbers.astype(np.int64)

    def _network(self, numbers: NDArray[np.uint64], keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """One pass of all rounds over numbers of the rectangle."""
        width = math.isqrt(self.size - 1) + 1
        sides = np.uint64(width), np.uint64(-(-self.size // width))
        halves = [numbers // sides[1], numbers % sides[1]]
        for number in range(ROUNDS):
            turned, other = number % 2, 1 - number % 2
            key = keys[number % len(keys)] + np.uint64(number)
            halves[turned] = (halves[turned] + _below(sides[turned], halves[other] + key)) % sides[turned]
        return halves[0] * sides[1] + halves[1]


def _below(bound: np.uint64, numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hashes of numbers, from 0 to bound - 1; bound < 2**32."""
    mixed = (numbers ^ (numbers >> _SHIFTS[0])) * _MULTIPLIER_A
    mixed = (mixed ^ (mixed >> _SHIFTS[1])) * _MULTIPLIER_B
    mixed ^= mixed >> _SHIFTS[2]
    return (mixed >> np.uint64(32)) * bound >> np.uint64(32)
