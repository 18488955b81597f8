"""What the outcomes say: figures by name, a Markdown table and a plot."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

import numpy as np

from .contestants.registry import OPTUNA, OWN, SUFFIX
from .problems import Noise
from .runs import CHECKPOINTS, Outcome

FLOOR = 0.005
"""Regrets below it count as it: nobody would notice, and the logarithm would."""

BUDGETS = (10, 20, 40, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Floored regrets of one way of playing, by contestant and problem.

    Attributes:
        regrets: contestant -> problem -> checkpoint -> one regret for each seed.
    """

    regrets: Mapping[str, Mapping[str, Mapping[int, Sequence[float]]]]

    @classmethod
    def of(cls, outcomes: Iterable[Outcome], *, noises: Collection[Noise], parallel: int) -> Table:
        """The outcomes of these levels of noise and of so many trials at a time."""
        found: dict[str, dict[str, dict[int, list[float]]]] = {}
        for one in outcomes:
            if one.parallel == parallel and one.problem.rpartition("/")[2] in noises:
                problem = found.setdefault(one.contestant, {}).setdefault(one.problem, {})
                for n, regret in one.regrets.items():
                    problem.setdefault(n, []).append(max(regret, FLOOR))
        return cls(regrets=found)

    @property
    def contestants(self) -> list[str]:
        """Who took part."""
        return list(self.regrets)

    def shared(self, contestants: Iterable[str]) -> list[str]:
        """The problems that all of these met, on which alone they can be compared."""
        met = [set(self.regrets.get(name, {})) for name in contestants]
        return sorted(set.intersection(*met)) if met else []

    def mean(self, contestant: str, n: int, problems: Iterable[str]) -> float | None:
        """The geometric mean regret after `n` trials, over seeds and then over problems; None where there is none."""
        found = [self.problem(contestant, problem, n) for problem in problems]
        known = [math.log(one) for one in found if one is not None]
        return math.exp(fmean(known)) if known and len(known) == len(found) else None

    def problem(self, contestant: str, problem: str, n: int) -> float | None:
        """The geometric mean regret on one problem."""
        regrets = self.regrets.get(contestant, {}).get(problem, {}).get(n)
        return math.exp(fmean(map(math.log, regrets))) if regrets else None

    def curve(self, contestant: str, problems: Sequence[str]) -> dict[int, float]:
        """The geometric mean regret by the number of trials."""
        found = {n: self.mean(contestant, n, problems) for n in CHECKPOINTS}
        return {n: regret for n, regret in found.items() if regret is not None}


