"""A reference that a study file states: a number, or what the confirmed run of a recipe measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ratio_search.errors import SpecError
from ratio_search.yaml_file import plain

WANTED = "expected a number, or the file of a confirmed recipe"


def reference(stated: float | str | None, metric: str, root: Path) -> float | None:
    """The value that a metric's gains are measured from; None where it is the untuned baseline's.

    Args:
        stated: a number, or the path of a recipe that was exported after `ratio-search confirm`, JSON or YAML.
        metric: whose value it is.
        root: folder that a relative path refers to.

    Raises:
        SpecError: the file is not there, is no recipe, was not confirmed, or has no value of this metric.
    """
    if not isinstance(stated, str):
        return stated
    path = root / Path(stated).expanduser()
    recipe = _recipe(stated, path)
    confirmation = recipe.get("confirmation")
    if not isinstance(confirmation, Mapping):
        raise SpecError(
            f"{path}: this recipe of study {recipe['study']!r} was not confirmed; run `ratio-search confirm` on the "
            "study and export the recipe again, or state a number"
        )
    values = confirmation.get("values")
    known = values if isinstance(values, Mapping) else {}
    found = known.get(metric)
    value = found.get("value") if isinstance(found, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpecError(
            f"{path}: its confirmed run has no value of {metric!r}; it has {', '.join(map(str, known)) or 'none'}; "
            "state a number"
        )
    return float(value)


def _recipe(stated: str, path: Path) -> Mapping[str, Any]:
    """The plain data of a recipe. The module that knows all of it knows studies, too, and they are read after this."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        number = "; a number stands without quotes" if _numeric(stated) else ""
        raise SpecError(f"{path}: there is no such file; {WANTED}{number}") from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise SpecError(f"{path}: cannot be read ({why}); {WANTED}") from error
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        try:
            data = plain(text)
        except SpecError as error:
            raise SpecError(f"{path}: is no recipe, as it is neither JSON nor YAML; {WANTED}") from error
    if not isinstance(data, dict) or not {"study", "shares", "expected"} <= set(data):
        raise SpecError(f"{path}: is no recipe; {WANTED}")
    return data


def _numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
