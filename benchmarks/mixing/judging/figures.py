"""How right the outcomes are: figures by name, each with its error, and the tables of the documents."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from ..problems import Noise
from .cases import CONFIDENCE
from .truth import Judged
from .verdicts import Claim

RESAMPLED = 2000
"""Times that studies are drawn anew, with replacement, for the error of a ratio."""

NOISES = tuple(str(noise) for noise in Noise)

BINS = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
"""Ends of the ranges of a probability that is stated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How often something was so.

    Attributes:
        hits: times that it was.
        of: times that it could have been.
    """

    hits: int
    of: int

    @classmethod
    def counted(cls, found: Iterable[bool]) -> Rate:
        """The rate of what is true."""
        known = list(found)
        return cls(hits=sum(known), of=len(known))

    @property
    def value(self) -> float:
        """The rate; NaN of nothing."""
        return self.hits / self.of if self.of else math.nan

    @property
    def error(self) -> float:
        """Its binomial standard error; not 0 where all were so, but that of a Beta(hits + 1, misses + 1)."""
        a, b = self.hits + 1, self.of - self.hits + 1
        return math.sqrt(a * b / (a + b) ** 2 / (a + b + 1))


def figures(judged: Sequence[Judged]) -> dict[str, float]:
    """All figures by name, for each level of noise; those of which there is nothing are left out.

    `coverage_<noise>` is how often an interval of the recommendation holds the truth, `coverage_plain_<noise>` and
    `coverage_guarded_<noise>` in studies without and with a guard; `miss_sd_<noise>` is the root mean square of how far
    the truth is from what is expected, in the standard deviations that are stated: 1 would be right. `guards_<noise>`
    is how often a guard truly holds, `guards_sure_<noise>` that of those that are stated to hold with the confidence
    asked for, `guards_stated_<noise>` the mean probability that is stated. `loss_<noise>` and `loss_best_<noise>` are
    the mean losses of true score by the recommendation and by the trial that measured best, as a part of what a
    random mixture loses, `loss_ratio_<noise>` the first over the second. `promised_<noise>` and
    `promised_best_<noise>` are by how much both are overrated, in the same unit.
    """
    found: dict[str, float] = {}
    for noise in NOISES:
        here = [one for one in judged if one.noise == noise]
        plain, guarded = [one for one in here if one.guard is None], [one for one in here if one.guard is not None]
        for name, part in (("coverage", here), ("coverage_plain", plain), ("coverage_guarded", guarded)):
            found |= _rate(f"{name}_{noise}", Rate.counted(hit for one in part for hit in one.covered))
        if here:
            found[f"studies_{noise}"] = len(here)
            found[f"miss_sd_{noise}"] = math.sqrt(fmean(z * z for one in here for z in one.missed))
        if guarded:
            found |= _guards(noise, guarded)
        if plain:
            found |= _losses(noise, plain)
    return found


def reliability(claims: Sequence[Claim]) -> dict[str, float]:
    """How often the winners of verdicts are truly worth more than their rivals, by the probability that is stated.

    `verdict_<low>_<high>` is how often of those stated at that many per cent, `verdict_<low>_<high>_stated` what is
    stated on average. `verdict_candidates` and `verdict_anchors` are the same for all rivals that might have won, too,
    and for the others, `verdict_<noise>` for a level of noise.
    """
    groups = {
        f"{100 * low:.0f}_{100 * high:.0f}": [c for c in claims if low <= c.stated < high or c.stated == high == 1]
        for low, high in itertools.pairwise(BINS)
    }
    groups |= {noise: [c for c in claims if c.noise == noise] for noise in NOISES}
    groups["candidates"] = [c for c in claims if c.candidate]
    groups["anchors"] = [c for c in claims if not c.candidate]
    found: dict[str, float] = {}
    for name, group in groups.items():
        if group:
            found |= _rate(f"verdict_{name}", Rate.counted(claim.right for claim in group))
            found[f"verdict_{name}_stated"] = fmean(claim.stated for claim in group)
    return found


def _rate(name: str, rate: Rate) -> dict[str, float]:
    return {name: rate.value, f"{name}_error": rate.error, f"{name}_of": rate.of} if rate.of else {}


def _guards(noise: str, guarded: Sequence[Judged]) -> dict[str, float]:
    guards = [one.guard for one in guarded if one.guard is not None]
    sure = [guard for guard in guards if guard.stated >= CONFIDENCE]
    return {
        **_rate(f"guards_{noise}", Rate.counted(guard.holds for guard in guards)),
        **_rate(f"guards_sure_{noise}", Rate.counted(guard.holds for guard in sure)),
        f"guards_stated_{noise}": fmean(guard.stated for guard in guards),
        f"guards_biting_{noise}": fmean(guard.bites for guard in guards),
    }


def _losses(noise: str, plain: Sequence[Judged]) -> dict[str, float]:
    ours, theirs = (np.array([getattr(one, name) for one in plain]) for name in ("loss", "loss_best"))
    return {
        f"loss_{noise}": float(ours.mean()),
        f"loss_best_{noise}": float(theirs.mean()),
        f"loss_ratio_{noise}": float(ours.mean() / theirs.mean()),
        f"loss_ratio_{noise}_error": _ratio_error(ours, theirs),
        f"promised_{noise}": fmean(one.promised for one in plain),
        f"promised_best_{noise}": fmean(one.promised_best for one in plain),
    }


def _ratio_error(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """The standard error of a ratio of means, by drawing the studies anew."""
    places = np.random.default_rng(0).integers(len(ours), size=(RESAMPLED, len(ours)))
    return float((ours[places].mean(axis=1) / theirs[places].mean(axis=1)).std())


def markdown(found: Mapping[str, float]) -> str:
    """The figures as tables."""
    rows = {
        "studies": "studies_{}",
        "intervals": "coverage_{}_of",
        "90 % intervals that hold the truth": "coverage_{}",
        "the same without a guard": "coverage_plain_{}",
        "the same with a guard": "coverage_guarded_{}",
        "misses, in stated standard deviations": "miss_sd_{}",
        "guards that truly hold": "guards_{}",
        "probability that is stated for them, mean": "guards_stated_{}",
        "guards stated to hold with 90 %": "guards_sure_{}_of",
        "of these truly hold": "guards_sure_{}",
        "guards that the others' optimum breaks": "guards_biting_{}",
        "loss of true score, recommended": "loss_{}",
        "loss of true score, best trial": "loss_best_{}",
        "the first over the second": "loss_ratio_{}",
        "promised too much, recommended": "promised_{}",
        "promised too much, best trial": "promised_best_{}",
    }
    lines = [f"| | {' | '.join(NOISES)} |", "|---|" + "---:|" * len(NOISES)]
    for label, pattern in rows.items():
        cells = [_cell(found, pattern.format(noise)) for noise in NOISES]
        if any(cells):
            lines.append(f"| {label} | {' | '.join(cells)} |")
    lines += ["", "| verdicts | claims | stated, mean | truly better |", "|---|---:|---:|---:|"]
    for low, high in itertools.pairwise(BINS):
        name = f"verdict_{100 * low:.0f}_{100 * high:.0f}"
        lines += _verdict(found, f"stated {low:.0%} to {high:.0%}", name)
    for label, name in {
        **{f"{noise} noise": f"verdict_{noise}" for noise in NOISES},
        "over other candidates": "verdict_candidates",
        "over uniform shares": "verdict_anchors",
    }.items():
        lines += _verdict(found, label, name)
    return "\n".join(lines)


def _verdict(found: Mapping[str, float], label: str, name: str) -> list[str]:
    if name not in found:
        return []
    return [f"| {label} | {found[f'{name}_of']:.0f} | {found[f'{name}_stated']:.3f} | {_cell(found, name)} |"]


def _cell(found: Mapping[str, float], name: str) -> str:
    if name not in found:
        return ""
    value, error = found[name], found.get(f"{name}_error")
    text = f"{value:.0f}" if float(value).is_integer() and error is None and value > 1 else f"{value:.3f}"
    return text if error is None else f"{text} ± {error:.3f}"
