"""What the service reads and writes in S3."""

from __future__ import annotations

import hashlib
import io
import tarfile
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

AGENT = "the-service"
"""What the service calls itself, so that mistakes that are planned for clients do not meet it."""

CREDENTIALS = {"aws_access_key_id": "service", "aws_secret_access_key": "service"}


class Files:
    """Objects of S3, by their addresses."""

    def __init__(self, url: str) -> None:
        config = Config(retries={"max_attempts": 3}, s3={"addressing_style": "path"}, user_agent_extra=AGENT)
        self._s3: Any = boto3.client("s3", endpoint_url=url, region_name="us-east-1", config=config, **CREDENTIALS)

    def region(self, uri: str) -> str | None:
        """Where the bucket is; None where there is none."""
        try:
            found = self._s3.get_bucket_location(Bucket=_parts(uri)[0])
        except ClientError:
            return None
        return found["LocationConstraint"] or "us-east-1"

    def keys(self, uri: str) -> list[str]:
        """Addresses of all objects that begin so."""
        bucket, prefix = _parts(uri)
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [f"s3://{bucket}/{one['Key']}" for page in pages for one in page.get("Contents", ())]

    def read(self, uri: str) -> bytes:
        bucket, key = _parts(uri)
        return bytes(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def write(self, uri: str, content: bytes) -> None:
        bucket, key = _parts(uri)
        self._s3.put_object(Bucket=bucket, Key=key, Body=content)

    def write_all(self, folder: str, files: dict[str, bytes], *, packed: bool) -> None:
        """Writes a job's files, as they are or packed into one archive."""
        if not packed:
            for name, content in files.items():
                self.write(f"{folder}/output/{name}", content)
            return
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        self.write(f"{folder}/output.tar.gz", archive.getvalue())


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _parts(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key
