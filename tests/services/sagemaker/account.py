"""What the service does for an account, operation by operation."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from tests.services.sagemaker import rules
from tests.services.sagemaker.faults import Faults
from tests.services.sagemaker.files import Files
from tests.services.sagemaker.job import ACCOUNT, PHASES, RUNNING, Job
from tests.services.sagemaker.ledger import Ledger
from tests.services.sagemaker.options import Options
from tests.services.sagemaker.outcome import Outcome
from tests.services.sagemaker.refusal import (
    ALGORITHM,
    CAPACITY,
    INTERNAL,
    Refusal,
    in_use,
    invalid,
    missing,
    over_quota,
)

GROUP = "nova-study"
"""The model package group that is there from the beginning."""

ENDINGS = {
    "capacity": ("Failed", "Failed", CAPACITY),
    "preempt": ("Failed", "Failed", INTERNAL),
    "fail": ("Failed", "Failed", ALGORITHM),
    "overrun": ("Stopped", "MaxRuntimeExceeded", None),
    "stop": ("Stopped", "Stopped", None),
}
"""Status, secondary status and reason of a job that a mistake ends."""

DEFAULTS = {"learning_rate": "1e-05", "warmup_steps": "15", "min_lr": "1e-06", "weight_decay": "0.0"}
"""Hyperparameters of the recipe that a description may show though nobody stated them."""

Answer = dict[str, Any]


class Account:
    """Jobs and models of one account; what is on its ledger is all that it is."""

    def __init__(self, folder: Path) -> None:
        self.lock = threading.RLock()
        self.jobs: dict[str, Job] = {}
        self.deleted: set[str] = set()
        self.groups: dict[str, int] = {GROUP: 0}
        self.faults = Faults()
        self._folder = folder
        self._ledger = Ledger(folder)
        self._ledger.mend()
        self.configure()
        for line in self._ledger:
            self._replay(line)

    def configure(self) -> None:
        """Takes on the options that its folder states."""
        self.options = Options.read(self._folder)
        self.faults.change(self.options.chances, self.options.chaos)
        self.files = Files(self.options.s3)
        self._outcome = Outcome.of(self.options)

    def _replay(self, line: dict[str, Any]) -> None:
        event, now = line["event"], line["time"]
        if event == "taken":
            self.jobs[line["name"]] = Job(
                name=line["name"],
                region=line["region"],
                asked=line["asked"],
                created=now,
                seen=line["seen"],
                doom=line["doom"],
                version=line["version"],
            )
        elif event == "looked":
            job = self.jobs[line["name"]]
            job.looks, job.progress = line["looks"], line["progress"]
            job.move(line["status"], line["secondary"], now)
        elif event == "stopping":
            self.jobs[line["name"]].move("Stopping", "Stopping", now)
        elif event == "ended":
            job = self.jobs[line["name"]]
            job.looks, job.progress, job.package = line["looks"], line["progress"], line["package"]
            job.move(line["status"], line["secondary"], now, line["reason"])
            if job.package is not None:
                self._count(job.package)
        elif event == "group":
            self.groups.setdefault(line["name"], 0)
        elif event == "deleted":
            self.deleted.add(line["package"])

    def operation(self, name: str) -> Callable[[dict[str, Any], str], Answer] | None:
        """What an operation does, given its request and the region; None where this small service has none such."""
        return {
            "CreateTrainingJob": self.create,
            "DescribeTrainingJob": self.describe,
            "StopTrainingJob": self.stop,
            "ListTrainingJobs": self.list,
            "DescribeHubContent": self.hub_content,
            "CreateModelPackageGroup": self.create_group,
            "DescribeModelPackageGroup": self.group,
            "DescribeModelPackage": self.model_package,
            "DeleteModelPackage": self.delete_model_package,
        }.get(name)

    def asked_of(self, operation: str, asked: dict[str, Any]) -> tuple[frozenset[str], bool]:
        """The stages that a call is about, and whether its job runs."""
        with self.lock:
            job = self.jobs.get(asked.get("TrainingJobName", ""))
            if operation == "CreateTrainingJob":
                return rules.stages(asked), False
            return (frozenset(), False) if job is None else (job.stages, job.running)

    # What clients call

    def create(self, asked: dict[str, Any], region: str) -> Answer:
        name = asked["TrainingJobName"]
        try:
            with self.lock:
                packages = {job.package for job in self.jobs.values() if job.package} - self.deleted
                context = rules.Context(
                    region=region, options=self.options, groups=frozenset(self.groups), packages=frozenset(packages)
                )
            rules.check(asked, context)
            seen, doom = self._outcome.seen(asked, rules.data(asked, context, self.files))
            with self.lock:
                if name in self.jobs:
                    raise in_use(self.jobs[name].arn)
                used = sum(job.running for job in self.jobs.values())
                if self.options.quota is not None and used >= self.options.quota:
                    raise over_quota(self.options.quota, used)
                version = self.options.version
                now = self._ledger.write(
                    "taken", name=name, region=region, asked=asked, seen=seen, doom=doom, version=version
                )
                job = Job(name=name, region=region, asked=asked, created=now, seen=seen, doom=doom, version=version)
                self.jobs[name] = job
                return {"TrainingJobArn": job.arn}
        except Refusal as refusal:
            self._ledger.write("refused", name=name, code=refusal.code, message=refusal.message)
            raise

    def describe(self, asked: dict[str, Any], region: str, *, idle: bool = False) -> Answer:
        with self.lock:
            job = self._job(asked)
            if not idle:
                self._advance(job)
            return job.described(DEFAULTS if self.options.shown_defaults and "train" in job.stages else {})

    def stop(self, asked: dict[str, Any], region: str) -> Answer:
        with self.lock:
            job = self._job(asked)
            if not job.running:
                raise invalid(f"The request was rejected because the training job is in status {job.status}.")
            if job.status != "Stopping":
                job.move("Stopping", "Stopping", self._ledger.write("stopping", name=job.name))
            return {}

    def list(self, asked: dict[str, Any], region: str) -> Answer:
        with self.lock:
            found = [job for job in self.jobs.values() if asked.get("NameContains", "") in job.name]
        if "StatusEquals" in asked:
            found = [job for job in found if job.status == asked["StatusEquals"]]
        by = {"Name": lambda job: job.name, "Status": lambda job: job.status}.get(
            asked.get("SortBy", ""), lambda job: job.created
        )
        found.sort(key=by, reverse=asked.get("SortOrder", "Descending") == "Descending")
        start, size = int(asked.get("NextToken", "0")), asked.get("MaxResults", 10)
        answer: Answer = {"TrainingJobSummaries": [job.summary() for job in found[start : start + size]]}
        return answer if start + size >= len(found) else {**answer, "NextToken": str(start + size)}

    def hub_content(self, asked: dict[str, Any], region: str) -> Answer:
        name, hub = asked["HubContentName"], asked["HubName"]
        if hub != "SageMakerPublicHub" or region not in rules.REGIONS or name not in rules.MODELS:
            raise Refusal(
                "ResourceNotFound", f"Hub content {name} of type {asked['HubContentType']} does not exist in {hub}"
            )
        version = asked.get("HubContentVersion", self.options.version)
        return {
            "HubContentName": name,
            "HubContentArn": f"arn:aws:sagemaker:{region}:aws:hub-content/{hub}/Model/{name}/{version}",
            "HubContentVersion": version,
            "HubContentType": "Model",
            "DocumentSchemaVersion": "2.3.0",
            "HubName": hub,
            "HubArn": f"arn:aws:sagemaker:{region}:aws:hub/{hub}",
            "HubContentDocument": json.dumps({"Provider": "Amazon"}),
            "HubContentStatus": "Available",
            "CreationTime": 1_764_000_000.0,
        }

    def create_group(self, asked: dict[str, Any], region: str) -> Answer:
        name = asked["ModelPackageGroupName"]
        with self.lock:
            if name in self.groups:
                raise invalid(f"Model Package Group already exists: {_group_arn(name, region)}")
            self._ledger.write("group", name=name)
            self.groups[name] = 0
        return {"ModelPackageGroupArn": _group_arn(name, region)}

    def group(self, asked: dict[str, Any], region: str) -> Answer:
        name = asked["ModelPackageGroupName"].rpartition("/")[2]
        if name not in self.groups:
            raise invalid(f"ModelPackageGroup {_group_arn(name, region)} does not exist.")
        return {
            "ModelPackageGroupName": name,
            "ModelPackageGroupArn": _group_arn(name, region),
            "CreationTime": 1_764_000_000.0,
            "CreatedBy": {},
            "ModelPackageGroupStatus": "Completed",
        }

    def model_package(self, asked: dict[str, Any], region: str) -> Answer:
        job = self._made(asked["ModelPackageName"])
        assert job.package is not None
        group, version = job.package.split("/")[1:]
        return {
            "ModelPackageName": group,
            "ModelPackageGroupName": group,
            "ModelPackageVersion": int(version),
            "ModelPackageArn": job.package,
            "CreationTime": job.ended,
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": []},
        }

    def delete_model_package(self, asked: dict[str, Any], region: str) -> Answer:
        with self.lock:
            job = self._made(asked["ModelPackageName"])
            self._ledger.write("deleted", package=job.package)
            self.deleted.add(str(job.package))
        return {}

    # What happens meanwhile

    def fault(
        self, call: str, asked: dict[str, Any], stages: Collection[str] = (), *, running: bool = False
    ) -> str | None:
        """The mistake to make in a call, if any; the ledger knows of it."""
        fault = self.faults.next(call, stages, running=running)
        if fault is not None:
            self._ledger.write("fault", durable=False, call=call, fault=fault, name=asked.get("TrainingJobName"))
        return fault

    def end(self, name: str, fault: str) -> None:
        """Ends a running job by a mistake."""
        with self.lock:
            job = self.jobs[name]
            if job.running:
                self._end(job, *ENDINGS[fault])

    def _job(self, asked: dict[str, Any]) -> Job:
        job = self.jobs.get(asked["TrainingJobName"])
        if job is None:
            raise missing()
        return job

    def _made(self, package: str) -> Job:
        for job in self.jobs.values():
            if job.package == package and package not in self.deleted:
                return job
        raise invalid(f"ModelPackage {package} does not exist.")

    def _advance(self, job: Job) -> None:
        """Goes on with a job, as far as one look brings it."""
        if not job.running:
            return
        if job.status == "Stopping":
            self._end(job, "Stopped", "Stopped", None)
            return
        job.looks += 1
        now = time.time()
        seconds = self.options.seconds
        job.progress = min(1.0, (now - job.created) / seconds if seconds else job.looks / self.options.length)
        if job.doom is not None and job.progress > PHASES[0][0]:
            self._end(job, "Failed", "Failed", job.doom)
        elif seconds and now - job.created > job.time_limit:
            self._end(job, *ENDINGS["overrun"])
        elif job.progress >= 1:
            self._complete(job)
        else:
            phase = next(name for until, name in PHASES if job.progress < until)
            looked = {"looks": job.looks, "progress": job.progress, "status": job.status, "secondary": phase}
            job.move(job.status, phase, self._ledger.write("looked", durable=False, name=job.name, **looked))

    def _complete(self, job: Job) -> None:
        source = job.asked.get("ModelPackageConfig", {}).get("SourceModelPackageArn")
        package = None
        try:
            tuned = None if source is None else self._made(source)
            if "train" in job.stages:
                group = job.asked["ModelPackageConfig"]["ModelPackageGroupArn"].rpartition("/")[2]
                package = f"arn:aws:sagemaker:{job.region}:{ACCOUNT}:model-package/{group}/{self.groups[group] + 1}"
                files = self._outcome.of_training(job)
            else:
                files = self._outcome.of_evaluation(job, tuned, self.files)
        except Refusal as refusal:  # what it needs has been deleted meanwhile
            self._end(job, "Failed", "Failed", f"ClientError: {refusal.message}")
            return
        packed = job.asked["OutputDataConfig"].get("CompressionType", "GZIP") == "GZIP"
        self.files.write_all(job.folder, files, packed=packed)
        self._end(job, "Completed", "Completed", None, package)

    def _end(self, job: Job, status: str, secondary: str, reason: str | None, package: str | None = None) -> None:
        assert job.status in RUNNING
        now = self._ledger.write(
            "ended",
            name=job.name,
            status=status,
            secondary=secondary,
            reason=reason,
            looks=job.looks,
            progress=job.progress,
            tokens=job.tokens,
            package=package,
        )
        job.package = package
        job.move(status, secondary, now, reason)
        if package is not None:
            self._count(package)

    def _count(self, package: str) -> None:
        group, version = package.split("/")[1:]
        self.groups[group] = max(self.groups.get(group, 0), int(version))


def _group_arn(name: str, region: str) -> str:
    return f"arn:aws:sagemaker:{region}:{ACCOUNT}:model-package-group/{name}"
