"""The study files that ship: each one is valid, and the quickstart runs, is killed and is resumed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from objectives.backends.hf.tiny import TinyRecipe, base_rows, tiny_model
from objectives.base import Measurement
from ratio_search.errors import IdentityError
from ratio_search.keep import kept
from ratio_search.manifest import Manifest
from ratio_search.record import JobState
from ratio_search.runner import SerialRunner
from ratio_search.search import Search
from ratio_search.spec import StudySpec
from ratio_search.study import Study

STUDIES = Path(__file__).parents[2] / "studies"
FILES = sorted(STUDIES.glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_study_file_is_valid_and_its_data_is_there(file: Path) -> None:
    spec = StudySpec.load(file)
    assert spec.name == file.stem
    if not spec.backend.REMOTE:  # which would ask somebody's account
        spec.backend.check(spec.root)
    wanted = set() if spec.backend.ELSEWHERE else {domain.name for domain in spec.domains if domain.train}
    assert set(Manifest.of(spec).train_rows) == wanted


def test_the_rehearsal_ends_near_what_the_quickstart_recommends(tmp_path: Path) -> None:
    """Its table is of real runs of the quickstart, so both should like the same domains."""
    spec = StudySpec.load(STUDIES / "replay.yaml")
    assert [m.name for m in spec.metrics] == [m.name for m in StudySpec.load(STUDIES / "quickstart.yaml").metrics]
    study = Study.create(spec, tmp_path)
    study.override(trials=12)
    with SerialRunner(spec.blueprint) as runner:
        Search(study, runner).run()
    assert study.complete == 12
    shares = study.recommend().mixture
    assert min(shares["manuals"], shares["pydocs"]) > max(shares["legal"], 0.2), shares


def test_a_table_that_was_changed_is_another_study(tmp_path: Path) -> None:
    shutil.copytree(STUDIES / "replay", tmp_path / "replay")
    file = Path(shutil.copy(STUDIES / "replay.yaml", tmp_path))
    study = Study.create(StudySpec.load(file), tmp_path / "runs")
    table = tmp_path / "replay" / "runs.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("1.2377", "1.2378"), encoding="utf-8")
    with pytest.raises(IdentityError, match=r"base\.table: was"):
        study.check_identity()


def test_the_quickstart_is_what_the_readme_says() -> None:
    spec = StudySpec.load(STUDIES / "quickstart.yaml")
    assert spec.backend.kind == "hf"
    assert len(spec.mixed) == 4
    assert all(domain.test and domain.final for domain in spec.domains)
    assert {metric.domain for metric in spec.metrics} == {domain.name for domain in spec.domains}
    assert spec.search.trials >= 16
    assert spec.baseline


STEPS = 30


@pytest.fixture
def quickstart(tmp_path: Path) -> Path:
    """The quickstart's study with a base model that is made in a second, and fine-tunes of a second."""
    base = tiny_model(base_rows(), TinyRecipe(steps=40, layers=1, width=32, heads=2, inner=48), tmp_path / "models")
    text = (STUDIES / "quickstart.yaml").read_text(encoding="utf-8")
    changes = {
        "data/": f"{STUDIES}/data/",
        "base_model: tiny": f"base_model: {base}\n  checkpoint_every: 5",
        "steps: 150": f"steps: {STEPS}",
        "trials: 24": "trials: 4",
    }
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    file = tmp_path / "quickstart.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_killed_quickstart_goes_on_from_its_checkpoints(quickstart: Path) -> None:
    runs = quickstart.parent / "runs"
    command = [sys.executable, "-m", "ratio_search", "launch", str(quickstart), "--runs", str(runs)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as driver:
        begun = runs / "quickstart" / "jobs" / "trial-0001" / "attempt-1" / "checkpoint" / "training.pt"
        while not begun.exists():
            assert driver.poll() is None, driver.stderr.read() if driver.stderr else ""
            time.sleep(0.01)
        # And its workers, which would else live on for seconds and finish: as when the machine is lost.
        for process in [psutil.Process(driver.pid), *psutil.Process(driver.pid).children(recursive=True)]:
            process.kill()
    study = Study.open(runs / "quickstart")
    known = {r.job.id for r in study.records() if study.attempt(r.job).result_file.exists()}
    assert len(known) < 4

    done = subprocess.run(
        [sys.executable, "-m", "ratio_search", "resume", str(runs / "quickstart"), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    recipe = json.loads(done.stdout)
    assert sum(recipe["shares"].values()) == 1
    assert set(recipe["compared"]) == {"baseline", "natural", "uniform"}
    assert recipe["tried"] or not recipe["artefacts"]
    best, _ = study.ranking()[0]
    assert (kept(study, best)["adapter"] / "adapter_model.safetensors").is_file()

    records = study.records()
    assert [record.state for record in records] == [JobState.COMPLETE] * 4
    assert {r.job.attempt for r in records if r.job.id in known} <= {1}
    continued, whole = records[1], records[3]
    assert (continued.job.attempt, whole.job.attempt) == (2, 1)
    assert tokens(continued.measurement) < 0.9 * tokens(whole.measurement), "it began from the beginning"


def tokens(measured: Measurement | None) -> float:
    """Tokens that a job's last attempt was trained on."""
    assert measured is not None
    return measured.cost["tokens"]
