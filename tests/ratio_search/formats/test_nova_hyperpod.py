"""The block of a HyperPod recipe; nothing but the documentation says what is right."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import pytest
import yaml

from objectives.backends.sagemaker.catalogue import CATEGORIES
from ratio_search.errors import StudyError
from ratio_search.formats import Format
from ratio_search.recipe import Recipe
from tests.ratio_search.formats.nova_contract import NovaContract, restated


class TestContract(NovaContract):
    FORMAT: ClassVar[Format] = Format.NOVA_HYPERPOD

    def percentages(self, text: str) -> tuple[str, dict[str, str]]:
        sources = yaml.safe_load(text)["data_mixing"]["sources"]
        # These are floats, each of which is read as the tenth that it was written as.
        return repr(sources["customer_data"]["percent"]), {k: repr(v) for k, v in sources["nova_data"].items()}


def test_it_has_the_documented_shape(nova_recipe: Recipe) -> None:
    block = yaml.safe_load(Format.NOVA_HYPERPOD.load().write(nova_recipe))
    assert set(block) == {"data_mixing"}
    assert set(block["data_mixing"]) == {"dataset_catalog", "sources"}
    assert block["data_mixing"]["dataset_catalog"] == "sft_1p5_text_chat"
    sources = block["data_mixing"]["sources"]
    assert set(sources) == {"customer_data", "nova_data"}
    assert sources["customer_data"] == {"percent": 60.0}
    assert set(sources["nova_data"]) == set(CATEGORIES)
    assert all(isinstance(percent, float) for percent in sources["nova_data"].values())


def test_it_says_how_far_it_was_checked_and_what_it_belongs_to(nova_recipe: Recipe) -> None:
    recipe = dataclasses.replace(nova_recipe, hyperparameters={"learning_rate": 0.000012345})
    head = [line for line in Format.NOVA_HYPERPOD.load().write(recipe).splitlines() if line.startswith("#")]
    assert "checked against documentation only, and never run" in head[1]
    assert '{"max_steps": 20, "global_batch_size": 32, "learning_rate": 1.2345e-05}' in head[2]
    assert "holds voc 55.6%, support 44.4%" in head[3]
    assert head[4] == "#     ratio-search mix RECIPE --format converse --out train.jsonl"


def test_a_comment_stays_one_whatever_is_in_it(nova_recipe: Recipe) -> None:
    recipe = restated(nova_recipe, {"hyperparameters": {"note\nrun": "a\nrun: {}"}})
    assert set(yaml.safe_load(Format.NOVA_HYPERPOD.load().write(recipe))) == {"data_mixing"}


def test_a_base_model_whose_data_sets_have_no_known_name_is_refused(nova_recipe: Recipe) -> None:
    with pytest.raises(StudyError, match=r"those of 'nova-9' are not known; known are those of nova-textgeneration-li"):
        Format.NOVA_HYPERPOD.load().check(restated(nova_recipe, {"base_model": "nova-9"}))


def test_a_recipe_of_the_teams_own_data_alone_has_no_mix_to_state(own_recipe: Recipe) -> None:
    with pytest.raises(StudyError, match=r"nova-hyperpod .* has none of it: its shares are of voc, support"):
        Format.NOVA_HYPERPOD.load().check(own_recipe)
