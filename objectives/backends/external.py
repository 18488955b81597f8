"""For callers who run trials themselves and report what they measured: a study through ask and tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from objectives.backends.backend import Backend
from objectives.base import Objective
from objectives.data.policy import DEFAULT_POLICY, DataPolicy
from objectives.domain import Domain
from objectives.errors import OptionsError
from objectives.scorer import Metric

__all__ = ["ExternalBackend"]


class ExternalBackend(Backend):
    """Settings of the `external` objective.

    Attributes:
        rows: rows that one job trains on, repeats counted; None where that is not known. With it, shares of domains
            with training files are capped by `max_epochs`.
    """

    EXTERNAL: ClassVar[bool] = True
    ELSEWHERE: ClassVar[bool] = True

    kind: Literal["external"]
    rows: int | None = Field(default=None, ge=1)

    @property
    def train_rows(self) -> int | None:
        """Rows that one job trains on, repeats counted; None where that is not known."""
        return self.rows

    def produces(self, labelled: Mapping[str, bool]) -> None:
        """Only the caller knows which metrics are told."""

    def build(
        self,
        domains: Sequence[Domain],
        root: Path,
        policy: DataPolicy = DEFAULT_POLICY,
        metrics: Sequence[Metric] = (),
    ) -> Objective:
        """There is nothing to build.

        Raises:
            OptionsError: always.
        """
        raise OptionsError(
            "objective.kind: trials of an 'external' objective are run by its caller, who asks for each with Study.ask "
            "and reports it with Study.tell or Study.fail; choose another kind, such as hf or command, for trials that "
            "ratio-search runs"
        )
