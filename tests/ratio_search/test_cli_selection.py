"""Other mixtures than the recommended one, from the command line: the front, and `export --select`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from objectives.mixture import Mixture
from ratio_search.recipe import Recipe
from ratio_search.selection import Spread
from ratio_search.spec import StudySpec
from ratio_search.study import Study

from .conftest import Program

DOCUMENT: dict[str, Any] = {
    "name": "elsewhere",
    "domains": {"a": {}, "b": {}, "c": {}},
    "objective": {"kind": "external"},
    "metrics": [{"name": f"{name}/x", "goal": "maximize", "scale": 1, "reference": 0} for name in "ab"],
    "search": {"trials": 6},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study of six trials, to be copied."""
    spec = StudySpec.parse(yaml.safe_dump(DOCUMENT), tmp_path_factory.mktemp("data"))
    study = Study.create(spec, tmp_path_factory.mktemp("runs"))
    while (job := study.ask()) is not None:
        assert job.mixture is not None
        study.tell(job.id, {f"{name}/x": job.mixture[name] ** 0.5 for name in "ab"})
    return study.folder.path


@pytest.fixture
def study(finished: Path, program: Program) -> Study:
    """A study of six trials in the folder of runs."""
    return Study.open(shutil.copytree(finished, "runs/elsewhere"))


class TestFront:
    def test_it_is_a_table_and_the_same_as_json(self, study: Study, program: Program) -> None:
        front = study.front()
        done = program("front", "elsewhere")
        assert done.code == 0
        assert f"{len(front.members)} of {front.considered} mixtures" in done.out
        assert "recommended" in done.out and "hypervolume" in done.out
        found = json.loads(program("front", "elsewhere", "--json").out)
        assert found == {"name": "elsewhere", **front.to_json()}

    def test_before_anything_is_finished(self, program: Program) -> None:
        Study.create(StudySpec.parse(yaml.safe_dump(DOCUMENT), Path.cwd()), "runs")
        done = program("front", "elsewhere")
        assert (done.code, done.out) == (1, "")
        assert "no finished trial" in done.err

    def test_status_has_it_where_the_whole_of_it_is_looked_for_alone(self, study: Study, program: Program) -> None:
        assert "the front" not in program("status", "elsewhere").out
        assert json.loads(program("status", "elsewhere", "--json").out)["front"] is None
        study.folder.study_file.write_text(yaml.safe_dump({**DOCUMENT, "balance": {"kind": "pareto"}}))
        assert "elsewhere: the front" in program("status", "elsewhere").out
        assert json.loads(program("status", "elsewhere", "--json").out)["front"] == study.front().to_json()

    def test_a_study_of_the_whole_front_ends_with_it(self, small_study: Any, program: Program) -> None:
        small = small_study(search={"trials": 1}, balance={"kind": "pareto"})
        done = program("launch", str(small.file), "--runner", "serial")
        assert done.code == 0
        assert "small: the front, measured gains" in done.out
        assert done.out.index("the front") < done.out.index("recommended: ")


class TestSelect:
    def test_the_recommended_one_is_exported_unless_another_one_is_asked_for(
        self, study: Study, program: Program
    ) -> None:
        plain, balanced = (
            json.loads(program("export", "elsewhere", *more).out) for more in ([], ["--select", "balanced"])
        )
        assert {**plain, "created": None} == {**balanced, "created": None}
        assert plain["selection"] == "balanced"

    @pytest.mark.parametrize(
        ("select", "file"),
        [
            ("best:a/x", "recipe-best-a-x.json"),
            ("weights:a=3,b/x=1", "recipe-weights-a-3-b-x-1.json"),
            ("trial:trial-0002", "recipe-trial-2.json"),
        ],
    )
    def test_another_one_has_a_file_of_its_own_and_says_what_it_is(
        self, study: Study, program: Program, select: str, file: str
    ) -> None:
        study_recipe = study.folder.recipe_file
        program("export", "elsewhere")
        before = study_recipe.read_text()
        done = program("export", "elsewhere", "--select", select)
        assert done.code == 0
        printed = json.loads(done.out)
        assert printed["selection"] == select.replace("trial-0002", "2")
        assert printed["basis"].startswith(
            ("best expected gain of a/x by", "best expected weighted mean", "asked for as")
        )
        assert Recipe.load(study.folder.path / file).to_json() == printed
        assert study_recipe.read_text() == before

    def test_the_command_of_another_one_trains_with_it(self, small_study: Any, program: Program) -> None:
        small = small_study(search={"trials": 2})
        assert program("launch", str(small.file), "--runner", "serial").code == 0
        recipe = json.loads(program("export", "small", "--select", "best:manuals/accuracy").out)
        assert recipe["command"][2] == str((small.runs / "small" / "recipe-best-manuals-accuracy.json").resolve())
        assert program(*recipe["command"][1:]).code == 0

    @pytest.mark.parametrize("format_", ["json", "yaml"])
    def test_some_of_the_front_are_a_list_or_numbered_files(self, study: Study, program: Program, format_: str) -> None:
        mixtures = [advice.mixture for advice in study.select(Spread(count=2))]
        export = ("export", "elsewhere", "--select", "front:2", "--format", format_)
        done = program(*export)
        assert done.code == 0
        assert [Mixture.of(recipe["shares"]) for recipe in yaml.safe_load(done.out)] == mixtures
        for i, mixture in enumerate(mixtures, 1):
            assert Recipe.load(study.folder.path / f"recipe-front-2-{i}.json").mixture == mixture
        done = program(*export, "--out", f"mine.{format_}")
        files = [f"mine-{i}.{format_}" for i in (1, 2)]
        assert done.out == "".join(f"{file}: {mixture}\n" for file, mixture in zip(files, mixtures, strict=True))
        assert [Recipe.load(file).mixture for file in files] == mixtures
        assert not Path(f"mine.{format_}").exists()
        printed = json.loads(program(*export, "--json").out)
        assert [recipe["selection"] for recipe in printed] == ["front:2"] * 2

    def test_one_of_the_front_is_a_list_too(self, study: Study, program: Program) -> None:
        [recipe] = json.loads(program("export", "elsewhere", "--select", "front:1").out)
        assert recipe["selection"] == "front:1"

    @pytest.mark.parametrize(
        ("select", "message"),
        [
            ("pareto", "'pareto' is no selection; expected balanced, best:<metric>, front:<k>, weights:"),
            ("best:a/y", "best:a/y: 'a/y' is no metric of the study; did you mean 'a/x'"),
            ("weights:d=1", "weights:d=1: 'd' is no metric of the study, and no domain that it judges"),
            ("front:99", "front:99: the front has "),
            ("trial:99", "trial:99: the study has no such trial; finished are 0 to 5"),
        ],
    )
    def test_what_the_study_does_not_have_is_named_and_nothing_is_written(
        self, study: Study, program: Program, select: str, message: str
    ) -> None:
        before = sorted(Path.cwd().rglob("*"))
        done = program("export", "elsewhere", "--select", select, "--out", "mine.json")
        assert (done.code, done.out) == (2, "")
        assert message in done.err
        assert sorted(Path.cwd().rglob("*")) == before
