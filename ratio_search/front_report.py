"""The front of a study, for people."""

from __future__ import annotations

from rich.table import Table

from objectives.scorer import BalanceKind
from ratio_search.console import PlainConsole
from ratio_search.errors import NothingToRecommend
from ratio_search.front import Front, Gain, Member
from ratio_search.hyperparameters import told
from ratio_search.recommendation import CREDIBLE
from ratio_search.study import Study

SHOWN = 20
"""Mixtures in a table, at most; plain data has all of them."""


def front_of(study: Study) -> Front | None:
    """The front of a study that looks for the whole of it; None where it does not, or where nothing is finished."""
    if study.spec.balance.kind is not BalanceKind.PARETO:
        return None
    try:
        return study.front()
    except NothingToRecommend:
        return None


def show(console: PlainConsole, name: str, front: Front) -> None:
    """Prints a front.

    Args:
        console: where to.
        name: the study's.
        front: of it.
    """
    console.show(front_table(name, front))
    for line in front_lines(front):
        console.say(line)


def front_table(name: str, front: Front) -> Table:
    """The mixtures of the front with what they gain and how likely they are on it.

    Args:
        name: the study's.
        front: of it.
    """
    modelled = any(member.unbeaten is not None for member in front.members)
    guarded = any(member.holds is not None for member in front.members)
    candidates = [member.candidate for member in front.members]
    searched = list(dict.fromkeys(name for candidate in candidates for name in candidate.hyperparameters))
    gains = f"expected gains, +- for {CREDIBLE:.0%}" if modelled else "measured gains"
    table = Table(title=f"{name}: the front, {gains}", title_justify="left")
    table.add_column("trial")
    about = [*(["unbeaten"] if modelled else []), *(["guards hold"] if guarded else [])]
    for column in (*about, *front.counted, *candidates[0].mixture, *searched):
        table.add_column(column, justify="right")
    for member in front.members[:SHOWN]:
        candidate = member.candidate
        table.add_row(
            _trial(member),
            *([f"{member.unbeaten or 0:.0%}"] if modelled else []),
            *([_guards(member)] if guarded else []),
            *(_gain(member.gains[metric]) for metric in front.counted),
            *(f"{share:.3f}" for share in candidate.mixture.values()),
            *(told(candidate.hyperparameters[name]) if name in candidate.hyperparameters else "" for name in searched),
            style="bold" if candidate.recommended else "dim" if member.breaks else None,
        )
    return table


def front_lines(front: Front) -> list[str]:
    """What else there is to say of a front."""
    lines = [f"{len(front.members)} of {front.considered} mixtures, none of which another one beats in all metrics"]
    if len(front.members) > SHOWN:
        lines.append(f"the first {SHOWN} are shown; --json has all")
    if front.unexplained:
        names = ", ".join(front.unexplained)
        lines.append(f"the model explains next to nothing of {names}: who beats whom in it is a guess")
    corner = ", ".join(f"{name} {gain:+.4g}" for name, gain in front.corner.items() if gain)
    where = f"gains of 0, and where guards begin to break ({corner})" if corner else "gains of 0"
    if front.hypervolume:
        lines.append(f"hypervolume {front.hypervolume:.4g}, above {where}")
    else:
        lines.append(f"hypervolume 0: no mixture is expected to be above {where}, in all metrics at once")
    return lines


def _trial(member: Member) -> str:
    """How a mixture was tried, and whether it is the recommended one."""
    records = member.candidate.records
    more = f" and {len(records) - 1} more" if len(records) > 1 else ""
    tried = f"{records[-1].job.id}{more}" if records else "not tried"
    return f"{tried}, recommended" if member.candidate.recommended else tried


def _guards(member: Member) -> str:
    if member.unbeaten is None:
        return "no" if member.breaks else "yes"
    held = f"{member.holds or 0:.0%}"
    return f"{held}, breaks" if member.breaks else held


def _gain(gain: Gain) -> str:
    margin = "" if gain.low is None or gain.high is None else f" +- {(gain.high - gain.low) / 2:.3f}"
    return f"{gain.expected:+.3f}{margin}"
