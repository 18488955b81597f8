"""Recipes to be written down."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from ratio_search.recipe import Recipe
from tests.ratio_search.formats.nova_contract import restated
from tests.ratio_search.recipes import recipe_of
from tests.services.sagemaker.study import small_nova_study

NOVA_SHARES = {"voc": 0.3335, "support": 0.2665, "code": 0.1, "reasoning": 0.2, "other": 0.1}


@pytest.fixture
def small_recipe(small_study: Any) -> Recipe:
    """A recipe of an objective on this machine."""
    return recipe_of(small_study().file, {"support": 0.5, "legal": 0.2, "manuals": 0.3})


@pytest.fixture
def nova_recipe(tmp_path: Path) -> Recipe:
    """A recipe of a study of Amazon Nova: two domains of the team's own, three of Nova's."""
    return recipe_of(small_nova_study(tmp_path / "nova"), NOVA_SHARES)


@pytest.fixture
def own_recipe(nova_recipe: Recipe) -> Recipe:
    """A recipe of a study of Amazon Nova that mixes the team's own domains alone."""
    domains = yaml.safe_load(nova_recipe.study_file)["domains"]
    kept = {name: section for name, section in domains.items() if "category" not in section}
    return dataclasses.replace(restated(nova_recipe, {}, domains=kept), shares={"voc": 0.25, "support": 0.75})
