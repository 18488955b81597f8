"""The program, what its commands have in common, and how they open and print."""

from __future__ import annotations

import contextlib
import gc
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from objectives.errors import RatioSearchError
    from ratio_search.console import PlainConsole
    from ratio_search.study import Study

app = typer.Typer(
    help="Finds how much of each data set to fine-tune a language model on.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A study's name, or its folder.")]
RecipeArgument = Annotated[Path, typer.Argument(metavar="RECIPE", help="An exported recipe.")]
RunsOption = Annotated[Path, typer.Option("--runs", help="Folder that holds the studies.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
DataRootOption = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        file_okay=False,
        resolve_path=True,
        help="Folder that relative paths start from, where that is another one by now; a study remembers it.",
    ),
]
RUNS = Path("runs")


def open_study(name: str, runs: Path, data_root: Path | None = None) -> Study:
    """The study of a name or folder, for reading.

    Args:
        name: of the study, or its folder.
        runs: folder that holds the folders of studies.
        data_root: folder that its relative paths start from; None where that is the same as before.
    """
    from ratio_search.storage import find
    from ratio_search.study import Study

    return Study.open(find(name, runs), data_root)


def settle(study: Study) -> None:
    """Has a study remember where its relative paths start from, once its data was found to be the same there."""
    with study.home.lease():
        study.folder.relocate(study.spec.root)


def console_on(stderr: bool = False) -> PlainConsole:
    """Where people look: standard output, or standard error where that is for something else."""
    from ratio_search.console import PlainConsole

    return PlainConsole(stderr=stderr)


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """Lets garbage lie that refers to itself: looking for it is a sixth of the time of a command that soon ends."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def told(error: RatioSearchError) -> int:
    """Tells why a command failed; the program's exit code."""
    from objectives.errors import AccessError, ObjectiveError, ServiceError
    from ratio_search.errors import (
        BudgetError,
        ConsentError,
        LeaseError,
        NothingToRecommend,
        RunnerLost,
        StudyFailed,
    )

    print(f"error: {error}", file=sys.stderr, flush=True)
    failed = isinstance(error, StudyFailed | NothingToRecommend | ObjectiveError | RunnerLost | AccessError)
    return 1 if failed else 3 if isinstance(error, BudgetError | ConsentError | LeaseError | ServiceError) else 2


def print_json(data: Any) -> None:
    """Prints one JSON document."""
    print(json.dumps(data, indent=2, allow_nan=False))
