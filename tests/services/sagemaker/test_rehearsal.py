"""A rehearsal plays the whole study, goes on where it was interrupted, and can reach nobody's account."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ratio_search.record import JobState
from ratio_search.spec import StudySpec
from ratio_search.study import Study
from tests.services.sagemaker.rehearsal import (
    BUCKET,
    ENDPOINTS,
    NAME,
    ROOT,
    STUDY,
    Rehearsal,
    rehearsed,
    secluded,
)

SERVICE = {
    **dict.fromkeys(ENDPOINTS, "http://127.0.0.1:1"),
    "AWS_ACCESS_KEY_ID": "invented",
    "AWS_SECRET_ACCESS_KEY": "invented",
}

ACCOUNTS = {
    "AWS_ACCESS_KEY_ID": "AKIASOMEBODYSOWN0000",
    "AWS_SECRET_ACCESS_KEY": "somebody's own",
    "AWS_SESSION_TOKEN": "somebody's own",
    "AWS_PROFILE": "production",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/credentials",
    "BOTO_CONFIG": "/etc/boto.cfg",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
}
"""What leads to an account, in the environment of whoever rehearses; a rehearsal that used any of it would fail."""


def rehearsal(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.services.sagemaker.rehearsal", str(folder), "--trials", "2"]
    environment = {**os.environ, **ACCOUNTS, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_programs_of_a_rehearsal_see_nothing_that_leads_elsewhere() -> None:
    seen = secluded({**ACCOUNTS, "HOME": "/home/somebody"}, SERVICE)
    assert seen == {**SERVICE, "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "HOME": "/home/somebody"}


@pytest.mark.parametrize("name", ENDPOINTS)
def test_a_service_elsewhere_is_none_to_rehearse_on(name: str) -> None:
    with pytest.raises(AssertionError, match=name):
        secluded({}, {**SERVICE, name: "https://sagemaker.us-east-1.amazonaws.com"})


def test_a_rehearsed_study_is_not_the_real_one() -> None:
    document = rehearsed(STUDY, {})
    assert document["name"] == NAME != StudySpec.load(STUDY).name
    # "Bucket names must not end with the suffix -s3alias", says the Amazon S3 user guide.
    assert document["objective"]["place"].startswith(f"s3://{BUCKET}/") and BUCKET.endswith("-s3alias")
    assert ":123456789012:" in document["objective"]["role"], "the account of AWS's examples"


def test_an_interrupted_rehearsal_goes_on_and_says_what_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "rehearsal"
    ledger = folder / "service" / "ledger.jsonl"
    with rehearsal(folder) as first:
        while not ledger.exists() or ledger.read_text().count('"taken"') < 2:
            assert first.poll() is None, first.stdout and first.stdout.read()
            time.sleep(0.02)
        first.send_signal(signal.SIGTERM)
        assert first.wait() == 128 + signal.SIGTERM, first.stdout and first.stdout.read()
    with rehearsal(folder) as second:
        said = second.communicate()[0]
    assert second.returncode == 0, said
    assert "ratio-search resume" in said and "begins anew" not in said
    assert "Nothing was sent to Amazon" in said
    study = Study.open(folder / NAME)
    assert [record.state for record in study.records()] == [JobState.COMPLETE] * 2
    events = [json.loads(line) for line in ledger.read_text().splitlines()]
    trained = [event["name"] for event in events if event["event"] == "taken" and "-train-" in event["name"]]
    assert len(trained) == 2, "none is trained twice"
    written = {path.name for path in folder.glob("recipe-*")}
    assert written == {"recipe-yaml.yaml", "recipe-nova-job.json", "recipe-nova-sdk.py", "recipe-nova-hyperpod.yaml"}
    assert f"ratio-search leftovers {NAME}" in said


def test_a_rehearsal_whose_service_was_lost_begins_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "rehearsal"
    (folder / "service" / "bucket").mkdir(parents=True)
    Rehearsal(folder, {}).forget_what_was_lost()
    assert folder.exists()
    (folder / "service" / "bucket").rmdir()
    Rehearsal(folder, {}).forget_what_was_lost()
    assert not folder.exists() and "begins anew" in capsys.readouterr().out
