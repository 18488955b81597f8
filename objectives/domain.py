"""What can be mixed: a named training set with the test sets that judge it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A named training set, its share bounds and its test sets.

    Attributes:
        name: unique in the study.
        train: training files.
        test: files that the search is scored on.
        final: files that the search never sees, kept for confirming a winner.
        lower, upper: inclusive bounds of the share.
        max_epochs: passes over it that a run may take; None for as many as its study allows.
        elsewhere: whether it has training data that only the caller knows, so that no files are stated.
        categories: of a platform's own training data, with their proportions inside the domain (positive, any sum);
            empty where the domain's data is the team's.
        benchmarks: public ones that a platform runs, each a metric `<domain>/<benchmark>`.
    """

    name: str
    train: tuple[Path, ...] = ()
    test: tuple[Path, ...] = ()
    final: tuple[Path, ...] = ()
    lower: float = 0.0
    upper: float = 1.0
    max_epochs: float | None = None
    elsewhere: bool = False
    categories: Mapping[str, float] = field(default_factory=dict)
    benchmarks: tuple[str, ...] = ()

    @property
    def mixed(self) -> bool:
        """Whether the domain has training data, and so a share; any other one is only tested."""
        return bool(self.train or self.categories) or self.elsewhere
