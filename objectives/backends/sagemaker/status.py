"""How a job is, by what DescribeTrainingJob tells of it.

Source: SageMaker's API reference, "DescribeTrainingJob": statuses, secondary statuses (which may change, it says), and
`FailureReason`, whose beginning says whose fault a failure is.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any

from objectives.attempt import Failure, FailureKind
from objectives.base import Progress
from objectives.remote import StageStatus

OVERRUN = "MaxRuntimeExceeded"
"""A job that ran too long is said to have been stopped."""

UNSERVED = "MaxWaitTimeExceeded"
"""A job that waited too long for capacity, likewise."""

SERVICES_FAULT = re.compile(
    r"^(?!\s*(Algorithm|Client|Customer|Data)\w*Error)(\s*(Capacity|Internal|Infrastructure|Service)\w*(Error|Exception)\b"
    r"|.*(insufficient (instance |compute )?capacity|unable to provision|internal (server |service )?error))",
    re.IGNORECASE | re.DOTALL,
)
"""What the reason of a failure says that is the service's fault."""

REGISTRATION = datetime.timedelta(minutes=15)
"""How long after a fine-tune's end its model may still be missing from its description."""


def stage_status(described: Mapping[str, Any], *, tunes: bool, now: datetime.datetime) -> StageStatus:
    """How a job is.

    A status that is not known counts as running: what is paid for is not given up for a word.

    Args:
        described: what DescribeTrainingJob answered.
        tunes: whether the job makes a model, without which it is not done.
        now: the time, with its zone.
    """
    status, secondary = described.get("TrainingJobStatus"), described.get("SecondaryStatus", "")
    tokens = described.get("BillableTokenCount")
    cost = {} if tokens is None else {"tokens": float(tokens)}
    failure = None
    match status:
        case "Completed":
            if tunes and "OutputModelPackageArn" not in described:
                ended = described.get("TrainingEndTime", now)
                if now - ended < REGISTRATION:
                    return _running(described, "its model is not registered yet", cost)
                failure = _failure(
                    FailureKind.OBJECTIVE,
                    described,
                    "completed, but names no model package; look whether objective.role may write to "
                    "objective.model_package_group",
                )
        case "Failed":
            reason = str(described.get("FailureReason", "gives no reason"))
            lost = secondary == "Interrupted" or SERVICES_FAULT.search(reason) is not None
            failure = _failure(FailureKind.INFRASTRUCTURE if lost else FailureKind.OBJECTIVE, described, reason)
        case "Stopped":
            failure = _stopped(described, secondary)
        case _:
            return _running(described, _words(secondary or status), cost)
    return StageStatus(ended=True, failure=failure, progress=_progress(described, ""), cost=cost)


def _stopped(described: Mapping[str, Any], secondary: str) -> Failure:
    limit = described.get("StoppingCondition", {}).get("MaxRuntimeInSeconds")
    if secondary == OVERRUN:
        at = "" if limit is None else f", {limit:,} s"
        return _failure(
            FailureKind.OBJECTIVE,
            described,
            f"ran longer than objective.time_limit_s{at}, and was ended; raise the limit, or lower objective.steps",
        )
    if secondary == UNSERVED:
        return _failure(FailureKind.INFRASTRUCTURE, described, "waited too long for capacity")
    return _failure(FailureKind.CANCELLED, described, "was stopped")


def _failure(kind: FailureKind, described: Mapping[str, Any], why: str) -> Failure:
    return Failure(kind=kind, message=f"{described.get('TrainingJobName', 'job')}: {why}")


def _running(described: Mapping[str, Any], note: str, cost: Mapping[str, float]) -> StageStatus:
    return StageStatus(ended=False, progress=_progress(described, note), cost=cost)


def _progress(described: Mapping[str, Any], note: str) -> Progress | None:
    """Steps, where the service counts them, over all epochs; else the note alone."""
    info = described.get("ProgressInfo", {})
    epochs = max(int(info.get("MaxEpoch", 1)), 1)
    total = int(info.get("TotalStepCountPerEpoch", 0)) * epochs
    if not total:
        return Progress(step=0, total=0, note=note) if note else None
    step = int(info.get("CurrentStep", 0))
    return Progress(step=min(max(step, 0), total), total=total, note=note)


def _words(status: str | None) -> str:
    """A status in words: MaxRuntimeExceeded as `max runtime exceeded`."""
    return re.sub("(?<=[a-z])(?=[A-Z])", " ", status or "status unknown").lower()
