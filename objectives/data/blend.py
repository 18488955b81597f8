"""The blend: which rows a mixture trains on, in which order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from objectives.errors import DataError
from objectives.mixture import Mixture


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """The rows of one training run, drawn from the domains in a mixture's shares.

    Each domain has one fixed order per epoch and seed, from a keyed hash and not a library's generator, and
    every mixture takes a prefix of it. Two mixtures with the same seed therefore differ by the ratio and not
    by the luck of the draw, and the order is the same on every machine. Domains are interleaved evenly: the
    i-th of a domain's n rows stands at the fraction (i + 1/2) / n of the run.

    Attributes:
        mixture: the shares asked for.
        sizes: rows that each domain has.
        total: rows of the run, repeats counted.
        seed: the job's data seed.

    Raises:
        DataError: rows are asked of a domain that has none.
    """

    mixture: Mixture
    sizes: Mapping[str, int]
    total: int
    seed: int

    def __post_init__(self) -> None:
        for name, count in self.counts.items():
            if count and not self.sizes.get(name):
                raise DataError(
                    f"the mixture gives {name!r} a share of {self.mixture[name]:g}, but this domain has no training "
                    f"rows; expected a share of 0, or domains.{name}.train"
                )

    @property
    def counts(self) -> dict[str, int]:
        """Rows taken per domain, repeats counted; they sum to `total`."""
        return self.mixture.counts(self.total)

    @property
    def realised(self) -> Mixture:
        """The shares of whole rows that are really trained on."""
        return Mixture.from_weights(self.counts)

    @property
    def epochs(self) -> dict[str, float]:
        """How often the run passes over each domain."""
        return {name: count / self.sizes[name] if count else 0.0 for name, count in self.counts.items()}

    def order(self) -> Iterator[tuple[str, int]]:
        """The run's rows in training order, as (domain, row number in that domain)."""
        counts = [(name, count) for name, count in self.counts.items() if count]
        position = np.concatenate([(np.arange(count) + 0.5) / count for _, count in counts])
        domain = np.repeat(np.arange(len(counts)), [count for _, count in counts])
        row = np.concatenate([self._draw(name, count) for name, count in counts])
        for i in np.lexsort((domain, position)):
            yield counts[domain[i]][0], int(row[i])

    def _draw(self, name: str, count: int) -> NDArray[np.int64]:
        """The first `count` row numbers of a domain: without replacement inside each epoch."""
        size = self.sizes[name]
        epochs = -(-count // size)
        return np.concatenate([_shuffled(name, size, self.seed, epoch) for epoch in range(epochs)])[:count]


def _shuffled(name: str, size: int, seed: int, epoch: int) -> NDArray[np.int64]:
    key = f"{seed}/{epoch}/{name}".encode()
    prefix = hashlib.blake2b(key, digest_size=32).digest()
    digests = b"".join(
        hashlib.blake2b(row.to_bytes(8, "little"), key=prefix, digest_size=8).digest() for row in range(size)
    )
    return np.argsort(np.frombuffer(digests, dtype="<u8"), kind="stable").astype(np.int64)
