"""What a study's data was when it began: sizes, and hashes of the content."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from objectives.data import SHOWN, Action, Audit, Capacity, Corpus, Finding, Split, Weigh, audit
from ratio_search.spec import StudySpec

SLOW = frozenset({Finding.NEAR_LEAKAGE, Finding.TOO_LONG})
"""Findings that take more than a look at the index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The content of every data file of a study.

    Attributes:
        files: domain to split to the SHA-256 of each of its files, in order.
        rows: domain to split to its number of rows, without those that are left out.
        tokens: domain to the tokens of its training rows; None where rows are weighed.
    """

    files: Mapping[str, Mapping[str, tuple[str, ...]]]
    rows: Mapping[str, Mapping[str, int]]
    tokens: Mapping[str, int] | None = None

    @classmethod
    def of(cls, spec: StudySpec) -> Self:
        """Looks through all data of a study, and whether its metrics can be measured on it.

        Raises:
            DataError: a file cannot be used; the message names the domain's key in the study file.
            SpecError: a metric cannot be measured on these rows.
        """
        actions = spec.data.actions
        found = audited(spec, {finding for finding in Finding if actions[finding] is not Action.WARN})
        found.check()
        return cls.of_corpus(spec, found.corpus)

    @classmethod
    def of_corpus(cls, spec: StudySpec, corpus: Corpus) -> Self:
        """The manifest of data that has been looked through.

        Raises:
            SpecError: a metric cannot be measured on these rows.
        """
        spec.check_produced({name: data.labelled for name, data in corpus.of(Split.TEST).items()})
        tokens = None
        if spec.data.weigh_by is Weigh.TOKENS:
            lengths = corpus.lengths(spec.backend.capacity(spec.root).counter)
            tokens = {name: int(lengths[name](np.arange(size)).sum()) for name, size in corpus.sizes.items()}
        return cls(
            files={
                name: {split.value: tuple(index.sha256 for index in data.files) for split, data in splits.items()}
                for name, splits in corpus.data.items()
            },
            rows={
                name: {split.value: len(data) for split, data in splits.items()} for name, splits in corpus.data.items()
            },
            tokens=tokens,
        )

    @property
    def train_rows(self) -> dict[str, int]:
        """Rows to train on, per mixed domain."""
        return {name: splits["train"] for name, splits in self.rows.items() if "train" in splits}

    @property
    def natural(self) -> Mapping[str, int]:
        """What each mixed domain has of what is weighed, rows or tokens."""
        return self.train_rows if self.tokens is None else self.tokens

    @property
    def identity(self) -> dict[str, Any]:
        """The hashes that results depend on: train and test, not the final split."""
        return {
            name: {split: list(hashes) for split, hashes in splits.items() if split != "final"}
            for name, splits in self.files.items()
        }

    def to_json(self) -> dict[str, Any]:
        """The manifest as plain data."""
        return {
            "files": {
                name: {split: list(hashes) for split, hashes in splits.items()} for name, splits in self.files.items()
            },
            "rows": {name: dict(splits) for name, splits in self.rows.items()},
            "tokens": None if self.tokens is None else dict(self.tokens),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The manifest that `to_json` wrote."""
        return cls(
            files={
                name: {split: tuple(hashes) for split, hashes in splits.items()}
                for name, splits in data["files"].items()
            },
            rows=data["rows"],
            tokens=data["tokens"],
        )


def audited(spec: StudySpec, wanted: Collection[Finding] = tuple(Finding), shown: int | None = SHOWN) -> Audit:
    """What is found in a study's data, and the rows that are left.

    Args:
        spec: the study.
        wanted: what to look for.
        shown: rows that are named for each finding; None for all.

    Raises:
        DataError: a file cannot be read.
    """
    corpus = Corpus.open(spec.domains, spec.root, spec.data)
    capacity = spec.backend.capacity(spec.root) if Finding.TOO_LONG in wanted else Capacity()
    return audit(corpus, capacity, wanted, shown)
