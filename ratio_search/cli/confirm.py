"""The command that confirms what a study recommends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ratio_search.cli.app import (
    RUNS,
    DataRootOption,
    JsonOption,
    NameArgument,
    RunsOption,
    app,
    console_on,
    open_study,
    print_json,
    settle,
)
from ratio_search.cli.studies import AddressOption, ParallelOption, RunnerKind, RunnerOption, again, worked

if TYPE_CHECKING:
    from ratio_search.cli.studies import MakeRunner


@app.command()
def confirm(
    name: NameArgument,
    runs: RunsOption = RUNS,
    top: Annotated[
        int | None, typer.Option(min=1, help="Candidates: the recommended mixture, then its alternatives (1).")
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Fine-tunes of each mixture (3).")] = None,
    parallel: ParallelOption = None,
    ray_address: AddressOption = None,
    data_root: DataRootOption = None,
    runner: RunnerOption = RunnerKind.RAY,
    as_json: JsonOption = False,
) -> None:
    """Train what a study recommends again, beside its rivals, with new seeds and judged on the final files."""
    from ratio_search import driver, verdict_report
    from ratio_search.confirm import lineup_of
    from ratio_search.errors import NothingToRecommend
    from ratio_search.recipe import Recipe

    study = open_study(name, runs, data_root)
    study.check_identity()
    if data_root is not None:
        settle(study)
    lineup = lineup_of(study, top=top, seeds=seeds)
    study.spec.backend.check(study.spec.root)
    console = console_on(stderr=as_json)

    def work(make_runner: MakeRunner) -> int:
        return driver.confirm(study, lineup, make_runner, console, parallel=parallel)

    worked(work, study, runner, ray_address, console, f"go on with: {again('confirm', study, runner, ray_address)}")
    recipe = Recipe.of(study, study.folder.recipe_file)
    if recipe.confirmation is None:
        raise NothingToRecommend(
            f"study {study.spec.name!r}: no candidate has a confirming run yet; `ratio-search status` says what "
            f"failed, `ratio-search confirm {study.folder.path}` tries again"
        )
    recipe.save(study.folder.recipe_file)
    if as_json:
        print_json(recipe.to_json()["confirmation"])
        return
    console.show(verdict_report.verdict_table(recipe.confirmation))
    for line in recipe.confirmation.words:
        console.say(line)
    console.say(f"recipe: {study.folder.recipe_file}")
