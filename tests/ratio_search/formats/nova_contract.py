"""What all formats of Amazon Nova promise, beside what all formats do."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar

import pytest
import yaml

from ratio_search.recipe import Recipe
from tests.contracts import RecipeFormatContract


def restated(recipe: Recipe, objective: Mapping[str, Any], **keys: Any) -> Recipe:
    """A recipe of another study file: keys of its objective are replaced, and others of the file."""
    document = yaml.safe_load(recipe.study_file)
    document = {**document, **keys, "objective": {**document["objective"], **objective}}
    return dataclasses.replace(recipe, study_file=yaml.safe_dump(document, sort_keys=False))


class NovaContract(RecipeFormatContract):
    """The customer's part, and each category's of all, are what the recipe's shares make of them."""

    RESOLUTION: ClassVar[float] = 0.002
    """A tenth of a per cent, rounded between the sides and again inside Nova's."""

    def percentages(self, text: str) -> tuple[str, dict[str, str]]:
        """The percentage of the customer, and those of Nova's categories inside Nova's side."""
        raise NotImplementedError

    def recovered(self, text: str) -> dict[str, Fraction]:
        customer, categories = self.percentages(text)
        whole = Fraction(customer) / 100
        return {"customer": whole} | {name: (1 - whole) * Fraction(value) / 100 for name, value in categories.items()}

    def stated(self, recipe: Recipe) -> dict[str, float]:
        found = {"customer": 0.0}
        for domain in recipe.spec.mixed:
            if not domain.categories:
                found["customer"] += recipe.shares[domain.name]
            total = sum(domain.categories.values())
            for name, part in domain.categories.items():
                found[name] = recipe.shares[domain.name] * part / total
        return found

    @pytest.fixture
    def recipe(self, nova_recipe: Recipe) -> Recipe:
        return nova_recipe

    @pytest.fixture
    def foreign(self, small_recipe: Recipe) -> Recipe:
        return small_recipe
