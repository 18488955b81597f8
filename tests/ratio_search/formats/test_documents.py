"""The whole recipe, as JSON and as YAML."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from typing import ClassVar

import pytest
import yaml

from ratio_search.formats import Format
from ratio_search.recipe import Recipe
from tests.contracts import RecipeFormatContract


class Documents(RecipeFormatContract):
    @pytest.fixture
    def recipe(self, small_recipe: Recipe) -> Recipe:
        return small_recipe

    @pytest.fixture
    def foreign(self, nova_recipe: Recipe) -> Recipe:
        return nova_recipe


class TestJson(Documents):
    FORMAT: ClassVar[Format] = Format.JSON

    def recovered(self, text: str) -> dict[str, Fraction]:
        return {name: Fraction(share) for name, share in json.loads(text)["shares"].items()}

    def test_several_are_a_list_of_them(self, recipe: Recipe) -> None:
        several = [recipe, dataclasses.replace(recipe, trial="trial-0099")]
        assert json.loads(Format.JSON.load().listed(several)) == [one.to_json() for one in several]


class TestYaml(Documents):
    FORMAT: ClassVar[Format] = Format.YAML

    def recovered(self, text: str) -> dict[str, Fraction]:
        return {name: Fraction(share) for name, share in yaml.safe_load(text)["shares"].items()}

    def test_several_are_a_list_of_them(self, recipe: Recipe) -> None:
        several = [recipe, dataclasses.replace(recipe, trial="trial-0099")]
        assert yaml.safe_load(Format.YAML.load().listed(several)) == [one.to_json() for one in several]
