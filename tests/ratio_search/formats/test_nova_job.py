"""The request of a fine-tune: by the service's own model, and sent by a real client to the local service."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import boto3
import pytest

from objectives.backends.sagemaker.catalogue import CATEGORIES
from objectives.data import Format as RowFormat
from ratio_search.errors import SpecError
from ratio_search.formats import Format
from ratio_search.formats.nova_job import DATA, REGION
from ratio_search.mix import Order, mix
from ratio_search.recipe import Recipe
from tests.ratio_search.formats.nova_contract import NovaContract, restated
from tests.services.sagemaker.server import BUCKET, SagemakerServer
from tests.services.sagemaker.shapes import Shapes


def request_of(recipe: Recipe) -> dict[str, Any]:
    request: dict[str, Any] = json.loads(Format.NOVA_JOB.load().write(recipe))
    return request


def mixing(request: dict[str, Any]) -> dict[str, str]:
    return {key: value for key, value in request["HyperParameters"].items() if key.endswith("_percent")}


class TestContract(NovaContract):
    FORMAT: ClassVar[Format] = Format.NOVA_JOB

    def percentages(self, text: str) -> tuple[str, dict[str, str]]:
        stated = mixing(json.loads(text))
        customer = stated.pop("customer_data_percent")
        return customer, {key[len("nova_") : -len("_percent")]: value for key, value in stated.items()}


def test_botocores_own_model_of_the_service_takes_it(nova_recipe: Recipe) -> None:
    settings = {
        "region": "us-west-2",
        "method": "full",
        "sequence_length": "32K",
        "kms_key": "arn:aws:kms:us-west-2:123456789012:key/1",
        "network": {"subnets": ["subnet-1"], "security_groups": ["sg-1"]},
        "tags": {"team": "voc"},
        "hyperparameters": {"warmup_steps": 5, "reasoning_enabled": False},
    }
    request = request_of(restated(nova_recipe, objective=settings))
    Shapes().check_request("CreateTrainingJob", request)
    assert "Peft" not in request["ServerlessJobConfig"]
    assert request["HyperParameters"]["reasoning_enabled"] == "false"
    assert request["VpcConfig"] == {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    assert request["Tags"] == [{"Key": "team", "Value": "voc"}]
    spoilt = {**request, "HyperParameters": {"max_steps": 20}}
    with pytest.raises(Exception, match=r"Invalid type for parameter HyperParameters\.max_steps"):
        Shapes().check_request("CreateTrainingJob", spoilt)


def test_the_mix_is_exact_and_of_all_categories(nova_recipe: Recipe) -> None:
    stated = mixing(request_of(nova_recipe))
    assert stated.pop("customer_data_percent") == "60.0"
    assert set(stated) == {f"nova_{category}_percent" for category in CATEGORIES}
    assert all(re.fullmatch(r"\d{1,3}\.\d", value) for value in stated.values())
    assert sum(map(Fraction, stated.values())) == 100
    assert stated["nova_code_percent"] == "25.0"


def test_where_the_customer_has_everything_nothing_else_is_stated(nova_recipe: Recipe) -> None:
    shares = {"voc": 0.5, "support": 0.5, "code": 0.0, "reasoning": 0.0, "other": 0.0}
    stated = mixing(request_of(dataclasses.replace(nova_recipe, shares=shares)))
    assert stated == {"customer_data_percent": "100.0"}


def test_a_recipe_of_the_teams_own_data_alone_states_no_mix(own_recipe: Recipe) -> None:
    assert mixing(request_of(own_recipe)) == {}
    Shapes().check_request("CreateTrainingJob", {**request_of(restated(own_recipe, objective={"region": "us-east-1"}))})


def test_it_has_the_recipes_own_hyperparameters(nova_recipe: Recipe) -> None:
    tuned = dataclasses.replace(nova_recipe, hyperparameters={"steps": 250, "learning_rate": 0.000012345})
    found = request_of(tuned)["HyperParameters"]
    assert (found["max_steps"], found["learning_rate"], found["global_batch_size"]) == ("250", "1.2345e-05", "32")
    assert "learning_rate" not in request_of(nova_recipe)["HyperParameters"], "the recipe's default would be overruled"


class TestTheName:
    def test_follows_from_what_is_asked_for(self, nova_recipe: Recipe) -> None:
        name = request_of(nova_recipe)["TrainingJobName"]
        other = dataclasses.replace(nova_recipe, shares={**nova_recipe.shares, "code": 0.2, "other": 0.0})
        assert re.fullmatch("small-nova-[0-9a-f]{16}", name)
        assert request_of(other)["TrainingJobName"] != name
        assert request_of(dataclasses.replace(nova_recipe, created="later"))["TrainingJobName"] == name

    @pytest.mark.parametrize("study", ["a" * 64, "v1.0_final--", "x..y"])
    def test_is_one_that_the_service_takes(self, nova_recipe: Recipe, study: str) -> None:
        request = request_of(dataclasses.replace(restated(nova_recipe, objective={"region": "us-east-1"}), study=study))
        Shapes().check_request("CreateTrainingJob", request)
        assert "--" not in request["TrainingJobName"]


class TestWhatIsLeftToFillIn:
    def test_is_named(self, nova_recipe: Recipe) -> None:
        request = request_of(nova_recipe)
        assert (
            request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] == f"s3://{BUCKET}/small-nova/{DATA}"
        )
        assert request["ServerlessJobConfig"]["BaseModelArn"].split(":")[3] == REGION
        made, blanks = Format.NOVA_JOB.load().remarks(nova_recipe, Path("runs/nova/recipe.json"))
        assert made == (
            "the training file holds voc 55.6%, support 44.4%; it is written by `ratio-search mix "
            "runs/nova/recipe.json --format converse --out train.jsonl`"
        )
        assert blanks.startswith(f"fill in {DATA} (where you put the training file), {REGION} (your region;")

    def test_is_refused_by_the_service_as_long_as_it_is_not(self, nova_recipe: Recipe) -> None:
        with pytest.raises(Exception, match=r"'arn:aws:sagemaker:FILL-IN-REGION:.*' failed to satisfy constraint"):
            Shapes().check_request("CreateTrainingJob", request_of(nova_recipe))

    def test_is_no_region_where_the_study_file_or_a_trial_tells_it(self, nova_recipe: Recipe) -> None:
        stated = restated(nova_recipe, objective={"region": "us-west-2"})
        model = "arn:aws:sagemaker:us-west-2:aws:hub-content/SageMakerPublicHub/Model/nova-textgeneration-lite-v2/1.0.2"
        told = dataclasses.replace(
            nova_recipe, artefacts={"checkpoint": "s3://escrow/job", "base_model": model, "model_package": "arn:x"}
        )
        for recipe in (stated, told):
            request = request_of(recipe)
            assert request["ServerlessJobConfig"]["BaseModelArn"].split(":")[3] == "us-west-2"
            group = "arn:aws:sagemaker:us-west-2:123456789012:model-package-group/nova-study"
            assert request["ModelPackageConfig"]["ModelPackageGroupArn"] == group
            assert Format.NOVA_JOB.load().remarks(recipe, Path("r"))[1].count("FILL-IN") == 1
        assert request_of(told)["ServerlessJobConfig"]["BaseModelArn"] == model


def test_a_study_file_that_was_spoilt_is_told(nova_recipe: Recipe) -> None:
    with pytest.raises(SpecError, match=r"^the recipe's study file:\nobjective\.stesp: unknown key"):
        request_of(restated(nova_recipe, objective={"stesp": 1}))


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SagemakerServer]:
    with SagemakerServer(tmp_path / "service") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def test_the_local_service_trains_with_it_once_it_is_filled_in(
    nova_recipe: Recipe, service: SagemakerServer, tmp_path: Path
) -> None:
    text = Format.NOVA_JOB.load().write(nova_recipe)
    mix(nova_recipe, tmp_path / "train.jsonl", Order(format=RowFormat.CONVERSE))
    s3: Any = boto3.client("s3")
    sagemaker: Any = boto3.client("sagemaker")
    s3.upload_file(str(tmp_path / "train.jsonl"), BUCKET, "small-nova/final/train.jsonl")
    request = json.loads(text.replace(DATA, "final/train.jsonl").replace(REGION, "us-east-1"))
    answer = sagemaker.create_training_job(**request)
    name = answer["TrainingJobArn"].rpartition("/")[2]
    assert name == request["TrainingJobName"]
    while (job := sagemaker.describe_training_job(TrainingJobName=name))["TrainingJobStatus"] == "InProgress":
        pass
    assert job["TrainingJobStatus"] == "Completed", job
    assert mixing({"HyperParameters": job["HyperParameters"]}) == mixing(request)
    with pytest.raises(sagemaker.exceptions.ResourceInUse):
        sagemaker.create_training_job(**request)
