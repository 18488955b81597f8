from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ratio_search import report
from ratio_search.console import PlainConsole
from ratio_search.recipe import Recipe
from ratio_search.study import Study

from .conftest import finished
from .test_mix import recipe_of


def text(table: Any) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


def saved(recipe: Recipe, study: Study) -> Path:
    recipe.save(study.folder.recipe_file)
    return study.folder.recipe_file


class TestComparison:
    def test_every_metric_of_baseline_anchors_and_recommendation(self, study: Study) -> None:
        recipe = Recipe.of(study, study.folder.recipe_file)
        shown = text(report.comparison(study, recipe))
        head = next(line for line in shown.splitlines() if "baseline" in line)
        assert head.replace("┃", " ").split() == ["baseline", "natural", "uniform", "recommended"]
        for name, share in recipe.shares.items():
            line = next(line for line in shown.splitlines() if f"{name}/accuracy (up)" in line)
            assert "0.2000" in line
            assert f"{recipe.expected[f'{name}/accuracy'].value:.4f}" in line
            line = next(line for line in shown.splitlines() if f"share of {name}" in line)
            assert f"{share:.3f}" in line
        assert f"{recipe.score['balanced']:+.4f}" in shown

    def test_what_was_not_run_is_not_shown(self, small_study: Any) -> None:
        metrics = [{"name": f"{name}/accuracy", "reference": 0.2} for name in ("support", "legal", "manuals")]
        small = small_study(baseline=False, metrics=metrics, search={"trials": 1})
        study = finished(Study.create(small.spec, small.runs))
        shown = text(report.comparison(study, Recipe.of(study, study.folder.recipe_file)))
        head = next(line for line in shown.splitlines() if "recommended" in line)
        assert head.replace("┃", " ").split() == ["natural", "recommended"]

    def test_broken_guards_are_counted_where_there_are_guards(self, small_study: Any) -> None:
        metrics = [{"name": f"{name}/accuracy", "reference": 0.39, "guard": 0.0} for name in ("support", "legal")]
        small = small_study(metrics=metrics, search={"trials": 2})
        study = finished(Study.create(small.spec, small.runs))
        shown = text(report.comparison(study, Recipe.of(study, study.folder.recipe_file)))
        line = next(line for line in shown.splitlines() if "guards broken" in line)
        assert line.replace("│", " ").split() == ["guards", "broken", "2", "none", "none", "none"]

    def test_targets_are_shown_where_there_are_any(self, small_study: Any) -> None:
        metrics = [{"name": "support/accuracy", "target": 0.95}, {"name": "legal/accuracy"}]
        small = small_study(metrics=metrics, balance={"kind": "target"}, search={"trials": 4})
        study = finished(Study.create(small.spec, small.runs))
        recipe = Recipe.of(study, study.folder.recipe_file)
        line = next(line for line in text(report.comparison(study, recipe)).splitlines() if "targets missed" in line)
        assert line.replace("│", " ").split() == ["targets", "missed", "1", "1", "1", "1"]
        shown = text(report.expectations(recipe))
        assert "is reached" in shown
        line = next(line for line in shown.splitlines() if "support/accuracy" in line)
        assert "0.9500" in line and "%" in line
        assert recipe.expected["support/accuracy"].target == 0.95
        assert recipe.expected["legal/accuracy"].reaches is None
        assert recipe.score["missed"]["support/accuracy"] == 0.95 - recipe.expected["support/accuracy"].value
        assert recipe.score["targets_reached"] == recipe.expected["support/accuracy"].reaches
        rows = report.trial_rows(study)
        assert all(row["support/accuracy/missed"] == 0.95 - row["support/accuracy"] for row in rows)
        assert Recipe.load(saved(recipe, study)).score == recipe.score

    def test_no_word_of_a_users_is_taken_for_markup(self, small_study: Any) -> None:
        metrics = [{"name": "support/[/red]", "goal": "maximize", "scale": 1, "weight": 0}, {"name": "legal/accuracy"}]
        small = small_study(metrics=metrics, search={"trials": 1})
        study = Study.create(small.spec, small.runs)
        while (job := study.ask()) is not None:
            study.tell(job.id, {"support/[/red]": 1.0, "legal/accuracy": 0.5})
        console = PlainConsole()
        recipe = Recipe.of(study, study.folder.recipe_file)
        for table in (report.comparison(study, recipe), report.trials_table(study)):
            with console.capture() as shown:
                console.show(table)
            assert "support/[/red]" in shown.get()
            assert "…" not in shown.get()


