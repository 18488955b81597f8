"""The command that says why a mixture is recommended."""

from __future__ import annotations

from ratio_search.cli.app import RUNS, JsonOption, NameArgument, RunsOption, app, console_on, open_study, print_json


@app.command()
def explain(name: NameArgument, runs: RunsOption = RUNS, as_json: JsonOption = False) -> None:
    """Say which data helps or hurts which metric, what conflicts, what does not matter, and what a trial would gain."""
    from ratio_search import explain_report

    found = open_study(name, runs).explain()
    if as_json:
        print_json(found.to_json())
        return
    console = console_on()
    for table in explain_report.tables(found):
        console.show(table)
    for line in explain_report.lines(found):
        console.say(line)
