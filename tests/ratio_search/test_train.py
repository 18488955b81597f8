"""Training with a recipe, by the trainer that writes down what it was asked."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from objectives.attempt import Failure
from objectives.base import Measurement, Seeds
from objectives.errors import OptionsError
from objectives.mixture import Mixture
from ratio_search.errors import SpecError
from ratio_search.recipe import Recipe
from ratio_search.runner import SerialRunner
from ratio_search.search import Search
from ratio_search.study import Study
from ratio_search.train import changed_data, fine_tune, train


@pytest.fixture
def recipe(small_study: Any) -> Recipe:
    small = small_study(search={"trials": 2})
    study = Study.create(small.spec, small.runs)
    with SerialRunner(study.spec.blueprint) as runner:
        Search(study, runner).run()
    return Recipe.of(study, study.folder.recipe_file)


def job(folder: Path) -> dict[str, Any]:
    """What the trainer was told."""
    told: dict[str, Any] = json.loads((folder / "handover.json").read_text())
    return told


def test_it_repeats_the_recipes_trial(recipe: Recipe, tmp_path: Path) -> None:
    *_, last = train(recipe, tmp_path / "out")
    assert isinstance(last, Measurement)
    assert {name: e.value for name, e in last.metrics.items()} == {n: e.value for n, e in recipe.expected.items()}
    told = job(tmp_path / "out")
    assert told["mixture"] == dict(recipe.shares)
    assert told["seeds"] == {"data": recipe.seeds.data, "training": recipe.seeds.training}
    assert (tmp_path / "out" / "adapter").is_dir()
    assert (tmp_path / "out" / "result.json").is_file()


def test_it_trains_with_the_recipes_hyperparameters(recipe: Recipe, tmp_path: Path) -> None:
    found = dataclasses.replace(recipe, hyperparameters={"rate": 1e-5, "loss": "hinge", "packed": True})
    found.save(tmp_path / "recipe.json")
    list(train(Recipe.load(tmp_path / "recipe.json"), tmp_path / "out"))
    assert job(tmp_path / "out")["hyperparameters"] == {"rate": 1e-5, "loss": "hinge", "packed": True}


def test_a_seed_gives_other_draws(recipe: Recipe, tmp_path: Path) -> None:
    list(train(recipe, tmp_path / "out", seed=7))
    seeds = Seeds.of(7, replicate=1)
    assert job(tmp_path / "out")["seeds"] == {"data": seeds.data, "training": seeds.training}
    assert seeds.data != recipe.seeds.data


def test_final_files_take_the_test_files_place(small_study: Any, tmp_path: Path) -> None:
    names = ("support", "legal", "manuals")
    domains = {n: {split: f"data/{n}.{split}.jsonl" for split in ("train", "test", "final")} for n in names}
    small = small_study(domains=domains, search={"trials": 1})
    final = small.file.parent / "data" / "legal.final.jsonl"
    for name in names:
        row = f'{{"instruction": "{name} final", "output": "yes", "label": "yes"}}\n'
        final.with_name(f"{name}.final.jsonl").write_text(row)
    study = Study.create(small.spec, small.runs)
    with SerialRunner(study.spec.blueprint) as runner:
        Search(study, runner).run()
    list(train(Recipe.of(study, study.folder.recipe_file), tmp_path / "out", final=True))
    assert job(tmp_path / "out")["test_files"]["legal"] == [str(final)]


def test_final_files_that_are_not_stated_are_missed_before_anything_starts(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"no final files for support, legal, manuals; add domains\.support\.final"):
        list(train(recipe, tmp_path / "out", final=True))
    assert not (tmp_path / "out").exists()


def test_a_trainer_that_is_gone_is_missed_before_anything_starts(recipe: Recipe, tmp_path: Path) -> None:
    gone = dataclasses.replace(recipe, study_file=recipe.study_file.replace("/bin/python", "/bin/nothing"))
    with pytest.raises(OptionsError, match=r"objective\.argv: found no executable program"):
        list(train(gone, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_data_that_changed_since_is_named(small_study: Any, recipe: Recipe) -> None:
    assert changed_data(recipe) == []
    with (Path(recipe.root) / "data" / "legal.train.jsonl").open("a") as file:
        file.write('{"instruction": "new", "output": "yes", "label": "yes"}\n')
    [change] = changed_data(recipe)
    assert change.startswith("legal: was ['")


def test_a_failure_is_the_last_event(small_study: Any, tmp_path: Path) -> None:
    spec = small_study("fail-trials").spec
    mixture = Mixture.uniform([domain.name for domain in spec.mixed])
    *_, last = fine_tune(spec, mixture, tmp_path / "out", seeds=Seeds(data=1, training=2))
    assert isinstance(last, Failure)
    assert "boom" in last.log


def test_no_mixture_evaluates_the_untuned_model(small_study: Any, tmp_path: Path) -> None:
    *_, last = fine_tune(small_study().spec, None, tmp_path / "out", seeds=Seeds(data=1, training=2))
    assert isinstance(last, Measurement)
    assert last.realised is None
    assert job(tmp_path / "out")["mixture"] is None
