"""The whole recipe, as a document that every language reads, and that `Recipe.load` takes back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

import yaml

from ratio_search.formats import Format
from ratio_search.formats.recipe_format import RecipeFormat
from ratio_search.recipe import Recipe


class JsonFormat(RecipeFormat):
    """The whole recipe as JSON; several are one list."""

    NAME: ClassVar[Format] = Format.JSON
    PURPOSE: ClassVar[str] = "the whole recipe, for programs; `train` and `mix` take it"
    ENDING: ClassVar[str] = ".json"
    WHOLE: ClassVar[bool] = True

    def listed(self, recipes: Sequence[Recipe]) -> str:
        """A list of recipes."""
        return _json([recipe.to_json() for recipe in recipes])

    def _text(self, recipe: Recipe) -> str:
        return _json(recipe.to_json())


class YamlFormat(RecipeFormat):
    """The whole recipe as YAML; several are one list."""

    NAME: ClassVar[Format] = Format.YAML
    PURPOSE: ClassVar[str] = "the whole recipe, for people; `train` and `mix` take it"
    ENDING: ClassVar[str] = ".yaml"
    WHOLE: ClassVar[bool] = True

    def listed(self, recipes: Sequence[Recipe]) -> str:
        """A list of recipes."""
        return _yaml([recipe.to_json() for recipe in recipes])

    def _text(self, recipe: Recipe) -> str:
        return _yaml(recipe.to_json())


def _json(data: Any) -> str:
    return json.dumps(data, indent=2, allow_nan=False) + "\n"


def _yaml(data: Any) -> str:
    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
