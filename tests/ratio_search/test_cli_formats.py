"""`export --format`: what a recipe is written as, from the command line."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
import yaml

from objectives.base import Estimate, Measurement
from ratio_search.formats import Format
from ratio_search.formats.nova_job import DATA
from ratio_search.recipe import Recipe
from ratio_search.spec import StudySpec
from ratio_search.study import Study
from tests.ratio_search.conftest import Program
from tests.services.sagemaker.study import small_nova_study

MODEL = "arn:aws:sagemaker:us-west-2:123456789012:model-package/nova-study/7"


@pytest.fixture
def nova_study(tmp_path: Path) -> Study:
    """A study of Amazon Nova with its baseline and two trials, told without the service."""
    study = Study.create(StudySpec.load(small_nova_study(tmp_path / "nova", trials=2)), tmp_path / "runs")
    names = [metric.name for metric in study.spec.metrics]
    for i in range(3):
        job = study.ask()
        assert job is not None
        metrics = {name: Estimate(value=0.3 + 0.1 * i) for name in names}
        artefacts = {"model_package": MODEL} if job.mixture is not None else {}
        study.tell(job.id, Measurement(metrics=metrics, realised=job.mixture, artefacts=artefacts))
    return study


@pytest.mark.parametrize("format_", [Format.NOVA_JOB, Format.NOVA_SDK, Format.NOVA_HYPERPOD])
def test_it_is_printed_or_written_and_the_recipe_is_kept_for_what_needs_all_of_it(
    nova_study: Study, program: Program, format_: Format
) -> None:
    export, kept = ("export", "small-nova", "--format", format_), nova_study.folder.recipe_file
    done = program(*export)
    assert done.code == 0
    recipe = Recipe.load(kept)
    assert done.out == format_.load().write(recipe)
    assert recipe.artefacts["model_package"] == MODEL
    assert recipe.command == ()
    assert f"`ratio-search mix {Path('runs') / 'small-nova' / 'recipe.json'} --format converse" in done.err
    assert (DATA in done.err) == (format_ is Format.NOVA_JOB)
    kept.unlink()
    done = program(*export, "--out", "mine.txt")
    assert done.out == f"mine.txt: {recipe.choice}\n"
    assert Path("mine.txt").read_text() == format_.load().write(Recipe.load(kept))


def test_what_remains_to_do_leads_to_the_training_file(nova_study: Study, program: Program) -> None:
    done = program("export", "small-nova", "--format", "nova-job")
    [line] = [line for line in done.err.splitlines() if "it is written by" in line]
    command = line.partition("`")[2].rstrip("`").split()
    assert program(*command[1:]).code == 0
    rows = [json.loads(line) for line in Path("train.jsonl").read_text().splitlines()]
    assert all(row["schemaVersion"] == "bedrock-conversation-2024" for row in rows)
    manifest = json.loads(Path("train.jsonl.manifest.json").read_text())
    kept = Recipe.load(command[2])
    own = {name: kept.shares[name] for name in ("voc", "support")}
    assert kept.training_file == pytest.approx({name: share / sum(own.values()) for name, share in own.items()})
    assert {name: its["share"] for name, its in manifest["domains"].items()} == kept.training_file
    trained = program("train", command[2], "--out", "trained")
    assert (trained.code, "there is no trainer here" in trained.err) == (2, True)


def test_several_of_a_format_that_holds_one_get_numbered_files(nova_study: Study, program: Program) -> None:
    export = ("export", "small-nova", "--select", "front:1", "--format", "nova-sdk")
    refused = program(*export)
    assert (refused.code, refused.out) == (2, "")
    assert "one file of format nova-sdk holds one recipe, found 1; name a file with --out" in refused.err
    done = program(*export, "--out", "mine.py")
    recipe = Recipe.load(nova_study.folder.path / "recipe-front-1-1.json")
    assert done.out == f"mine-1.py: {recipe.choice}\n"
    assert Path("mine-1.py").read_text() == Format.NOVA_SDK.load().write(recipe)
    assert not Path("mine.py").exists()


class TestRefusals:
    def test_a_format_for_other_objectives(self, study: Study, program: Program) -> None:
        before = sorted(Path.cwd().rglob("*"))
        done = program("export", "small", "--format", "nova-job", "--out", "job.json")
        assert (done.code, done.out) == (2, "")
        assert done.err == (
            "error: format nova-job is for recipes of objective sagemaker, and this one is of objective 'command'; "
            "formats for it are json, yaml\n"
        )
        assert sorted(Path.cwd().rglob("*")) == before

    def test_a_format_that_is_none(self, study: Study, program: Program) -> None:
        done = program("export", "small", "--format", "toml")
        assert (done.code, done.out) == (2, "")
        for format_ in Format:
            assert f"'{format_}'" in done.err

    def test_nothing_replaces_what_was_there_if_it_cannot_be_written(self, study: Study, program: Program) -> None:
        Path("mine.yaml").mkdir()
        done = program("export", "small", "--format", "yaml", "--out", "mine.yaml")
        assert done.code == 2
        assert "error: mine.yaml: cannot be written (Is a directory); choose another file" in done.err
        assert list(Path.cwd().glob("mine*")) == [Path.cwd() / "mine.yaml"]


def test_a_pipe_is_written_into_and_stays_one(study: Study, program: Program) -> None:
    os.mkfifo("pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(Path("pipe").read_text()))
    reader.start()
    done = program("export", "small", "--format", "yaml", "--out", "pipe")
    reader.join()
    assert done.code == 0
    assert yaml.safe_load(read[0])["study"] == "small"
    assert Path("pipe").is_fifo()
