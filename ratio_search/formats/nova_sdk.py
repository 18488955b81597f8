"""The mix as the SageMaker Python SDK 3 takes it: a `DataMixingConfig`, in a small file of Python.

Source: `sagemaker.train.data_mixing_config` of sagemaker-train 1.27.0.
"""

from __future__ import annotations

import json
from typing import ClassVar

from objectives.base import Value
from ratio_search.formats import Format
from ratio_search.formats.nova import NovaFormat, NovaRecipe


class NovaSdkFormat(NovaFormat):
    """A `DataMixingConfig`, ready to be imported and handed to an `SFTTrainer`."""

    NAME: ClassVar[Format] = Format.NOVA_SDK
    PURPOSE: ClassVar[str] = "Amazon Nova: a DataMixingConfig of the SageMaker Python SDK 3"
    ENDING: ClassVar[str] = ".py"

    def _nova_text(self, nova: NovaRecipe) -> str:
        # Where the customer has everything there is none, and an empty table stands here: None means the usual ones.
        parts = [
            f"        {_quoted(name)}: {percent},\n" for name, percent in nova.categories.items() if float(percent)
        ]
        inside = f"{{\n{''.join(parts)}    }}" if parts else "{}"
        settings = [f"    {_quoted(name)}: {_written(value)},\n" for name, value in nova.hyperparameters.items()]
        return (
            f'"""How study {nova.recipe.study} mixes Amazon Nova\'s own data, for the SageMaker Python SDK 3:\n'
            "\n"
            "    SFTTrainer(..., data_mixing_config=DATA_MIXING, hyperparameters=HYPERPARAMETERS)\n"
            "\n"
            "The library gives categories that are not named here 0.\n"
            f"The training file holds {nova.own}. It is written by\n"
            "\n"
            f"    {nova.mix_command('RECIPE')}\n"
            '"""\n'
            "\n"
            "from sagemaker.train.data_mixing_config import DataMixingConfig\n"
            "\n"
            "DATA_MIXING = DataMixingConfig(\n"
            f"    customer_data_percent={nova.customer},\n"
            f"    nova_data_percentages={inside},\n"
            ")\n"
            "\n"
            f"HYPERPARAMETERS = {{\n{''.join(settings)}}}\n"
        )


def _written(value: Value) -> str:
    """A value as Python writes it: the library looks at types."""
    return _quoted(value) if isinstance(value, str) else repr(value)


def _quoted(text: str) -> str:
    """A text as Python writes it: JSON's is the same, as long as nothing beyond ASCII is taken apart."""
    return json.dumps(text, ensure_ascii=False)