class TestExpectations:
    @pytest.fixture
    def recipe(self, small_study: Any) -> Recipe:
        return recipe_of(small_study())

    def expecting(self, recipe: Recipe, **changes: Any) -> Recipe:
        """The recipe with another expectation of the first metric."""
        first, *_ = recipe.expected
        changed = {first: dataclasses.replace(recipe.expected[first], **changes)}
        return dataclasses.replace(recipe, expected={**recipe.expected, **changed})

    def cells(self, recipe: Recipe) -> list[list[str]]:
        """The rows of the table, its head first."""
        table = report.expectations(recipe)
        shown = [[str(column.header), *map(str, column.cells)] for column in table.columns]
        return [list(row) for row in zip(*shown, strict=True)]

    def test_each_metric_has_its_value_and_where_it_lies(self, recipe: Recipe) -> None:
        head, first, *_ = self.cells(recipe)
        assert head == ["", "value", "90% between"]
        assert first == ["support/accuracy", "0.5000", "0.4000 and 0.6000"]

    def test_guards_have_their_limit_and_how_surely_it_is_kept(self, recipe: Recipe) -> None:
        head, first, second, *_ = self.cells(self.expecting(recipe, limit=0.45, holds=0.834))
        assert head[3:] == ["guard", "holds"]
        assert (first[3:], second[3:]) == (["0.4500", "83%"], ["", ""])

    def test_what_its_own_trial_measured_stands_beside(self, recipe: Recipe) -> None:
        tried = dataclasses.replace(self.expecting(recipe, measured=0.52, stderr=0.01), tried=True)
        head, first, *_ = self.cells(tried)
        assert (head[-1], first[-1]) == ("trial-0004 measured", "0.5200 +- 0.0100")
        exact = dataclasses.replace(self.expecting(recipe, measured=0.52, stderr=None), tried=True)
        assert self.cells(exact)[1][-1] == "0.5200"

    def test_without_a_model_there_is_no_interval(self, recipe: Recipe) -> None:
        assert self.cells(self.expecting(recipe, interval=None))[1][2] == ""

    def test_alternatives_are_lines_with_their_odds(self, recipe: Recipe) -> None:
        assert report.alternatives(recipe) == []
        other = {"trial": "trial-0007", "shares": recipe.shares, "behind": 0.01, "better": 0.304}
        found = dataclasses.replace(recipe, alternatives=(other, {**other, "trial": "trial-0002"}))
        first, second = report.alternatives(found)
        assert first == "trial-0007 may be as good (30%): support=0.500 legal=0.200 manuals=0.300"
        assert second.startswith("trial-0002 may be as good")


class TestTrials:
    def test_a_row_has_everything_that_is_known(self, study: Study) -> None:
        failed, done, *_ = report.trial_rows(study)
        assert set(failed) == set(done)
        assert (failed["state"], failed["failure"], failed["message"]) == ("failed", "objective", "the disk was full")
        assert failed["score"] is None
        record, score = next((r, s) for r, s in study.ranking() if r.job.id == done["trial"])
        assert record.measurement is not None and record.job.mixture is not None
        for name, share in record.job.mixture.items():
            assert done[f"share/{name}"] == share
            assert done[f"realised/{name}"] == (record.measurement.realised or {})[name]
            assert done[f"rows/{name}"] == record.measurement.rows[name]
            assert done[f"{name}/accuracy"] == record.values[f"{name}/accuracy"]
            assert done[f"{name}/accuracy/gain"] == score.gains[f"{name}/accuracy"]
        assert (done["score"], done["feasible"]) == (score.balanced, True)
        assert done["seed/data"] == record.job.seeds.data
        assert done["cost/wall_seconds"] > 0
        assert (done["origin"], done["basis"]) == ("anchor:natural", "")
        assert done["message"] is None

    def test_what_a_proposal_rests_on_is_a_list_of_numbers(self, study: Study) -> None:
        rows = report.trial_rows(study)
        assert [row["basis"] for row in rows] == [" ".join(map(str, r.basis)) for r in study.records()]
        assert rows[-1]["basis"] == "0 1 2 3"

    def test_broken_guards_are_columns(self, small_study: Any) -> None:
        metrics = [{"name": f"{name}/accuracy", "reference": 0.5, "guard": 0.0} for name in ("support", "legal")]
        small = small_study(metrics=metrics, search={"trials": 1})
        study = finished(Study.create(small.spec, small.runs))
        [row] = report.trial_rows(study)
        assert row["feasible"] is False
        assert row["legal/accuracy/violation"] == pytest.approx(0.5 - (0.2 + 0.6 / 3))

    def test_csv_holds_the_same(self, study: Study) -> None:
        rows = report.trial_rows(study)
        read = list(csv.DictReader(io.StringIO(report.trials_csv(study))))
        assert [list(row) for row in read] == [list(row) for row in rows]
        for found, row in zip(read, rows, strict=True):
            assert found == {key: "" if value is None else str(value) for key, value in row.items()}

    def test_no_trials_are_a_header_alone(self, small_study: Any) -> None:
        small = small_study()
        assert report.trials_csv(Study.create(small.spec, small.runs)) == "trial\n"

    def test_the_table_begins_with_the_best_and_ends_with_the_failed(self, study: Study) -> None:
        lines = [line for line in text(report.trials_table(study)).splitlines() if "trial-" in line]
        ranked = [record.job.id for record, _ in study.ranking()]
        assert [line.split()[1] for line in lines] == [*ranked, "trial-0000"]
