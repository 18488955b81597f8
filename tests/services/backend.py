"""An objective on the pretend platform, as those on real ones are to be."""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlencode

from objectives.attempt import Failure, FailureKind
from objectives.backends import BACKENDS
from objectives.backends.backend import Backend
from objectives.base import Job, Measurement, Progress
from objectives.data.policy import DEFAULT_POLICY, DataPolicy
from objectives.domain import Domain
from objectives.errors import AccessError, NameInUse, ObjectiveError, ServiceError
from objectives.remote import Leftover, StageRequest, StageStatus
from objectives.scorer import Metric

AGAIN = {429, 500, 503}
"""Answers after which the same may be asked again."""

FAULTS = {
    "preempted": FailureKind.INFRASTRUCTURE,
    "stopped": FailureKind.CANCELLED,
    "overrun": FailureKind.OBJECTIVE,
}
"""How a stage can end, and whose fault that is."""

LOCKED = "PRETEND_LOCKED"
"""Environment variable that says why nobody can build the objective."""


class PlatformBackend(Backend):
    """Settings of the pretend platform's objective.

    Attributes:
        url: of its server.
        poll_s: seconds between two looks at a stage.
        timeout_s: seconds that an answer may take.
        rows: that a job trains on.
        categories: of training data that the platform has of its own; None for none.
        benchmarks: that it runs.
        max_concurrent_jobs: that it runs at a time.
    """

    POLICY: ClassVar[frozenset[str]] = Backend.POLICY | {"max_concurrent_jobs"}

    REMOTE: ClassVar[bool] = True

    kind: Literal["pretend"]
    url: str
    poll_s: float = 0.01
    timeout_s: float = 0.3
    rows: int | None = None
    categories: dict[str, float] | None = None
    benchmarks: tuple[str, ...] = ()
    max_concurrent_jobs: int | None = None

    @property
    def train_rows(self) -> int | None:
        return self.rows

    @property
    def most_at_once(self) -> int | None:
        return self.max_concurrent_jobs

    @property
    def platform_categories(self) -> Mapping[str, float] | None:
        return self.categories

    @property
    def platform_share(self) -> float:
        return 0.5

    @property
    def platform_benchmarks(self) -> frozenset[str]:
        return frozenset(self.benchmarks)

    def produces(self, labelled: Mapping[str, bool]) -> frozenset[str]:
        return frozenset(f"{name}/accuracy" for name in labelled)

    def build(
        self,
        domains: Sequence[Domain],
        root: Path,
        policy: DataPolicy = DEFAULT_POLICY,
        metrics: Sequence[Metric] = (),
    ) -> PlatformObjective:
        if LOCKED in os.environ:
            raise AccessError(os.environ[LOCKED])
        benchmarks = [f"{domain.name}/{name}" for domain in domains for name in domain.benchmarks]
        return PlatformObjective(self, [domain.name for domain in domains if domain.test], benchmarks)


class PlatformObjective:
    """Trains and evaluates on the pretend platform; see `RemoteObjective`."""

    def __init__(self, settings: PlatformBackend, tested: Sequence[str], benchmarks: Sequence[str]) -> None:
        self.poll_s = settings.poll_s
        self._settings = settings
        self._tested = list(tested)
        self._benchmarks = list(benchmarks)

    def stages(self, job: Job) -> tuple[str, ...]:
        return ("evaluate",) if job.mixture is None else ("train", "evaluate")

    def submit(self, request: StageRequest) -> str:
        answer = self._call("/submit", {"name": request.name, **self._asked(request)})
        return str(answer["handle"])

    def find(self, request: StageRequest) -> str | None:
        try:
            answer = self._call(f"/find?{urlencode({'name': request.name})}")
        except FileNotFoundError:
            return None
        if answer["asked"] != self._asked(request):
            raise NameInUse(f"the platform's job {request.name!r} was asked for something else: {answer['asked']}")
        return str(answer["handle"])

    def poll(self, stage: str, handle: str) -> StageStatus:
        found = self._call(f"/poll?{self._name(handle)}")
        failure = None
        if found["state"] in FAULTS:
            failure = Failure(kind=FAULTS[found["state"]], message=f"{stage} {found['state']}: {found['why']}")
        return StageStatus(
            ended=found["state"] != "running",
            failure=failure,
            progress=Progress(step=found["step"], total=found["total"]),
            cost=found["cost"],
        )

    def cancel(self, stage: str, handle: str) -> None:
        self._call("/cancel", {"name": handle.partition(":")[2]})

    def result(self, job: Job, handles: Mapping[str, str], folder: Path) -> Measurement:
        found = self._call(f"/result?{self._name(handles['evaluate'])}")
        return Measurement.from_json({**found, "realised": None if job.mixture is None else dict(job.mixture)})

    def leftovers(self, artefacts: Mapping[str, str]) -> tuple[Leftover, ...]:
        place = artefacts.get("model") or artefacts.get("train")
        if place is None:
            return ()
        found = {"model": place, "checkpoint": place.replace("platform:", "escrow:")}
        return tuple(Leftover(what=what, place=where, command=f"pretend rm {where}") for what, where in found.items())

    def discard(self, leftover: Leftover) -> None:
        self._call("/delete", {"place": leftover.place})

    def _asked(self, request: StageRequest) -> dict[str, Any]:
        mixture = request.job.mixture
        return {
            "stage": request.stage,
            "job": request.job.id,
            "mixture": None if mixture is None else dict(mixture),
            "model": request.handles.get("train"),
            "tested": self._tested,
            "benchmarks": self._benchmarks,
        }

    def _name(self, handle: str) -> str:
        return urlencode({"name": handle.partition(":")[2]})

    def _call(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._settings.url}{path}", data=data)
        try:
            with urllib.request.urlopen(request, timeout=self._settings.timeout_s) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                said = json.loads(error.read() or b"{}").get("error", "")
            if error.code in AGAIN:
                raise ServiceError(f"the platform answers {error.code}: {said}") from error
            if error.code == 401:
                raise AccessError(f"the platform answers 401: {said}; renew the credentials") from error
            if error.code == 409:
                raise NameInUse(said) from error
            if error.code == 404:
                raise FileNotFoundError(said) from error
            raise ObjectiveError(f"the platform refuses with {error.code}: {said}") from error
        except (OSError, http.client.HTTPException) as error:
            raise ServiceError(f"the platform does not answer: {error!r}") from error


def register() -> None:
    """Makes study files of kind `pretend` known to this process."""
    BACKENDS["pretend"] = f"{__name__}:{PlatformBackend.__name__}"
