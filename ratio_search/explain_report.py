"""An explanation in tables and lines, for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from ratio_search.explanation import MOVED, Explanation, Influence, NextTrial, Relation, Spread
from ratio_search.hyperparameters import told
from ratio_search.recommendation import CREDIBLE

MARKS = {1: "helps", -1: "hurts", 0: ""}
STYLES = {1: "green", -1: "red", 0: "dim"}

LITTLE = 0.1
"""What one more trial gains is little beside the luck of one fine-tune if it is less than this part of it."""


def tables(found: Explanation) -> list[Table]:
    """All that is shown in columns."""
    return [influence_table(found), share_table(found), *([relation_table(found)] if found.relations else [])]


def influence_table(found: Explanation) -> Table:
    """What more of each domain does to each metric."""
    table = Table(
        title=f"gain by {100 * MOVED:.0f} % points more", caption=f"with {CREDIBLE:.0%} intervals", title_justify="left"
    )
    table.add_column("share of")
    for metric in found.metrics:
        table.add_column(metric, justify="right")
    for influence in found.influences:
        cells = [_slope(influence.slopes[metric]) if influence.slopes else Text("") for metric in found.metrics]
        table.add_row(_named(influence), *cells)
    return table


def share_table(found: Explanation) -> Table:
    """The shares between which the score stays within its noise."""
    table = Table(title="shares that score the same, as far as is known", title_justify="left")
    for column in ("share of", "recommended", "from", "to", "possible", "score falls by", f"{CREDIBLE:.0%} between"):
        table.add_column(column, justify="left" if column == "share of" else "right")
    for influence in found.influences:
        low, high = influence.possible
        drop = influence.drop
        table.add_row(
            _named(influence),
            f"{influence.share:.3f}",
            *(f"{share:.3f}" for share in influence.same),
            f"{low:.3f} to {high:.3f}",
            f"{drop.mean:.4f}",
            f"{drop.low:.4f} and {drop.high:.4f}",
        )
    return table


def relation_table(found: Explanation) -> Table:
    """How each two metrics go together, for the most opposed ones first.

    What one domain gets another lacks: gradients e_1 - 1/n and e_2 - 1/n, of two metrics that each live on a domain of
    their own, have the cosine -1 / (n - 1).
    """
    moving = sum(bool(influence.slopes) for influence in found.influences)
    table = Table(title="metrics against each other: -1 is opposed, 1 is together", title_justify="left")
    if moving > 1:
        table.caption = f"metrics that each depend on one domain of their own have {-1 / (moving - 1):.2f}"
    for column in ("metrics", "at the recommended mixture", "pull apart", "over the tried mixtures"):
        table.add_column(column, justify="left" if column == "metrics" else "right")
    for relation in found.relations:
        here = "" if relation.here is None else _between(relation.here)
        sure = relation in found.conflicts
        chance = Text(f"{relation.conflict:.0%}", style="red" if sure else "")
        table.add_row(_pair(relation), here, chance, _between(relation.tried))
    return table


def lines(found: Explanation) -> list[str]:
    """The same in words: what is sure, what conflicts, what does not matter, and whether another trial is worth it."""
    chosen = " ".join([str(found.mixture), *(f"{name}={told(v)}" for name, v in found.hyperparameters.items())])
    said = [f"recommended after {found.trials} trials: {chosen}"]
    if found.unexplained:
        names = ", ".join(found.unexplained)
        said.append(f"the model explains next to nothing of {names}: what is said of it is hardly more than luck")
    said += [line for influence in found.influences for line in _influences(influence)]
    said += [
        f"conflict: {_pair(relation)} pull apart at the recommended mixture ({relation.conflict:.0%})"
        for relation in found.conflicts
    ]
    said += [_free(influence, found.next) for influence in found.influences if influence.free and influence.slopes]
    still = [_named(influence) for influence in found.influences if not influence.slopes]
    if still:
        said.append(f"cannot be moved alone within the space: {', '.join(still)}")
    return [*said, next_line(found.next)]


def next_line(trial: NextTrial) -> str:
    """What one more trial is expected to gain, and whether that is worth it."""
    luck = f"one fine-tune's score varies by {trial.noise:.4f} from luck alone"
    if trial.gain is None:
        return f"one more trial: there is no model of what it would gain yet; {luck}"
    gain = f"one more trial is expected to gain {max(trial.gain, 0):.4f}"
    if trial.gain < trial.worth:
        return f"{gain}, less than {trial.worth:g} (search.worth): it is not worth it; {luck}"
    if trial.gain < LITTLE * trial.noise:
        return f"{gain}: little beside luck, as {luck}; it takes several trials, or larger test sets, to find that"
    return f"{gain}: worth it, if a gain of {trial.worth:g} (search.worth) is; {luck}"


def _influences(influence: Influence) -> list[str]:
    """What more of a domain surely does, a line; none where nothing is sure."""
    parts = [
        f"{word} {', '.join(names)}"
        for sign, word in MARKS.items()
        if word and (names := [metric for metric, slope in influence.slopes.items() if slope.sign == sign])
    ]
    return [f"more {_named(influence)} {' and '.join(parts)}"] if parts else []


def _free(influence: Influence, trial: NextTrial) -> str:
    """What can be said of a domain that the score does not surely depend on."""
    low, high = influence.possible
    where = f"share of {_named(influence)}, anywhere from {low:.3f} to {high:.3f}"
    if influence.drop.high <= max(trial.worth, trial.noise):
        return f"does not matter: {where}; the score falls by less there than fine-tunes vary by"
    return f"no sure influence on the score: {where}; that it falls by {influence.drop.high:.4f} cannot be ruled out"


def _slope(slope: Spread) -> Text:
    mark = MARKS[slope.sign]
    text = f"{slope.mean:+.4f} ({slope.low:+.4f}, {slope.high:+.4f})"
    return Text(f"{text} {mark:>5}", style=STYLES[slope.sign])


def _between(spread: Spread) -> str:
    return f"{spread.mean:+.2f} ({spread.low:+.2f}, {spread.high:+.2f})"


def _named(influence: Influence) -> str:
    several: Sequence[str] = influence.domains if influence.domains != (influence.name,) else ()
    return f"{influence.name} ({', '.join(several)})" if several else influence.name


def _pair(relation: Relation) -> str:
    return " and ".join(relation.metrics)
