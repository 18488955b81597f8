"""What is searched beside the shares: numbers from a range, and choices from a list. Knows no Optuna.

Every kind offers the same: model coordinates (`encode`, `decode`), draws, neighbours, and the values that a check of
settings should try (`probes`). Coordinates are scaled so that the whole range of a number, and the step between any two
choices, has length 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from objectives.base import Value
from ratio_search.errors import SpaceError

HOT = math.sqrt(0.5)
"""The coordinate of a choice that is taken: two different ones are at a distance of 1."""

STEPS = (0.05, 0.2)
"""How far neighbours of a number are, as parts of its range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Real:
    """A real number from a range.

    Attributes:
        low, high: inclusive bounds, low < high.
        log: whether equal ratios count as equal steps; then low > 0.

    Raises:
        SpaceError: the bounds leave no range.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.log)

    @property
    def width(self) -> int:
        """Model coordinates."""
        return 1

    @property
    def probes(self) -> tuple[float, ...]:
        """Both ends, and a number between them that is not whole."""
        between = self.decode([(math.sqrt(5) - 1) / 2])
        return (self.low, self.high, between)

    def __contains__(self, value: Value) -> bool:
        """Whether the value is in the range."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def encode(self, value: Value) -> tuple[float, ...]:
        """The value from 0 to 1, on the logarithmic scale where that is meant.

        One from a wider range that was stated before lies outside, as far as it can be told.
        """
        return (_place(value, self.low, self.high, self.log),)

    def decode(self, coordinates: Sequence[float]) -> float:
        """The number at model coordinates, or the nearest."""
        (place,) = coordinates
        return self.nearest(_at(float(place), self.low, self.high, self.log))

    def nearest(self, value: Value) -> float:
        """The nearest number of the range."""
        return min(max(_number(value), self.low), self.high)

    def random(self, rng: np.random.Generator) -> float:
        """A draw, uniform in model coordinates."""
        return self.decode([rng.random()])

    def neighbours(self, value: Value) -> tuple[float, ...]:
        """A few numbers nearby, on both sides; never the value itself."""
        (place,) = self.encode(value)
        found = dict.fromkeys(self.decode([place + sign * step]) for step in STEPS for sign in (-1, 1))
        return tuple(number for number in found if number != value)

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{', logarithmic' if self.log else ''}"

    def to_json(self) -> dict[str, Any]:
        """The range as plain data."""
        return {"low": self.low, "high": self.high, "log": self.log}


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A whole number from a range.

    Attributes:
        low, high: inclusive bounds, low < high.
        step: between two numbers; 1 on the logarithmic scale. It divides the range.
        log: whether equal ratios count as equal steps; then low > 0.

    Raises:
        SpaceError: the bounds leave no range, or the step does not fit.
    """

    low: int
    high: int
    step: int = 1
    log: bool = False

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.log)
        if self.step < 1:
            raise SpaceError(f"expected a step of at least 1, found {self.step}")
        if self.log and self.step > 1:
            raise SpaceError(f"expected a step or log: true, found both (step {self.step}); remove one")
        if rest := (self.high - self.low) % self.step:
            raise SpaceError(
                f"expected high a whole number of steps above low, found {self.low} to {self.high} by {self.step}; "
                f"{self.high - rest} or {self.high - rest + self.step} would be"
            )

    @property
    def width(self) -> int:
        """Model coordinates."""
        return 1

    @property
    def probes(self) -> tuple[int, ...]:
        """Both ends."""
        return (self.low, self.high)

    def __contains__(self, value: Value) -> bool:
        """Whether the value is one of the numbers."""
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0

    def encode(self, value: Value) -> tuple[float, ...]:
        """The value from 0 to 1; see `Real.encode`."""
        return (_place(value, self.low, self.high, self.log),)

    def decode(self, coordinates: Sequence[float]) -> int:
        """The number nearest to model coordinates."""
        (place,) = coordinates
        return self.nearest(_at(min(max(float(place), 0.0), 1.0), self.low, self.high, self.log))

    def nearest(self, value: Value) -> int:
        """The nearest of the numbers."""
        inside = min(max(_number(value), self.low), self.high)
        return self.low + round((inside - self.low) / self.step) * self.step

    def random(self, rng: np.random.Generator) -> int:
        """A draw: each number is as likely, or on the logarithmic scale as its part of that."""
        if self.log:
            edges = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return self.nearest(math.exp(rng.uniform(*edges)))
        return self.low + int(rng.integers((self.high - self.low) // self.step + 1)) * self.step

    def neighbours(self, value: Value) -> tuple[int, ...]:
        """A few numbers nearby, on both sides, the next ones among them; never the value itself."""
        (place,) = self.encode(value)
        number = _number(value)
        near = [self.nearest(number + sign * self.step) for sign in (-1, 1)]
        far = [self.decode([place + sign * step]) for step in STEPS for sign in (-1, 1)]
        return tuple(other for other in dict.fromkeys([*near, *far]) if other != value)

    def __str__(self) -> str:
        scale = ", logarithmic" if self.log else f" by {self.step}" if self.step > 1 else ""
        return f"whole numbers from {self.low} to {self.high}{scale}"

    def to_json(self) -> dict[str, Any]:
        """The range as plain data."""
        return {"low": self.low, "high": self.high, "step": self.step, "log": self.log}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of several values, none of which is nearer to another than the rest.

    Attributes:
        choices: at least two, all different.

    Raises:
        SpaceError: there are fewer.
    """

    choices: tuple[Value, ...]

    def __post_init__(self) -> None:
        if len(self.choices) < 2:
            raise SpaceError(f"expected at least two choices, found {len(self.choices)}")
        for i, value in enumerate(self.choices):
            if value in self.choices[:i]:  # 1, 1.0 and true are the same to Optuna
                twin = self.choices[self.choices.index(value)]
                raise SpaceError(f"expected different choices, found {twin!r} and {value!r}; remove one")

    @property
    def width(self) -> int:
        """Model coordinates."""
        return len(self.choices)

    @property
    def probes(self) -> tuple[Value, ...]:
        """All of them."""
        return self.choices

    def __contains__(self, value: Value) -> bool:
        """Whether the value is one of the choices."""
        return value in self.choices

    def encode(self, value: Value) -> tuple[float, ...]:
        """One coordinate for each choice: `HOT` for the one that is taken, 0 for the others."""
        taken = self.choices.index(value)
        return tuple(HOT if i == taken else 0.0 for i in range(len(self.choices)))

    def decode(self, coordinates: Sequence[float]) -> Value:
        """The choice with the largest coordinate."""
        assert len(coordinates) == len(self.choices), coordinates
        return self.choices[int(np.argmax(coordinates))]

    def nearest(self, value: Value) -> Value:
        """The value itself, or the first choice where it is none."""
        return self.choices[self.choices.index(value)] if value in self.choices else self.choices[0]

    def random(self, rng: np.random.Generator) -> Value:
        """A draw: each choice is as likely."""
        return self.choices[int(rng.integers(len(self.choices)))]

    def neighbours(self, value: Value) -> tuple[Value, ...]:
        """All other choices."""
        return tuple(other for other in self.choices if other != value)

    def __str__(self) -> str:
        return " or ".join(map(str, self.choices))

    def to_json(self) -> dict[str, Any]:
        """The choices as plain data."""
        return {"choices": list(self.choices)}


Hyperparameter = Real | Whole | Choice
"""What can be searched beside the shares."""


def told(value: Value) -> str:
    """A value in a table."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _check_range(low: float, high: float, log: bool) -> None:
    if not low < high:
        raise SpaceError(f"expected low < high, found {low:g} and {high:g}")
    if log and low <= 0:
        raise SpaceError(f"expected a low above 0 on a logarithmic scale, found {low:g}")


def _number(value: Value) -> float:
    assert isinstance(value, int | float) and not isinstance(value, bool), value
    return value


def _place(value: Value, low: float, high: float, log: bool) -> float:
    """Where a number lies in a range: 0 at its low end, 1 at its high one."""
    number = _number(value)
    if not log:
        return (number - low) / (high - low)
    # What cannot be on a logarithmic scale is from a range that had none: it lies as far below as can be told.
    return math.log(max(number, low**2 / high) / low) / math.log(high / low)


def _at(place: float, low: float, high: float, log: bool) -> float:
    """The number at a place in a range."""
    if log:
        return math.exp(math.log(low) + place * math.log(high / low))
    return low + place * (high - low)
