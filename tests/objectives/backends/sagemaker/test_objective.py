"""The contract of remote objectives, kept by Nova's against the service on this machine, and what goes wrong there."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest

from objectives.attempt import FailureKind
from objectives.backends.sagemaker.request import base_model_arn
from objectives.base import Job, JobKind, Measurement, Seeds
from objectives.data import Dataset
from objectives.domain import Domain
from objectives.errors import AccessError, NameInUse, ObjectiveError, OptionsError, ResultError, ServiceError
from objectives.metrics import read_answers
from objectives.mixture import Mixture
from objectives.remote import RemoteObjective, StageRequest, StageStatus
from ratio_search.spec import StudySpec
from tests.contracts import RemoteObjectiveContract, watched
from tests.services.sagemaker.files import CREDENTIALS
from tests.services.sagemaker.server import BUCKET, SagemakerServer

Nova = Callable[..., RemoteObjective]
Requests = Callable[..., StageRequest]

UNTUNED: Mapping[str, Any] = {"id": "reference-0000", "kind": JobKind.BASELINE, "mixture": None}


class TestNova(RemoteObjectiveContract):
    @pytest.fixture
    def domains(self, spec: StudySpec) -> Sequence[Domain]:
        return [dataclasses.replace(domain, benchmarks=domain.benchmarks[:1]) for domain in spec.domains]

    @pytest.fixture
    def remote(self, nova: Nova, domains: Sequence[Domain]) -> Callable[[], RemoteObjective]:
        return lambda: nova(tuple(domains))


def over(objective: RemoteObjective, request: StageRequest) -> tuple[str, StageStatus]:
    """Has a stage done; its handle, and how it ended."""
    handle = objective.submit(request)
    *_, last = watched(objective, request.stage, handle)
    return handle, last


def through(objective: RemoteObjective, request_of: Requests, **job: Any) -> tuple[dict[str, str], StageRequest]:
    """Has all stages of a job done; their handles, and the last request."""
    handles: dict[str, str] = {}
    request = request_of("any", **job)
    for stage in objective.stages(request.job):
        request = request_of(stage, handles, **job)
        handles[stage], last = over(objective, request)
        assert last.failure is None, last
    return handles, request


def measured(objective: RemoteObjective, request_of: Requests, **job: Any) -> Measurement:
    handles, request = through(objective, request_of, **job)
    return objective.result(request.job, handles, request.folder)


@pytest.fixture
def s3(aws: SagemakerServer) -> Any:
    return boto3.client("s3", endpoint_url=aws.s3_url, region_name="us-east-1", **CREDENTIALS)


@pytest.fixture
def options(aws: SagemakerServer) -> Iterator[Callable[..., None]]:
    """Changes the service's options until the end of a test."""
    before = dataclasses.asdict(aws.options)
    yield aws.set
    aws.set(**before)


@pytest.fixture(scope="module")
def finished(
    _led_there: None, spec: StudySpec, requests_in: Callable[[Path], Requests], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, str], StageRequest]:
    """A trial all of whose stages are done: their handles, and its last request."""
    return through(spec.blueprint.connect(), requests_in(tmp_path_factory.mktemp("finished")))


@pytest.fixture(scope="module")
def asked_little(spec: StudySpec) -> tuple[Domain, ...]:
    """The small study's domains without its benchmarks."""
    return tuple(domain for domain in spec.domains if not domain.benchmarks)


def test_a_trial_is_measured_with_all_that_it_leaves(
    aws: SagemakerServer, nova: Nova, spec: StudySpec, finished: tuple[dict[str, str], StageRequest], tmp_path: Path
) -> None:
    objective, (handles, request) = nova(), finished
    assert tuple(handles) == ("train", "evaluate", "benchmark-mmlu", "benchmark-ifeval")
    found = objective.result(request.job, handles, request.folder)
    assert {metric.name for metric in spec.metrics} <= set(found.metrics)
    assert found.metrics["voc/f1"].rows == 60
    assert found.metrics["general/mmlu"].stderr is not None
    asked = aws.jobs[handles["train"].rpartition("/")[2]]
    assert found.artefacts == {
        "training_job": handles["train"],
        "model_package": asked["package"],
        "base_model": f"{base_model_arn('us-east-1', 'nova-textgeneration-lite-v2')}/2.0.1",
        "checkpoint": found.artefacts["checkpoint"],
        "answers": "answers.jsonl",
    }
    assert found.artefacts["checkpoint"].startswith("s3://customer-escrow-")
    assert {domain: len(answers) for domain, answers in read_answers(request.folder / "answers.jsonl").items()} == {
        "voc": 60,
        "support": 60,
    }
    # Two of five domains are the team's, by mixture; 20 steps of 32 rows.
    assert found.realised is not None and found.realised.names == request.job.mixture.names  # type: ignore[union-attr]
    assert found.realised["voc"] == pytest.approx(0.2, abs=0.001)
    assert found.rows == {"voc": 128, "support": 128}
    assert [file.name for file in request.folder.iterdir()] == ["answers.jsonl"], "all else can be made again"
    evaluated = [aws.jobs[handle.rpartition("/")[2]]["asked"] for stage, handle in handles.items() if stage != "train"]
    assert {one["ModelPackageConfig"]["SourceModelPackageArn"] for one in evaluated} == {asked["package"]}
    assert nova().result(request.job, handles, tmp_path) == found, "nothing is kept beside names and handles"


