"""The command that shows the front of a study."""

from __future__ import annotations

from ratio_search.cli.app import RUNS, JsonOption, NameArgument, RunsOption, app, console_on, open_study, print_json


@app.command()
def front(name: NameArgument, runs: RunsOption = RUNS, as_json: JsonOption = False) -> None:
    """Show the mixtures of a study that no other one beats in every metric."""
    from ratio_search import front_report

    study = open_study(name, runs)
    found = study.front()
    if as_json:
        print_json({"name": study.spec.name, **found.to_json()})
        return
    front_report.show(console_on(), study.spec.name, found)
