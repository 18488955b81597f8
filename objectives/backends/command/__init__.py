"""Runs the team's own trainer, a program in any language. docs/command-objective.md is its contract."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from objectives.backends.backend import Backend
from objectives.base import Objective
from objectives.data import DEFAULT_POLICY, DataPolicy, Format
from objectives.domain import Domain
from objectives.errors import OptionsError
from objectives.place import plain
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
        sources: what else the program reads, files or patterns such as `trainer/**/*.py`, relative to the study file's
            folder: workers on machines without that folder are sent it. Files that are named in `argv` and lie in the
            study file's folder are sent in any case, a Python file with the others beside it. None for no more.
        rows: rows of the blended training file, repeats counted.
        format: of the rows in that file.
        time_limit_s: seconds that the program may run; None for no limit.
        grace_s: seconds that it has to save a checkpoint after it was told to end, before it is killed.
    """

    POLICY: ClassVar[frozenset[str]] = Backend.POLICY | {"sources", "time_limit_s", "grace_s"}

    kind: Literal["command"]
    argv: Annotated[tuple[str, ...], Field(min_length=1)]
    sources: tuple[Annotated[str, Field(min_length=1)], ...] | None = None
    rows: int = Field(ge=1)
    format: Format = Format.INSTRUCTION
    time_limit_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    grace_s: float = Field(default=30, ge=0, allow_inf_nan=False)

    @property
    def train_rows(self) -> int:
        """Rows that one job trains on, repeats counted."""
        return self.rows

    def expected_cost(self, *, tuned: bool, row_tokens: float | None) -> dict[str, float]:
        """Tokens, if the program trains on each row once, and GPU time where there is none."""
        found = {} if self.resources.gpus else {"gpu_seconds": 0.0}
        if not tuned:
            return {**found, "tokens": 0.0}
        return found if row_tokens is None else {**found, "tokens": self.rows * row_tokens}

    def most_cost(self, *, tuned: bool, row_tokens: float | None) -> dict[str, float]:
        """Time, by `time_limit_s` and `grace_s`; on how many tokens a program trains is its own affair."""
        found = {} if tuned else {"tokens": 0.0}
        if self.time_limit_s is None:
            return found if self.resources.gpus else {**found, "gpu_seconds": 0.0}
        seconds = self.time_limit_s + self.grace_s
        return {**found, "wall_seconds": seconds, "gpu_seconds": self.resources.gpus * seconds}

    def produces(self, labelled: Mapping[str, bool]) -> None:
        """Only the program knows which metrics it reports."""

    def check(self, root: Path) -> None:
        """Looks for the program, and for what it reads.

        Raises:
            OptionsError: it is not there, or is not executable.
        """
        self.resolved(root)
        self.files(root)

    def files(self, root: Path) -> tuple[Path, ...]:
        """What is sent to a machine without the study's folder, so that the program finds it there.

        Raises:
            OptionsError: one of `sources` is not there.
        """
        named = list(self._named(root))
        beside = [path for file in named if file.suffix == ".py" for path in sorted(file.parent.glob("*.py"))]
        return tuple(dict.fromkeys([*named, *beside, *self._stated(root)]))

    def moved(self, root: Path, place: Callable[[Path], Path]) -> Self:
        """With absolute paths to what is sent as they are there; relative ones stay right."""
        sent = {plain(path) for path in self.files(root)}
        argv = [str(place(Path(item))) if item[:1] == "/" and plain(Path(item)) in sent else item for item in self.argv]
        return self.model_copy(update={"argv": tuple(argv)})

    def _named(self, root: Path) -> Iterator[Path]:
        """The files in the study's folder that `argv` names."""
        for number, item in enumerate(self.argv):
            if number == 0 and "/" not in item:
                continue  # looked up on PATH
            path = root / item
            with contextlib.suppress(OSError, ValueError):  # what cannot be a path is none
                if path.is_file() and plain(root) in plain(path).parents:
                    yield path

    def _stated(self, root: Path) -> Iterator[Path]:
        for pattern in self.sources or ():
            try:
                stated = Path(pattern).expanduser()
                where = Path(stated.anchor) if stated.is_absolute() else root
                found = [path for path in sorted(where.glob(str(stated.relative_to(stated.anchor)))) if path.is_file()]
            except (OSError, ValueError, RuntimeError) as error:
                raise OptionsError(f"objective.sources: {pattern!r} cannot be a path or a pattern: {error}") from error
            if not found:
                raise OptionsError(
                    f"objective.sources: found no file {pattern!r} in {root}; expected files that the program reads, "
                    "or patterns such as 'trainer/**/*.py'"
                )
            yield from found

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