def test_the_untuned_model_is_evaluated_in_the_same_way(aws: SagemakerServer, nova: Nova, request_of: Requests) -> None:
    objective = nova()
    handles, request = through(objective, request_of, **UNTUNED)
    assert tuple(handles) == ("evaluate", "benchmark-mmlu", "benchmark-ifeval")
    found = objective.result(request.job, handles, request.folder)
    assert found.realised is None and not found.rows
    assert set(found.artefacts) == {"base_model", "answers"}
    for handle in handles.values():
        assert "ModelPackageConfig" not in aws.jobs[handle.rpartition("/")[2]]["asked"]


def test_a_confirmation_is_judged_on_rows_that_the_search_did_not_see(
    nova: Nova, request_of: Requests, spec: StudySpec
) -> None:
    domains = tuple(domain for domain in spec.on_final().domains if not domain.benchmarks)
    objective = nova(domains)
    handles, request = through(objective, request_of, id="confirmation-0001", kind=JobKind.CONFIRMATION)
    assert tuple(handles) == ("train", "evaluate")
    assert objective.result(request.job, handles, request.folder).metrics["voc/f1"].rows == 60
    [final] = domains[0].test
    expected = [row.output for row in Dataset.open([spec.root / final])]
    assert [answer.expected for answer in read_answers(request.folder / "answers.jsonl")["voc"]] == expected
    assert str(final).endswith("voc-final.jsonl")


def test_a_content_is_sent_once(aws: SagemakerServer, nova: Nova, request_of: Requests, s3: Any) -> None:
    def sent() -> set[tuple[str, str]]:
        found = s3.list_objects_v2(Bucket=BUCKET, Prefix="apart/data/")["Contents"]
        return {(one["Key"], str(one["LastModified"])) for one in found}

    objective = nova(place=f"s3://{BUCKET}/apart")
    objective.submit(request_of("train"))
    before = sent()
    objective.submit(request_of("train", id="trial-0002"))
    assert sent() == before and len(before) == 1
    objective.submit(request_of("train", id="trial-0003", seeds=Seeds(data=4, training=5)))
    assert len(sent()) == 2
    assert all(re.fullmatch(r"apart/data/[0-9a-f]{64}/train\.jsonl", key) for key, _ in sent())


def test_searched_hyperparameters_are_the_jobs(aws: SagemakerServer, nova: Nova, request_of: Requests) -> None:
    objective = nova()
    request = request_of("train", hyperparameters={"steps": 40, "learning_rate": 2e-5})
    objective.submit(request)
    asked = aws.jobs[request.name]["asked"]["HyperParameters"]
    assert (asked["max_steps"], asked["global_batch_size"], asked["learning_rate"]) == ("40", "32", "2e-05")
    assert objective.find(request) is not None
    with pytest.raises(NameInUse, match="max_steps: has 40, wanted 20"):
        objective.find(dataclasses.replace(request, job=dataclasses.replace(request.job, hyperparameters={})))


@pytest.mark.parametrize("fault", ["silent", "late"])
def test_an_answer_that_is_lost_leads_to_the_job_that_was_made(
    aws: SagemakerServer, nova: Nova, request_of: Requests, fault: str
) -> None:
    objective, request = nova(timeout_s=0.4), request_of("train")
    objective.find(request)  # a first connection may take its time
    aws.fault("CreateTrainingJob", fault)
    with pytest.raises(ServiceError):
        objective.submit(request)
    assert objective.find(request) == f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{request.name}"
    with pytest.raises(NameInUse):
        objective.submit(request)


@pytest.mark.parametrize("fault", ["throttle", "broken", "limit"])
def test_not_now_is_asked_again(aws: SagemakerServer, nova: Nova, request_of: Requests, fault: str) -> None:
    objective, request = nova(), request_of("train")
    for call in ("DescribeHubContent", "CreateTrainingJob"):
        aws.fault(call, fault)
        with pytest.raises(ServiceError, match=f"starting {request.name}"):
            objective.submit(request)
        assert objective.find(request) is None
    handle = objective.submit(request)
    for call, ask in (
        ("StopTrainingJob", lambda: objective.cancel("train", handle)),
        ("DescribeTrainingJob", lambda: objective.poll("train", handle)),
        ("DescribeTrainingJob", lambda: objective.find(request)),
    ):
        aws.fault(call, fault)
        with pytest.raises(ServiceError):
            ask()
        ask()


