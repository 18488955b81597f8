"""What a fine-tune leaves, how a person deletes it, and that it can be deleted here."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from objectives.backends.sagemaker.escrow import checkpoint_in, leftovers
from objectives.errors import AccessError, ServiceError
from objectives.remote import Leftover, RemoteObjective, StageRequest
from tests.services.sagemaker.files import CREDENTIALS
from tests.services.sagemaker.server import SagemakerServer

PACKAGE = "arn:aws:sagemaker:us-west-2:123456789012:model-package/nova-study/7"
ESCROW = "customer-escrow-123456789012-smtj-0a1b"
CHECKPOINT = f"s3://{ESCROW}/a job/checkpoint"


@pytest.fixture
def escrow(aws: SagemakerServer) -> Iterator[Any]:
    """A client of S3, in which Amazon's bucket has two checkpoints."""
    s3: Any = boto3.client("s3", endpoint_url=aws.s3_url, region_name="us-east-1", **CREDENTIALS)
    s3.create_bucket(Bucket=ESCROW)
    for key in ("a job/checkpoint/0", "a job/checkpoint/deep/1", "a job/checkpoint-2/0"):
        s3.put_object(Bucket=ESCROW, Key=key, Body=b"weights")
    yield s3
    for key in keys(s3):
        s3.delete_object(Bucket=ESCROW, Key=key)


def keys(s3: Any) -> list[str]:
    return [found["Key"] for found in s3.list_objects_v2(Bucket=ESCROW).get("Contents", ())]


def test_a_fine_tunes_model_and_its_weights_are_left() -> None:
    found = leftovers({"model_package": PACKAGE, "checkpoint": CHECKPOINT, "base_model": "arn:x", "answers": "a.jsonl"})
    assert [one.what for one in found] == ["model package", "checkpoint"]
    assert [shlex.split(one.command) for one in found] == [
        ["aws", "sagemaker", "delete-model-package", "--region", "us-west-2", "--model-package-name", PACKAGE],
        ["aws", "s3", "rm", "--recursive", f"{CHECKPOINT}/"],
    ]


def test_the_untuned_model_leaves_nothing() -> None:
    assert leftovers({"base_model": "arn:x", "answers": "a.jsonl"}) == ()


@pytest.mark.parametrize(
    ("manifest", "place"),
    [
        (b'{"checkpoint_s3_bucket": "s3://b/job/step_4"}', "s3://b/job/step_4"),
        (b'{"checkpoint_s3_bucket": "s3://b"}', None),
        (b'{"checkpoint_s3_bucket": "s3://b/"}', None),
        (b'{"checkpoint_s3_bucket": 7}', None),
        (b'{"other": "s3://b/c"}', None),
        (b'["s3://b/c"]', None),
        (b"torn {", None),
        (b"\xff", None),
    ],
)
def test_a_manifest_says_where_the_weights_are_or_not(manifest: bytes, place: str | None) -> None:
    """Never a whole bucket, which somebody could then delete."""
    assert checkpoint_in(manifest) == place


def test_a_checkpoint_is_deleted_and_nothing_beside_it(nova: Callable[..., RemoteObjective], escrow: Any) -> None:
    objective = nova()
    [leftover] = objective.leftovers({"checkpoint": CHECKPOINT})
    objective.discard(leftover)
    assert keys(escrow) == ["a job/checkpoint-2/0"]
    objective.discard(leftover)


def test_a_checkpoint_whose_bucket_is_gone_is_gone(nova: Callable[..., RemoteObjective]) -> None:
    nova().discard(Leftover(what="checkpoint", place="s3://customer-escrow-gone/a/", command=""))


def test_a_model_is_deleted_once(
    aws: SagemakerServer, nova: Callable[..., RemoteObjective], request_of: Callable[..., StageRequest]
) -> None:
    objective = nova()
    handle = objective.submit(request_of("train"))
    while not objective.poll("train", handle).ended:
        pass
    package = aws.jobs[handle.rpartition("/")[2]]["package"]
    [leftover] = objective.leftovers({"model_package": package})
    for fault, error in (("throttle", ServiceError), ("forbidden", AccessError)):
        aws.fault("DeleteModelPackage", fault)
        with pytest.raises(error, match=f"deleting model package {package}"):
            objective.discard(leftover)
    for _ in range(2):
        objective.discard(leftover)
    assert [line["package"] for line in aws.ledger if line["event"] == "deleted"] == [package]