def figures(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """All figures by name; those that these outcomes cannot tell are left out.

    `<contestant>_regret_<n>` is the geometric mean over the problems of low and medium noise that all contestants
    met, `..._high` over those of high noise. `to_optuna_<n>` is ours by that of the best of Optuna's samplers,
    `to_optuna_proposals_<n>` the same where our model recommends from their trials, `worst_to_random_<n>` ours by
    random search's on the problem where that is largest. `parallel_cost` is how many times as many trials we need with
    four at a time, for the regret that one at a time reaches after 40.
    """
    found: dict[str, float | None] = {}
    usual = Table.of(outcomes, noises=(Noise.LOW, Noise.MEDIUM), parallel=1)
    high = Table.of(outcomes, noises=(Noise.HIGH,), parallel=1)
    for table, suffix in ((usual, ""), (high, "_high")):
        problems = table.shared(table.contestants)
        for name in table.contestants:
            found |= {f"{name}_regret_{n}{suffix}": table.mean(name, n, problems) for n in BUDGETS}
    for n in BUDGETS:
        found[f"to_optuna_{n}"] = _to_best(usual, n, OPTUNA)
        found[f"to_optuna_proposals_{n}"] = _to_best(usual, n, [f"{name}{SUFFIX}" for name in OPTUNA])
        found[f"worst_to_random_{n}"] = _worst(usual, n, "random")
    found["parallel_cost"] = _parallel_cost(outcomes)
    for name in (name for name in usual.contestants if not name.endswith(SUFFIX)):
        mine = [one for one in outcomes if one.contestant == name and one.parallel == 1]
        found[f"{name}_seconds"] = median(one.ask_seconds for one in mine)
    return {name: value for name, value in found.items() if value is not None}


def _to_best(table: Table, n: int, rivals: Iterable[str]) -> float | None:
    ratios = []
    for rival in rivals:
        problems = table.shared([OWN, rival])
        ours, theirs = table.mean(OWN, n, problems), table.mean(rival, n, problems)
        if ours is not None and theirs is not None:
            ratios.append(ours / theirs)
    return max(ratios, default=None)


def _worst(table: Table, n: int, rival: str) -> float | None:
    ratios = []
    for problem in table.shared([OWN, rival]):
        ours, theirs = table.problem(OWN, problem, n), table.problem(rival, problem, n)
        if ours is not None and theirs is not None:
            ratios.append(ours / theirs)
    return max(ratios, default=None)


def _parallel_cost(outcomes: Sequence[Outcome]) -> float | None:
    """Trials for the same regret, four at a time by one at a time, interpolated between checkpoints."""
    one, four = (Table.of(outcomes, noises=(Noise.LOW, Noise.MEDIUM), parallel=n) for n in (1, 4))
    problems = sorted({*one.regrets.get(OWN, {})} & {*four.regrets.get(OWN, {})})
    target = one.mean(OWN, 40, problems)
    curve = four.curve(OWN, problems)
    if target is None or not curve or min(curve.values()) > target:
        return None
    # Regrets fall with trials; where they rise a little, the first time counts at which the target is reached.
    trials, regrets = np.log(list(curve)), np.minimum.accumulate(np.log(list(curve.values())))
    needed = math.exp(float(np.interp(-math.log(target), -regrets, trials)))
    return needed / 40


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Tables of the regrets, by budget and by family of problems."""
    lines: list[str] = []
    for noises in ((Noise.LOW, Noise.MEDIUM), (Noise.HIGH,)):
        for parallel in (1, 4):
            table = Table.of(outcomes, noises=noises, parallel=parallel)
            problems = table.shared(table.contestants)
            if not problems:
                continue
            met = {problem.rpartition("/")[2] for problem in problems}
            noisy = " and ".join(noise for noise in noises if noise in met)
            at_a_time = "one trial at a time" if parallel == 1 else "four at a time"
            title = f"{noisy} noise, {at_a_time}, {len(problems)} problems"
            lines += [
                f"| {title} | {' | '.join(f'{n} trials' for n in BUDGETS)} |",
                f"|---{'|---:' * len(BUDGETS)}|",
            ]
            for name in table.contestants:
                cells = [_shown(table.mean(name, n, problems)) for n in BUDGETS]
                lines.append(f"| {name} | {' | '.join(cells)} |")
            lines.append("")
            if parallel == 1:
                lines += [*_by_family(table, problems), ""]
    return "\n".join(lines).rstrip()


def _by_family(table: Table, problems: Sequence[str]) -> list[str]:
    """A table of the regrets by family of problems and balance, after 20 and 100 trials."""
    families = sorted({_family(problem) for problem in problems}, key=lambda family: (len(family), family))
    lines = [f"| after 20, 100 trials | {' | '.join(families)} |", f"|---{'|---:' * len(families)}|"]
    for name in table.contestants:
        cells = []
        for family in families:
            members = [problem for problem in problems if _family(problem) == family]
            cells.append(", ".join(_shown(table.mean(name, n, members)) for n in (20, 100)))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _family(problem: str) -> str:
    landscape, balance, _ = problem.split("/")
    parts = landscape.split("-")
    return f"{'-'.join(parts[:2]) if parts[0] == 'laws' else parts[0]} {balance}"


def _shown(regret: float | None) -> str:
    return "-" if regret is None else f"{regret:.3f}"


def plot(outcomes: Sequence[Outcome], file: Path) -> None:
    """Draws regret by trials: the median of the problems' means, and the middle half of them."""
    from matplotlib.figure import Figure

    table = Table.of(outcomes, noises=(Noise.LOW, Noise.MEDIUM), parallel=1)
    problems = table.shared(table.contestants)
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name in table.contestants:
        trials = [n for n in CHECKPOINTS if table.mean(name, n, problems) is not None]
        spread = np.array([[table.problem(name, problem, n) for n in trials] for problem in problems], dtype=float)
        low, middle, high = np.quantile(spread, (0.25, 0.5, 0.75), axis=0)
        (line,) = axes.plot(trials, middle, marker="o", markersize=3, label=name, linewidth=2.5 if name == OWN else 1.2)
        axes.fill_between(trials, low, high, color=line.get_color(), alpha=0.12, linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(CHECKPOINTS, [str(n) for n in CHECKPOINTS])
    axes.minorticks_off()
    axes.set_xlabel("trials")
    axes.set_ylabel("regret (1: a random mixture, 0: the best)")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(file, metadata={"Date": None})
