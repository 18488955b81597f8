"""Files in S3: sent once for a content, found by listing, read as streams.

Errors are botocore's own, but for what is named here: who calls knows what they mean for a job.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from objectives.errors import DataError, OptionsError, ServiceError

PART_BYTES = 16 * 2**20
"""Of a part of a large file; a smaller file is sent at once. S3 takes parts from 5 MiB on."""

MOST_PARTS = 10_000
"""That S3 takes for a file (Amazon S3 user guide, "Amazon S3 multipart upload limits")."""

BLOCK_BYTES = 2**20
"""Read at a time where a file is streamed."""

DELETED_AT_ONCE = 1000
"""Files that S3 deletes by one call."""

TURNS = 3
"""Times that a file is sent whose sending another program has disturbed."""

OVERTAKEN = frozenset({"NoSuchUpload", "InvalidPart"})
"""What S3 says of an upload that another program has finished, given up or gone on with meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """A file in S3.

    Attributes:
        uri: `s3://bucket/key`.
        size: bytes.
    """

    uri: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parcel:
    """A file to be sent.

    Attributes:
        path: the file.
        sha256: of its content.
        size: bytes.
        bucket, key: where it goes.
    """

    path: Path
    sha256: str
    size: int
    bucket: str
    key: str

    @property
    def place(self) -> dict[str, str]:
        """Where it goes, as S3's calls are told it."""
        return {"Bucket": self.bucket, "Key": self.key}

    def parts(self, least: int) -> Iterator[bytes]:
        """The content in parts of one size, the last one excepted; the same ones whenever it is asked for.

        Args:
            least: bytes of a part, unless there would be too many.

        Raises:
            DataError: the content is not what it was when it was hashed. This may come after the last part.
        """
        digest = hashlib.sha256()
        try:
            with self.path.open("rb") as file:
                while part := file.read(max(least, -(-self.size // MOST_PARTS))):
                    digest.update(part)
                    yield part
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read any more ({error.strerror or error})") from error
        if digest.hexdigest() != self.sha256:
            raise DataError(f"{self.path}: changed since it was hashed; expected a file that stays as it is, try again")


class Store:
    """A place in S3: a bucket and a prefix.

    S3 itself checks what it is sent, by SHA-256. Several programs may send the same file at a time.
    """

    def __init__(self, client: Any, place: str, kms_key: str | None, *, part_bytes: int = PART_BYTES) -> None:
        """Asks nothing yet.

        Args:
            client: boto3's, of S3.
            place: `s3://bucket/prefix`.
            kms_key: id or ARN of the key that files are encrypted with; None for what the bucket does by itself.
            part_bytes: of a part of a large file.
        """
        self._client = client
        self._place = place.rstrip("/")
        self._encryption = {} if kms_key is None else {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key}
        self._part_bytes = part_bytes

    def join(self, *parts: str) -> str:
        """The URI of something below the place."""
        return "/".join([self._place, *parts])

    def put(self, path: Path, sha256: str, name: str) -> str:
        """Sends a file, unless it is there; its URI, which holds its digest.

        A large file goes in parts. Where an earlier upload of the same content was broken off, only the parts that it
        lacks are sent.

        Args:
            path: the file.
            sha256: of its content.
            name: what it is to be called.

        Raises:
            DataError: the file cannot be read, or has another content.
            ServiceError: it was sent again and again, and is not there.
        """
        assert re.fullmatch(r"[A-Za-z0-9_.-]+", name), name
        uri = self.join("data", sha256, name)
        bucket, key = _split(uri)
        try:
            size = path.stat().st_size
        except OSError as error:
            raise DataError(f"{path}: cannot be read any more ({error.strerror or error})") from error
        parcel = _Parcel(path=path, sha256=sha256, size=size, bucket=bucket, key=key)
        for _ in range(TURNS):
            if self._has(parcel):
                return uri
            self._send(parcel)
        if self._has(parcel):
            return uri
        raise ServiceError(
            f"{uri}: sent {TURNS} times, and each time something else was there afterwards; expected no other program "
            "to write below objective.place"
        )

    def listed(self, uri_prefix: str) -> Iterator[StoredObject]:
        """The files whose URIs begin so, in the order of their keys."""
        bucket, prefix = _split(uri_prefix)
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for page in pages:
            for found in page.get("Contents", ()):
                yield StoredObject(uri=f"s3://{bucket}/{found['Key']}", size=found["Size"])

    def lines(self, uri: str) -> Iterator[bytes]:
        """The lines of a file without their ends, as they come: little of it is held at a time."""
        kept = b""
        with self._opened(uri) as body:
            for block in body.iter_chunks(BLOCK_BYTES):
                *whole, kept = (kept + block).split(b"\n")
                yield from whole
        if kept:
            yield kept

    def read(self, uri: str) -> bytes:
        """A file's content."""
        with self._opened(uri) as body:
            content: bytes = body.read()
        return content

    def delete(self, uri_prefix: str) -> int:
        """Deletes a file, or a folder with all that is in it; how many files there were.

        Args:
            uri_prefix: of the file or the folder; what only begins with the same letters stays.

        Raises:
            OptionsError: it is a whole bucket.
        """
        bucket, key = _split(uri_prefix)
        key = key.rstrip("/")
        if not key:
            raise OptionsError(f"{uri_prefix}: refused to delete a whole bucket; expected s3://bucket/folder")
        uris = [found.uri for found in self.listed(f"s3://{bucket}/{key}")]
        keys = [found for _, found in map(_split, uris) if found == key or found.startswith(f"{key}/")]
        for start in range(0, len(keys), DELETED_AT_ONCE):
            wanted = [{"Key": name} for name in keys[start : start + DELETED_AT_ONCE]]
            answer = self._client.delete_objects(Bucket=bucket, Delete={"Objects": wanted, "Quiet": True})
            for error in answer.get("Errors", ()):  # the call itself was answered well
                raise ClientError({"Error": error}, "DeleteObjects")
        return len(keys)

    def _opened(self, uri: str) -> contextlib.closing[Any]:
        bucket, key = _split(uri)
        return contextlib.closing(self._client.get_object(Bucket=bucket, Key=key)["Body"])

    def _has(self, parcel: _Parcel) -> bool:
        """Whether this very content is there, encrypted where it is to be."""
        try:
            found = self._client.head_object(**parcel.place)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey", "NotFound"):
                return False
            raise
        encrypted = not self._encryption or found.get("ServerSideEncryption") == "aws:kms"
        known = (found["ContentLength"], found["Metadata"].get("sha256"))
        return encrypted and known == (parcel.size, parcel.sha256)

    def _send(self, parcel: _Parcel) -> None:
        """Sends a file, and goes on with what was broken off.

        That it is there afterwards is not sure: another program may send it too, or it was begun without encryption.
        """
        about = {**parcel.place, **self._encryption, "Metadata": {"sha256": parcel.sha256}}
        if parcel.size <= self._part_bytes:
            content = b"".join(parcel.parts(self._part_bytes))
            self._client.put_object(**about, Body=content, ChecksumSHA256=_checksum(content))
            return
        begun = self._uploads(parcel)
        upload = begun[-1] if begun else self._client.create_multipart_upload(**about, ChecksumAlgorithm="SHA256")
        number = {**parcel.place, "UploadId": upload["UploadId"]}
        try:
            sent = self._parts(parcel, number)
            self._client.complete_multipart_upload(**number, MultipartUpload={"Parts": sent})
            for other in self._uploads(parcel):  # else their parts are paid for until somebody finds them
                self._abort({**parcel.place, "UploadId": other["UploadId"]})
        except DataError:
            self._abort(number)
            raise
        except ClientError as error:
            if error.response["Error"]["Code"] not in OVERTAKEN:
                raise

    def _uploads(self, parcel: _Parcel) -> list[dict[str, Any]]:
        """Uploads of the file that were begun and not finished, the oldest first."""
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=parcel.bucket, Prefix=parcel.key)
        uploads = [upload for page in pages for upload in page.get("Uploads", ())]
        ours = [one for one in uploads if one["Key"] == parcel.key and one.get("ChecksumAlgorithm") == "SHA256"]
        return sorted(ours, key=lambda upload: str(upload["Initiated"]))

    def _parts(self, parcel: _Parcel, number: dict[str, str]) -> list[dict[str, Any]]:
        """Sends the parts that an upload lacks, or has otherwise; all of them, as S3 is told which belong together.

        Args:
            parcel: the file.
            number: where it goes, and the upload's.
        """
        pages = self._client.get_paginator("list_parts").paginate(**number)
        there = {part["PartNumber"]: part for page in pages for part in page.get("Parts", ())}
        sent = []
        for place, content in enumerate(parcel.parts(self._part_bytes), start=1):
            checksum, part = _checksum(content), there.get(place)
            if part is None or not _is(part, content, checksum):
                part = self._client.upload_part(**number, PartNumber=place, Body=content, ChecksumSHA256=checksum)
            sent.append({"PartNumber": place, "ETag": part["ETag"], "ChecksumSHA256": checksum})
        return sent

    def _abort(self, number: dict[str, str]) -> None:
        with contextlib.suppress(ClientError):  # it is gone, or may stay: nothing rests on it
            self._client.abort_multipart_upload(**number)


def _is(part: dict[str, Any], content: bytes, checksum: str) -> bool:
    """Whether a part that S3 has is this content: by its SHA-256, and where S3 does not tell that, by its MD5."""
    if "ChecksumSHA256" in part:
        return bool(part["ChecksumSHA256"] == checksum)
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return bool(part["ETag"].strip('"') == md5)


def _checksum(content: bytes) -> str:
    """SHA-256, as S3 writes it."""
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def _split(uri: str) -> tuple[str, str]:
    """Bucket and key of a URI.

    Raises:
        OptionsError: it is not one of S3.
    """
    found = re.fullmatch(r"s3://([^/]+)/?(.*)", uri, re.DOTALL)
    if found is None:
        raise OptionsError(f"expected s3://bucket/key, found {uri!r}")
    return found[1], found[2]
