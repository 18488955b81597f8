"""Commands that show what studies found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ratio_search.cli.app import (
    RUNS,
    JsonOption,
    NameArgument,
    RunsOption,
    app,
    at_once,
    console_on,
    open_study,
    print_json,
)
from ratio_search.formats import Format


@app.command()
@at_once()
def status(name: NameArgument, runs: RunsOption = RUNS, as_json: JsonOption = False) -> None:
    """Show where a study stands."""
    from ratio_search import front_report, status_report
    from ratio_search.status import status as status_of

    study = open_study(name, runs)
    found, front = status_of(study), front_report.front_of(study)
    if as_json:
        print_json({**found, "front": None if front is None else front.to_json()})
        return
    console = console_on()
    console.show(status_report.status_table(found))
    if front is not None:
        front_report.show(console, study.spec.name, front)


@app.command("runs")
@at_once()
def list_runs(runs: RunsOption = RUNS, as_json: JsonOption = False) -> None:
    """List the studies in a folder of runs."""
    from ratio_search import status_report
    from ratio_search.status import overview

    found = overview(runs)
    if as_json:
        print_json(found)
    else:
        console_on().show(status_report.overview_table(found))


@app.command()
def export(
    name: NameArgument,
    runs: RunsOption = RUNS,
    select: Annotated[
        str,
        typer.Option(
            help="What to export: balanced, best:<metric>, front:<k>, weights:<metric or domain>=<weight>,... or "
            "trial:<n>."
        ),
    ] = "balanced",
    format_: Annotated[Format, typer.Option("--format", help="The recipe's format.")] = Format.JSON,
    out: Annotated[
        Path | None, typer.Option(help="File to write, numbered where several are; standard output without it.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print or write the recommended mixture, or another one, with everything needed to believe and reproduce it."""
    from ratio_search import verdict_report
    from ratio_search.recipe import Recipe
    from ratio_search.selection import Selection, Spread

    selection, writer = Selection.parse(select), format_.load()
    study = open_study(name, runs)
    advices = study.select(selection)
    several = isinstance(selection, Spread)
    own = study.folder.selected_file(str(selection))
    files = _numbered(own if out is None else out, len(advices) if several else None)
    # What `train` and `mix` take, and the recipe's command names, is a whole recipe.
    kept = files if writer.WHOLE else _numbered(own, len(advices) if several else None)
    recipes = [Recipe.of(study, file, advice) for file, advice in zip(kept, advices, strict=True)]
    for recipe in recipes:
        writer.check(recipe)
    text = "" if out is not None or as_json else writer.listed(recipes) if several else writer.write(recipes[0])
    for recipe, file, whole in zip(recipes, files, kept, strict=True):
        if out is None or not writer.WHOLE:
            recipe.save(whole)
        if out is not None:
            writer.save(recipe, file)
    remarks = [line for recipe, whole in zip(recipes, kept, strict=True) for line in writer.remarks(recipe, whole)]
    for line in dict.fromkeys([*filter(None, map(verdict_report.caveat, recipes)), *remarks]):
        console_on(stderr=True).say(line)
    if as_json:
        print_json([recipe.to_json() for recipe in recipes] if several else recipes[0].to_json())
    elif out is None:
        print(text, end="")
    else:
        for recipe, file in zip(recipes, files, strict=True):
            print(f"{file}: {recipe.choice}")


def _numbered(file: Path, number: int | None) -> list[Path]:
    """The file, or as many of that name with their numbers; None for the file itself."""
    return [file] if number is None else [file.with_stem(f"{file.stem}-{i}") for i in range(1, number + 1)]


@app.command()
def trials(
    name: NameArgument,
    runs: RunsOption = RUNS,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with everything known of every trial.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the trials of a study."""
    from ratio_search import report

    study = open_study(name, runs)
    if as_json:
        print_json(report.trial_rows(study))
    elif as_csv:
        print(report.trials_csv(study), end="")
    else:
        console_on().show(report.trials_table(study))
