"""What the service asks of a CreateTrainingJob request, beyond its shape.

Sources: Amazon Nova 2 user guide, "nova-forge-sft-datamix-smtj", "nova-data-prep-sft-2", "nova-model-evaluation". What
the service says where a rule is broken is not known: the wording is ours, but for objects that are missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from objectives.backends.sagemaker.catalogue import BENCHMARKS, CATEGORIES
from tests.services.sagemaker.files import Files
from tests.services.sagemaker.job import stages
from tests.services.sagemaker.options import Options
from tests.services.sagemaker.refusal import invalid

__all__ = ["CALLER", "MODELS", "REGIONS", "Context", "check", "data", "doom", "stages", "uris"]

REGIONS = ("us-east-1", "us-west-2")
"""Where Nova is customised."""

MODELS = ("nova-textgeneration-lite-v2",)
"""Models of the public hub that can be mixed with Nova's data."""

RESERVED = ("User:", "Bot:", "Assistant:", "System:", "<image>", "<video>", "[EOS]")
"""Words that fail a job whose rows have them."""

FEWEST_ROWS, MOST_ROWS = 8, 20_000

MOST_QUESTION = 3_500 * 4
"""Characters of a question with its system text, for tokens are not counted here."""

FILE_NAME = re.compile(r"[A-Za-z0-9_\-/.]+")

BATCH_SIZES = tuple(str(2**power) for power in range(5, 11))

MIXING = re.compile(r"nova_(.+)_percent")

