"""A study of Amazon Nova on the service of this machine: what a driver makes of refusals, and what is left behind."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import botocore.loaders
import botocore.session
import pytest

from ratio_search.record import JobState
from ratio_search.study import Study
from tests.ratio_search.conftest import Program
from tests.services.sagemaker.server import SagemakerServer
from tests.services.sagemaker.study import small_nova_study


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    file = small_nova_study(tmp_path / "data", trials=3)
    file.write_text(f"{file.read_text()}keep: {{best: 1}}\n")
    return file


@pytest.fixture
def aws(tmp_path: Path, study_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SagemakerServer]:
    with SagemakerServer(tmp_path / "aws", world=study_file) as server:
        # It is read for each session anew otherwise, which takes seconds.
        monkeypatch.setattr(botocore.session, "create_loader", functools.cache(botocore.loaders.create_loader))
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        for name in ("AWS_PROFILE", "AWS_REGION", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        yield server


def test_credentials_that_expire_fail_no_job_and_losing_models_are_deleted_when_asked(
    aws: SagemakerServer, study_file: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.fault("CreateTrainingJob", "expired", after=2)
    done = program("launch", str(study_file), "--parallel", "3")
    assert done.code == 1
    assert "ExpiredTokenException" in done.err
    assert "resume with: ratio-search resume runs/small-nova" in done.out
    study = Study.open(Path("runs/small-nova"))
    assert {record.state for record in study.jobs()} <= {JobState.RUNNING, JobState.COMPLETE}
    assert "ExpiredTokenException" in json.loads(program("status", "small-nova", "--json").out)["denied"]

    with monkeypatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.delenv(name)
        done = program("resume", "small-nova")
    assert (done.code, "Unable to locate credentials" in done.err) == (1, True)

    done = program("resume", "small-nova")
    assert done.code == 0, done.err
    begun = Counter(line["name"] for line in aws.ledger if line["event"] == "taken")
    assert len(begun) == 3 * 4 + 3 and set(begun.values()) == {1}, "four stages of each trial, three of the baseline"
    study = Study.open(study.folder)
    assert [anchor.name for anchor in study.anchors] == ["usual", "uniform"]
    assert study.changed_base is None

    lost = {one["job"] for one in json.loads(program("leftovers", "small-nova", "--json").out)["leftovers"]}
    done = program("leftovers", "small-nova", "--delete", "--yes")
    assert 1 <= len(lost) < 3
    assert (done.code, done.out.count("deleted: ")) == (0, 2 * len(lost)), done.err
    assert json.loads(program("leftovers", "small-nova", "--json").out)["leftovers"] == []
    rows = {row["trial"]: row for row in json.loads(program("trials", "small-nova", "--json").out)}
    assert {trial for trial, row in rows.items() if row["artefact/model_package"] is None} == lost
    assert all(Path(row["artefact/answers"]).is_file() for row in rows.values())
