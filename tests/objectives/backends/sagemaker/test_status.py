"""What a description says of a job, statuses that nobody knows included."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from objectives.attempt import FailureKind
from objectives.backends.sagemaker.status import REGISTRATION, stage_status
from objectives.base import Progress
from objectives.remote import StageStatus

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
PACKAGE = {"OutputModelPackageArn": "arn:aws:sagemaker:us-east-1:123456789012:model-package/g/1"}


def status(status: str | None, secondary: str = "", *, tunes: bool = True, **others: Any) -> StageStatus:
    described = {"TrainingJobName": "x", "SecondaryStatus": secondary, **others}
    if status is not None:
        described["TrainingJobStatus"] = status
    return stage_status(described, tunes=tunes, now=NOW)


def test_a_job_that_succeeded() -> None:
    found = status("Completed", "Completed", BillableTokenCount=1200, **PACKAGE)
    assert found.ended and found.failure is None
    assert found.cost == {"tokens": 1200.0}
    assert status("Completed", "Completed", tunes=False).failure is None


def test_a_model_may_be_registered_a_little_later() -> None:
    """Else the fine-tune would count as done, and there would be nothing to evaluate."""
    early = status("Completed", TrainingEndTime=NOW - REGISTRATION / 2)
    assert not early.ended and early.progress == Progress(step=0, total=0, note="its model is not registered yet")
    assert not status("Completed").ended
    late = status("Completed", TrainingEndTime=NOW - 2 * REGISTRATION)
    assert late.ended and late.failure is not None
    assert late.failure.kind is FailureKind.OBJECTIVE
    assert "model_package_group" in late.failure.message


def test_a_job_that_ran_too_long_has_failed_by_its_own_fault() -> None:
    """The service says that it was stopped, as if somebody had wanted that."""
    found = status("Stopped", "MaxRuntimeExceeded", StoppingCondition={"MaxRuntimeInSeconds": 3600})
    assert found.ended and found.failure is not None
    assert found.failure.kind is FailureKind.OBJECTIVE
    assert found.failure.message.startswith("x: ran longer than objective.time_limit_s, 3,600 s")


def test_a_job_that_somebody_stopped() -> None:
    found = status("Stopped", "Stopped", BillableTokenCount=7)
    assert found.failure is not None and found.failure.kind is FailureKind.CANCELLED
    assert found.cost == {"tokens": 7.0}
    assert not status("Stopping", "Stopping").ended


def test_a_job_that_found_no_capacity_in_time_is_worth_another_attempt() -> None:
    found = status("Stopped", "MaxWaitTimeExceeded")
    assert found.failure is not None and found.failure.kind is FailureKind.INFRASTRUCTURE


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("CapacityError: Unable to provision requested ML compute capacity.", FailureKind.INFRASTRUCTURE),
        ("InternalServerError: We encountered an internal error. Please try again.", FailureKind.INFRASTRUCTURE),
        ("Internal Server Error", FailureKind.INFRASTRUCTURE),
        ("Insufficient capacity for the request", FailureKind.INFRASTRUCTURE),
        ("AlgorithmError: exit code: 1", FailureKind.OBJECTIVE),
        ("ClientError: the data is not JSON Lines", FailureKind.OBJECTIVE),
        ("DataError: row 7 has a reserved word", FailureKind.OBJECTIVE),
        ("Failed: an internal error occurred", FailureKind.INFRASTRUCTURE),
        ("AlgorithmError: exit code 1, internal server error of a library", FailureKind.OBJECTIVE),
        ("something new", FailureKind.OBJECTIVE),
        (None, FailureKind.OBJECTIVE),
    ],
)
def test_the_reason_of_a_failure_says_whose_fault_it_is(reason: str | None, kind: FailureKind) -> None:
    found = status("Failed", "Failed", **({} if reason is None else {"FailureReason": reason}))
    assert found.ended and found.failure is not None
    assert found.failure.kind is kind
    assert (reason or "gives no reason") in found.failure.message


def test_an_interruption_is_the_services_fault() -> None:
    found = status("Failed", "Interrupted", FailureReason="the job was interrupted")
    assert found.failure is not None and found.failure.kind is FailureKind.INFRASTRUCTURE


@pytest.mark.parametrize(
    ("named", "note"),
    [
        (("InProgress", "Starting"), "starting"),
        (("InProgress", "LaunchingMLInstances"), "launching mlinstances"),
        (("InProgress", ""), "in progress"),
        (("Deleting", "Deleting"), "deleting"),
        (("Reticulating", "SplinesMoved"), "splines moved"),
        ((None, ""), "status unknown"),
    ],
)
def test_what_is_not_known_runs_on(named: tuple[str | None, str], note: str) -> None:
    found = status(*named)
    assert not found.ended
    assert found.progress == Progress(step=0, total=0, note=note)


@pytest.mark.parametrize(
    ("info", "step", "total"),
    [
        ({"TotalStepCountPerEpoch": 100, "CurrentStep": 40, "CurrentEpoch": 1, "MaxEpoch": 1}, 40, 100),
        ({"TotalStepCountPerEpoch": 50, "CurrentStep": 70, "CurrentEpoch": 2, "MaxEpoch": 2}, 70, 100),
        ({"TotalStepCountPerEpoch": 100, "CurrentStep": 140}, 100, 100),
        ({"TotalStepCountPerEpoch": 100}, 0, 100),
        ({"CurrentStep": 3}, 0, 0),
    ],
)
def test_steps_are_shown_where_they_are_counted(info: dict[str, int], step: int, total: int) -> None:
    found = status("InProgress", "Training", ProgressInfo=info)
    assert found.progress == Progress(step=step, total=total, note="training")
