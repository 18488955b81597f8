"""Clients of AWS: how long they wait, where they ask, and what they keep to themselves."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from objectives.backends.sagemaker import SagemakerBackend
from objectives.backends.sagemaker.client import clients
from objectives.errors import RatioSearchError
from objectives.remote import RemoteObjective, StageRequest
from tests.services.sagemaker.server import SagemakerServer

Backends = Callable[..., SagemakerBackend]


def test_a_call_is_made_once_and_ends_by_its_time_limit(aws: SagemakerServer, backend: Backends) -> None:
    """Who waits and asks again is the driver, who looks up first what became of the call."""
    made = clients(backend(timeout_s=3.5))
    for client in (made.sagemaker, made.sts):
        assert client.meta.config.retries["total_max_attempts"] == 1
    for client in (made.sagemaker, made.s3, made.sts):
        assert client.meta.config.read_timeout == client.meta.config.connect_timeout == 3.5
        assert client.meta.config.max_pool_connections >= 32
    assert clients(backend(timeout_s=30), most_s=5).s3.meta.config.read_timeout == 5


def test_the_study_files_region_goes_before_boto3s_own(aws: SagemakerServer, backend: Backends) -> None:
    assert clients(backend()).region == "us-east-1"
    assert clients(backend(region="us-west-2")).region == "us-west-2"


MARKER = "MARKERwJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLE"


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch, aws: SagemakerServer) -> None:
    """Credentials whose every part is known again."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", f"AKIA{MARKER}")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"secret{MARKER}")
    monkeypatch.setenv("AWS_SESSION_TOKEN", f"token{MARKER}")


def test_credentials_are_written_nowhere(
    marked: None,
    aws: SagemakerServer,
    nova: Callable[..., RemoteObjective],
    backend: Backends,
    request_of: Callable[..., StageRequest],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Neither in files, settings, logs and errors, nor in what the services keep of a job."""
    with caplog.at_level(logging.INFO):
        objective = nova()
        request = request_of("train")
        handle = objective.submit(request)
        status = objective.poll("train", handle)
        said = []
        for fault in ("expired", "unrecognized", "forbidden", "refuse", "broken", "hang", "limit"):
            aws.fault("CreateTrainingJob", fault)
            with pytest.raises(RatioSearchError) as raised:
                objective.submit(request)
            said.append(f"{raised.value} {raised.value.__cause__}")
    written = [path.read_text(errors="replace") for path in request.folder.rglob("*") if path.is_file()]
    kept = json.dumps([aws.ledger, aws.jobs])
    shown = [caplog.text, *capfd.readouterr(), repr(status), repr(objective), str(vars(objective)), kept]
    assert len(said) == 7
    for text in (*said, *written, *shown, backend().model_dump_json(), repr(clients(backend()))):
        assert MARKER not in text
