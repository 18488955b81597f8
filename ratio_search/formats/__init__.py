"""What a recipe can be written as, for people, trainers and platforms, by the name that `export --format` takes.

One explicit table; nothing is imported before its name is asked for.
"""

from __future__ import annotations

import difflib
import enum
import importlib
from typing import TYPE_CHECKING, Self

from objectives.errors import OptionsError

if TYPE_CHECKING:
    from ratio_search.formats.recipe_format import RecipeFormat

__all__ = ["Format", "named"]


class Format(enum.StrEnum):
    """The formats: name, and `module:class` of what writes it."""

    JSON = "json", "ratio_search.formats.documents:JsonFormat"
    YAML = "yaml", "ratio_search.formats.documents:YamlFormat"
    NOVA_JOB = "nova-job", "ratio_search.formats.nova_job:NovaJobFormat"
    NOVA_SDK = "nova-sdk", "ratio_search.formats.nova_sdk:NovaSdkFormat"
    NOVA_HYPERPOD = "nova-hyperpod", "ratio_search.formats.nova_hyperpod:NovaHyperpodFormat"

    place: str

    def __new__(cls, name: str, place: str) -> Self:
        """A format that is its name, and knows where to load what writes it."""
        made = str.__new__(cls, name)
        made._value_, made.place = name, place
        return made

    def load(self) -> RecipeFormat:
        """What writes it."""
        module, name = self.place.split(":")
        made: RecipeFormat = getattr(importlib.import_module(module), name)()
        return made


def named(name: str) -> RecipeFormat:
    """The format of a name.

    Raises:
        OptionsError: there is none.
    """
    formats = {format_.value: format_ for format_ in Format}
    if name not in formats:
        near = difflib.get_close_matches(name, formats, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise OptionsError(f"unknown format of recipes {name!r}; {hint}known are {', '.join(formats)}")
    return formats[name].load()
