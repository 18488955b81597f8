"""What the service is asked for: requests of CreateTrainingJob, and whether a job was asked for the same.

Sources: Amazon Nova 2 user guide, "nova-forge-sft-datamix-smtj" (fine-tunes) and "customize-fine-tune-evaluate" with
its pages (evaluation); SageMaker's API reference, "CreateTrainingJob", "ServerlessJobConfig". Jobs are serverless:
neither an image nor instances are stated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from objectives.backends.sagemaker import Method, SagemakerBackend
from objectives.backends.sagemaker.catalogue import Benchmark
from objectives.base import Value

HUB = "SageMakerPublicHub"
"""Where the base models are."""

CHANNEL = "train"
"""What the only channel of data is called, for evaluation, too."""

OWN_TESTS = Benchmark(strategy="gen_qa", metric="all")
"""How a model is asked questions of the team's own."""

MIX = re.compile(r"customer_data_percent|nova_.+_percent")
"""Hyperparameters that state a mix; a job that was asked for none has none of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Makes the requests of a study.

    Attributes:
        settings: of the study, or of a job, where some of them are searched.
        base_model: ARN of the base model in SageMaker's hub.
        group: ARN of the group that tuned models are registered in.
    """

    settings: SagemakerBackend
    base_model: str
    group: str

    def training(self, name: str, *, mix: Mapping[str, str], data: str) -> dict[str, Any]:
        """A supervised fine-tune, of an adapter or of all weights.

        Args:
            name: of the job.
            mix: hyperparameters that state the mix with Nova's own data; empty for none of it.
            data: S3 URI of the training file.
        """
        settings = self.settings
        tuning = {"CustomizationTechnique": "SFT"}
        if settings.method is Method.LORA:
            tuning["Peft"] = "LORA"
        if settings.sequence_length is not None:
            tuning["SequenceLength"] = settings.sequence_length
        return {
            **self._job(name, {"JobType": "FineTuning", **tuning}, {**tuned(settings), **mix}),
            "InputDataConfig": [_channel("Converse", data)],
            "ModelPackageConfig": {"ModelPackageGroupArn": self.group},
        }

    def own_tests(self, name: str, *, questions: str, model: str | None) -> dict[str, Any]:
        """Has a model answer the team's own questions.

        Args:
            name: of the job.
            questions: S3 URI of the file of questions.
            model: ARN of the tuned model's package; None for the untuned one.
        """
        inference = self.settings.inference
        stated: dict[str, Value] = {
            "max_new_tokens": inference.max_new_tokens,
            "temperature": inference.temperature,
            "top_p": inference.top_p,
            **({} if inference.top_k is None else {"top_k": inference.top_k}),
        }
        return {
            **self._evaluation(name, "CustomScorerEvaluation", {**_asked("gen_qa", OWN_TESTS), **stated}, model),
            "InputDataConfig": [_channel("S3Prefix", questions)],
        }

    def benchmark(self, name: str, *, task: str, model: str | None) -> dict[str, Any]:
        """Has a model do a public benchmark, as the service does it: how answers are written is its own affair.

        Args:
            name: of the job.
            task: the benchmark.
            model: see `own_tests`.
        """
        return self._evaluation(name, "BenchmarkEvaluation", _asked(task, self.settings.tasks[task]), model)

    def _evaluation(
        self, name: str, kind: str, hyperparameters: Mapping[str, Value], model: str | None
    ) -> dict[str, Any]:
        job = self._job(name, {"JobType": "Evaluation", "EvaluationType": kind}, hyperparameters)
        if model is not None:
            job["ModelPackageConfig"] = {"ModelPackageGroupArn": self.group, "SourceModelPackageArn": model}
        return job

    def _job(self, name: str, serverless: Mapping[str, str], hyperparameters: Mapping[str, Value]) -> dict[str, Any]:
        """What all jobs have."""
        settings = self.settings
        output = {"S3OutputPath": f"{settings.place.rstrip('/')}/jobs", "CompressionType": "NONE"}
        if settings.kms_key is not None:
            output["KmsKeyId"] = settings.kms_key
        job: dict[str, Any] = {
            "TrainingJobName": name,
            "RoleArn": settings.role,
            "HyperParameters": {key: plain(value) for key, value in hyperparameters.items()},
            "OutputDataConfig": output,
            "ServerlessJobConfig": {
                "BaseModelArn": self.base_model,
                "AcceptEula": settings.accept_eula,
                **serverless,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": settings.time_limit_s},
        }
        if settings.network is not None:
            job["VpcConfig"] = {
                "Subnets": list(settings.network.subnets),
                "SecurityGroupIds": list(settings.network.security_groups),
            }
        if settings.tags:
            job["Tags"] = [{"Key": key, "Value": value} for key, value in settings.tags.items()]
        return job


def tuned(settings: SagemakerBackend) -> dict[str, Value]:
    """Hyperparameters of a fine-tune, beside those that state a mix."""
    return {
        **settings.hyperparameters,
        "max_steps": settings.steps,
        "global_batch_size": settings.batch_size,
        **({} if settings.learning_rate is None else {"learning_rate": settings.learning_rate}),
    }


def base_model_arn(region: str, name: str) -> str:
    """ARN of a model in SageMaker's public hub, of whichever version."""
    return f"arn:aws:sagemaker:{region}:aws:hub-content/{HUB}/Model/{name}"


def differences(described: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """How a job differs from what is wanted, in words; empty where it is that.

    What does not change its result is ignored: the role, where files lie, tags, limits. So is the version of the base
    model, as the service always takes its latest, and so are hyperparameters that nobody asked for, with which it may
    have filled up those that it was told, but for a mix.

    Args:
        described: the job, as DescribeTrainingJob has it.
        wanted: a request of CreateTrainingJob.
    """
    found, asked = _essence(described), _essence(wanted)
    keys = dict.fromkeys(asked) | dict.fromkeys(key for key in found if key not in asked and not _filled_up(key))
    return [
        f"{key}: has {found.get(key, 'none')}, wanted {asked.get(key, 'none')}"
        for key in keys
        if found.get(key) != asked.get(key)
    ]


def plain(value: Value) -> str:
    """A hyperparameter's value as text; the service takes no others."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _essence(job: Mapping[str, Any]) -> dict[str, str]:
    """What a job's result depends on, by name."""
    serverless = dict(job.get("ServerlessJobConfig", {}))
    essence = {
        key: serverless[key]
        for key in ("JobType", "EvaluationType", "CustomizationTechnique", "Peft", "SequenceLength")
        if key in serverless
    }
    # arn:aws:sagemaker:<region>:aws:hub-content/<hub>/Model/<name>[/<version>]
    essence["base model"] = "/".join(serverless.get("BaseModelArn", "").split("/")[1:4])
    hyperparameters = dict(job.get("HyperParameters", {}))
    if hyperparameters.get("customer_data_percent", "100") in ("100", "100.0"):  # which is no mix at all
        hyperparameters = {key: value for key, value in hyperparameters.items() if not MIX.fullmatch(key)}
    essence |= {f"hyperparameter {key}": value for key, value in hyperparameters.items()}
    for channel in job.get("InputDataConfig", ()):
        # Its last two parts are the content's digest and its name; all others are where it lies.
        place = channel["DataSource"]["S3DataSource"]["S3Uri"]
        essence[f"data {channel['ChannelName']}"] = "/".join(place.split("/")[-2:])
    model = job.get("ModelPackageConfig", {}).get("SourceModelPackageArn")
    return essence if model is None else {**essence, "model": model}


def _filled_up(key: str) -> bool:
    """Whether the service may have put this into a job that was not asked for it."""
    kind, _, name = key.partition(" ")
    return key == "SequenceLength" or (kind == "hyperparameter" and not MIX.fullmatch(name))


def _asked(task: str, how: Benchmark) -> dict[str, Value]:
    return {"task": task, "strategy": how.strategy, "metric": how.metric}


def _channel(kind: str, uri: str) -> dict[str, Any]:
    source = {"S3DataType": kind, "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {
        "ChannelName": CHANNEL,
        "DataSource": {"S3DataSource": source},
        "CompressionType": "None",
        "RecordWrapperType": "None",
    }
