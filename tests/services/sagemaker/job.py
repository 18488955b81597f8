"""A training or evaluation job, as the service keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ACCOUNT = "123456789012"

RUNNING = ("InProgress", "Stopping")

STEPS = 100
"""Optimizer steps of a fine-tune of which nothing is said."""

BATCH = 32
"""Rows of a step, likewise."""

ROW_TOKENS = {"train": 500, "evaluate": 250, "benchmark": 1}
"""Tokens that are billed for a row; a benchmark has a price of its own."""

BENCHMARK_TOKENS = 200_000
"""Tokens that a benchmark bills."""

PHASES = ((0.2, "Starting"), (0.4, "Downloading"), (0.9, "Training"), (1.0, "Uploading"))
"""What a job does until such a part of it is over."""


@dataclass(slots=True, kw_only=True)
class Job:
    """One job.

    Attributes:
        name: unique in its region.
        region: where it runs.
        asked: the request that made it.
        created: seconds since 1970.
        seen: what its data was when it was made: `rows`, and what the simulated model needs to know.
        doom: why it will fail once it looks at its data; None where it will not.
        version: of the base model, when it was made.
        looks: how often somebody looked at it while it ran.
        status, secondary: as AWS names them.
        reason: why it failed.
        ended: seconds since 1970; None while it runs.
        package: ARN of the model that it made.
    """

    name: str
    region: str
    asked: dict[str, Any]
    created: float
    seen: dict[str, Any]
    doom: str | None
    version: str
    looks: int = 0
    progress: float = 0.0
    status: str = "InProgress"
    secondary: str = "Starting"
    reason: str | None = None
    ended: float | None = None
    package: str | None = None
    transitions: list[tuple[str, float]] = field(default_factory=list)

    @property
    def arn(self) -> str:
        return f"arn:aws:sagemaker:{self.region}:{ACCOUNT}:training-job/{self.name}"

    @property
    def running(self) -> bool:
        return self.status in RUNNING

    @property
    def parameters(self) -> dict[str, str]:
        return dict(self.asked.get("HyperParameters", {}))

    @property
    def stages(self) -> frozenset[str]:
        """What faults may be planned for: `train`, `evaluate`, or `benchmark` and `benchmark-<task>`."""
        return stages(self.asked)

    @property
    def folder(self) -> str:
        """Where it writes, as an S3 URI."""
        return f"{self.asked['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self.name}/output"

    @property
    def steps(self) -> int:
        return int(self.parameters.get("max_steps", STEPS))

    @property
    def time_limit(self) -> int:
        """Seconds that it may run."""
        return int(self.asked.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 86_400))

    @property
    def rows(self) -> int:
        """Rows that go through the model: with repeats in training, the test rows in evaluation."""
        if "train" in self.stages:
            return self.steps * int(self.parameters.get("global_batch_size", BATCH))
        return int(self.seen.get("rows", 0))

    @property
    def tokens(self) -> int:
        """Billed so far."""
        if "benchmark" in self.stages:
            return round(BENCHMARK_TOKENS * self.progress)
        per_row = ROW_TOKENS["train" if "train" in self.stages else "evaluate"]
        return round(self.rows * per_row * self.progress)

    def move(self, status: str, secondary: str, now: float, reason: str | None = None) -> None:
        """Goes on to a status."""
        if secondary != self.secondary or not self.transitions:
            self.transitions.append((secondary, now))
        self.status, self.secondary = status, secondary
        if reason is not None:
            self.reason = reason
        if not self.running:
            self.ended = now

    def described(self, shown: dict[str, str]) -> dict[str, Any]:
        """The answer of DescribeTrainingJob.

        Args:
            shown: hyperparameters of the recipe that nobody stated.
        """
        echoed = {
            key: value
            for key, value in self.asked.items()
            if key not in ("TrainingJobName", "Tags", "HyperParameters", "ServerlessJobConfig", "StoppingCondition")
        }
        serverless = self.asked["ServerlessJobConfig"]
        base = "/".join(serverless["BaseModelArn"].split("/")[:4]) + f"/{self.version}"
        answer: dict[str, Any] = {
            **echoed,
            "TrainingJobName": self.name,
            "TrainingJobArn": self.arn,
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.secondary,
            "SecondaryStatusTransitions": self._transitions(),
            "ModelArtifacts": {"S3ModelArtifacts": f"{self.folder}/output"},
            "HyperParameters": {**shown, **self.parameters},
            "ServerlessJobConfig": {**serverless, "BaseModelArn": base},
            "StoppingCondition": {"MaxRuntimeInSeconds": self.time_limit},
            "CreationTime": self.created,
            "LastModifiedTime": self.transitions[-1][1] if self.transitions else self.created,
        }
        if self.progress > 0:
            answer["TrainingStartTime"] = self.created
            answer["BillableTokenCount"] = self.tokens
        if self.progress > 0 and "train" in self.stages:
            answer["ProgressInfo"] = {
                "TotalStepCountPerEpoch": self.steps,
                "CurrentStep": round(self.steps * self.progress),
                "CurrentEpoch": 1,
                "MaxEpoch": 1,
            }
        if self.reason is not None:
            answer["FailureReason"] = self.reason
        if self.package is not None:
            answer["OutputModelPackageArn"] = self.package
        if self.ended is not None:
            answer["TrainingEndTime"] = self.ended
            answer["TrainingTimeInSeconds"] = answer["BillableTimeInSeconds"] = max(1, round(self.ended - self.created))
        return answer

    def _transitions(self) -> list[dict[str, Any]]:
        moments = [("Starting", self.created), *(one for one in self.transitions if one[0] != "Starting")]
        ends = [*(moment for _, moment in moments[1:]), self.ended]
        return [
            {"Status": status, "StartTime": start, **({} if end is None else {"EndTime": end})}
            for (status, start), end in zip(moments, ends, strict=True)
        ]

    def summary(self) -> dict[str, Any]:
        """As ListTrainingJobs shows it."""
        found = {
            "TrainingJobName": self.name,
            "TrainingJobArn": self.arn,
            "CreationTime": self.created,
            "LastModifiedTime": self.ended or self.created,
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.secondary,
        }
        return found if self.ended is None else {**found, "TrainingEndTime": self.ended}


def stages(asked: Mapping[str, Any]) -> frozenset[str]:
    """What a request's faults may be planned for."""
    serverless = asked.get("ServerlessJobConfig", {})
    if serverless.get("JobType") == "FineTuning":
        return frozenset({"train"})
    if serverless.get("EvaluationType") == "CustomScorerEvaluation":
        return frozenset({"evaluate"})
    task = asked.get("HyperParameters", {}).get("task", "")
    return frozenset({"benchmark", f"benchmark-{task.replace('_', '-')}"})
