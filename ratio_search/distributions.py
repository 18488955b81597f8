"""How hyperparameters are kept in Optuna: each is an ordinary parameter of its own name."""

from __future__ import annotations

from collections.abc import Mapping

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
)

from objectives.base import Value
from ratio_search.hyperparameters import Hyperparameter, Real, Whole


def distribution(of: Hyperparameter) -> BaseDistribution:
    """The distribution that a hyperparameter's values are stored with."""
    if isinstance(of, Real):
        return FloatDistribution(of.low, of.high, log=of.log)
    if isinstance(of, Whole):
        return IntDistribution(of.low, of.high, log=of.log, step=of.step)
    return CategoricalDistribution(of.choices)


def distribution_with(of: Hyperparameter, value: Value) -> BaseDistribution:
    """The distribution that a value is stored with which may lie outside of the range of now."""
    if value in of or not isinstance(of, Real | Whole):
        return distribution(of)
    assert isinstance(value, int | float)
    if isinstance(of, Real):
        return FloatDistribution(min(of.low, value), max(of.high, value), log=of.log)
    return IntDistribution(min(of.low, int(value)), max(of.high, int(value)), log=of.log)


def incompatible(before: Mapping[str, BaseDistribution], wanted: Mapping[str, Hyperparameter]) -> dict[str, str]:
    """The hyperparameters that cannot be stored beside what was stored before, each with the reason.

    The bounds of a range may change, and so may a step. Its scale, the choices and the kind may not: Optuna keeps one
    of each for a parameter's name.

    Args:
        before: the distributions of some trial.
        wanted: the hyperparameters of now.
    """
    found = {}
    for name, of in wanted.items():
        if name not in before:
            continue
        try:
            check_distribution_compatibility(before[name], distribution(of))
        except ValueError:
            found[name] = f"was {_told(before[name])}, is {_told(distribution(of))}"
    return found


def _told(of: BaseDistribution) -> str:
    if isinstance(of, CategoricalDistribution):
        return f"one of {', '.join(map(str, of.choices))}"
    assert isinstance(of, FloatDistribution | IntDistribution)
    kind = "a whole number" if isinstance(of, IntDistribution) else "a number"
    return f"{kind} from {of.low:g} to {of.high:g}{' on a logarithmic scale' if of.log else ''}"
