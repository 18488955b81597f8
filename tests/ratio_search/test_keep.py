"""What stays on disk, after a study whose trainer leaves an adapter of 1,000 bytes for every trial."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from objectives.base import Estimate, Measurement
from ratio_search.keep import Keeper, kept
from ratio_search.record import Record
from ratio_search.runner import SerialRunner
from ratio_search.search import Search
from ratio_search.spec import StudySpec
from ratio_search.study import Study

NAMES = ("support", "legal", "manuals")


def finished(small: Any) -> Study:
    study = Study.create(small.spec, small.runs)
    with SerialRunner(study.spec.blueprint) as runner:
        Search(study, runner).run()
    return study


def with_adapter(study: Study) -> list[str]:
    return [record.job.id for record in study.records() if kept(study, record)]


@pytest.mark.parametrize("best", [0, 2, 9])
def test_the_best_trials_artefacts_stay_and_the_others_go(small_study: Any, best: int) -> None:
    study = finished(small_study(keep={"best": best}))
    ranked = [record.job.id for record, _ in study.ranking()]
    assert with_adapter(study) == sorted(ranked[:best])


@pytest.mark.parametrize("best", [1, 2])
def test_the_recommended_trial_comes_before_luckier_ones(tmp_path: Path, best: int) -> None:
    document = {
        "name": "noisy",
        "domains": {"a": {}, "b": {}},
        "objective": {"kind": "external"},
        "metrics": [{"name": "accuracy", "reference": 0.5}],
        "search": {"trials": 11, "sampler": "random", "space": {"grid": 0.1}},
        "keep": {"best": best},
    }
    study = Study.create(StudySpec.parse(yaml.safe_dump(document), tmp_path), tmp_path / "runs")
    rng = np.random.default_rng(1)
    while (job := study.ask()) is not None:
        assert job.mixture is not None
        (study.start(job).folder / "adapter").mkdir()
        told = Estimate(value=0.5 + 0.2 * job.mixture["a"] + 0.08 * float(rng.standard_normal()))
        study.tell(job.id, Measurement(metrics={"accuracy": told}, artefacts={"adapter": "adapter"}))
    advice, luckiest = study.recommend(), study.ranking()[0][0]
    assert advice.tried and advice.record != luckiest
    Keeper(study).tidy()
    assert with_adapter(study) == sorted([advice.record.job.id, luckiest.job.id][:best])


def test_imported_runs_take_nobodys_place(small_study: Any, tmp_path: Path) -> None:
    small = small_study(keep={"best": 2}, search={"trials": 3})
    study = Study.create(small.spec, small.runs)
    table = tmp_path / "past.csv"
    table.write_text(f"support,legal,manuals,{','.join(f'{name}/accuracy' for name in NAMES)}\n0.2,0.3,0.5,1,1,1\n")
    study.import_runs(table)
    with SerialRunner(study.spec.blueprint) as runner:
        Search(study, runner).run()
    ranked = [record.job.id for record, _ in study.ranking()]
    assert ranked[0] == "trial-0000" and study.records()[0].imported
    assert with_adapter(study) == sorted(ranked[1:3])


def test_results_stay_for_all_and_checkpoints_for_none(small_study: Any) -> None:
    study = finished(small_study())
    for record in [*study.records(), study.baseline()]:
        assert record is not None
        attempt = study.attempt(record.job)
        assert attempt.result() == record.measurement
        assert not attempt.checkpoint.exists()


def test_a_disk_cap_holds_and_the_best_come_first(small_study: Any) -> None:
    study = finished(small_study(keep={"best": 5, "disk_gb": 2.5e-6}))
    ranked = [record.job.id for record, _ in study.ranking()]
    assert with_adapter(study) == sorted(ranked[:2])


def test_an_artefact_that_is_elsewhere_is_not_ours_to_remove(small_study: Any, tmp_path: Path) -> None:
    small = small_study(keep={"best": 0})
    study = Study.create(small.spec, small.runs)
    precious = tmp_path / "precious"
    precious.mkdir()
    baseline = study.ask()
    assert baseline is not None
    study.tell(baseline.id, {f"{name}/accuracy": 0.2 for name in NAMES})
    job = study.ask()
    assert job is not None
    folder = study.start(job).folder
    (folder / "link").symlink_to(precious)
    places = {"absolute": str(precious), "up": "../../../../precious", "link": "link", "self": ".", "file": "s3://b/k"}
    metrics = {f"{name}/accuracy": Estimate(value=0.5) for name in NAMES}
    record = study.tell(job.id, Measurement(metrics=metrics, artefacts=places))
    assert kept(study, record) == {}
    Keeper(study).tidy()
    assert precious.is_dir()
    assert folder.is_dir()


def test_nothing_is_removed_before_trials_can_be_judged(small_study: Any) -> None:
    small = small_study(keep={"best": 0})
    study = Study.create(small.spec, small.runs)
    baseline, job = study.ask(), study.ask()
    assert baseline is not None and job is not None
    (study.start(job).folder / "adapter").mkdir()
    metrics = {f"{name}/accuracy": Estimate(value=0.5) for name in NAMES}
    record = study.tell(job.id, Measurement(metrics=metrics, artefacts={"adapter": "adapter"}))
    Keeper(study).tidy()
    assert set(kept(study, record)) == {"adapter"}


def test_a_running_jobs_checkpoint_stays(small_study: Any) -> None:
    small = small_study()
    study = Study.create(small.spec, small.runs)
    baseline, job = study.ask(), study.ask()
    assert baseline is not None and job is not None
    for each in (baseline, job):
        (study.start(each).folder / "checkpoint").mkdir()
    study.tell(baseline.id, {f"{name}/accuracy": 0.2 for name in NAMES})
    Keeper(study).tidy()
    assert not study.attempt(baseline).checkpoint.exists()
    assert study.attempt(job).checkpoint.exists()


def test_a_closed_job_is_looked_at_once(small_study: Any) -> None:
    """There may be thousands of them; whatever comes back is found by the next driver."""
    small = small_study(keep={"best": 0})
    study = Study.create(small.spec, small.runs)
    keeper, folders = Keeper(study), []
    for _ in range(3):
        job = study.ask()
        assert job is not None
        folders.append(study.start(job).folder)
        (folders[-1] / "checkpoint").mkdir()
        (folders[-1] / "adapter").mkdir()
        metrics = {f"{name}/accuracy": Estimate(value=0.5) for name in NAMES}
        study.tell(job.id, Measurement(metrics=metrics, artefacts={"adapter": "adapter"}))
        keeper.tidy()
        assert not (folders[-1] / "checkpoint").exists()
    _, *trials = folders  # the baseline trains nothing
    assert not any((folder / "adapter").exists() for folder in trials)
    for folder in folders:
        (folder / "checkpoint").mkdir()
        (folder / "adapter").mkdir(exist_ok=True)
    keeper.tidy()
    assert all((folder / "checkpoint").exists() for folder in folders)
    assert (trials[0] / "adapter").exists()
    Keeper(study).tidy()
    assert not any((folder / "checkpoint").exists() for folder in folders)
    assert not any((folder / "adapter").exists() for folder in trials)


def test_only_finished_trials_have_artefacts(small_study: Any) -> None:
    study = finished(small_study(search={"trials": 1}))
    [record] = study.records()
    assert kept(study, record)
    nothing: list[Record] = [dataclasses.replace(record, measurement=None), study.baseline()]  # type: ignore[list-item]
    assert [kept(study, each) for each in nothing] == [{}, {}]
