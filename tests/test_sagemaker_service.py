"""The local SageMaker itself, spoken to by real clients of boto3."""

from __future__ import annotations

import dataclasses
import json
import re
import tarfile
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from objectives.backends.sagemaker.catalogue import CATEGORIES
from objectives.data import read_rows
from tests.services.sagemaker.faults import Faults
from tests.services.sagemaker.ledger import Ledger
from tests.services.sagemaker.server import BUCKET, SagemakerServer
from tests.services.sagemaker.shapes import Shapes
from tests.services.sagemaker.study import ROLE, small_nova_study

MODEL = "nova-textgeneration-lite-v2"
BASE = f"arn:aws:sagemaker:us-east-1:aws:hub-content/SageMakerPublicHub/Model/{MODEL}/2.0.1"
GROUP = "arn:aws:sagemaker:us-east-1:123456789012:model-package-group/nova-study"
USUAL = {f"nova_{name}_percent": str(value) for name, value in CATEGORIES.items()}
ONCE = Config(retries={"total_max_attempts": 1})
HASTY = Config(retries={"total_max_attempts": 1}, read_timeout=0.3)
"""Waits less than a late answer takes."""


class Client:
    """boto3's clients, led to a service, with requests as a study makes them."""

    def __init__(self, server: SagemakerServer) -> None:
        self.sagemaker = self.of("sagemaker", server)
        self.s3 = self.of("s3", server)
        self.sts = self.of("sts", server)

    def of(self, name: str, server: SagemakerServer, **changes: Any) -> Any:
        environment = server.environment
        return boto3.client(
            name,
            **{
                "endpoint_url": environment[f"AWS_ENDPOINT_URL_{name.upper()}"],
                "region_name": "us-east-1",
                "aws_access_key_id": environment["AWS_ACCESS_KEY_ID"],
                "aws_secret_access_key": environment["AWS_SECRET_ACCESS_KEY"],
                "config": ONCE,
                **changes,
            },
        )

    def put(self, key: str, rows: list[dict[str, Any]]) -> str:
        body = "".join(json.dumps(row) + "\n" for row in rows)
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body.encode())
        return f"s3://{BUCKET}/{key}"

    def train(self, name: str, data: str, **parameters: str) -> str:
        return str(self.sagemaker.create_training_job(**training(name, data, **parameters))["TrainingJobArn"])

    def evaluate(self, name: str, questions: str, package: str | None = None, **changes: Any) -> None:
        self.sagemaker.create_training_job(**evaluation(name, questions, package) | changes)

    def look(self, name: str) -> dict[str, Any]:
        return dict(self.sagemaker.describe_training_job(TrainingJobName=name))

    def finish(self, name: str) -> dict[str, Any]:
        while (found := self.look(name))["TrainingJobStatus"] in ("InProgress", "Stopping"):
            pass
        return found

    def written(self, prefix: str) -> dict[str, bytes]:
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", ())
        return {one["Key"]: self.s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read() for one in found}


def training(name: str, data: str, **parameters: str) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "HyperParameters": {"max_steps": "20", "global_batch_size": "32", **parameters},
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "DataSource": {"S3DataSource": {"S3DataType": "Converse", "S3Uri": data}},
            }
        ],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/jobs", "CompressionType": "NONE"},
        "ServerlessJobConfig": {
            "BaseModelArn": BASE,
            "AcceptEula": True,
            "JobType": "FineTuning",
            "CustomizationTechnique": "SFT",
            "Peft": "LORA",
        },
        "ModelPackageConfig": {"ModelPackageGroupArn": GROUP},
    }


def evaluation(name: str, questions: str | None, package: str | None, task: str = "gen_qa") -> dict[str, Any]:
    kinds = {"gen_qa": ("gen_qa", "all"), "mmlu": ("zs_cot", "accuracy"), "ifeval": ("zs", "accuracy")}
    strategy, metric = kinds[task]
    asked: dict[str, Any] = {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "HyperParameters": {"task": task, "strategy": strategy, "metric": metric},
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/jobs", "CompressionType": "NONE"},
        "ServerlessJobConfig": {
            "BaseModelArn": BASE,
            "AcceptEula": True,
            "JobType": "Evaluation",
            "EvaluationType": "BenchmarkEvaluation" if questions is None else "CustomScorerEvaluation",
        },
    }
    if questions is not None:
        source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": questions}}
        asked["InputDataConfig"] = [{"ChannelName": "train", "DataSource": source}]
    if package is not None:
        asked["ModelPackageConfig"] = {"ModelPackageGroupArn": GROUP, "SourceModelPackageArn": package}
    return asked


