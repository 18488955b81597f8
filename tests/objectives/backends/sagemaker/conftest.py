"""A small study of Nova, and the service on this machine that it is run on, spoken to by real clients."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import botocore.loaders
import botocore.session
import pytest

from objectives.backends.sagemaker import SagemakerBackend
from objectives.base import Job, JobKind, Seeds
from objectives.domain import Domain
from objectives.mixture import Mixture
from objectives.remote import RemoteObjective, StageRequest
from objectives.scorer import Metric
from ratio_search.spec import StudySpec
from tests.services.sagemaker.server import SagemakerServer
from tests.services.sagemaker.study import small_nova_study


@pytest.fixture(scope="session", autouse=True)
def _models_read_once() -> Iterator[None]:
    """botocore reads its description of SageMaker for each session anew, which takes longer than most tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", functools.cache(botocore.loaders.create_loader))
        yield


@pytest.fixture(scope="session")
def study_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small study's file, with its data beside it."""
    return small_nova_study(tmp_path_factory.mktemp("nova-study"))


@pytest.fixture(scope="session")
def local_aws(tmp_path_factory: pytest.TempPathFactory, study_file: Path) -> Iterator[SagemakerServer]:
    """The service, once for all tests; `aws` leads clients there."""
    with SagemakerServer(tmp_path_factory.mktemp("aws"), world=study_file) as found:
        yield found


@pytest.fixture(scope="module")
def _led_there(local_aws: SagemakerServer) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in local_aws.environment.items():
            patch.setenv(name, value)
        for name in ("AWS_PROFILE", "AWS_REGION", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture
def aws(local_aws: SagemakerServer, _led_there: None) -> SagemakerServer:
    """The service, which boto3's clients are led to."""
    return local_aws


@pytest.fixture(scope="module")
def spec(study_file: Path) -> StudySpec:
    """The small study."""
    return StudySpec.load(study_file)


@pytest.fixture
def backend(spec: StudySpec) -> Callable[..., SagemakerBackend]:
    """Makes the small study's settings; keywords replace or add some."""

    def make(**settings: Any) -> SagemakerBackend:
        stated = spec.backend.model_dump(mode="json", exclude_unset=True)
        return SagemakerBackend.model_validate({**stated, **settings})

    return make


@pytest.fixture
def nova(
    aws: SagemakerServer, spec: StudySpec, backend: Callable[..., SagemakerBackend]
) -> Callable[..., RemoteObjective]:
    """Builds the small study's objective anew; keywords replace settings, or domains and metrics."""

    def make(
        domains: tuple[Domain, ...] = spec.domains, metrics: tuple[Metric, ...] = spec.metrics, **settings: Any
    ) -> RemoteObjective:
        return backend(**settings).build(domains, spec.root, spec.data, metrics)

    return make


@pytest.fixture(scope="module")
def requests_in(spec: StudySpec) -> Callable[[Path], Callable[..., StageRequest]]:
    """Gives what makes requests of a trial's stages, in a folder; names are new, as the service forgets none."""
    mixture = Mixture.uniform([domain.name for domain in spec.domains if domain.mixed])
    trial = {"id": "trial-0001", "kind": JobKind.TRIAL, "mixture": mixture, "seeds": Seeds(data=3, training=5)}

    def of(place: Path) -> Callable[..., StageRequest]:
        unique = f"small-{uuid.uuid4().hex[:8]}"

        def make(stage: str, handles: Mapping[str, str] | None = None, **job: Any) -> StageRequest:
            made = Job(**{**trial, **job})
            folder = place / made.id
            folder.mkdir(exist_ok=True)
            name = f"{unique}-{made.id}-{stage}"
            return StageRequest(stage=stage, name=name, job=made, handles=handles or {}, folder=folder)

        return make

    return of


@pytest.fixture
def request_of(
    requests_in: Callable[[Path], Callable[..., StageRequest]], tmp_path: Path
) -> Callable[..., StageRequest]:
    """Makes the request of a stage of a trial; keywords are of its job."""
    return requests_in(tmp_path)
