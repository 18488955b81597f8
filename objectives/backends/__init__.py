"""The objectives that ship with ratio-search, by the name that a study file calls them.

One explicit table; nothing is imported before its name is asked for.
"""

from __future__ import annotations

import difflib
import importlib

from objectives.backends.backend import Backend, Blueprint, Resources
from objectives.errors import OptionsError

__all__ = ["BACKENDS", "Backend", "Blueprint", "Resources", "load"]

BACKENDS = {
    "command": "objectives.backends.command:CommandBackend",
    "external": "objectives.backends.external:ExternalBackend",
    "hf": "objectives.backends.hf:HfBackend",
    "replay": "objectives.backends.replay:ReplayBackend",
    "sagemaker": "objectives.backends.sagemaker:SagemakerBackend",
}
"""Kind to `module:class` of its settings; the settings know how to build the objective."""


def load(kind: str) -> type[Backend]:
    """The settings class of a back end.

    Raises:
        OptionsError: no back end has this name.
    """
    if kind not in BACKENDS:
        near = difflib.get_close_matches(kind, BACKENDS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise OptionsError(f"unknown kind of objective {kind!r}; {hint}known are {', '.join(BACKENDS)}")
    module, name = BACKENDS[kind].split(":")
    backend: type[Backend] = getattr(importlib.import_module(module), name)
    return backend
