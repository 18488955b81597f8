from __future__ import annotations

import importlib.metadata
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from objectives.mixture import Mixture
from ratio_search.errors import NothingToRecommend, StudyError
from ratio_search.formats import Format
from ratio_search.recipe import Recipe
from ratio_search.runner import SerialRunner
from ratio_search.search import Search
from ratio_search.selection import Selection
from ratio_search.study import Study


@pytest.fixture
def made(small_study: Any) -> Callable[..., Study]:
    """Makes finished studies: each domain's accuracy is 0.2 and 0.6 times its share."""
    metrics = [
        {"name": "support/accuracy", "weight": 2, "guard": 0.05},
        {"name": "legal/accuracy", "reference": 0.25},
        {"name": "manuals/accuracy"},
    ]

    def make(**keys: Any) -> Study:
        small = small_study(metrics=metrics, **keys)
        study = Study.create(small.spec, small.runs)
        with SerialRunner(study.spec.blueprint) as runner:
            Search(study, runner).run()
        return study

    return make


@pytest.fixture
def study(made: Callable[..., Study]) -> Study:
    return made()


@pytest.fixture
def recipe(study: Study) -> Recipe:
    return Recipe.of(study, study.folder.recipe_file)


def test_it_holds_the_recommended_mixture_and_where_it_comes_from(study: Study, recipe: Recipe) -> None:
    advice = study.recommend()
    assert recipe.mixture == advice.mixture
    assert math.fsum(recipe.shares.values()) == 1.0
    assert recipe.trial == advice.record.job.id
    assert recipe.basis.startswith(f"{advice.basis}; not confirmed by fresh fine-tunes, as `ratio-search confirm ")
    assert recipe.confirmation is None
    assert recipe.study == "small"
    assert recipe.training_file == {}, "the file that it is trained with has its shares"
    assert len(recipe.identity) == 16
    assert recipe.seeds == advice.record.job.seeds


def test_it_can_be_of_another_mixture_that_was_asked_for(study: Study, recipe: Recipe) -> None:
    [advice] = study.select(Selection.parse("best:manuals/accuracy"))
    found = Recipe.of(study, study.folder.path / "mine.json", advice)
    assert (found.mixture, found.selection) == (advice.mixture, "best:manuals/accuracy")
    assert found.basis.startswith(advice.basis)
    assert found.shares["manuals"] > recipe.shares["manuals"]
    assert found.score["balanced"] == found.expected["manuals/accuracy"].gain
    assert recipe.selection == "balanced"


def test_several_are_one_list(study: Study, recipe: Recipe) -> None:
    [advice] = study.select(Selection.parse("trial:1"))
    recipes = [recipe, Recipe.of(study, study.folder.path / "mine.json", advice)]
    plain = [recipe.to_json() for recipe in recipes]
    assert json.loads(Format.JSON.load().listed(recipes)) == plain
    assert yaml.safe_load(Format.YAML.load().listed(recipes)) == plain


def test_each_metric_has_value_interval_gain_reference_and_limit(recipe: Recipe) -> None:
    for name, share in recipe.shares.items():
        found = recipe.expected[f"{name}/accuracy"]
        assert found.value == pytest.approx(0.2 + 0.6 * share, abs=0.03)
        assert found.interval is not None
        assert found.interval[0] < found.value < found.interval[1]
        assert found.reference == pytest.approx(0.25 if name == "legal" else 0.2)
        assert found.gain == pytest.approx(found.value - found.reference)
        guarded = name == "support"
        assert found.limit == (pytest.approx(0.15) if guarded else None)
        assert (found.holds is not None) == guarded
        assert (found.measured, found.stderr) == (None, None), "this very mixture was not tried"
    assert recipe.score["feasible"] is True
    assert recipe.score["violations"] == {}
    assert recipe.score["guards_hold"] == recipe.expected["support/accuracy"].holds > 0.9


def test_of_a_trial_it_says_what_that_measured(made: Callable[..., Study]) -> None:
    study = made(search={"trials": 2})
    recipe = Recipe.of(study, study.folder.recipe_file)
    assert recipe.tried
    for name, share in recipe.shares.items():
        found = recipe.expected[f"{name}/accuracy"]
        assert found.value == found.measured == pytest.approx(0.2 + 0.6 * share)
        assert (found.interval, found.holds) == (None, None), "two trials are too few for a model"
    assert (recipe.score["guards_hold"], recipe.alternatives) == (None, ())


