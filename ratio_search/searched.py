"""Reads `search.hyperparameters` of a study file, and checks what is searched against the objective's settings."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from objectives.backends import Backend
from objectives.base import Value
from ratio_search.errors import SpaceError, SpecError
from ratio_search.hyperparameters import Choice, Hyperparameter, Real, Whole
from ratio_search.study_file import HyperparameterSection
from ratio_search.yaml_file import explained

AT = "search.hyperparameters"


def hyperparameters(sections: Mapping[str, HyperparameterSection], backend: Backend) -> dict[str, Hyperparameter]:
    """What is searched beside the shares, by name.

    Args:
        sections: as the study file states them.
        backend: the objective that is to take the values.

    Raises:
        SpecError: something is no range and no choices, or the objective cannot take it.
    """
    found = {name: _hyperparameter(f"{AT}.{name}", section) for name, section in sections.items()}
    _check_taken(found, backend)
    return found


def usual(searched: Mapping[str, Hyperparameter], backend: Backend) -> dict[str, Value]:
    """The values that mixtures which everybody knows are tried with.

    They are those that the objective states for itself, as far as they are in the range, else the range's middle, or
    the first of several choices.
    """
    stated = backend.model_dump(mode="json")
    found: dict[str, Value] = {}
    for name, of in searched.items():
        value: Any = stated
        for key in name.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        middle = of.choices[0] if isinstance(of, Choice) else of.decode([0.5])
        found[name] = value if value is not None and value in of else middle
    return found


def longest_run(backend: Backend, searched: Mapping[str, Hyperparameter]) -> int | None:
    """The most rows that any job of a study trains on, repeats counted; None where the trainer decides.

    Args:
        backend: the study's settings.
        searched: what replaces some of them, job by job.
    """
    return longest(backend, searched).train_rows


def longest(backend: Backend, searched: Mapping[str, Hyperparameter]) -> Backend:
    """The settings of the job of a study that trains on the most rows; see `longest_run`."""
    values = {name: of.probes[0] for name, of in searched.items()}

    def rows(name: str, value: Value) -> int:
        return backend.with_hyperparameters({**values, name: value}).train_rows or 0

    if backend.train_rows is None:
        return backend
    # One after another will do: no setting that makes a run longer does so for some values of another one only.
    for name, of in searched.items():
        values[name] = max(of.probes, key=lambda value: rows(name, value))
    return backend.with_hyperparameters(values)


def _hyperparameter(at: str, section: HyperparameterSection) -> Hyperparameter:
    low, high, choices = section.low, section.high, section.choices
    stated = [key for key in ("low", "high", "step", "log", "whole") if key in section.model_fields_set]
    if choices is not None and stated:
        raise SpecError(f"{at}: expected low and high, or choices, found both ({', '.join(stated)}); remove one")
    try:
        if choices is not None:
            return Choice(choices=choices)
        if low is None or high is None:
            raise SpecError(f"{at}: expected low and high, or choices, found {', '.join(stated) or 'neither'}")
        integers = isinstance(low, int) and isinstance(high, int)
        if section.whole if section.whole is not None else integers:
            if low != int(low) or high != int(high):
                raise SpecError(f"{at}: whole numbers need whole bounds, found {low:g} and {high:g}")
            return Whole(low=int(low), high=int(high), step=section.step or 1, log=section.log)
        if section.step is not None:
            raise SpecError(f"{at}.step: is for whole numbers; remove it, or state whole numbers as low and high")
        return Real(low=float(low), high=float(high), log=section.log)
    except SpaceError as error:
        raise SpecError(f"{at}: {error}") from error


def _check_taken(searched: Mapping[str, Hyperparameter], backend: Backend) -> None:
    """Checks that the objective's settings can have every value."""
    if backend.SEARCHED is None:
        return
    known = sorted(backend.SEARCHED)
    for name in searched:
        if name not in backend.SEARCHED:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise SpecError(
                f"{AT}.{name}: is nothing that can be searched with objective {backend.kind!r}; {hint}"
                f"possible are {', '.join(known) or 'none'}"
            )
    for values in _probed(searched):
        try:
            backend.with_hyperparameters(values)
        except ValidationError as error:
            at = AT if any(detail["loc"] for detail in error.errors()) else _blamed(searched, backend, values)
            raise SpecError(explained(type(backend), error, at)) from None


def _probed(searched: Mapping[str, Hyperparameter]) -> Iterator[dict[str, Value]]:
    """Values to try: each with each of every other one, while the rest stay as they are."""
    usual = {name: of.probes[0] for name, of in searched.items()}
    for names in itertools.combinations(searched, min(2, len(searched))):
        for values in itertools.product(*(searched[name].probes for name in names)):
            yield {**usual, **dict(zip(names, values, strict=True))}


def _blamed(searched: Mapping[str, Hyperparameter], backend: Backend, values: Mapping[str, Value]) -> str:
    """The path of one whose other values would do, where several settings do not go together."""
    for name, of in searched.items():
        for value in of.probes:
            try:
                backend.with_hyperparameters({**values, name: value})
            except ValidationError:
                continue
            return f"{AT}.{name}"
    return f"{AT}.{next(iter(searched))}" if len(searched) == 1 else AT
