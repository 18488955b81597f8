"""The mix as a HyperPod recipe has it: its block `data_mixing`.

Source: Amazon Nova 2 user guide, "nova-forge-sft-datamix-smhp". No library that reads it is public, so that nothing but
this page says whether the block is right.
"""

from __future__ import annotations

import json
from typing import ClassVar

import yaml

from ratio_search.errors import StudyError
from ratio_search.formats import Format
from ratio_search.formats.nova import NovaFormat, NovaRecipe
from ratio_search.recipe import Recipe

CATALOGUES = {
    "nova-textgeneration-lite-v2": "sft_1p5_text_chat",
    "nova-textgeneration-lite": "sft_text",
    "nova-textgeneration-micro": "sft_text",
    "nova-textgeneration-pro": "sft_text",
}
"""What the data sets for text of each base model are called."""


class NovaHyperpodFormat(NovaFormat):
    """The block `data_mixing` of a HyperPod recipe, to be put beside `run` and `training_config`."""

    NAME: ClassVar[Format] = Format.NOVA_HYPERPOD
    PURPOSE: ClassVar[str] = (
        "Amazon Nova: the data_mixing block of a HyperPod recipe; checked against documentation only"
    )
    ENDING: ClassVar[str] = ".yaml"

    def check(self, recipe: Recipe) -> None:
        """Checks that it is known what the base model's data sets are called."""
        super().check(recipe)
        base_model = NovaRecipe.of(recipe).settings.base_model
        if base_model not in CATALOGUES:
            raise StudyError(
                f"format {self.NAME} names the data sets of a base model, and those of {base_model!r} are not known; "
                f"known are those of {', '.join(CATALOGUES)}"
            )

    def _nova_text(self, nova: NovaRecipe) -> str:
        block = {
            "dataset_catalog": CATALOGUES[nova.settings.base_model],
            "sources": {
                "customer_data": {"percent": float(nova.customer)},
                "nova_data": {name: float(percent) for name, percent in nova.categories.items()},
            },
        }
        return (
            f"# How study {nova.recipe.study} mixes Amazon Nova's own data: a block of a HyperPod recipe, beside run.\n"
            "# It was checked against documentation only, and never run: see that the recipe has these categories.\n"
            f"# It belongs to {json.dumps(nova.hyperparameters)}.\n"
            f"# The training file (run.data_s3_path) holds {nova.own}. It is written by\n"
            f"#     {nova.mix_command('RECIPE')}\n"
            f"{yaml.safe_dump({'data_mixing': block}, sort_keys=False, allow_unicode=True)}"
        )