def converse(user: str, assistant: str) -> dict[str, Any]:
    said = {"user": user, "assistant": assistant}
    messages = [{"role": role, "content": [{"text": text}]} for role, text in said.items()]
    return {"schemaVersion": "bedrock-conversation-2024", "messages": messages}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_nova_study(tmp_path_factory.mktemp("study"), test=200)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, study: Path) -> Iterator[SagemakerServer]:
    with SagemakerServer(tmp_path_factory.mktemp("service"), world=study) as server:
        yield server


@pytest.fixture(scope="module")
def client(running: SagemakerServer) -> Client:
    return Client(running)


@pytest.fixture
def server(running: SagemakerServer) -> Iterator[SagemakerServer]:
    """The service, whose switches are put back after the test."""
    before = running.options
    yield running
    if running.options != before:
        running.set(**dataclasses.asdict(before))


@pytest.fixture(scope="module")
def data(client: Client, study: Path) -> str:
    """A training file of both domains, in equal parts."""
    rows = [row for name in ("voc", "support") for row in read_rows([study.parent / f"{name}-train.jsonl"])]
    return client.put("data/train.jsonl", [converse(row.instruction, row.output) for row in rows])


@pytest.fixture(scope="module")
def questions(client: Client, study: Path) -> str:
    """Both domains' test rows."""
    asked = []
    for name in ("voc", "support"):
        for i, row in enumerate(read_rows([study.parent / f"{name}-test.jsonl"])):
            told = json.dumps({"domain": name, "row": i})
            asked.append({"query": row.instruction, "response": row.output, "metadata": told})
    return client.put("data/gen_qa.jsonl", asked)


@pytest.fixture(scope="module")
def package(client: Client, data: str) -> str:
    """A model that was tuned on the team's data alone."""
    client.train("tuned", data)
    return str(client.finish("tuned")["OutputModelPackageArn"])


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


# How a job goes


def test_says_who_calls(client: Client) -> None:
    assert client.sts.get_caller_identity()["Account"] == "123456789012"


def test_a_fine_tune_goes_from_start_to_end(client: Client, data: str, server: SagemakerServer) -> None:
    server.set(length=10)
    arn = client.train("whole", data, customer_data_percent="75.0", **USUAL)
    looks: list[dict[str, Any]] = []
    while not looks or looks[-1]["TrainingJobStatus"] == "InProgress":
        looks.append(client.look("whole"))
    phases = list(dict.fromkeys(look["SecondaryStatus"] for look in looks))
    assert phases == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    tokens = [look["BillableTokenCount"] for look in looks]
    assert tokens == sorted(tokens) and tokens[0] < tokens[-1] == 20 * 32 * 500
    assert [look["ProgressInfo"]["CurrentStep"] for look in looks] == list(range(2, 21, 2))
    last = looks[-1]
    assert last["TrainingJobArn"] == arn
    assert last["OutputModelPackageArn"].startswith(
        "arn:aws:sagemaker:us-east-1:123456789012:model-package/nova-study/"
    )
    assert [one["Status"] for one in last["SecondaryStatusTransitions"]] == phases
    (manifest,) = client.written("jobs/whole/output/output/").items()
    assert manifest[0] == "jobs/whole/output/output/manifest.json"
    assert json.loads(manifest[1])["checkpoint_s3_bucket"].startswith("s3://customer-escrow-")


def test_a_description_repeats_what_was_asked(client: Client, data: str) -> None:
    client.train("repeated", data, customer_data_percent="100.0")
    found, asked = client.look("repeated"), training("repeated", data, customer_data_percent="100.0")
    for key in ("RoleArn", "HyperParameters", "InputDataConfig", "OutputDataConfig", "ServerlessJobConfig"):
        assert found[key] == asked[key]