@pytest.mark.parametrize("fault", ["forbidden", "expired", "unrecognized"])
def test_what_somebody_has_to_repair_is_no_jobs_fault(
    aws: SagemakerServer, nova: Nova, request_of: Requests, fault: str
) -> None:
    objective, request = nova(), request_of("train")
    aws.fault("CreateTrainingJob", fault)
    with pytest.raises(AccessError):
        objective.submit(request)
    aws.fault("DescribeTrainingJob", fault)
    with pytest.raises(AccessError):
        objective.poll("train", objective.submit(request))


def test_the_service_itself_says_what_is_wrong_with_the_account(
    aws: SagemakerServer, nova: Nova, request_of: Requests, options: Callable[..., None], s3: Any
) -> None:
    """The same for every job, so that none may be failed for it."""
    request = request_of("train")
    options(subscribed=False)
    with pytest.raises(AccessError, match="forge-subscription=true"):
        nova().submit(request)
    options(subscribed=True, quota=0)
    with pytest.raises(AccessError, match="Service Quotas"):
        nova().submit(request)
    options(quota=None)
    with pytest.raises(AccessError, match="aws s3 mb"):
        nova(place="s3://nobodys-bucket/p").submit(request)
    s3.create_bucket(Bucket="in-ireland", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    with pytest.raises(AccessError, match="region of the jobs"):
        nova(place="s3://in-ireland/p").submit(request)
    with pytest.raises(AccessError, match="create-model-package-group"):
        nova(model_package_group="others").submit(request)
    with pytest.raises(AccessError, match="nobody has accepted"):
        nova(accept_eula=False).submit(request)
    assert not any(name == request.name for name in aws.jobs)


def test_a_wrong_request_fails_its_job_alone(aws: SagemakerServer, nova: Nova, request_of: Requests) -> None:
    with pytest.raises(ObjectiveError, match="global_batch_size: 33"):
        nova(batch_size=33).submit(request_of("train"))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("capacity", FailureKind.INFRASTRUCTURE),
        ("preempt", FailureKind.INFRASTRUCTURE),
        ("overrun", FailureKind.OBJECTIVE),
        ("fail", FailureKind.OBJECTIVE),
        ("stop", FailureKind.CANCELLED),
    ],
)
def test_a_job_that_fails_says_whose_fault_it_is(
    aws: SagemakerServer, nova: Nova, request_of: Requests, fault: str, kind: FailureKind
) -> None:
    aws.fault("DescribeTrainingJob", fault, after=1)
    handle, last = over(nova(), request_of("train"))
    assert last.failure is not None and last.failure.kind is kind
    assert handle.rpartition("/")[2] in last.failure.message
    assert last.cost["tokens"] > 0, "what it cost until then is billed"


def test_cost_and_progress_grow(nova: Nova, request_of: Requests) -> None:
    objective = nova()
    statuses = list(watched(objective, "train", objective.submit(request_of("train"))))
    tokens = [status.cost.get("tokens", 0.0) for status in statuses]
    steps = [status.progress.step for status in statuses if status.progress is not None]
    assert tokens == sorted(tokens) and tokens[-1] > tokens[0]
    assert steps[-1] == 20 and steps == sorted(steps)


def test_a_job_that_nobody_knows_any_more_stays_open(nova: Nova, request_of: Requests) -> None:
    """It is paid for, so that it is neither given up nor begun again."""
    gone = "arn:aws:sagemaker:us-east-1:123456789012:training-job/gone"
    for ask in (nova().poll, nova().cancel):
        with pytest.raises(ObjectiveError, match="gone"):
            ask("train", gone)


def test_a_study_may_move_to_another_place(
    nova: Nova, finished: tuple[dict[str, str], StageRequest], options: Callable[..., None]
) -> None:
    """And the service may take a newer base model, and tell of hyperparameters that nobody asked for."""
    handles, request = finished
    options(shown_defaults=True, version="3.0.0")
    moved = nova(place=f"s3://{BUCKET}/moved", time_limit_s=7200, tags={"a": "b"})
    for stage in handles:
        asked = dataclasses.replace(
            request,
            stage=stage,
            name=handles[stage].rpartition("/")[2],
            handles={} if stage == "train" else {"train": handles["train"]},
        )
        assert moved.find(asked) == handles[stage]
    assert moved.result(request.job, handles, request.folder).artefacts["base_model"].endswith("/2.0.1")


