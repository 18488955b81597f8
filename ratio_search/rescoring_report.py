"""A rescoring in tables and lines, for people."""

from __future__ import annotations

from rich.table import Table

from objectives.metrics import Goal
from ratio_search.hyperparameters import told
from ratio_search.rescoring import Judgement, Rescoring

SHOWN = 5
"""Trials of the new order that are shown."""


def rescoring_table(found: Rescoring) -> Table:
    """The recommended mixture of now beside that of the judgement asked for, row by row."""
    sides = _sides(found)
    table = Table(title=f"{found.spec.name}: recommended after {len(found.now.ranking)} trials", title_justify="left")
    table.add_column("")
    for name, side in sides.items():
        table.add_column(f"{name}: {side.scorer.balance.kind}", justify="right")
    for domain in found.now.advice.mixture:
        table.add_row(f"share of {domain}", *(f"{side.advice.mixture[domain]:.3f}" for side in sides.values()))
    for name in found.spec.hyperparameters:
        table.add_row(name, *(_setting(side, name) for side in sides.values()))
    table.add_row("tried", *(_tried(side) for side in sides.values()))
    table.add_section()
    for metric in found.spec.metrics:
        arrow = "up" if metric.goal is Goal.MAXIMIZE else "down"
        table.add_row(f"{metric.name} ({arrow})", *(_expected(side, metric.name) for side in sides.values()))
        for key, of in (("holds", "guard holds"), ("reaches", "target is reached")):
            cells = [_probability(side, metric.name, key) for side in sides.values()]
            if any(cells):
                table.add_row(f"  its {of}", *cells)
    table.add_section()
    for name, judge in sides.items():
        label = f"score by {judge.scorer.balance.kind}" + (f" ({name})" if len(sides) > 1 else "")
        table.add_row(label, *(f"{judge.of_values(side.values):+.4f}" for side in sides.values()))
    return table


def order_table(found: Rescoring) -> Table:
    """The first trials of the new order, with their places in that of now."""
    asked, places = found.asked is not None, found.now.places
    names = [domain.name for domain in found.spec.mixed]
    table = Table(title="trials by what they measured", title_justify="left")
    metrics = [metric.name for metric in found.spec.metrics]
    for column in ("place", *(["now"] if asked else []), "trial", "score", *names, *metrics):
        table.add_column(column, justify="left" if column == "trial" else "right")
    for place, (record, score) in enumerate(found.last.ranking[:SHOWN], start=1):
        table.add_row(
            str(place),
            *([str(places[record.job.id])] if asked else []),
            record.job.id,
            f"{score.balanced:+.4f}{'' if score.feasible else ', breaks a guard'}",
            *(f"{share:.3f}" for share in (record.job.mixture or {}).values()),
            *(f"{record.values[name]:.4f}" for name in metrics),
        )
    return table


def rescoring_lines(found: Rescoring, study_file: str) -> list[str]:
    """What else there is to say.

    Args:
        found: what was found.
        study_file: the file that decides how the study is judged.
    """
    lines = [f"warning: {warning}" for warning in found.warnings]
    lines += [f"{name}: {side.advice.basis}" for name, side in _sides(found).items()]
    if found.apart is not None:
        same = "the two mixtures are the same" if found.apart == 0 else f"{found.apart:.1%} of the rows would change"
        lines.append(f"from now to asked, {same}")
    if found.edits:
        lines.append(f"nothing was changed; for the study to go on like this, state in {study_file}, and resume:")
        lines += [f"  {edit}" for edit in found.edits]
    elif found.asked is not None:
        lines.append("this is how the study is judged already")
    return lines


def _sides(found: Rescoring) -> dict[str, Judgement]:
    return {"now": found.now} if found.asked is None else {"now": found.now, "asked": found.asked}


def _tried(side: Judgement) -> str:
    return f"as {side.advice.record.job.id}" if side.advice.tried else f"no, near {side.advice.record.job.id}"


def _setting(side: Judgement, name: str) -> str:
    """The value of a hyperparameter; empty where the trial did not have it yet."""
    settings = side.advice.hyperparameters
    return told(settings[name]) if name in settings else ""


def _expected(side: Judgement, name: str) -> str:
    return f"{side.values[name]:.4f} (gain {side.advice.score.gains[name]:+.4f})"


def _probability(side: Judgement, name: str, key: str) -> str:
    predicted = side.advice.predictions.get(name)
    value = None if predicted is None else getattr(predicted, key)
    return "" if value is None else f"{value:.0%}"
