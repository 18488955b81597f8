"""Runs the team's own trainer, a program in any language. docs/command-objective.md is its contract."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from objectives.backends.backend import Backend
from objectives.base import Objective
from objectives.data import DEFAULT_POLICY, DataPolicy, Format
from objectives.domain import Domain
from objectives.errors import OptionsError
from objectives.scorer import Metric

__all__ = ["CommandBackend"]

PYTHON = "{python}"
"""An item of `argv` that stands for the Python that ratio-search itself runs on."""


class CommandBackend(Backend):
    """Settings of the `command` objective.

    Attributes:
        argv: the program and its arguments, given to no shell; run in the study file's folder. The program is
            looked up on PATH, or relative to that folder when it has a slash. `{python}` as an item stands for
            the Python that ratio-search runs on.
        rows: rows of the blended training file, repeats counted.
        format: of the rows in that file.
        time_limit_s: seconds that the program may run; None for no limit.
        grace_s: seconds that it has to save a checkpoint after it was told to end, before it is killed.
    """

    POLICY: ClassVar[frozenset[str]] = Backend.POLICY | {"time_limit_s", "grace_s"}

    kind: Literal["command"]
    argv: Annotated[tuple[str, ...], Field(min_length=1)]
    rows: int = Field(ge=1)
    format: Format = Format.INSTRUCTION
    time_limit_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    grace_s: float = Field(default=30, ge=0, allow_inf_nan=False)

    @property
    def train_rows(self) -> int:
        """Rows that one job trains on, repeats counted."""
        return self.rows

    def produces(self, labelled: Mapping[str, bool]) -> None:
        """Only the program knows which metrics it reports."""

    def check(self, root: Path) -> None:
        """Looks for the program.

        Raises:
            OptionsError: it is not there, or is not executable.
        """
        self.resolved(root)

    def resolved(self, root: Path) -> tuple[str, ...]:
        """`argv` with the program's path found and `{python}` filled in.

        Raises:
            OptionsError: the program is not there, or is not executable.
        """
        first, *others = (sys.executable if item == PYTHON else item for item in self.argv)
        place = str(root / Path(first).expanduser()) if "/" in first else first
        found = shutil.which(place)
        if found is None:
            where = f"at {place}" if "/" in first else "on PATH"
            hint = f"; for the file in {root}, write './{first}'" if (root / first).is_file() else ""
            raise OptionsError(
                f"objective.argv: found no executable program {first!r} {where}{hint}; expected a program, then its "
                "arguments, such as ['{python}', train.py]"
            )
        return (found, *others)

    def build(
        self,
        domains: Sequence[Domain],
        root: Path,
        policy: DataPolicy = DEFAULT_POLICY,
        metrics: Sequence[Metric] = (),
    ) -> Objective:
        """Looks through the training rows.

        Raises:
            DataError: a file of rows cannot be used, or the format cannot hold one of them.
            OptionsError: the program is not there.
        """
        from objectives.backends.command.objective import CommandObjective

        return CommandObjective(self, domains, root, policy)