def test_alternatives_are_trials_with_what_speaks_for_them(study: Study, recipe: Recipe) -> None:
    advice = study.recommend()
    assert [other["trial"] for other in recipe.alternatives] == [other.trial for other in advice.alternatives]
    mixtures = {record.job.id: record.job.mixture for record in study.records()}
    for other in recipe.alternatives:
        assert Mixture.of(other["shares"]) == mixtures[other["trial"]]
        assert 0.2 <= other["better"] <= 1


def test_each_domain_has_rows_epochs_and_hashes(study: Study, recipe: Recipe) -> None:
    for name, size in {"support": 30, "legal": 20, "manuals": 10}.items():
        found = recipe.ingredients[name]
        assert found.share == recipe.shares[name]
        assert found.size == size
        assert found.rows == recipe.mixture.counts(60)[name]
        assert found.epochs == pytest.approx((found.rows or 0) / size)
        assert found.sha256 == study.manifest.files[name]["train"]


def test_the_baseline_and_the_anchors_stand_beside_it(recipe: Recipe) -> None:
    assert set(recipe.compared) == {"baseline", "natural", "uniform"}
    assert recipe.compared["baseline"] == pytest.approx(dict.fromkeys(recipe.expected, 0.2))
    assert recipe.compared["natural"]["support/accuracy"] == pytest.approx(0.5)


def test_it_names_the_versions(recipe: Recipe) -> None:
    assert recipe.versions["optuna"] == importlib.metadata.version("optuna")
    assert recipe.versions["ratio-search"] == importlib.metadata.version("ratio-search")


def test_a_mixture_that_was_not_tried_has_no_artefacts(study: Study, recipe: Recipe) -> None:
    assert not recipe.tried
    assert recipe.artefacts == {}


def test_it_names_the_kept_artefacts_of_its_trial(made: Callable[..., Study]) -> None:
    study = made(search={"trials": 2})
    adapter = Path(Recipe.of(study, study.folder.recipe_file).artefacts["adapter"])
    assert adapter.is_dir()
    assert adapter.parent == study.attempt(study.recommend().record.job).folder


def test_its_command_trains_with_the_file_that_it_is_kept_in(study: Study) -> None:
    command = Recipe.of(study, study.folder.path / "mine.json").command
    assert command[:3] == ("ratio-search", "train", str(study.folder.path.resolve() / "mine.json"))
    assert command[3] == "--out"


@pytest.mark.parametrize("format_", [Format.JSON, Format.YAML])
def test_it_is_the_same_after_every_format_that_holds_all_of_it(
    recipe: Recipe, format_: Format, tmp_path: Path
) -> None:
    path = tmp_path / f"recipe.{format_}"
    format_.load().save(recipe, path)
    assert Recipe.load(path) == recipe
    plain = json.loads(path.read_text()) if format_ is Format.JSON else yaml.safe_load(path.read_text())
    assert Mixture.of(plain["shares"]) == recipe.mixture


def test_saving_replaces_what_was_there(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text("old")
    recipe.save(path)
    assert Recipe.load(path) == recipe
    assert [file.name for file in tmp_path.iterdir() if "recipe" in file.name] == ["recipe.json"]


def test_an_unfinished_study_has_none(small_study: Any) -> None:
    small = small_study()
    study = Study.create(small.spec, small.runs)
    with pytest.raises(NothingToRecommend, match="no finished baseline"):
        Recipe.of(study, study.folder.recipe_file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is no recipe"),
        (b"\xff", "is no recipe"),
        (b"[1, 2]", "is no recipe"),
        (b"{shares: {a: 1}}", "is no recipe"),
    ],
)
def test_any_other_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "recipe.json"
    path.write_bytes(content)
    with pytest.raises(StudyError, match=rf"recipe\.json: {message}"):
        Recipe.load(path)


def test_shares_that_were_edited_must_still_sum_to_1(recipe: Recipe, tmp_path: Path) -> None:
    data = recipe.to_json()
    data["shares"]["support"] += 0.1
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(data))
    with pytest.raises(StudyError, match="is no recipe: shares must sum to 1"):
        Recipe.load(path)


def test_an_unknown_key_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps({**recipe.to_json(), "sharse": {}}))
    with pytest.raises(StudyError, match="sharse"):
        Recipe.load(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"none\.json: cannot be read \(No such file"):
        Recipe.load(tmp_path / "none.json")