def test_a_job_can_take_time_in_place_of_looks(client: Client, data: str, server: SagemakerServer) -> None:
    server.set(seconds=1000.0)
    client.train("slow", data)
    assert all(client.look("slow")["TrainingJobStatus"] == "InProgress" for _ in range(5))
    server.set(seconds=0.001)
    assert client.look("slow")["TrainingJobStatus"] == "Completed"


def test_answers_to_questions_are_written(client: Client, questions: str, package: str) -> None:
    client.evaluate("answered", questions, package)
    assert "OutputModelPackageArn" not in client.finish("answered")
    written = client.written("jobs/answered/")
    folder = "jobs/answered/output/output/answered/eval_results"
    lines = [json.loads(line) for line in written[f"{folder}/inference_output.jsonl"].splitlines()]
    assert len(lines) == 400
    assert {json.loads(line["metadata"])["domain"] for line in lines} == {"voc", "support"}
    assert set(lines[0]) == {"prompt", "inference", "gold", "metadata"}
    (name,) = [key for key in written if "/results_" in key]
    results = json.loads(written[name])["results"]
    exact = sum(line["inference"] == line["gold"] for line in lines) / 400
    assert results["all"]["em"] == results["custom|gen_qa_gen_qa|0"]["em"] == pytest.approx(exact)
    assert 1 < results["all"]["bleu"] <= 100


def test_a_tuned_model_answers_better_and_forgets(client: Client, questions: str, package: str) -> None:
    found = {}
    for model, source in (("untuned", None), ("tuned", package)):
        client.evaluate(f"qa-{model}", questions, source)
        client.sagemaker.create_training_job(**evaluation(f"mmlu-{model}", None, source, "mmlu"))
        for kind in ("qa", "mmlu"):
            client.finish(f"{kind}-{model}")
            (results,) = [
                content for key, content in client.written(f"jobs/{kind}-{model}/").items() if "/results_" in key
            ]
            found[kind, model] = json.loads(results)["results"]["all"]
    assert found["qa", "tuned"]["em"] > found["qa", "untuned"]["em"] + 0.1
    assert found["mmlu", "untuned"]["accuracy"] == pytest.approx(0.75, abs=0.02)
    assert found["mmlu", "tuned"]["accuracy"] == pytest.approx(0.47, abs=0.04)
    assert found["mmlu", "tuned"]["accuracy_stderr"] == pytest.approx(0.0042, abs=0.0005)


def test_the_same_request_finds_the_same(client: Client, data: str, questions: str) -> None:
    outputs = []
    for name in ("one", "other"):
        client.train(f"same-{name}", data)
        made = client.finish(f"same-{name}")["OutputModelPackageArn"]
        client.evaluate(f"same-qa-{name}", questions, made)
        client.finish(f"same-qa-{name}")
        outputs += [v for key, v in client.written(f"jobs/same-qa-{name}/").items() if "inference_output" in key]
    assert outputs[0] == outputs[1]


def test_a_job_is_stopped_on_request(client: Client, data: str) -> None:
    client.train("unwanted", data)
    client.look("unwanted")
    client.sagemaker.stop_training_job(TrainingJobName="unwanted")
    client.sagemaker.stop_training_job(TrainingJobName="unwanted")
    (summary,) = client.sagemaker.list_training_jobs(NameContains="unwanted")["TrainingJobSummaries"]
    assert summary["TrainingJobStatus"] == "Stopping"
    found = client.look("unwanted")
    assert (found["TrainingJobStatus"], found["SecondaryStatus"]) == ("Stopped", "Stopped")
    with pytest.raises(ClientError, match="the training job is in status Stopped") as error:
        client.sagemaker.stop_training_job(TrainingJobName="unwanted")
    assert code(error) == "ValidationException"


