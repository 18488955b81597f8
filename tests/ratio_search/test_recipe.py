from __future__ import annotations

import importlib.metadata
import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from objectives.mixture import Mixture
from ratio_search.errors import NothingToRecommend, StudyError
from ratio_search.recipe import FORMATS, Recipe
from ratio_search.runner import SerialRunner
from ratio_search.search import Search
from ratio_search.study import Study


@pytest.fixture
def study(small_study: Any) -> Study:
    """A finished study: each domain's accuracy is 0.2 and 0.6 times its share."""
    metrics = [
        {"name": "support/accuracy", "weight": 2, "guard": 0.05},
        {"name": "legal/accuracy", "reference": 0.25},
        {"name": "manuals/accuracy"},
    ]
    small = small_study(metrics=metrics)
    study = Study.create(small.spec, small.runs)
    with SerialRunner(study.spec.blueprint) as runner:
        Search(study, runner).run()
    return study


@pytest.fixture
def recipe(study: Study) -> Recipe:
    return Recipe.of(study, study.folder.recipe_file)


def test_it_holds_the_recommended_mixture_and_where_it_comes_from(study: Study, recipe: Recipe) -> None:
    advice = study.recommend()
    assert recipe.mixture == advice.mixture
    assert math.fsum(recipe.shares.values()) == 1.0
    assert recipe.trial == advice.record.job.id
    assert recipe.basis == advice.basis
    assert recipe.study == "small"
    assert len(recipe.identity) == 16
    assert recipe.seeds == advice.record.job.seeds


def test_each_metric_has_value_gain_reference_and_limit(recipe: Recipe) -> None:
    for name, share in recipe.shares.items():
        found = recipe.expected[f"{name}/accuracy"]
        assert found.value == pytest.approx(0.2 + 0.6 * share)
        assert found.reference == pytest.approx(0.25 if name == "legal" else 0.2)
        assert found.gain == pytest.approx(found.value - found.reference)
        assert found.limit == (pytest.approx(0.15) if name == "support" else None)
    assert recipe.score["feasible"] is True
    assert recipe.score["violations"] == {}


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


def test_it_names_the_versions_and_the_kept_artefacts(study: Study, recipe: Recipe) -> None:
    assert recipe.versions["optuna"] == importlib.metadata.version("optuna")
    assert recipe.versions["ratio-search"] == importlib.metadata.version("ratio-search")
    adapter = Path(recipe.artefacts["adapter"])
    assert adapter.is_dir()
    assert adapter.parent == study.attempt(study.recommend().record.job).folder


def test_its_command_trains_with_the_file_that_it_is_kept_in(study: Study) -> None:
    command = Recipe.of(study, study.folder.path / "mine.json").command
    assert command[:3] == ("ratio-search", "train", str(study.folder.path.resolve() / "mine.json"))
    assert command[3] == "--out"


@pytest.mark.parametrize("format_", FORMATS)
def test_it_is_the_same_after_every_format(recipe: Recipe, format_: str, tmp_path: Path) -> None:
    path = tmp_path / f"recipe.{format_}"
    path.write_text(recipe.text(format_), encoding="utf-8")
    assert Recipe.load(path) == recipe
    plain = json.loads(path.read_text()) if format_ == "json" else yaml.safe_load(path.read_text())
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
