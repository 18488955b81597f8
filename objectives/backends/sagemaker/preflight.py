"""Finds out, without starting anything, whether the service would take a study's jobs."""

from __future__ import annotations

from typing import Any

from objectives.backends.sagemaker import SagemakerBackend
from objectives.backends.sagemaker.catalogue import REGIONS
from objectives.backends.sagemaker.client import Clients, clients
from objectives.backends.sagemaker.reply import translated
from objectives.backends.sagemaker.request import HUB
from objectives.errors import AccessError, OptionsError

MOST_S = 10.0
"""Most seconds that each answer may take: somebody waits for it."""


def check(settings: SagemakerBackend) -> None:
    """Asks for everything that the settings name, in the order in which one would set it up; nothing is changed.

    What cannot be found out so shows with the first job: whether the role may do its work, the subscription to Nova
    Forge, and quotas.

    Raises:
        AccessError: somebody has to repair something first.
        OptionsError: the settings do not fit together.
        ServiceError: a service does not answer.
    """
    check_licence(settings)
    asked = clients(settings, most_s=MOST_S)
    if settings.region is None and asked.region not in REGIONS:
        raise OptionsError(
            f"objective.region: boto3's own settings say {asked.region}, but Nova is fine-tuned in "
            f"{' and '.join(REGIONS)}; state one of them, or {asked.region} if it is by now"
        )
    _check_account(settings, asked)
    _check_bucket(settings, asked)
    with translated(f"looking up objective.base_model {settings.base_model} in {asked.region}"):
        hub_model(asked, settings.base_model)
    with translated(f"looking up objective.model_package_group {settings.model_package_group}"):
        group_arn(asked, settings.model_package_group)


def check_licence(settings: SagemakerBackend) -> None:
    """Checks that somebody has accepted the model's licence, before anything is asked of the service.

    Raises:
        AccessError: nobody has.
    """
    if not settings.accept_eula:
        raise AccessError(
            f"objective.accept_eula: nobody has accepted the licence of {settings.base_model}; read it (the model's "
            "page in SageMaker's hub shows it), and state accept_eula: true"
        )


def hub_model(asked: Clients, name: str) -> str:
    """ARN of a model in SageMaker's public hub, with its latest version; botocore's errors are not translated."""
    found: dict[str, Any] = asked.sagemaker.describe_hub_content(
        HubName=HUB, HubContentType="Model", HubContentName=name
    )
    return str(found["HubContentArn"])


def group_arn(asked: Clients, group: str) -> str:
    """ARN of a model package group, of which the name or the ARN is stated; likewise."""
    found: dict[str, Any] = asked.sagemaker.describe_model_package_group(ModelPackageGroupName=group)
    return str(found["ModelPackageGroupArn"])


def _check_account(settings: SagemakerBackend, asked: Clients) -> None:
    with translated("asking AWS whose credentials these are"):
        account = asked.sts.get_caller_identity()["Account"]
    own = settings.role.split(":")[4]
    if own != account:
        raise OptionsError(
            f"objective.role: {settings.role} is of account {own}, but the credentials are of {account}; jobs run as a "
            "role of their own account"
        )


def _check_bucket(settings: SagemakerBackend, asked: Clients) -> None:
    bucket = settings.place.removeprefix("s3://").partition("/")[0]
    with translated(f"looking up the bucket of objective.place, {bucket}"):
        answer = asked.s3.head_bucket(Bucket=bucket)
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    region = answer.get("BucketRegion") or headers.get("x-amz-bucket-region")
    if region is not None and region != asked.region:
        raise OptionsError(
            f"objective.place: the bucket {bucket} is in {region}, but jobs run in {asked.region}; choose a bucket "
            "there (`aws s3 mb s3://NAME --region REGION` makes one), or another objective.region"
        )
