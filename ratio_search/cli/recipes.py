"""Commands that use a recipe."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from ratio_search.cli.app import JsonOption, RecipeArgument, app, console_on, print_json


class RowFormat(enum.StrEnum):
    """What the rows of a mix can be written as."""

    INSTRUCTION = "instruction"
    MESSAGES = "messages"
    CONVERSE = "converse"
    CONTENTS = "contents"


@app.command()
def mix(
    recipe: RecipeArgument,
    out: Annotated[Path, typer.Option(help="File to write; a manifest is written beside it.")],
    rows: Annotated[int | None, typer.Option(min=1, help="Rows of the mix, repeats counted.")] = None,
    tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens of the mix; it ends with the last row that fits.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps of the study's batch size.")] = None,
    format_: Annotated[RowFormat, typer.Option("--format", help="The rows' format.")] = RowFormat.INSTRUCTION,
    split: Annotated[int, typer.Option(min=1, help="Files to divide the mix among.")] = 1,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the rows' order; without it, the recipe's trial's.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the training file of a recipe, for any trainer or platform that takes one file."""
    from objectives.data import Format
    from ratio_search import report
    from ratio_search.errors import StudyError
    from ratio_search.mix import Order
    from ratio_search.mix import mix as write
    from ratio_search.recipe import Recipe
    from ratio_search.train import changed_data

    if sum(length is not None for length in (rows, tokens, steps)) > 1:
        raise StudyError("expected one of --rows, --tokens and --steps, found several; they state the same length")
    console = console_on(stderr=True)
    chosen = Recipe.load(recipe)
    for change in changed_data(chosen):
        console.say(f"warning: not what the recipe was made from: {change}")
    order = Order(rows=rows, tokens=tokens, steps=steps, format=Format(format_.value), shards=split, seed=seed)
    with console.status("mixing"):
        written = write(chosen, out, order)
    for warning in written.warnings:
        console.say(f"warning: {warning}")
    if as_json:
        print_json(written.to_json())
        return
    console = console_on()
    console.show(report.mix_table(written))
    for file in written.files:
        console.say(f"{file.path}: {file.rows:,} rows, {file.size:,} bytes")


@app.command()
def train(
    recipe: RecipeArgument,
    out: Annotated[Path, typer.Option(help="New folder for the trained model, its log and its result.")],
    seed: Annotated[int | None, typer.Option(min=0, help="New seeds; without it, those of the recipe's trial.")] = None,
    final: Annotated[
        bool, typer.Option("--final", help="Evaluate on the final files instead of the test files.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Fine-tune with a recipe, and evaluate every domain."""
    from rich.text import Text

    from objectives.attempt import Failure
    from objectives.base import Measurement, Progress
    from ratio_search.errors import StudyError, StudyFailed
    from ratio_search.health import progress_text
    from ratio_search.recipe import Recipe
    from ratio_search.train import changed_data
    from ratio_search.train import train as run

    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise StudyError(f"{out}: expected a new or empty folder; name another one")
    console = console_on(stderr=True)
    chosen = Recipe.load(recipe)
    for change in changed_data(chosen):
        console.say(f"warning: not what the recipe was made from: {change}")
    with console.status("loading model and data") as shown:
        for event in run(chosen, out, seed=seed, final=final):
            if isinstance(event, Progress):
                shown.update(Text(progress_text(event)))
            elif isinstance(event, Failure):
                raise StudyFailed(f"{event.message}\n{event.log}".strip())
            else:
                measured: Measurement = event
    if as_json:
        print_json(measured.to_json())
        return
    for metric, estimate in measured.metrics.items():
        error = "" if estimate.stderr is None else f" +- {estimate.stderr:.4f}"
        print(f"{metric} {estimate.value:.4f}{error}")
