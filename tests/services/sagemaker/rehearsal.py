"""Rehearses studies/nova.yaml without an account: the whole study, against a service of our own on this machine.

    python -m tests.services.sagemaker.rehearsal [FOLDER]    # what `make nova-rehearsal` runs, in runs/rehearsal

Nothing of it can reach an account. The programs that it starts see no setting, credential or proxy of whoever starts
it, only endpoints on loopback and invented credentials; and the study file that it makes names a bucket that S3 lets
nobody have, and a role of an account that is only an example in AWS's documentation. A study that was rehearsed has
another name than the one that it rehearses, and a folder of its own.

Interrupted, it goes on where it was; done, it prints its result again. Killed in a way that leaves it no time to keep
what the service had, it begins anew.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import yaml

from tests.services.sagemaker.job import ACCOUNT
from tests.services.sagemaker.server import SagemakerServer

ROOT = Path(__file__).parents[3]
STUDY = ROOT / "studies" / "nova.yaml"
NAME = "nova-rehearsal"
BUCKET = "nova-rehearsal-s3alias"
"""S3 keeps names with this end for itself, so that nobody's data can be under it."""

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_SAGEMAKER", "AWS_ENDPOINT_URL_STS")

FOREIGN = ("AWS_", "BOTO_", "BOTOCORE_")
"""What the names of variables begin with that AWS's programs look at."""

FORMATS = {"yaml": "yaml", "nova-job": "json", "nova-sdk": "py", "nova-hyperpod": "yaml"}
"""What recipes are exported as, with the endings of their files."""

POLL_S = 0.2


class Bucket:
    """The rehearsal's bucket, which the local S3 has in memory alone."""

    def __init__(self, service: Mapping[str, str]) -> None:
        self._client: Any = client("s3", service)

    def fill(self, kept: Path) -> None:
        """Makes it, with what was kept of it."""
        self._client.create_bucket(Bucket=BUCKET)
        for file in kept.rglob("*") if kept.exists() else ():
            if file.is_file():
                self._client.upload_file(str(file), BUCKET, file.relative_to(kept).as_posix())

    def keep(self, kept: Path) -> None:
        """Keeps what is in it; the folder appears complete."""
        partial = Path(tempfile.mkdtemp(dir=kept.parent))
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        for entry in (entry for page in pages for entry in page.get("Contents", ())):
            file = partial / entry["Key"]
            file.parent.mkdir(parents=True, exist_ok=True)
            self._client.download_file(BUCKET, entry["Key"], str(file))
        shutil.rmtree(kept, ignore_errors=True)
        partial.rename(kept)


class Rehearsal:
    """The study in its folder, with the service that runs its jobs."""

    def __init__(self, folder: Path, changes: Mapping[str, Any]) -> None:
        """Prepares a rehearsal.

        Args:
            folder: for the study, the service and the recipes.
            changes: of the study file's `search`.
        """
        self._folder = folder
        self._changes = changes
        self._kept = folder / "service" / "bucket"
        self._running: subprocess.Popen[bytes] | None = None

    def play(self) -> int:
        """Plays it, or goes on with that; the exit code of what did not end well, else 0."""
        self.forget_what_was_lost()
        self._folder.mkdir(parents=True, exist_ok=True)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as the service should, which inherits that
        with SagemakerServer(self._folder / "service", world=self._study_file()) as server:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._interrupt)
            environment = secluded(os.environ, server.environment)
            bucket = Bucket(environment)
            bucket.fill(self._kept)
            shutil.rmtree(self._kept, ignore_errors=True)
            make_group(environment)
            code = self._drive(environment)
            bucket.keep(self._kept)
            if code == 0:
                print(f"\n{told(server)}", flush=True)
        return code

    def forget_what_was_lost(self) -> None:
        """Removes a rehearsal that was killed before it could keep what the service had."""
        if (self._folder / "service").exists() and not self._kept.exists():
            print("the service of the last rehearsal was lost: it begins anew", flush=True)
            shutil.rmtree(self._folder)

    def _drive(self, environment: Mapping[str, str]) -> int:
        """Does with the study what anybody would; the first exit code that is not 0."""
        begun = (self._folder / NAME / "manifest.json").exists()
        commands = [["resume", NAME] if begun else ["launch", str(self._study_file()), "--yes"]]
        for name, ending in FORMATS.items():
            commands.append(["export", NAME, "--format", name, "--out", str(self._folder / f"recipe-{name}.{ending}")])
        commands.append(["leftovers", NAME])
        for command in commands:
            code = self._run([*command, "--runs", str(self._folder)], environment)
            if code:
                return code
        return 0

    def _run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
        print(f"\n$ ratio-search {' '.join(arguments)}", flush=True)
        command = [sys.executable, "-m", "ratio_search", *arguments]
        with subprocess.Popen(command, cwd=ROOT, env=environment) as self._running:
            return self._running.wait()

    def _interrupt(self, number: int, frame: object) -> None:
        """A terminal tells the driver as well; whoever tells this process alone means the driver."""
        if number != signal.SIGINT and self._running is not None:
            self._running.send_signal(number)

    def _study_file(self) -> Path:
        """The rehearsed study file, written where it is not there yet."""
        file = self._folder / f"{NAME}.yaml"
        if not file.exists():
            text = yaml.safe_dump(rehearsed(STUDY, self._changes), sort_keys=False)
            file.write_text(f"# {STUDY.name}, for the local service alone.\n{text}", encoding="utf-8")
        return file


