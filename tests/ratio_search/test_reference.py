"""References that are taken from a recipe's confirmed run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from objectives.base import Seeds
from objectives.scorer import Scorer
from ratio_search import StudySpec
from ratio_search.confirmation import Confirmation
from ratio_search.errors import SpecError
from ratio_search.formats import named
from ratio_search.reference import reference
from ratio_search.verdict import Confirmed, Interval
from tests.ratio_search.test_mix import recipe_of

CONFIRMATION = {"values": {"a/f1": {"value": 0.75, "stderr": 0.02}, "b/f1": {"value": 0.5, "stderr": None}}}
DOCUMENT: dict[str, Any] = {
    "name": "next",
    "domains": {"a": {}, "b": {}},
    "objective": {"kind": "external"},
    "metrics": [{"name": "a/f1", "reference": "old/recipe.json"}, {"name": "b/f1", "reference": 0.25}],
}


def recipe(path: Path, **keys: Any) -> Path:
    """A recipe's file, as far as it is read here."""
    path.parent.mkdir(exist_ok=True)
    data = {"study": "old", "shares": {"a": 1}, "expected": {}, "confirmation": CONFIRMATION, **keys}
    path.write_text(json.dumps(data) if path.suffix == ".json" else yaml.safe_dump(data))
    return path


def refusal(stated: str, root: Path, metric: str = "a/f1") -> str:
    with pytest.raises(SpecError) as error:
        reference(stated, metric, root)
    return str(error.value)


def test_a_number_and_none_are_what_they_are(tmp_path: Path) -> None:
    assert reference(0.5, "a/f1", tmp_path) == 0.5
    assert reference(None, "a/f1", tmp_path) is None


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_a_recipes_confirmed_value_is_taken(tmp_path: Path, suffix: str) -> None:
    recipe(tmp_path / f"recipe{suffix}")
    assert reference(f"recipe{suffix}", "a/f1", tmp_path) == 0.75
    assert reference(str(tmp_path / f"recipe{suffix}"), "b/f1", Path("/elsewhere")) == 0.5


def test_a_recipe_that_was_exported_is_read_confirmed_or_not(tmp_path: Path, small_study: Any) -> None:
    unconfirmed = recipe_of(small_study())
    runs = (Seeds(data=1, training=2),)
    confirmed = Confirmation(
        winner="recommended",
        split="final",
        seeds=runs,
        planned=4,
        complete=4,
        contenders={"recommended": dict(unconfirmed.mixture)},
        values={"legal/accuracy": Confirmed(value=0.625, stderr=0.02, gain=0.1)},
        score=Interval(value=0.1, low=0.0, high=0.2),
        leads=(),
    )
    found = dataclasses.replace(unconfirmed, confirmation=confirmed)
    for name in ("json", "yaml"):
        (tmp_path / "unconfirmed").write_text(named(name).write(unconfirmed))
        (tmp_path / "confirmed").write_text(named(name).write(found))
        assert reference("confirmed", "legal/accuracy", tmp_path) == 0.625
        assert "this recipe of study 'small' was not confirmed" in refusal("unconfirmed", tmp_path, "legal/accuracy")


def test_a_study_is_judged_from_it(tmp_path: Path) -> None:
    recipe(tmp_path / "old" / "recipe.json")
    spec = StudySpec.parse(yaml.safe_dump(DOCUMENT), tmp_path)
    assert not spec.baseline, "every reference is known"
    score = Scorer(metrics=spec.metrics, balance=spec.balance, baseline={}).score({"a/f1": 0.875, "b/f1": 0.5})
    assert score.gains == {"a/f1": 0.125, "b/f1": 0.25}


def test_its_number_is_policy(tmp_path: Path) -> None:
    found = []
    for value in (0.75, 0.8):
        recipe(tmp_path / "old" / "recipe.json", confirmation={"values": {"a/f1": {"value": value}}})
        found.append(StudySpec.parse(yaml.safe_dump(DOCUMENT), tmp_path))
    assert [spec.policy["metrics"]["a/f1"]["reference"] for spec in found] == [0.75, 0.8]
    assert found[0].identity == found[1].identity


def test_one_that_the_metric_cannot_have_is_refused(tmp_path: Path) -> None:
    recipe(tmp_path / "old" / "recipe.json", confirmation={"values": {"a/f1": {"value": 75}}})
    with pytest.raises(SpecError, match=r"metrics\[0\]\.reference: a/f1: expected a value from 0 to 1, found 75"):
        StudySpec.parse(yaml.safe_dump(DOCUMENT), tmp_path)


class TestWhatIsRefused:
    def test_a_file_that_is_not_there_is_named_with_its_place_in_the_study_file(self, tmp_path: Path) -> None:
        with pytest.raises(SpecError) as error:
            StudySpec.parse(yaml.safe_dump(DOCUMENT), tmp_path)
        assert str(error.value).splitlines()[1] == (
            f"metrics[0].reference: {tmp_path}/old/recipe.json: there is no such file; expected a number, or the file "
            "of a confirmed recipe"
        )

    def test_a_number_in_quotes_is_told_apart(self, tmp_path: Path) -> None:
        assert refusal("0.75", tmp_path).endswith("; a number stands without quotes")

    def test_a_folder(self, tmp_path: Path) -> None:
        assert refusal(".", tmp_path) == (
            f"{tmp_path}: cannot be read (Is a directory); expected a number, or the file of a confirmed recipe"
        )

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("a: [", "is no recipe, as it is neither JSON nor YAML"),
            ("[1, 2]", "is no recipe"),
            ("just words", "is no recipe"),
            ('{"study": "old"}', "is no recipe"),
        ],
    )
    def test_what_is_no_recipe(self, tmp_path: Path, text: str, why: str) -> None:
        (tmp_path / "file").write_text(text)
        assert refusal("file", tmp_path) == (
            f"{tmp_path}/file: {why}; expected a number, or the file of a confirmed recipe"
        )

    @pytest.mark.parametrize("keys", [{"confirmation": None}, {"confirmation": "yes"}])
    def test_a_recipe_that_was_not_confirmed(self, tmp_path: Path, keys: dict[str, Any]) -> None:
        recipe(tmp_path / "r.json", **keys)
        assert refusal("r.json", tmp_path) == (
            f"{tmp_path}/r.json: this recipe of study 'old' was not confirmed; run `ratio-search confirm` on the study "
            "and export the recipe again, or state a number"
        )

    def test_a_metric_that_was_not_confirmed(self, tmp_path: Path) -> None:
        recipe(tmp_path / "r.json")
        assert refusal("r.json", tmp_path, "a/accuracy") == (
            f"{tmp_path}/r.json: its confirmed run has no value of 'a/accuracy'; it has a/f1, b/f1; state a number"
        )

    @pytest.mark.parametrize("values", [None, {"a/f1": None}, {"a/f1": {"value": "much"}}, {"a/f1": {"value": True}}])
    def test_a_confirmation_of_another_shape(self, tmp_path: Path, values: Any) -> None:
        recipe(tmp_path / "r.json", confirmation={"values": values})
        assert "its confirmed run has no value of 'a/f1'" in refusal("r.json", tmp_path)
