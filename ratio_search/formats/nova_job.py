"""The fine-tune as a request of CreateTrainingJob, for the AWS command line and for boto3.

Source: SageMaker's API reference, "CreateTrainingJob"; `objectives.backends.sagemaker.request` makes it, as for trials.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, ClassVar

from objectives.backends.sagemaker.request import Requests, base_model_arn
from ratio_search.formats import Format
from ratio_search.formats.nova import NovaFormat, NovaRecipe
from ratio_search.identity import digest
from ratio_search.recipe import Recipe

LONGEST_NAME = 63
"""Characters of a training job's name."""

DATA = "FILL-IN/train.jsonl"
"""Stands for where the training file will lie, below `objective.place`."""

REGION = "FILL-IN-REGION"
"""Stands for the region, where neither the study file nor a trial tells it."""


class NovaJobFormat(NovaFormat):
    """A whole request, but for the training file's place."""

    NAME: ClassVar[Format] = Format.NOVA_JOB
    PURPOSE: ClassVar[str] = "Amazon Nova: a request of CreateTrainingJob, for the AWS command line or boto3"
    ENDING: ClassVar[str] = ".json"
    MIXES: ClassVar[bool] = False

    def remarks(self, recipe: Recipe, file: Path) -> tuple[str, ...]:
        """How the training file is made, and what is to be filled in."""
        request = _request(NovaRecipe.of(recipe))
        blanks = [f"{place} ({what})" for place, what in _BLANKS.items() if place in json.dumps(request)]
        return (*super().remarks(recipe, file), f"fill in {', '.join(blanks)}")

    def _nova_text(self, nova: NovaRecipe) -> str:
        return json.dumps(_request(nova), indent=2) + "\n"


_BLANKS = {DATA: "where you put the training file", REGION: "your region; objective.region states it once for all"}


def _request(nova: NovaRecipe) -> dict[str, Any]:
    """The request, under a name that follows from all that it asks for."""
    settings, region = nova.settings, _region(nova)
    requests = Requests(
        settings=settings,
        base_model=nova.recipe.artefacts.get("base_model") or base_model_arn(region, settings.base_model),
        group=_group(nova, region),
    )
    mix = nova.percentages.hyperparameters(settings.platform_categories)
    request = requests.training("", mix=mix, data=f"{settings.place.rstrip('/')}/{DATA}")
    mark = digest(request)
    study = re.sub("[^A-Za-z0-9]+", "-", nova.recipe.study)[: LONGEST_NAME - len(mark) - 1].strip("-")
    return {**request, "TrainingJobName": f"{study}-{mark}"}


def _group(nova: NovaRecipe, region: str) -> str:
    """ARN of the group that tuned models are registered in; a name is one of the role's account."""
    group = nova.settings.model_package_group
    account = nova.settings.role.split(":")[4]
    return group if group.startswith("arn:") else f"arn:aws:sagemaker:{region}:{account}:model-package-group/{group}"


def _region(nova: NovaRecipe) -> str:
    """The region: as stated, or that of what the recipe's trial left there."""
    arns = [value.split(":") for value in nova.recipe.artefacts.values() if value.startswith("arn:")]
    return nova.settings.region or next((arn[3] for arn in arns if len(arn) > 3 and arn[3]), REGION)
