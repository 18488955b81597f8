"""Requests as the service's documentation has them, valid by its own model, and how a job is known again."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from objectives.backends.sagemaker import SagemakerBackend
from objectives.backends.sagemaker.catalogue import BENCHMARKS, CATEGORIES
from objectives.backends.sagemaker.percentages import Percentages
from objectives.backends.sagemaker.request import Requests, base_model_arn, differences, plain
from objectives.domain import Domain
from objectives.mixture import Mixture
from tests.services.sagemaker.shapes import Shapes

GROUP = "arn:aws:sagemaker:us-east-1:123456789012:model-package-group/nova-study"
BASE = f"{base_model_arn('us-east-1', 'nova-textgeneration-lite-v2')}/2.0.1"
MODEL = "arn:aws:sagemaker:us-east-1:123456789012:model-package/nova-study/7"
ROLE = "arn:aws:iam::123456789012:role/NovaStudy"
DATA = f"s3://nova-study/p/data/{'ab' * 32}/train.jsonl"
QUESTIONS = f"s3://nova-study/p/data/{'cd' * 32}/gen_qa.jsonl"
DOMAINS = (
    Domain(name="voc", train=("a",)),  # type: ignore[arg-type]
    Domain(name="nova", categories=CATEGORIES),
)


def backend(**others: Any) -> SagemakerBackend:
    stated = {"role": ROLE, "place": "s3://nova-study/p", "model_package_group": "nova-study", "accept_eula": True}
    return SagemakerBackend.model_validate({"kind": "sagemaker", **stated, **others})


def requests(**others: Any) -> Requests:
    return Requests(settings=backend(**others), base_model=BASE, group=GROUP)


def mix(customer: float) -> dict[str, str]:
    mixture = Mixture.of({"voc": customer, "nova": 1 - customer})
    return Percentages.of(mixture, DOMAINS).hyperparameters(CATEGORIES)


@pytest.fixture(scope="module")
def shapes() -> Shapes:
    return Shapes()


def test_a_fine_tune_with_a_mix() -> None:
    asked = requests(learning_rate=1e-5, sequence_length="32K").training("x", mix=mix(0.75), data=DATA)
    nova = {key: value for key, value in asked["HyperParameters"].items() if key.startswith("nova_")}
    assert len(nova) == 23
    assert nova["nova_reasoning-instruction-following_percent"] == "45.0"
    assert {key: value for key, value in asked["HyperParameters"].items() if key not in nova} == {
        "max_steps": "100",
        "global_batch_size": "32",
        "learning_rate": "1e-05",
        "customer_data_percent": "75.0",
    }
    del asked["HyperParameters"]
    assert asked == {
        "TrainingJobName": "x",
        "RoleArn": ROLE,
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "Converse",
                        "S3Uri": DATA,
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
                "CompressionType": "None",
                "RecordWrapperType": "None",
            }
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://nova-study/p/jobs", "CompressionType": "NONE"},
        "ServerlessJobConfig": {
            "BaseModelArn": BASE,
            "AcceptEula": True,
            "JobType": "FineTuning",
            "CustomizationTechnique": "SFT",
            "Peft": "LORA",
            "SequenceLength": "32K",
        },
        "ModelPackageConfig": {"ModelPackageGroupArn": GROUP},
        "StoppingCondition": {"MaxRuntimeInSeconds": 86_400},
    }


def test_a_fine_tune_of_all_weights_on_the_teams_data_alone() -> None:
    asked = requests(method="full", hyperparameters={"warmup_steps": 15, "reasoning_enabled": True}).training(
        "x", mix={}, data=DATA
    )
    assert "Peft" not in asked["ServerlessJobConfig"]
    assert asked["HyperParameters"] == {
        "warmup_steps": "15",
        "reasoning_enabled": "true",
        "max_steps": "100",
        "global_batch_size": "32",
    }


@pytest.mark.parametrize("model", [MODEL, None])
def test_questions_of_the_teams_own(model: str | None) -> None:
    asked = requests().own_tests("x", questions=QUESTIONS, model=model)
    assert asked["HyperParameters"] == {
        "task": "gen_qa",
        "strategy": "gen_qa",
        "metric": "all",
        "max_new_tokens": "512",
        "temperature": "0.0",
        "top_p": "1.0",
    }
    assert asked["ServerlessJobConfig"] == {
        "BaseModelArn": BASE,
        "AcceptEula": True,
        "JobType": "Evaluation",
        "EvaluationType": "CustomScorerEvaluation",
    }
    [channel] = asked["InputDataConfig"]
    assert channel["DataSource"]["S3DataSource"]["S3DataType"] == "S3Prefix"
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == QUESTIONS
    expected = None if model is None else {"ModelPackageGroupArn": GROUP, "SourceModelPackageArn": MODEL}
    assert asked.get("ModelPackageConfig") == expected


def test_a_benchmark_is_done_as_the_service_does_it() -> None:
    asked = requests(inference={"max_new_tokens": 7}).benchmark("x", task="mmlu", model=MODEL)
    assert asked["HyperParameters"] == {"task": "mmlu", "strategy": "zs_cot", "metric": "accuracy"}
    assert asked["ServerlessJobConfig"]["EvaluationType"] == "BenchmarkEvaluation"
    assert "InputDataConfig" not in asked


def test_keys_networks_and_tags_are_handed_on() -> None:
    asked = requests(
        kms_key="alias/nova",
        network={"subnets": ["subnet-1"], "security_groups": ["sg-1", "sg-2"]},
        tags={"team": "voc"},
        time_limit_s=3600,
    ).benchmark("x", task="mmlu", model=None)
    assert asked["OutputDataConfig"]["KmsKeyId"] == "alias/nova"
    assert asked["VpcConfig"] == {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1", "sg-2"]}
    assert asked["Tags"] == [{"Key": "team", "Value": "voc"}]
    assert asked["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600}


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (False, "false"), (1e-5, "1e-05"), (0.1, "0.1"), (32, "32"), ("a", "a")]
)
def test_values_are_texts(value: str | float, text: str) -> None:
    assert plain(value) == text


IDENTIFIERS = st.from_regex(r"[a-zA-Z0-9-]{1,20}", fullmatch=True)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from(["lora", "full"]),
        "steps": st.integers(1, 10_000),
        "batch_size": st.sampled_from([32, 64, 1024]),
        "learning_rate": st.floats(1e-9, 1, exclude_min=True),
        "hyperparameters": st.dictionaries(
            st.from_regex(r"[a-z_]{1,30}", fullmatch=True).filter(
                lambda key: key not in ("max_steps", "global_batch_size", "learning_rate") and "percent" not in key
            ),
            st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False), st.text("abc/_.:,", max_size=50)),
            max_size=20,
        ),
        "sequence_length": st.sampled_from(["1K", "32K", "1024K"]),
        "kms_key": IDENTIFIERS,
        "network": st.fixed_dictionaries(
            {
                "subnets": st.lists(IDENTIFIERS, min_size=1, max_size=16),
                "security_groups": st.lists(IDENTIFIERS, min_size=1, max_size=5),
            }
        ),
        "tags": st.dictionaries(st.text("abc:/", min_size=1, max_size=20), st.text("abc-", max_size=20), max_size=50),
        "time_limit_s": st.integers(60, 432_000),
        "place": st.sampled_from(["s3://nova-study", "s3://nova-study/", "s3://nova-study/a/b/"]),
        "inference": st.fixed_dictionaries(
            {"max_new_tokens": st.integers(1, 9999), "temperature": st.floats(0, 2), "top_k": st.integers(1, 99)}
        ),
    },
)


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stated=SETTINGS, customer=st.floats(0, 1), tuned=st.booleans(), task=st.sampled_from(sorted(BENCHMARKS)))
def test_every_request_is_valid_by_the_services_own_model(
    shapes: Shapes, stated: dict[str, Any], customer: float, tuned: bool, task: str
) -> None:
    """Types, required members, lengths, patterns and enumerations; and each is known again as what it is."""
    of, model = requests(**stated), MODEL if tuned else None
    made = [
        of.training("x", mix=mix(customer), data=DATA),
        of.training("x", mix={}, data=DATA),
        of.own_tests("x", questions=QUESTIONS, model=model),
        of.benchmark("x", task=task, model=model),
    ]
    for asked in made:
        shapes.check_request("CreateTrainingJob", asked)
        assert differences(asked, asked) == []
        assert "//" not in asked["OutputDataConfig"]["S3OutputPath"].removeprefix("s3://")
    assert differences(made[2], made[3])


def described(asked: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {**copy.deepcopy(asked), "TrainingJobStatus": "InProgress", **others}


SAME: dict[str, Callable[[dict[str, Any]], object]] = {
    "another version of the base model": lambda job: job["ServerlessJobConfig"].update(
        BaseModelArn=f"{BASE[:-5]}9.9.9"
    ),
    "no version of it": lambda job: job["ServerlessJobConfig"].update(BaseModelArn=BASE.rpartition("/")[0]),
    "tags": lambda job: job.update(Tags=[{"Key": "a", "Value": "b"}]),
    "a time limit": lambda job: job.update(StoppingCondition={"MaxRuntimeInSeconds": 5}),
    "another role": lambda job: job.update(RoleArn=f"{ROLE}2"),
    "hyperparameters of the recipe": lambda job: job["HyperParameters"].update(warmup_steps="15"),
    "a length that the service chose": lambda job: job["ServerlessJobConfig"].update(SequenceLength="32K"),
    "the same data in another place": lambda job: job["InputDataConfig"][0]["DataSource"]["S3DataSource"].update(
        S3Uri=f"s3://other/q/{DATA.partition('/p/')[2]}"
    ),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME.keys())
def test_a_job_is_known_again_in_spite_of(change: Callable[[dict[str, Any]], object]) -> None:
    asked = requests().training("x", mix=mix(0.75), data=DATA)
    found = described(asked)
    change(found)
    assert differences(found, asked) == []


OTHER: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "steps": (lambda job: job["HyperParameters"].update(max_steps="7"), "hyperparameter max_steps: has 7, wanted 100"),
    "mix": (
        lambda job: job["HyperParameters"].update(customer_data_percent="70.0"),
        "hyperparameter customer_data_percent: has 70.0, wanted 75.0",
    ),
    "a category": (
        lambda job: job["HyperParameters"].update({"nova_new_percent": "1.0"}),
        "hyperparameter nova_new_percent: has 1.0, wanted none",
    ),
    "a hyperparameter less": (
        lambda job: job["HyperParameters"].pop("max_steps"),
        "hyperparameter max_steps: has none, wanted 100",
    ),
    "data": (
        lambda job: job["InputDataConfig"][0]["DataSource"]["S3DataSource"].update(S3Uri=DATA.replace("ab", "ff")),
        f"data train: has {'ff' * 32}/train.jsonl, wanted {'ab' * 32}/train.jsonl",
    ),
    "all weights": (lambda job: job["ServerlessJobConfig"].pop("Peft"), "Peft: has none, wanted LORA"),
    "another model": (
        lambda job: job["ServerlessJobConfig"].update(BaseModelArn=BASE.replace("lite", "pro")),
        "base model: has SageMakerPublicHub/Model/nova-textgeneration-pro-v2, wanted "
        "SageMakerPublicHub/Model/nova-textgeneration-lite-v2",
    ),
    "tuned further": (
        lambda job: job["ModelPackageConfig"].update(SourceModelPackageArn=MODEL),
        f"model: has {MODEL}, wanted none",
    ),
    "no serverless job": (lambda job: job.pop("ServerlessJobConfig"), "JobType: has none, wanted FineTuning"),
}


@pytest.mark.parametrize(("change", "said"), OTHER.values(), ids=OTHER.keys())
def test_another_job_is_told_apart_by(change: Callable[[dict[str, Any]], object], said: str) -> None:
    asked = requests().training("x", mix=mix(0.75), data=DATA)
    found = described(asked)
    change(found)
    assert said in differences(found, asked)


def test_a_job_without_a_mix_is_not_one_with_it() -> None:
    without, mixed = (requests().training("x", mix=each, data=DATA) for each in ({}, mix(0.75)))
    assert differences(described(mixed), without)
    assert differences(described(without), mixed)


def test_all_of_the_teams_data_is_no_mix() -> None:
    """The service may tell it so, with as many zeros as it likes."""
    alone = requests().training("x", mix={}, data=DATA)
    whole = requests().training("x", mix=mix(1.0), data=DATA)
    zeros = described(whole)
    zeros["HyperParameters"] |= {f"nova_{name}_percent": "0.0" for name in CATEGORIES}
    assert differences(described(whole), alone) == differences(described(alone), whole) == []
    assert differences(zeros, whole) == []