CALLER = "arn:aws:sts::123456789012:assumed-role/Researcher/session"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a request is judged by.

    Attributes:
        region: that it came to.
        options: of the service.
        groups: model package groups that there are.
        packages: ARNs of models that there are.
    """

    region: str
    options: Options
    groups: frozenset[str]
    packages: frozenset[str]


def check(asked: Mapping[str, Any], context: Context) -> None:
    """Checks a request; its data is looked at by `data`.

    Raises:
        Refusal: it breaks a rule.
    """
    serverless = asked.get("ServerlessJobConfig")
    if serverless is None:
        raise invalid("AlgorithmSpecification or ServerlessJobConfig is required.")
    for absent in ("AlgorithmSpecification", "ResourceConfig"):
        if absent in asked:
            raise invalid(f"{absent} cannot be specified together with ServerlessJobConfig.")
    model = serverless["BaseModelArn"].split("/")[3]
    if context.region not in REGIONS or model not in MODELS:
        raise invalid(f"Base model {serverless['BaseModelArn']} does not exist in {context.region}.")
    if not serverless.get("AcceptEula", False):
        raise invalid(f"You must accept the end-user license agreement (EULA) of {model}: set AcceptEula to true.")
    _check_package(asked.get("ModelPackageConfig"), context, needed=serverless["JobType"] == "FineTuning")
    if serverless["JobType"] == "FineTuning":
        _check_training(asked, serverless, context)
    else:
        _check_evaluation(asked, serverless)


def data(asked: Mapping[str, Any], context: Context, files: Files) -> tuple[str, bytes] | None:
    """The data that a request points to, with its address; None where it has none.

    Raises:
        Refusal: there is none, or it lies elsewhere.
    """
    for uri in (asked["OutputDataConfig"]["S3OutputPath"], *uris(asked)):
        found = files.region(uri)
        if found is None:
            raise _not_found(uri, asked["RoleArn"], context.region, "The specified bucket does not exist")
        if found != context.region:
            why = f"The bucket is in this region: {found}. Please use this region to retry the request"
            raise _not_found(uri, asked["RoleArn"], context.region, why)
    content = None
    for uri in uris(asked):
        keys = files.keys(uri)
        if not keys:
            raise _not_found(uri, asked["RoleArn"], context.region, "no object has this prefix")
        content = (keys[0], files.read(keys[0]))
    return content


def doom(asked: Mapping[str, Any], uri: str, content: bytes) -> str | None:
    """Why a job will fail once it has downloaded its data; None where it will not."""
    lines = [line for line in content.decode().split("\n") if line]
    try:
        if "train" in stages(asked):
            return _training_doom([json.loads(line) for line in lines], int(_batch(asked)))
        return _questions_doom(uri, [json.loads(line) for line in lines])
    except ValueError as error:
        return f"ClientError: the data is not JSON Lines: {error}"


def _not_found(uri: str, role: str, region: str, why: str) -> Exception:
    bucket = uri.partition("://")[2].partition("/")[0]
    return invalid(
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket exists in '
        f'the selected region ({region}), that objects exist under that S3 prefix, and that the role "{role}" has '
        f'"s3:ListBucket" permissions on bucket "{bucket}". Error message from S3: {why}'
    )


def uris(asked: Mapping[str, Any]) -> list[str]:
    """Addresses of the data that a request points to."""
    sources = [channel["DataSource"].get("S3DataSource") for channel in asked.get("InputDataConfig", ())]
    return [source["S3Uri"] for source in sources if source is not None]


def _batch(asked: Mapping[str, Any]) -> str:
    return str(asked.get("HyperParameters", {}).get("global_batch_size", "32"))


def _check_package(config: Mapping[str, Any] | None, context: Context, *, needed: bool) -> None:
    if config is None:
        if needed:
            raise invalid("ModelPackageConfig is required for serverless model customization jobs.")
        return
    arn = config["ModelPackageGroupArn"]
    if arn.rpartition("/")[2] not in context.groups or f":{context.region}:" not in arn:
        raise invalid(f"ModelPackageGroup {arn} does not exist.")
    source = config.get("SourceModelPackageArn")
    if source is not None and source not in context.packages:
        raise invalid(f"ModelPackage {source} does not exist.")


def _check_training(asked: Mapping[str, Any], serverless: Mapping[str, Any], context: Context) -> None:
    if serverless.get("CustomizationTechnique") is None:
        raise invalid("CustomizationTechnique is required for JobType FineTuning.")
    parameters = asked.get("HyperParameters", {})
    if _batch(asked) not in BATCH_SIZES:
        raise invalid(f"Hyperparameter global_batch_size: {_batch(asked)} is not one of {', '.join(BATCH_SIZES)}.")
    channels = {channel["ChannelName"]: channel for channel in asked.get("InputDataConfig", ())}
    if "train" not in channels or set(channels) - {"train", "validation"}:
        raise invalid("InputDataConfig must contain the channel train, and may contain the channel validation.")
    for channel in channels.values():
        source = channel["DataSource"].get("S3DataSource", {"S3DataType": "Converse", "S3Uri": ""})
        if source["S3DataType"] != "Converse":
            raise invalid(f"S3DataType {source['S3DataType']} is not supported for technique SFT; it must be Converse.")
        key = source["S3Uri"].partition("://")[2].partition("/")[2]
        if key and not FILE_NAME.fullmatch(key):
            raise invalid(
                f"The S3 key {key} may only contain alphanumeric characters, underscores, hyphens, slashes and dots."
            )
    _check_mixing(parameters, context)


def _check_mixing(parameters: Mapping[str, str], context: Context) -> None:
    nova = {match[1]: parameters[key] for key in parameters if (match := MIXING.fullmatch(key))}
    if not nova and "customer_data_percent" not in parameters:
        return
    if not context.options.subscribed:
        raise invalid("Data mixing requires an active Amazon Nova Forge subscription.")
    try:
        customer = Decimal(parameters.get("customer_data_percent", "50"))
        shares = {category: Decimal(value) for category, value in nova.items()}
    except InvalidOperation as error:
        raise invalid("Data mixing percentages must be numbers.") from error
    if any(not 0 <= value <= 100 for value in (customer, *shares.values())):
        raise invalid("Data mixing percentages must be between 0 and 100.")
    if customer == 100 and not any(shares.values()):
        return
    if nova and set(nova) != set(CATEGORIES):
        odd = sorted(set(nova) ^ set(CATEGORIES))
        raise invalid(
            f"All {len(CATEGORIES)} nova_*_percent hyperparameters must be given, and no others; see {', '.join(odd)}."
        )
    if nova and sum(shares.values()) != 100:
        raise invalid(f"The nova_*_percent hyperparameters must sum to 100, found {sum(shares.values())}.")


def _check_evaluation(asked: Mapping[str, Any], serverless: Mapping[str, Any]) -> None:
    parameters = asked.get("HyperParameters", {})
    task, kind = parameters.get("task"), serverless.get("EvaluationType")
    if task is None or kind is None:
        raise invalid("EvaluationType and the hyperparameter task are required for JobType Evaluation.")
    channels = asked.get("InputDataConfig", ())
    if kind == "CustomScorerEvaluation":
        if task != "gen_qa":
            raise invalid(f"Task {task} is not supported for CustomScorerEvaluation.")
        expected = {"strategy": "gen_qa", "metric": "all"}
        if len(channels) != 1 or channels[0]["ChannelName"] != "train":
            raise invalid("Task gen_qa requires exactly one channel, named train.")
        source = channels[0]["DataSource"].get("S3DataSource", {})
        if source.get("S3DataType") != "S3Prefix":
            raise invalid("Task gen_qa requires S3DataType S3Prefix.")
    else:
        if task not in BENCHMARKS:
            raise invalid(f"Task {task} is not supported for {kind}.")
        expected = {"strategy": BENCHMARKS[task].strategy, "metric": BENCHMARKS[task].metric}
        if channels:
            raise invalid(f"Task {task} does not accept InputDataConfig.")
    for name, value in expected.items():
        if parameters.get(name) != value:
            raise invalid(f"Task {task} requires {name} {value}, found {parameters.get(name)}.")


def _training_doom(rows: list[Any], batch: int) -> str | None:
    if not FEWEST_ROWS <= len(rows) <= MOST_ROWS:
        return f"ClientError: the training data has {len(rows)} samples; expected {FEWEST_ROWS} to {MOST_ROWS}"
    if len(rows) < batch:
        return f"ClientError: the training data has {len(rows)} samples, which is less than global_batch_size {batch}"
    for number, row in enumerate(rows, 1):
        why = _odd_row(row)
        if why is not None:
            return f"ClientError: sample {number} of the training data is invalid: {why}"
    return None


def _odd_row(row: Any) -> str | None:
    if not isinstance(row, dict) or not {"schemaVersion", "messages"} <= set(row):
        return "it has no schemaVersion or no messages"
    if set(row) - {"schemaVersion", "system", "messages", "toolConfig"}:
        return f"unknown fields {sorted(set(row) - {'schemaVersion', 'system', 'messages', 'toolConfig'})}"
    roles = [message["role"] for message in row["messages"]]
    if len(roles) < 2 or len(roles) % 2 or roles != ["user", "assistant"] * (len(roles) // 2):
        return f"turns must alternate from user to assistant, found {roles}"
    blocks = [block for message in row["messages"] for block in message["content"]]
    for block in (*row.get("system", ()), *blocks):
        text = block.get("text")
        if text is not None and (not isinstance(text, str) or not text.strip()):
            return "a text is empty"
        for word in RESERVED:
            if text is not None and word in text:
                return f"the reserved word {word}"
    return None


def _questions_doom(uri: str, rows: list[Any]) -> str | None:
    if uri.rpartition("/")[2] != "gen_qa.jsonl":
        return f"ClientError: expected a file named gen_qa.jsonl, found {uri}"
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not {"query", "response"} <= set(row) <= {
            "query",
            "response",
            "system",
            "metadata",
        }:
            return f"ClientError: row {number} of gen_qa.jsonl does not match the schema"
        if not all(isinstance(value, str) for value in row.values()):
            return f"ClientError: row {number} of gen_qa.jsonl has a value that is no string"
        if len(row["query"]) + len(row.get("system", "")) > MOST_QUESTION:
            return f"ClientError: row {number} of gen_qa.jsonl is longer than the context allows"
    return None if rows else "ClientError: gen_qa.jsonl is empty"
