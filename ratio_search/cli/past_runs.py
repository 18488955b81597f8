"""The command that takes past runs into a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ratio_search.cli.app import RUNS, JsonOption, RunsOption, app, console_on, open_study, print_json
from ratio_search.cli.studies import checked


@app.command("import")
def import_runs(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A study's name or folder, or the file of a study, new or not.")
    ],
    table: Annotated[
        Path, typer.Argument(metavar="CSV", help="Past runs, in the columns of `trials --csv`, or some of them.")
    ],
    runs: RunsOption = RUNS,
    as_json: JsonOption = False,
) -> None:
    """Take past runs into a study, to learn from; all of a file, or nothing where anything in it is wrong."""
    from ratio_search.errors import StudyFailed
    from ratio_search.past_runs import PastRuns
    from ratio_search.spec import StudySpec
    from ratio_search.storage import STORAGE_ERRORS, StudyFolder
    from ratio_search.study import Study

    console = console_on(stderr=True)
    if Path(name).is_file() and not StudyFolder(runs / name).exists:
        spec = StudySpec.load(name)
        there = Study.reopen(spec, runs)
        past = PastRuns.read(table, spec if there is None else there.spec)  # before anything is made
        study = there or Study.create(checked(Path(name), spec, console).spec, runs)
    else:
        study = open_study(name, runs)
        past = PastRuns.read(table, study.spec)
    for warning in past.warnings:
        console.say(f"warning: {warning}")
    try:
        with study.folder.lease():
            found = study.import_runs(past)
    except STORAGE_ERRORS as error:
        raise StudyFailed(
            f"{study.folder.unwritable(error)}, then import again: what is there already is skipped"
        ) from error
    if as_json:
        print_json({"name": study.spec.name, "folder": str(study.folder.path), **found.to_json()})
        return
    for line in found.lines:
        print(f"{study.spec.name}: {line}")
    if not study.spec.backend.EXTERNAL and not study.done:
        console.say(f"run it with: ratio-search resume {study.folder.path}")