def test_jobs_are_listed_page_by_page(client: Client, data: str) -> None:
    for i in range(3):
        client.train(f"listed-{i}", data)
    client.finish("listed-1")
    pages = client.sagemaker.get_paginator("list_training_jobs")
    asked = {"NameContains": "listed-", "SortBy": "Name", "SortOrder": "Ascending"}
    found = [
        one["TrainingJobName"]
        for page in pages.paginate(**asked, PaginationConfig={"PageSize": 2})
        for one in page["TrainingJobSummaries"]
    ]
    assert found == ["listed-0", "listed-1", "listed-2"]
    (done,) = client.sagemaker.list_training_jobs(**asked, StatusEquals="Completed")["TrainingJobSummaries"]
    assert done["TrainingJobName"] == "listed-1"


def test_models_are_described_and_deleted(client: Client, data: str, questions: str) -> None:
    client.train("deleted", data)
    made = client.finish("deleted")["OutputModelPackageArn"]
    assert client.sagemaker.describe_model_package(ModelPackageName=made)["ModelPackageArn"] == made
    client.evaluate("evaluated-late", questions, made)
    client.sagemaker.delete_model_package(ModelPackageName=made)
    with pytest.raises(ClientError, match="does not exist"):
        client.sagemaker.describe_model_package(ModelPackageName=made)
    with pytest.raises(ClientError, match="does not exist"):
        client.evaluate("evaluated-later", questions, made)
    assert "does not exist" in client.finish("evaluated-late")["FailureReason"]


def test_groups_are_made_once(client: Client, data: str) -> None:
    arn = client.sagemaker.create_model_package_group(ModelPackageGroupName="another")["ModelPackageGroupArn"]
    found = client.sagemaker.describe_model_package_group(ModelPackageGroupName=arn)
    assert found["ModelPackageGroupName"] == "another"
    with pytest.raises(ClientError, match="already exists"):
        client.sagemaker.create_model_package_group(ModelPackageGroupName="another")
    asked = training("in-another", data) | {"ModelPackageConfig": {"ModelPackageGroupArn": arn}}
    client.sagemaker.create_training_job(**asked)
    assert client.finish("in-another")["OutputModelPackageArn"].endswith("model-package/another/1")


def test_the_base_model_is_found_in_the_hub(client: Client, data: str, server: SagemakerServer) -> None:
    asked = {"HubName": "SageMakerPublicHub", "HubContentType": "Model", "HubContentName": MODEL}
    assert client.sagemaker.describe_hub_content(**asked)["HubContentArn"] == BASE
    with pytest.raises(ClientError) as error:
        client.sagemaker.describe_hub_content(**asked | {"HubContentName": "nova-9"})
    assert code(error) == "ResourceNotFound"
    elsewhere = client.of("sagemaker", server, region_name="eu-north-1")
    with pytest.raises(ClientError) as error:
        elsewhere.describe_hub_content(**asked)
    assert code(error) == "ResourceNotFound"
    server.set(version="2.0.2")
    client.train("newer", data)
    assert client.look("newer")["ServerlessJobConfig"]["BaseModelArn"] == BASE.replace("2.0.1", "2.0.2")


# What it refuses


def test_a_name_is_given_once(client: Client, data: str, server: SagemakerServer) -> None:
    client.train("unique", data)
    with pytest.raises(ClientError, match=r"already exists .*training-job/unique") as error:
        client.train("unique", data, learning_rate="0.1")
    assert code(error) == "ResourceInUse"
    events = [line["event"] for line in server.ledger if line.get("name") == "unique"]
    assert events == ["taken", "refused"]


def test_what_is_not_there_is_not_found(client: Client) -> None:
    for call in (client.sagemaker.describe_training_job, client.sagemaker.stop_training_job):
        with pytest.raises(ClientError, match="Requested resource not found") as error:
            call(TrainingJobName="nothing")
        assert code(error) == "ValidationException"


def test_operations_that_it_has_not_are_unknown(client: Client, server: SagemakerServer) -> None:
    with pytest.raises(ClientError) as error:
        client.sagemaker.list_domains()
    assert code(error) == "UnknownOperationException"


