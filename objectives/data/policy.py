"""What a study wants of its data: the `data` section of a study file."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from objectives.data.blend import Weigh


class Finding(enum.StrEnum):
    """What can be wrong with rows."""

    BAD_ROWS = "bad_rows"
    """Lines that are no row: bad JSON, unknown keys, a turn without text."""
    EMPTY_OUTPUTS = "empty_outputs"
    """Rows with nothing to train on or to score."""
    DUPLICATES = "duplicates"
    """Rows that stand in the same domain's training files before."""
    ACROSS_DOMAINS = "across_domains"
    """Training rows that stand in the training files of a domain before."""
    LEAKAGE = "leakage"
    """Rows that stand in the test or final files of any domain too; final rows are only compared with test rows."""
    NEAR_LEAKAGE = "near_leakage"
    """Training rows that are nearly the same as a test or final row."""
    TOO_LONG = "too_long"
    """Rows with more tokens than the objective reads."""
    IMBALANCE = "imbalance"
    """Labelled files in which some label is rare."""


class Action(enum.StrEnum):
    """What follows from a finding."""

    ERROR = "error"
    """The study is refused."""
    WARN = "warn"
    """It is told."""
    DROP = "drop"
    """It is told, and the training rows are left out."""


DEFAULTS: Mapping[Finding, Action] = {
    Finding.BAD_ROWS: Action.ERROR,
    Finding.EMPTY_OUTPUTS: Action.ERROR,
    Finding.DUPLICATES: Action.WARN,
    Finding.ACROSS_DOMAINS: Action.WARN,
    Finding.LEAKAGE: Action.ERROR,
    Finding.NEAR_LEAKAGE: Action.WARN,
    Finding.TOO_LONG: Action.WARN,
    Finding.IMBALANCE: Action.WARN,
}
"""What follows where the study file does not say."""

NO_ROWS = frozenset({Finding.BAD_ROWS, Finding.EMPTY_OUTPUTS})
"""Findings about lines that cannot be rows: they are left out in any case, unless the study is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPolicy:
    """How the data is weighed, how often it may repeat, and what follows from findings.

    Attributes:
        weigh_by: what a share is a share of.
        max_epochs: passes over any domain that a run may take; None for any number.
        actions: what follows from each finding.
        near: Jaccard similarity from which a training row counts as nearly the same as a test row; None for not
            looking.
    """

    weigh_by: Weigh = Weigh.ROWS
    max_epochs: float | None = None
    actions: Mapping[Finding, Action] = field(default_factory=lambda: DEFAULTS)
    near: float | None = None

    @property
    def drops(self) -> frozenset[Finding]:
        """What is left out."""
        return frozenset(finding for finding, action in self.actions.items() if action is Action.DROP)

    def limit(self, size: int, own: float | None) -> int | None:
        """Most rows that a run may take of a domain, repeats counted; None for any number.

        Args:
            size: rows that the domain has.
            own: the domain's own `max_epochs`, which goes before the study's.
        """
        epochs = self.max_epochs if own is None else own
        # By the decimal that the user wrote: 100 * 0.29 is less than 29 in floating point.
        return None if epochs is None else math.floor(size * Fraction(str(epochs)))


DEFAULT_POLICY = DataPolicy()
"""That of a study file without a `data` section."""
