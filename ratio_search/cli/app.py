"""The program, what its commands have in common, and how they open and print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
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
RUNS = Path("runs")


def open_study(name: str, runs: Path) -> Study:
    """The study of a name or folder, for reading."""
    from ratio_search.storage import find
    from ratio_search.study import Study

    return Study.open(find(name, runs))


def console_on(stderr: bool = False) -> PlainConsole:
    """Where people look: standard output, or standard error where that is for something else."""
    from ratio_search.console import PlainConsole

    return PlainConsole(stderr=stderr)


def print_json(data: Any) -> None:
    """Prints one JSON document."""
    print(json.dumps(data, indent=2, allow_nan=False))


def write_text(path: Path, text: str) -> None:
    """Writes a file.

    Raises:
        StudyError: it cannot be written.
    """
    from ratio_search.errors import StudyError

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StudyError(f"{path}: cannot be written ({error.strerror}); choose another file") from error