def rehearsed(study: Path, changes: Mapping[str, Any]) -> dict[str, Any]:
    """A study file with everything replaced that an account would be needed for.

    Args:
        study: the file; its data is read from where it is.
        changes: of its `search`.
    """
    document: dict[str, Any] = yaml.safe_load(study.read_text(encoding="utf-8"))
    for section in document["domains"].values():
        for split in {"train", "test", "final"} & set(section):
            section[split] = str(study.parent / section[split])
    document["name"] = NAME
    document["search"] |= changes
    document["objective"] |= {
        "role": f"arn:aws:iam::{ACCOUNT}:role/{NAME}",
        "place": f"s3://{BUCKET}/{NAME}",
        "model_package_group": NAME,
        "accept_eula": True,
        "region": "us-east-1",
        "poll_s": POLL_S,
    }
    return document


def secluded(environment: Mapping[str, str], service: Mapping[str, str]) -> dict[str, str]:
    """An environment from which only a local service can be reached.

    Args:
        environment: of this process; see `purged`.
        service: what leads to the local service.
    """
    for name in ENDPOINTS:
        assert urlsplit(service[name]).hostname == "127.0.0.1", f"{name} leads to {service[name]}"
    # Whatever has no endpoint of its own would go to Amazon; at the other service's it is merely not understood.
    return {**purged(environment), **service, "AWS_ENDPOINT_URL": service["AWS_ENDPOINT_URL_SAGEMAKER"]}


def purged(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without anything that concerns AWS, boto3 or a proxy."""
    return {
        name: value
        for name, value in environment.items()
        if not name.upper().startswith(FOREIGN) and not name.upper().endswith("_PROXY")
    }


def client(name: str, service: Mapping[str, str]) -> Any:
    """A client of the local service, whatever the environment of this process says."""
    return boto3.client(
        name,
        endpoint_url=service[f"AWS_ENDPOINT_URL_{name.upper()}"],
        region_name="us-east-1",
        aws_access_key_id=service["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=service["AWS_SECRET_ACCESS_KEY"],
    )


def make_group(service: Mapping[str, str]) -> None:
    """Makes the model package group, as its owner would once; the service remembers it."""
    sagemaker = client("sagemaker", service)
    try:
        sagemaker.describe_model_package_group(ModelPackageGroupName=NAME)
    except sagemaker.exceptions.ClientError:
        sagemaker.create_model_package_group(ModelPackageGroupName=NAME)


def told(server: SagemakerServer) -> str:
    """What the rehearsal did, in words."""
    states = Counter(job["status"] for job in server.jobs.values())
    jobs = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    return (
        f"This was a rehearsal of {STUDY.relative_to(ROOT)}: its jobs ({jobs}) ran on a local service, whose model "
        "is a simulation. Nothing was sent to Amazon, and nothing was paid; the recipe says nothing about Nova."
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Rehearses studies/nova.yaml against a local service.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "runs" / "rehearsal")
    parser.add_argument("--trials", type=int, help="of the search; as many as the study file has if not stated")
    options = parser.parse_args()
    # This process talks to the service, too, and its own files of settings are no better than its variables.
    kept = purged(os.environ) | {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    os.environ.clear()
    os.environ.update(kept)
    changes = {} if options.trials is None else {"trials": options.trials}
    return Rehearsal(options.folder.absolute(), changes).play()


if __name__ == "__main__":
    sys.exit(main())
