"""The command that judges a study's trials otherwise."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from ratio_search.cli.app import RUNS, JsonOption, NameArgument, RunsOption, app, console_on, open_study, print_json


class Kind(enum.StrEnum):
    """How gains become one score, as `balance.kind` of a study file."""

    WORST = "worst"
    WEIGHTED = "weighted"
    TARGET = "target"
    PARETO = "pareto"


@app.command()
def score(
    name: NameArgument,
    runs: RunsOption = RUNS,
    balance: Annotated[Kind | None, typer.Option(help="How the gains become one score.")] = None,
    mean: Annotated[float | None, typer.Option(help="How much of the mean is added to the worst.")] = None,
    weights: Annotated[list[str] | None, typer.Option(help="Weights, such as support/f1=3,legal/f1=1.")] = None,
    target: Annotated[list[str] | None, typer.Option(help="Targets, such as support/f1=0.85; none ends one.")] = None,
    guard: Annotated[list[str] | None, typer.Option(help="Guards, such as general/f1=0.02; none ends one.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Judge the finished trials otherwise, without a fine-tune: what would be recommended, and in which order?"""
    from objectives.scorer import BalanceKind
    from ratio_search import rescoring_report
    from ratio_search.change import Change, assigned
    from ratio_search.rescoring import Rescoring

    study = open_study(name, runs)
    change = Change(
        kind=None if balance is None else BalanceKind(balance.value),
        mean=mean,
        weights=assigned("weights", weights or ()),
        targets=assigned("target", target or ()),
        guards=assigned("guard", guard or ()),
    )
    found = Rescoring.of(study, change)
    if as_json:
        print_json(found.to_json(rescoring_report.SHOWN))
        return
    console = console_on()
    console.show(rescoring_report.rescoring_table(found))
    console.show(rescoring_report.order_table(found))
    for line in rescoring_report.rescoring_lines(found, str(study.folder.study_file)):
        console.say(line)
