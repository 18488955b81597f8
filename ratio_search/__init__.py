"""Finds how much of each data set to fine-tune a language model on.

The names below load on first use, so that a command that only prints help, and a worker that only trains,
import neither Optuna nor Ray.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from objectives.mixture import Mixture
    from ratio_search.recipe import Recipe
    from ratio_search.spec import StudySpec
    from ratio_search.study import Study

__all__ = ["Mixture", "Recipe", "Study", "StudySpec"]

_HOMES = {
    "Mixture": "objectives.mixture",
    "Recipe": "ratio_search.recipe",
    "Study": "ratio_search.study",
    "StudySpec": "ratio_search.spec",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