def test_each_domain_can_have_a_job_of_its_own(nova: Nova, request_of: Requests, spec: StudySpec) -> None:
    objective = nova(evaluate_by="domain")
    handles, request = through(objective, request_of, **UNTUNED)
    assert tuple(handles) == ("evaluate-voc", "evaluate-support", "benchmark-mmlu", "benchmark-ifeval")
    found = objective.result(request.job, handles, request.folder)
    assert {metric.name for metric in spec.metrics} <= set(found.metrics)
    assert {domain: len(answers) for domain, answers in read_answers(request.folder / "answers.jsonl").items()} == {
        "voc": 60,
        "support": 60,
    }


def test_answers_that_do_not_say_whose_they_are_are_told_apart(
    nova: Nova, request_of: Requests, options: Callable[..., None], asked_little: tuple[Domain, ...]
) -> None:
    objective = nova(asked_little)
    usual = measured(objective, request_of, **UNTUNED)
    options(metadata=False, shuffled=True)
    assert measured(objective, request_of, **{**UNTUNED, "id": "reference-0001"}) == usual


def test_stages_have_plain_names_that_differ(nova: Nova, spec: StudySpec) -> None:
    def renamed(*names: str) -> tuple[Domain, ...]:
        tested = [domain for domain in spec.domains if domain.test]
        return tuple(dataclasses.replace(domain, name=name) for domain, name in zip(tested, names, strict=True))

    job = Job(id="reference-0000", kind=JobKind.BASELINE, mixture=None, seeds=Seeds(data=1, training=2))
    assert nova(renamed("VOC_1", "b.2"), evaluate_by="domain").stages(job) == ("evaluate-voc-1", "evaluate-b-2")
    with pytest.raises(OptionsError, match="'a_b' and 'a-b'"):
        nova(renamed("a_b", "a-b"), evaluate_by="domain")
    assert nova(renamed("a_b", "a-b")).stages(job) == ("evaluate",)
    [general] = [domain for domain in spec.domains if domain.benchmarks]
    assert nova((dataclasses.replace(general, benchmarks=("mmlu_pro",)),)).stages(job) == ("benchmark-mmlu-pro",)


def test_a_benchmark_that_two_domains_want_is_done_once(nova: Nova, request_of: Requests, spec: StudySpec) -> None:
    [general] = [domain for domain in spec.domains if domain.benchmarks]
    domains = (general, dataclasses.replace(general, name="facts", benchmarks=("mmlu",)))
    found = measured(nova(domains), request_of, **UNTUNED)
    assert set(found.metrics) == {"general/mmlu", "general/ifeval", "facts/mmlu"}
    assert found.metrics["general/mmlu"] == found.metrics["facts/mmlu"]


def test_a_study_without_novas_data_sends_no_mix(
    aws: SagemakerServer, nova: Nova, request_of: Requests, spec: StudySpec
) -> None:
    own = tuple(domain for domain in spec.domains if domain.train)
    objective = nova(own)
    mixture = Mixture.of({"voc": 0.75, "support": 0.25})
    handles, request = through(objective, request_of, mixture=mixture)
    asked = aws.jobs[handles["train"].rpartition("/")[2]]["asked"]["HyperParameters"]
    assert not [key for key in asked if "percent" in key]
    found = objective.result(request.job, handles, request.folder)
    assert found.rows == {"voc": 480, "support": 160}
    assert found.realised == mixture


def test_the_team_may_have_no_share(nova: Nova, request_of: Requests, asked_little: tuple[Domain, ...]) -> None:
    """A training file is sent all the same, and none of it is trained on."""
    shares = {domain.name: 0.5 if domain.name in ("code", "other") else 0.0 for domain in asked_little}
    found = measured(nova(asked_little), request_of, mixture=Mixture.of(shares))
    assert found.realised is not None and dict(found.realised) == shares
    assert found.rows == {"voc": 0, "support": 0}


def test_a_result_that_is_not_there_is_told_as_such(
    nova: Nova, request_of: Requests, s3: Any, asked_little: tuple[Domain, ...]
) -> None:
    objective = nova(asked_little)
    handles, request = through(objective, request_of, **UNTUNED)
    name = handles["evaluate"].rpartition("/")[2]
    for found in s3.list_objects_v2(Bucket=BUCKET, Prefix=f"small-nova/jobs/{name}/")["Contents"]:
        s3.delete_object(Bucket=BUCKET, Key=found["Key"])
    with pytest.raises(ResultError, match=r"inference_output\*\.jsonl"):
        objective.result(request.job, handles, request.folder)


def test_threads_share_the_clients(nova: Nova, request_of: Requests, asked_little: tuple[Domain, ...]) -> None:
    objective = nova(asked_little)
    jobs = [f"trial-{number:04}" for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda name: measured(objective, request_of, id=name), jobs))
    assert len({result.artefacts["model_package"] for result in results}) == len(jobs)
