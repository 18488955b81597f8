"""Commands that show what studies found."""

from __future__ import annotations

import enum
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
    write_text,
)


class Format(enum.StrEnum):
    """What a recipe can be exported as."""

    JSON = "json"
    YAML = "yaml"


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
    from ratio_search.recipe import Recipe, listed
    from ratio_search.selection import Selection, Spread

    selection = Selection.parse(select)
    study = open_study(name, runs)
    advices = study.select(selection)
    several = isinstance(selection, Spread)
    file = study.folder.selected_file(str(selection)) if out is None else out
    files = [file.with_stem(f"{file.stem}-{i}") for i in range(1, len(advices) + 1)] if several else [file]
    recipes = [Recipe.of(study, file, advice) for file, advice in zip(files, advices, strict=True)]
    for recipe, file in zip(recipes, files, strict=True):
        if out is None:
            recipe.save(file)  # the command in the recipe names this file
        else:
            write_text(file, recipe.text(format_.value))
    for line in dict.fromkeys(filter(None, map(verdict_report.caveat, recipes))):
        console_on(stderr=True).say(line)
    if as_json:
        print_json([recipe.to_json() for recipe in recipes] if several else recipes[0].to_json())
    elif out is None:
        print(listed(recipes, format_.value) if several else recipes[0].text(format_.value), end="")
    else:
        for recipe, file in zip(recipes, files, strict=True):
            print(f"{file}: {recipe.choice}")


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
