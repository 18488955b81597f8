"""What is found out before anything is started: each thing that is amiss, with what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from objectives.backends.sagemaker import SagemakerBackend
from objectives.backends.sagemaker.client import TRIES
from objectives.errors import AccessError, OptionsError, ServiceError
from tests.services.sagemaker.files import CREDENTIALS
from tests.services.sagemaker.server import SagemakerServer

Backends = Callable[..., SagemakerBackend]


@pytest.fixture
def s3(aws: SagemakerServer) -> Any:
    return boto3.client("s3", endpoint_url=aws.s3_url, region_name="us-east-1", **CREDENTIALS)


def test_a_study_that_can_begin_is_found_well_and_nothing_is_changed(
    aws: SagemakerServer, backend: Backends, tmp_path: Path
) -> None:
    before = aws.ledger
    backend().check(tmp_path)
    group = "arn:aws:sagemaker:us-east-1:123456789012:model-package-group/nova-study"
    backend(model_package_group=group).check(tmp_path)
    assert aws.ledger == before


def test_a_check_outlasts_a_hiccup(aws: SagemakerServer, backend: Backends, tmp_path: Path) -> None:
    for call in ("GetCallerIdentity", "DescribeHubContent", "DescribeModelPackageGroup"):
        aws.fault(call, "throttle")
    backend().check(tmp_path)


def test_nothing_is_asked_before_the_licence_is_accepted(
    aws: SagemakerServer, backend: Backends, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for service in ("SAGEMAKER", "S3", "STS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", "http://127.0.0.1:9")
    with pytest.raises(AccessError, match=r"objective\.accept_eula: .*state accept_eula: true"):
        backend(accept_eula=False).check(tmp_path)


def test_a_region_without_nova_is_refused_unless_it_is_stated(
    aws: SagemakerServer, backend: Backends, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with pytest.raises(OptionsError, match=r"say eu-west-1, .* us-east-1 and us-west-2; state one of them"):
        backend().check(tmp_path)
    with pytest.raises(OptionsError, match=r"objective\.place"):
        backend(region="eu-west-1").check(tmp_path)


def test_a_role_of_another_account(aws: SagemakerServer, backend: Backends, tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=r"objective\.role: .*210987654321.*123456789012"):
        backend(role="arn:aws:iam::210987654321:role/NovaStudy").check(tmp_path)


def test_a_bucket_that_is_not_there(aws: SagemakerServer, backend: Backends, tmp_path: Path) -> None:
    with pytest.raises(AccessError, match=r"objective\.place, nobodys-bucket: .*aws s3 mb"):
        backend(place="s3://nobodys-bucket/p").check(tmp_path)


def test_a_bucket_in_another_region(aws: SagemakerServer, backend: Backends, tmp_path: Path, s3: Any) -> None:
    s3.create_bucket(Bucket="in-oregon", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    with pytest.raises(OptionsError, match="in-oregon is in us-west-2, but jobs run in us-east-1"):
        backend(place="s3://in-oregon/p").check(tmp_path)


def test_a_model_that_the_hub_does_not_have(aws: SagemakerServer, backend: Backends, tmp_path: Path) -> None:
    with pytest.raises(AccessError, match=r"objective\.base_model nova-9 in us-east-1: .*correct"):
        backend(base_model="nova-9").check(tmp_path)


def test_a_group_that_is_not_there(aws: SagemakerServer, backend: Backends, tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="create-model-package-group"):
        backend(model_package_group="others").check(tmp_path)


@pytest.mark.parametrize(
    ("call", "fault", "error", "todo"),
    [
        ("GetCallerIdentity", "expired", AccessError, "aws sso login"),
        ("GetCallerIdentity", "unrecognized", AccessError, "does not know these credentials"),
        ("DescribeHubContent", "forbidden", AccessError, "allow sagemaker:DescribeHubContent on arn"),
        ("DescribeModelPackageGroup", "throttle", ServiceError, "Rate exceeded"),
        ("DescribeModelPackageGroup", "silent", ServiceError, "closed"),
    ],
)
def test_what_a_service_answers_is_told(
    aws: SagemakerServer,
    backend: Backends,
    tmp_path: Path,
    call: str,
    fault: str,
    error: type[Exception],
    todo: str,
) -> None:
    aws.fault(call, *[fault] * (TRIES if error is ServiceError else 1))
    with pytest.raises(error, match=todo):
        backend().check(tmp_path)
    backend().check(tmp_path)
