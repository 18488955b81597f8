"""The contract of remote objectives, kept by the one of the pretend platform; its server is a real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from objectives.backends import Blueprint
from objectives.backends.command import CommandBackend
from objectives.domain import Domain
from objectives.errors import ServiceError
from objectives.remote import RemoteObjective
from tests.contracts import RemoteObjectiveContract
from tests.services.backend import PlatformBackend
from tests.services.server import PretendServer

DOMAINS = [Domain(name=name, train=(Path("a"),), test=(Path("b"),)) for name in ("support", "legal")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PretendServer]:
    with PretendServer(tmp_path_factory.mktemp("platform")) as found:
        yield found


class TestPretendPlatform(RemoteObjectiveContract):
    @pytest.fixture
    def domains(self) -> list[Domain]:
        return DOMAINS

    @pytest.fixture
    def remote(self, server: PretendServer) -> Callable[[], RemoteObjective]:
        backend = PlatformBackend(kind="pretend", url=server.url, timeout_s=5)
        return Blueprint(backend=backend, domains=tuple(DOMAINS), root=Path("/")).connect


class TestPretendEvaluation(TestPretendPlatform):
    """The same of a stage that comes after another."""

    @pytest.fixture
    def paid(self) -> str:
        return "evaluate"


@pytest.mark.parametrize("fault", ["throttle", "busy", "broken", "silent", "hang"])
def test_what_may_be_asked_again_is_told_by_one_error(server: PretendServer, fault: str) -> None:
    objective = PlatformBackend(kind="pretend", url=server.url).build(DOMAINS, Path("/"))
    server.fault("cancel", fault)
    server._post("/submit", {"name": fault, "stage": "train"})
    with pytest.raises(ServiceError):
        objective.cancel("train", f"platform:{fault}")
    objective.cancel("train", f"platform:{fault}")


def test_no_server_at_all_is_one_of_them() -> None:
    objective = PlatformBackend(kind="pretend", url="http://127.0.0.1:9").build(DOMAINS, Path("/"))
    with pytest.raises(ServiceError, match="does not answer"):
        objective.poll("train", "platform:any")


def test_a_blueprint_knows_who_runs_its_jobs() -> None:
    remote = Blueprint(backend=PlatformBackend(kind="pretend", url="x"), domains=(), root=Path("/"))
    with pytest.raises(AssertionError):
        remote.build()
    local = Blueprint(backend=CommandBackend(kind="command", argv=["x"], rows=1), domains=(), root=Path("/"))
    with pytest.raises(AssertionError):
        local.connect()
