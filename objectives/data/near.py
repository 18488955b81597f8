"""Training rows that are nearly the same as a test row."""

from __future__ import annotations

import contextlib
import hashlib
import os
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives.cache import cache_folder
from objectives.data.dataset import Dataset

WORDS = 3
"""Words of a shingle."""

PERMUTATIONS = 128
"""Hash functions of a signature."""

FOUND = 0.95
"""Chance of a row whose similarity is just the threshold to be compared at all; that of a nearer one is higher."""

CHUNK_ROWS = 2048


def shingles(text: str) -> set[bytes]:
    """All runs of three words, without regard to case; of a shorter text, the whole."""
    words = unicodedata.normalize("NFKC", text).casefold().split()
    runs = range(max(1, len(words) - WORDS + 1))
    return {" ".join(words[start : start + WORDS]).encode("utf-8", "surrogatepass") for start in runs}


def near_rows(train: Dataset, judged: Sequence[Dataset], threshold: float) -> NDArray[np.int64]:
    """Numbers of training rows that are nearly the same as some judged row, sorted; found once and then remembered.

    Rows are compared by the Jaccard similarity of their shingles. It is computed for the pairs that share a band of
    their MinHash signatures (Broder, "On the resemblance and containment of documents", SEQUENCES 1997); signatures
    alone would miss half of the rows whose similarity is just the threshold.

    Args:
        train: the training rows.
        judged: test and final rows of all domains.
        threshold: similarity from which two rows are nearly the same, between 0 and 1.
    """
    known = hashlib.sha256(repr((WORDS, PERMUTATIONS, FOUND, threshold)).encode())
    for data in (train, *judged):
        known.update("/".join(index.sha256 for index in data.files).encode())
        known.update(b"all" if data.kept is None else data.kept.tobytes())
    file = cache_folder() / "near" / f"{known.hexdigest()[:32]}.npy"
    with contextlib.suppress(OSError, ValueError), file.open("rb") as kept:  # not there, or not whole
        return np.asarray(np.lib.format.read_array(kept), dtype=np.int64)
    found = np.array(list(_near(train, judged, threshold)), dtype=np.int64)
    with contextlib.suppress(OSError):  # it can be found again
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}.partial")
        with partial.open("wb") as out:
            np.save(out, found)
        partial.replace(file)
    return found


def _near(train: Dataset, judged: Sequence[Dataset], threshold: float) -> Iterator[int]:
    from datasketch import MinHashLSH

    index = MinHashLSH(num_perm=PERMUTATIONS, params=_bands(threshold))
    known: list[NDArray[np.int64]] = []
    for data in judged:
        for signature, runs in _signatures(data):
            index.insert(len(known), signature)
            known.append(runs)
    for row, (signature, runs) in enumerate(_signatures(train)):
        if any(_similarity(runs, known[number]) >= threshold for number in index.query(signature)):
            yield row


def _bands(threshold: float) -> tuple[int, int]:
    """Number and width of bands: the widest, which compare the fewest rows, with the chance `FOUND`."""
    for width in range(PERMUTATIONS // 2, 1, -1):
        bands = PERMUTATIONS // width
        if 1 - (1 - threshold**width) ** bands >= FOUND:
            return bands, width
    return PERMUTATIONS, 1


def _similarity(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    both = len(np.intersect1d(one, other, assume_unique=True))
    return both / (len(one) + len(other) - both)


def _signatures(data: Dataset) -> Iterator[tuple[Any, NDArray[np.int64]]]:
    """Of each row the signature, and its shingles by Python's hash, which is the same within a process."""
    for start in range(0, len(data), CHUNK_ROWS):
        for row in data.rows(np.arange(start, min(len(data), start + CHUNK_ROWS))):
            runs = shingles(row.text)
            signature = _empty().copy()
            signature.update_batch(sorted(runs))
            yield signature, np.unique(np.fromiter(map(hash, runs), dtype=np.int64))


@cache
def _empty() -> Any:
    """Signatures copy the coefficients of their hash functions from this one: making them takes most of the time."""
    from datasketch import MinHash

    return MinHash(num_perm=PERMUTATIONS, seed=1)
