"""What the confirmation of a recipe said, for people."""

from __future__ import annotations

from rich.table import Table

from ratio_search.confirmation import Confirmation
from ratio_search.interval import CREDIBLE, Interval
from ratio_search.recipe import Recipe

UNCONFIRMED = "not confirmed: nobody knows what it does with other seeds, on rows that the search did not see"


def verdict_lines(recipe: Recipe) -> list[str]:
    """What fresh fine-tunes said of a recipe, a line for each thing; or that there are none."""
    found = recipe.confirmation
    if found is None:
        return [UNCONFIRMED]
    return [f"confirmed by {found.complete} of {found.planned} runs on the {found.split} files", *found.words]


def caveat(recipe: Recipe) -> str | None:
    """What somebody should know before training with a recipe; None where its confirmation speaks for it."""
    found = recipe.confirmation
    if found is None:
        return UNCONFIRMED
    if not found.beaten_by:
        return None
    return f"confirmed on the {found.split} files, but {' and '.join(found.beaten_by)} did better there"


def verdict_table(found: Confirmation) -> Table:
    """How far the winner is ahead of each rival, metric by metric, with intervals."""
    title = f"{found.winner} on the {found.split} files, {len(found.seeds)} fine-tunes; {CREDIBLE:.0%} intervals"
    table = Table(title=title, title_justify="left")
    for column in ("", "measured", *(f"gain over {lead.rival}" for lead in found.leads)):
        table.add_column(column, justify="right" if column else "left")
    for name, value in found.values.items():
        error = "" if value.stderr is None else f" +- {value.stderr:.4f}"
        table.add_row(name, f"{value.value:.4f}{error}", *(_told(lead.gains[name]) for lead in found.leads))
    table.add_section()
    table.add_row("balanced score", _told(found.score), *(_told(lead.score) for lead in found.leads))
    chances = ("" if lead.better is None else f"{lead.better:.0%}" for lead in found.leads)
    table.add_row("is the better one", "", *chances)
    return table


def _told(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return f"{interval.value:+.4f}"
    return f"{interval.value:+.4f} ({interval.low:+.4f} to {interval.high:+.4f})"