def test_shapes_are_checked_by_the_service_model() -> None:
    shapes = Shapes()
    with pytest.raises(Exception, match="Unknown parameter"):
        shapes.check_request("DescribeTrainingJob", {"TrainingJobName": "a", "Nonsense": 1})
    with pytest.raises(Exception, match="Member must have length less than or equal to 63"):
        shapes.check_request("DescribeTrainingJob", {"TrainingJobName": "a" * 64})
    with pytest.raises(Exception, match=r"outputDataConfig.compressionType.*enum value set: \[GZIP, NONE\]"):
        asked = training("a", "s3://b/c") | {"OutputDataConfig": {"S3OutputPath": "s3://b", "CompressionType": "ZIP"}}
        shapes.check_request("CreateTrainingJob", asked)
    with pytest.raises(AssertionError, match="trainingJobArn"):
        shapes.check_answer("CreateTrainingJob", {"TrainingJobArn": "no ARN"})


def changed(asked: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A request with another value at a dotted path; None removes it."""
    *outer, last = path.split(".")
    inner: Any = asked
    for key in outer:
        inner = inner[int(key) if key.isdigit() else key]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return asked


SOURCE = "InputDataConfig.0.DataSource.S3DataSource"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("ServerlessJobConfig", None, "ServerlessJobConfig is required"),
        ("ServerlessJobConfig.AcceptEula", False, "EULA"),
        ("ServerlessJobConfig.BaseModelArn", BASE.replace("lite-v2", "pro"), "does not exist in us-east-1"),
        ("ResourceConfig", {"VolumeSizeInGB": 1}, "cannot be specified together"),
        ("ModelPackageConfig.ModelPackageGroupArn", f"{GROUP}-2", "does not exist"),
        ("HyperParameters.global_batch_size", "24", "global_batch_size"),
        ("HyperParameters.customer_data_percent", "101", "between 0 and 100"),
        ("HyperParameters.nova_code_percent", None, "All 23"),
        ("HyperParameters.nova_chess_percent", "0", "All 23"),
        ("HyperParameters.nova_code_percent", "9.9", "must sum to 100, found 99.9"),
        ("HyperParameters.nova_code_percent", "ten", "must be numbers"),
        (f"{SOURCE}.S3DataType", "S3Prefix", "must be Converse"),
        (f"{SOURCE}.S3Uri", f"s3://{BUCKET}/nowhere", "No S3 objects found under S3 URL"),
        (f"{SOURCE}.S3Uri", "s3://nobodys/data", "The specified bucket does not exist"),
        (f"{SOURCE}.S3Uri", f"s3://{BUCKET}/data/a b.jsonl", "may only contain alphanumeric"),
        (f"{SOURCE}.S3Uri", "s3://far-away/train.jsonl", "this region: eu-west-1"),
    ],
)
def test_requests_for_training_keep_the_rules(client: Client, data: str, path: str, value: Any, said: str) -> None:
    if "far-away" in str(value):
        client.s3.create_bucket(Bucket="far-away", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    asked = changed(training("odd", data, customer_data_percent="75", **USUAL), path, value)
    with pytest.raises(ClientError, match=said) as error:
        client.sagemaker.create_training_job(**asked)
    assert code(error) == "ValidationException"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("HyperParameters.task", None, "task are required"),
        ("HyperParameters.task", "mmlu", "not supported"),
        ("HyperParameters.metric", "f1", "requires metric all, found f1"),
        (f"{SOURCE}.S3DataType", "Converse", "requires S3DataType S3Prefix"),
        ("ServerlessJobConfig.EvaluationType", "BenchmarkEvaluation", "not supported"),
        ("ServerlessJobConfig.AcceptEula", None, "EULA"),
    ],
)
def test_requests_for_evaluation_keep_the_rules(
    client: Client, questions: str, path: str, value: Any, said: str
) -> None:
    with pytest.raises(ClientError, match=said):
        client.sagemaker.create_training_job(**changed(evaluation("odd", questions, None), path, value))


def test_mixing_needs_a_subscription(client: Client, data: str, server: SagemakerServer) -> None:
    server.set(subscribed=False)
    with pytest.raises(ClientError, match="Forge subscription"):
        client.train("unsubscribed", data, customer_data_percent="75", **USUAL)
    client.train("unsubscribed", data)


def test_no_more_jobs_run_than_the_quota_allows(client: Client, data: str, server: SagemakerServer) -> None:
    used = sum(job["status"] == "InProgress" for job in server.jobs.values())
    server.set(quota=used + 1)
    client.train("within", data)
    with pytest.raises(ClientError, match=f"is {used + 1} Jobs, with current utilization of {used + 1}") as error:
        client.train("beyond", data)
    assert code(error) == "ResourceLimitExceeded"
    client.finish("within")
    client.train("beyond", data)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([converse(f"u{i}", "a") for i in range(7)], "7 samples; expected 8 to 20000"),
        ([converse(f"u{i}", "a") for i in range(31)], "less than global_batch_size 32"),
        ([converse("Bot: hello", "a")] * 40, "reserved word Bot:"),
        ([converse("hello", " ")] * 40, "a text is empty"),
        ([{**converse("hello", "a"), "label": "x"}] * 40, "unknown fields"),
        ([{"schemaVersion": "x", "messages": converse("u", "a")["messages"][:1]}] * 40, "turns must alternate"),
    ],
)
def test_a_job_fails_by_rows_that_it_cannot_use(client: Client, rows: list[dict[str, Any]], reason: str) -> None:
    name = "-".join(("doomed", *re.findall("[a-zA-Z0-9]+", reason)))
    client.train(name, client.put(f"data/{name}.jsonl", rows))
    found = client.finish(name)
    assert found["TrainingJobStatus"] == "Failed"
    assert reason in found["FailureReason"] and found["FailureReason"].startswith("ClientError")


@pytest.mark.parametrize(
    ("key", "row", "reason"),
    [
        ("questions.jsonl", {"query": "q", "response": "r"}, "named gen_qa.jsonl"),
        ("1/gen_qa.jsonl", {"query": "q"}, "does not match the schema"),
        ("2/gen_qa.jsonl", {"query": "q", "response": "r", "metadata": {"row": 1}}, "no string"),
        ("3/gen_qa.jsonl", {"query": "q " * 10_000, "response": "r"}, "longer than the context"),
    ],
)
def test_an_evaluation_fails_by_questions_that_it_cannot_ask(
    client: Client, key: str, row: dict[str, Any], reason: str
) -> None:
    name = f"unasked-{key[0]}"
    client.evaluate(name, client.put(f"data/{key}", [row]))
    assert reason in client.finish(name)["FailureReason"]


# Mistakes


@pytest.mark.parametrize(
    ("fault", "expected", "status"),
    [
        ("throttle", "ThrottlingException", 400),
        ("busy", "ServiceUnavailable", 503),
        ("broken", "InternalFailure", 500),
        ("limit", "ResourceLimitExceeded", 400),
        ("refuse", "ValidationException", 400),
        ("role", "ValidationException", 400),
        ("forbidden", "AccessDeniedException", 400),
        ("expired", "ExpiredTokenException", 400),
        ("unrecognized", "UnrecognizedClientException", 400),
    ],
)
def test_planned_mistakes_are_made_once(
    client: Client, data: str, server: SagemakerServer, fault: str, expected: str, status: int
) -> None:
    server.fault("CreateTrainingJob", fault, stage="train")
    with pytest.raises(ClientError) as error:
        client.train(f"mistaken-{fault}", data)
    assert code(error) == expected
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    client.train(f"mistaken-{fault}", data)


def test_a_missing_permission_is_named(client: Client, server: SagemakerServer) -> None:
    server.fault("DescribeTrainingJob", "forbidden")
    said = (
        r"not authorized to perform: sagemaker:DescribeTrainingJob on resource: "
        r"arn:aws:sagemaker:us-east-1:123456789012:training-job/secret because no identity-based policy"
    )
    with pytest.raises(ClientError, match=said):
        client.look("secret")


def test_sts_makes_mistakes_too(client: Client, server: SagemakerServer) -> None:
    server.fault("GetCallerIdentity", "expired", "unrecognized")
    for expected in ("ExpiredToken", "InvalidClientTokenId"):
        with pytest.raises(ClientError) as error:
            client.sts.get_caller_identity()
        assert code(error) == expected
    client.sts.get_caller_identity()


def test_mistakes_wait_for_their_stage_and_spare_calls(client: Client, data: str, server: SagemakerServer) -> None:
    server.fault("CreateTrainingJob", "throttle", stage="benchmark-mmlu")
    server.fault("DescribeTrainingJob", "throttle", stage="train", after=2)
    client.train("spared", data)
    client.look("spared")
    client.look("spared")
    with pytest.raises(ClientError, match="Rate exceeded"):
        client.look("spared")
    client.sagemaker.create_training_job(**evaluation("spared-too", None, None, "ifeval"))
    with pytest.raises(ClientError, match="Rate exceeded"):
        client.sagemaker.create_training_job(**evaluation("not-spared", None, None, "mmlu"))


@pytest.mark.parametrize(
    ("fault", "status", "secondary", "reason"),
    [
        ("capacity", "Failed", "Failed", "CapacityError"),
        ("preempt", "Failed", "Failed", "InternalServerError"),
        ("fail", "Failed", "Failed", "AlgorithmError"),
        ("overrun", "Stopped", "MaxRuntimeExceeded", None),
        ("stop", "Stopped", "Stopped", None),
    ],
)
def test_mistakes_end_jobs(
    client: Client, data: str, server: SagemakerServer, fault: str, status: str, secondary: str, reason: str | None
) -> None:
    name = f"ended-{fault}"
    client.train(name, data)
    client.look(name)
    server.fault("DescribeTrainingJob", fault)
    found = client.look(name)
    assert (found["TrainingJobStatus"], found["SecondaryStatus"]) == (status, secondary)
    assert found.get("FailureReason", "").startswith(reason or "") and ("FailureReason" in found) == bool(reason)
    assert found["BillableTokenCount"] > 0
    assert client.look(name)["TrainingJobStatus"] == status
    assert server.jobs[name]["secondary"] == secondary


def test_answers_get_lost(client: Client, data: str, server: SagemakerServer) -> None:
    for fault in ("silent", "hang"):
        server.fault("CreateTrainingJob", fault)
        with pytest.raises(ConnectionClosedError):
            client.train(f"lost-{fault}", data)
    server.fault("CreateTrainingJob", "late")
    with pytest.raises(ReadTimeoutError):
        client.of("sagemaker", server, config=HASTY).create_training_job(**training("lost-late", data))
    while "lost-late" not in server.jobs:
        pass
    assert {name for name in server.jobs if name.startswith("lost-")} == {"lost-late", "lost-silent"}


def test_a_job_can_get_no_further(client: Client, data: str, server: SagemakerServer) -> None:
    client.train("idle", data)
    server.fault("DescribeTrainingJob", *["idle"] * 10)
    for _ in range(10):
        assert client.look("idle")["TrainingJobStatus"] == "InProgress"
    assert client.finish("idle")["TrainingJobStatus"] == "Completed"


def test_a_call_waits_until_it_is_released(client: Client, data: str, server: SagemakerServer) -> None:
    server.fault("CreateTrainingJob", "wait")
    call = threading.Thread(target=lambda: client.train("waiting", data))
    call.start()
    call.join(0.2)
    assert call.is_alive() and "waiting" not in server.jobs
    server.release()
    call.join()
    assert "waiting" in server.jobs


def test_s3_makes_mistakes_too(client: Client, server: SagemakerServer) -> None:
    expected = {"throttle": "SlowDown", "broken": "InternalError", "forbidden": "AccessDenied"}
    server.fault("PutObject", *expected)
    for name in expected.values():
        with pytest.raises(ClientError) as error:
            client.put("mistaken", [])
        assert code(error) == name
    server.fault("PutObject", "silent", "hang")
    with pytest.raises(ConnectionClosedError):
        client.put("silent", [])
    with pytest.raises(ConnectionClosedError):
        client.put("hang", [])
    assert list(client.written("silent")) == ["silent"] and not client.written("hang")


def test_mistakes_by_chance_depend_on_their_seed_alone(client: Client, server: SagemakerServer) -> None:
    def drawn(seed: int) -> list[str | None]:
        faults = Faults()
        faults.change({"throttle": 0.3, "preempt": 0.2, "limit": 0.1}, seed)
        return [faults.next("DescribeTrainingJob", running=i % 2 == 0) for i in range(400)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert drawn(1).count("throttle") == pytest.approx(120, abs=30)
    assert drawn(1).count("preempt") == pytest.approx(40, abs=20)
    assert "limit" not in drawn(1) and "preempt" not in drawn(1)[1::2]
    server.set(chances={"throttle": 1.0})
    with pytest.raises(ClientError, match="Rate exceeded"):
        client.look("whole")


# What it keeps


def test_a_service_that_was_killed_goes_on(client: Client, data: str, server: SagemakerServer) -> None:
    server.set(length=6)
    for name in ("past", "half", "stopping"):
        client.train(name, data)
    before = client.finish("past")
    for _ in range(3):
        half = client.look("half")
    client.sagemaker.stop_training_job(TrainingJobName="stopping")
    url, known = server.url, server.jobs
    server.kill()
    with (server.folder / "ledger.jsonl").open("a") as file:
        file.write('{"event": "taken", "na')
    server.start()
    assert server.url == url and server.jobs == known
    again = client.look("past")
    for found in (before, again):
        del found["ResponseMetadata"]
    assert before == again
    assert client.look("half")["BillableTokenCount"] > half["BillableTokenCount"]
    packages = [before["OutputModelPackageArn"], client.finish("half")["OutputModelPackageArn"]]
    assert int(packages[1].rpartition("/")[2]) == int(packages[0].rpartition("/")[2]) + 1
    assert client.look("stopping")["TrainingJobStatus"] == "Stopped"
    with pytest.raises(ClientError) as error:
        client.train("half", data)
    assert code(error) == "ResourceInUse"


def test_half_a_line_never_happened(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.write("taken", name="a")
    with (tmp_path / "ledger.jsonl").open("a") as file:
        file.write('{"event"')
    assert [line["name"] for line in ledger] == ["a"]
    ledger.mend()
    ledger.write("taken", name="b")
    assert [line["name"] for line in ledger] == ["a", "b"]


# Switches


def inference(client: Client, name: str, questions: str, **changes: Any) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """The answers and the results of an evaluation of the untuned model."""
    client.evaluate(name, questions, **changes)
    client.finish(name)
    written = client.written(f"jobs/{name}/")
    lines = next(content for key, content in written.items() if key.endswith("inference_output.jsonl"))
    results = next(content for key, content in written.items() if "/results_" in key)
    return [json.loads(line) for line in lines.splitlines()], json.loads(results)["results"]["all"]


def test_results_come_in_the_shapes_that_switches_say(client: Client, questions: str, server: SagemakerServer) -> None:
    lines, results = inference(client, "as-usual", questions)
    server.set(metadata=False, shuffled=True, long_names=True)
    other, named = inference(client, "switched", questions)
    assert all("metadata" not in line for line in other)
    prompts = [line["prompt"] for line in lines]
    assert [line["prompt"] for line in other] != prompts
    assert sorted(line["prompt"] for line in other) == sorted(prompts)
    assert named["exact_match"] == results["em"] and named["exact_match_stderr"] == results["em_stderr"]
    assert "em" not in named


def test_output_is_packed_unless_that_is_declined(client: Client, data: str) -> None:
    asked = training("packed", data)
    del asked["OutputDataConfig"]["CompressionType"]
    client.sagemaker.create_training_job(**asked)
    client.finish("packed")
    (written,) = client.written("jobs/packed/").items()
    assert written[0] == "jobs/packed/output/output.tar.gz"
    with tarfile.open(fileobj=BytesIO(written[1])) as archive:
        assert archive.getnames() == ["manifest.json"]


def test_a_description_can_show_more_than_was_asked(client: Client, data: str, server: SagemakerServer) -> None:
    server.set(shown_defaults=True)
    client.train("shown", data, warmup_steps="3")
    shown = client.look("shown")["HyperParameters"]
    assert shown["learning_rate"] == "1e-05" and shown["warmup_steps"] == "3"
