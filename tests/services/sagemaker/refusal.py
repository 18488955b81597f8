"""What the service says when it refuses, in AWS's codes.

AWS's own wording is used where it is public: a duplicate name, a missing job, throttling, quotas, permissions, tokens,
capacity, missing objects, shapes. What the service says of Nova's own rules is not known to us: that wording is ours.
"""

from __future__ import annotations


class Refusal(Exception):
    """An error that the service answers with.

    Attributes:
        code: AWS's name of it.
        message: what it says.
        status: of HTTP.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def invalid(message: str) -> Refusal:
    return Refusal("ValidationException", message)


def missing() -> Refusal:
    return invalid("Requested resource not found.")


def in_use(arn: str) -> Refusal:
    return Refusal(
        "ResourceInUse",
        "Training job names must be unique within an AWS account and region, and a training job with this name already "
        f"exists ({arn})",
    )


def over_quota(quota: int, used: int) -> Refusal:
    return Refusal(
        "ResourceLimitExceeded",
        f"The account-level service limit 'Number of concurrent serverless model customization jobs' is {quota} Jobs, "
        f"with current utilization of {used} Jobs and a request delta of 1 Jobs. Please use AWS Service Quotas to "
        "request an increase for this quota.",
    )


def denied(caller: str, action: str, resource: str) -> Refusal:
    return Refusal(
        "AccessDeniedException",
        f"User: {caller} is not authorized to perform: {action} on resource: {resource} because no identity-based "
        f"policy allows the {action} action",
    )


def unassumable(role: str) -> Refusal:
    return invalid(
        f"Could not assume role {role}. Please ensure that the role exists and allows principal "
        "'sagemaker.amazonaws.com' to assume the role."
    )


def unknown_operation() -> Refusal:
    return Refusal("UnknownOperationException", "")


THROTTLED = Refusal("ThrottlingException", "Rate exceeded")
BUSY = Refusal("ServiceUnavailable", "Service is unavailable, please try again.", 503)
BROKEN = Refusal("InternalFailure", "The request processing has failed because of an unknown error.", 500)
EXPIRED = Refusal("ExpiredTokenException", "The security token included in the request is expired")
UNRECOGNIZED = Refusal("UnrecognizedClientException", "The security token included in the request is invalid.")

CAPACITY = (
    "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type."
)
INTERNAL = "InternalServerError: We encountered an internal error. Please try again."
ALGORITHM = "AlgorithmError: the fine-tune failed, exit code: 1"
