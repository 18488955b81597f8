"""Starts, ends and questions the local SageMaker and the S3 beside it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any, Self

import boto3

from tests.services.sagemaker.files import CREDENTIALS
from tests.services.sagemaker.options import Options
from tests.services.sagemaker.s3_calls import CALLS

ROOT = Path(__file__).parents[3]

BUCKET = "nova-study"
"""The bucket that is there from the beginning."""


class SagemakerServer:
    """SageMaker and S3 in processes of their own, from `with` to its end.

    Attributes:
        folder: where they write.
        options: how they behave; changed by `set`.
    """

    def __init__(self, folder: Path, *, world: Path | None = None, length: int = 3, **options: Any) -> None:
        """Prepares the servers.

        Args:
            folder: where they write; made if it is missing.
            world: study file that the simulated model knows the team's domains from.
            length: looks at a job until it is over.
            options: further ones of `Options`.
        """
        self.folder = folder
        self.options = Options(world=None if world is None else str(world.resolve()), length=length, **options)
        self._service: subprocess.Popen[bytes] | None = None
        self._s3: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        for file in ("credentials", "config"):
            (self.folder / file).touch()
        for port in ("port", "s3-port"):
            (self.folder / port).unlink(missing_ok=True)
        self._s3 = self._begin("tests.services.sagemaker.s3", "s3-port")
        self._await(self._s3, "s3-port")
        self.set(s3=self.s3_url)
        self.start()
        s3: Any = boto3.client("s3", endpoint_url=self.s3_url, region_name="us-east-1", **CREDENTIALS)
        s3.create_bucket(Bucket=BUCKET)
        return self

    def __exit__(self, *error: object) -> None:
        for process in (self._service, self._s3):
            if process is not None:
                process.kill()
                process.wait()

    def start(self) -> None:
        """Starts the service, on the port that it had before if it had one."""
        self._service = self._begin("tests.services.sagemaker", "port")
        self._await(self._service, "port")

    def kill(self) -> None:
        """Ends the service as a power cut would; S3 goes on."""
        assert self._service is not None
        self._service.kill()
        self._service.wait()

    def _begin(self, module: str, name: str) -> subprocess.Popen[bytes]:
        file = self.folder / name
        port = [file.read_text()] if file.exists() else []
        file.unlink(missing_ok=True)
        return subprocess.Popen([sys.executable, "-m", module, str(self.folder), *port], cwd=ROOT)

    def _await(self, process: subprocess.Popen[bytes], name: str) -> None:
        while not (self.folder / name).exists():
            assert process.poll() is None, f"the service did not start: {name}"
            time.sleep(0.01)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{(self.folder / 'port').read_text()}"

    @property
    def s3_url(self) -> str:
        return f"http://127.0.0.1:{(self.folder / 's3-port').read_text()}"

    @property
    def environment(self) -> dict[str, str]:
        """What leads boto3's clients here, and to nobody's account."""
        return {
            "AWS_ENDPOINT_URL_SAGEMAKER": self.url,
            "AWS_ENDPOINT_URL_S3": self.s3_url,
            "AWS_ENDPOINT_URL_STS": self.url,
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(self.folder / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.folder / "credentials"),
        }

    def set(self, **options: Any) -> None:
        """Changes options, at once and for later starts."""
        self.options = dataclasses.replace(self.options, **options)
        self.options.write(self.folder)
        self._post(self.s3_url, "options", dataclasses.asdict(self.options))
        if self._service is not None and self._service.poll() is None:
            self._post(self.url, "options", {})

    def fault(self, call: str, *faults: str, stage: str | None = None, after: int = 0) -> None:
        """Plans mistakes, once so many calls were spared.

        Args:
            call: operation of SageMaker, STS or S3, such as `CreateTrainingJob` or `UploadPart`.
            faults: as `faults` lists them, made one by one.
            stage: whose job has to be meant: `train`, `evaluate`, `benchmark` or `benchmark-<task>`; None for all.
            after: calls that are spared.
        """
        url = self.s3_url if call in CALLS else self.url
        self._post(url, "faults", {"call": call, "faults": faults, "stage": stage, "after": after})

    def release(self) -> None:
        """Lets calls go on that wait for it, now and later."""
        for url in (self.url, self.s3_url):
            self._post(url, "release", {})

    @property
    def ledger(self) -> list[dict[str, Any]]:
        file = self.folder / "ledger.jsonl"
        text = file.read_text() if file.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    @property
    def jobs(self) -> dict[str, dict[str, Any]]:
        """Each job by its name: what was `asked`, how it is (`status`), and what an ended one has in the ledger."""
        found: dict[str, dict[str, Any]] = {}
        for line in self.ledger:
            if line["event"] == "taken":
                found[line["name"]] = {**line, "status": "InProgress"}
            elif line["event"] == "ended":
                found[line["name"]] |= {key: line[key] for key in line if key not in ("event", "name", "time")}
        return found

    def _post(self, url: str, path: str, body: Any) -> None:
        request = urllib.request.Request(f"{url}/_/{path}", data=json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=10):
            pass
