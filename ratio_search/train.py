"""Trains with a recipe: its mixture, its settings, its data, with seeds of one's own choice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from objectives.attempt import Attempt, Event
from objectives.base import Job, JobKind, Seeds, Value
from objectives.mixture import Mixture
from ratio_search.errors import SpecError
from ratio_search.identity import differences
from ratio_search.manifest import Manifest
from ratio_search.recipe import Recipe
from ratio_search.spec import StudySpec


def train(recipe: Recipe, folder: Path, *, seed: int | None = None, final: bool = False) -> Iterator[Event]:
    """Fine-tunes on the recipe's mixture and evaluates every domain; yields what happens, as an attempt does.

    Args:
        recipe: what to train with.
        folder: where the result, the log and the trained model go.
        seed: for new data order and training seeds; None repeats the recipe's own trial.
        final: evaluate on the `final` files, which the search did not see, instead of the `test` files.

    Raises:
        SpecError: the recipe's study file cannot be used here, its objective is trained with elsewhere, or it has no
            final files where they are asked for.
        DataError, OptionsError: its data or its base model is not there.
    """
    spec = recipe.spec
    if spec.backend.ELSEWHERE or spec.backend.REMOTE:
        raise SpecError(
            f"the recipe's trials were run elsewhere (objective.kind: {spec.backend.kind}), so there is no trainer "
            "here; train with its shares where they were"
        )
    spec.backend.check(spec.root)
    if final:
        try:
            spec.on_final()
        except SpecError as error:
            raise SpecError(f"{error}; then export the recipe again, or evaluate on the test files") from error
    seeds = recipe.seeds if seed is None else Seeds.of(seed, replicate=1)
    values = recipe.hyperparameters
    yield from fine_tune(spec, recipe.mixture, folder, seeds=seeds, final=final, hyperparameters=values)


def changed_data(recipe: Recipe) -> list[str]:
    """The training files that are no longer what the recipe was made from, each with both hashes.

    Raises:
        SpecError: the recipe's study file cannot be used here.
        DataError: a file cannot be read.
    """
    spec = recipe.spec
    now = Manifest.of(spec).files
    before = {name: list(ingredient.sha256) for name, ingredient in recipe.ingredients.items()}
    return differences(before, {name: list(now[name].get("train", ())) for name in before})


def fine_tune(
    spec: StudySpec,
    mixture: Mixture | None,
    folder: Path,
    *,
    seeds: Seeds,
    final: bool = False,
    hyperparameters: Mapping[str, Value] | None = None,
) -> Iterator[Event]:
    """Runs one fine-tune of a study outside its search, on any mixture; None evaluates the untuned model."""
    objective = (spec.on_final() if final else spec).blueprint.build()
    kind = JobKind.BASELINE if mixture is None else JobKind.TRIAL
    job = Job(id=folder.name, kind=kind, mixture=mixture, seeds=seeds, hyperparameters=hyperparameters or {})
    yield from Attempt(job=job, folder=folder).run(objective)
