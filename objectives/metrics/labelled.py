"""Metrics of predicted classes, and how a class is read out of an answer in words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from objectives.base import Estimate
from objectives.data.rows import Row
from objectives.errors import DataError
from objectives.metrics.accuracy import accuracy
from objectives.metrics.f1 import macro_f1, micro_f1

LABELLED = ("accuracy", "f1", "micro_f1")
"""What can be said of predicted classes, by the metric's name."""

NO_LABEL = ""
"""The class of an answer that begins with no label; no row can have it."""

_MARKS = " \t\r\n\"'`*\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a"
"""What may stand in front of a label: quotes, emphasis, white space."""

_BREAK = re.compile(r"[^\w\s]*(\s|$)")
"""What follows where a label ends: punctuation, if any, and then white space or the end."""


def labelled(truth: Sequence[str], predicted: Sequence[str], rng: np.random.Generator) -> dict[str, Estimate]:
    """All of `LABELLED`.

    Args:
        truth: the right class per row, (n_rows,), n_rows >= 1.
        predicted: the predicted class per row, (n_rows,).
        rng: draws the resamples of F1's standard error.
    """
    return {
        "accuracy": accuracy(truth, predicted),
        "f1": macro_f1(truth, predicted, rng),
        "micro_f1": micro_f1(truth, predicted),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenLabels:
    """The classes of a test set, as they are read out of answers in words.

    An answer means the longest label that it begins with, as a row's output begins with its own. Case does not count,
    nor do quotes, emphasis and white space in front. The label must end there, before white space, punctuation with
    white space behind it, or the end of the answer, unless an expected answer of that class goes on otherwise.

    Attributes:
        names: the classes by how they are compared, each with those that differ by their case alone.
        unbroken: the classes of which an expected answer goes on without a break, as in languages without spaces.
        lengths: characters of the classes as they are compared, longest first.
    """

    names: Mapping[str, tuple[str, ...]]
    unbroken: frozenset[str]
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Self:
        """The labels of some rows."""
        known = [(row.label, row.output) for row in rows if row.label is not None]
        names: dict[str, tuple[str, ...]] = {}
        for label in sorted({label for label, _ in known}):
            names[_folded(label)] = (*names.get(_folded(label), ()), label)
        return cls(
            names=names,
            unbroken=frozenset(_folded(label) for label, output in known if not _BREAK.match(output, len(label))),
            lengths=tuple(sorted({len(name) for name in names}, reverse=True)),
        )

    def check(self, rows: Sequence[Row]) -> None:
        """Checks that every expected answer means its own label.

        Args:
            rows: those that the labels are from.

        Raises:
            DataError: one means another.
        """
        for row in rows:
            if row.label is not None and (found := self.read(row.output)) != row.label:
                raise DataError(
                    f"the labels {row.label!r} and {found!r} cannot be told apart in written answers: "
                    f"{row.output!r:.80} has the one, and would be read as the other; rename one of them"
                )

    def read(self, answer: str) -> str:
        """The label that an answer means; `NO_LABEL` for none of them."""
        return self._begun(answer.strip()) or self._begun(answer.strip(_MARKS)) or NO_LABEL

    def _begun(self, answer: str) -> str | None:
        folded = _folded(answer)
        for length in self.lengths:
            name = folded[:length]
            if name in self.names and (name in self.unbroken or _BREAK.match(folded, length)):
                written = [label for label in self.names[name] if answer.startswith(label)]
                return (written or self.names[name])[0]
        return None


def _folded(text: str) -> str:
    """Text without its case and the white space around it, and with accents written in one way."""
    return unicodedata.normalize("NFC", text).casefold().strip()
