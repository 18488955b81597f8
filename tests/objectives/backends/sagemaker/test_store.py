"""S3 by content, against moto's S3 on a loopback port."""

from __future__ import annotations

import hashlib
import logging
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from objectives.backends.sagemaker import store as module
from objectives.backends.sagemaker.store import Store, StoredObject
from objectives.errors import DataError, OptionsError

PART = 5 * 2**20
"""The least that S3 takes."""

PROGRAM = """
import sys
from pathlib import Path
from tests.objectives.backends.sagemaker.test_store import PART, Store, client_of
endpoint, place, path, sha256 = sys.argv[1:]
Store(client_of(endpoint), place, None, part_bytes=PART).put(Path(path), sha256, "train.jsonl")
"""


def client_of(endpoint: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )


class Server:
    """S3, and what it was asked.

    Attributes:
        calls: so often, since they were last cleared.
        parts: numbers of the parts that were sent, likewise.
        hold: of a part that is being sent, by its number: called before the rest of it is read.
        cut: whether files are broken off when they are read.
    """

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.parts: list[int] = []
        self.hold: dict[int, Callable[[], None]] = {}
        self.cut = False
        self._one_at_a_time = threading.Lock()
        self._s3 = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def clear(self) -> None:
        self.calls.clear()
        self.parts.clear()
        self.hold.clear()
        self.cut = False

    def _answer(self, environ: dict[str, Any], start: Any) -> Any:
        method, query = environ["REQUEST_METHOD"], environ["QUERY_STRING"]
        call = next((f"{method} {key}" for key in ("partNumber", "uploadId", "uploads") if key in query), method)
        self.calls[call] += 1
        if call == "PUT partNumber":
            number = int(dict(pair.split("=") for pair in query.split("&") if "=" in pair)["partNumber"])
            self.parts.append(number)
            if (held := self.hold.pop(number, None)) is not None:
                held()
        try:
            with self._one_at_a_time:  # moto is not made for several
                answered = self._s3(environ, start)
        except KeyError:  # as moto has it for an upload that is over
            start("404 Not Found", [("Content-Type", "application/xml")])
            return [b"<Error><Code>NoSuchUpload</Code><Message>it is over</Message></Error>"]
        if method == "GET" and self.cut:
            whole = b"".join(answered)
            return [whole[: len(whole) // 2]]
        return answered


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = Server()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def client(running: Server) -> Iterator[Any]:
    made = client_of(running.endpoint)
    yield made
    made.close()


@pytest.fixture
def bucket(client: Any, tmp_path: Path) -> str:
    name = f"nova-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:16]}"
    client.create_bucket(Bucket=name)
    return name


@pytest.fixture
def server(running: Server, bucket: str) -> Iterator[Server]:
    """Counts from here on."""
    running.clear()
    yield running
    running.clear()


@pytest.fixture
def store(client: Any, bucket: str) -> Store:
    return Store(client, f"s3://{bucket}/studies/", None, part_bytes=PART)


def file(folder: Path, size: int, seed: int = 0) -> tuple[Path, str]:
    content = random.Random(seed).randbytes(size)
    path = folder / f"file-{seed}"
    path.write_bytes(content)
    return path, hashlib.sha256(content).hexdigest()


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, str]:
    return file(tmp_path, 1000)


@pytest.fixture
def large(tmp_path: Path) -> tuple[Path, str]:
    """A file of five parts, the last of which is short."""
    return file(tmp_path, 4 * PART + 99, 1)


def uploads(client: Any, bucket: str) -> list[dict[str, Any]]:
    """Those that were begun and not finished."""
    found: list[dict[str, Any]] = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return found


class TestSending:
    def test_a_file_is_sent_once_for_its_content(
        self, store: Store, server: Server, small: tuple[Path, str], client: Any, bucket: str
    ) -> None:
        path, sha256 = small
        uri = store.put(path, sha256, "train.jsonl")
        assert uri == f"s3://{bucket}/studies/data/{sha256}/train.jsonl"
        assert store.read(uri) == path.read_bytes()
        assert server.calls["PUT"] == 1
        assert store.put(path, sha256, "train.jsonl") == uri
        assert Store(client, f"s3://{bucket}/studies", None).put(path, sha256, "train.jsonl") == uri
        assert server.calls["PUT"] == 1
        head = client.head_object(Bucket=bucket, Key=f"studies/data/{sha256}/train.jsonl")
        assert head["Metadata"] == {"sha256": sha256} and "SSEKMSKeyId" not in head

    def test_another_content_has_another_place(self, store: Store, tmp_path: Path) -> None:
        one, other = file(tmp_path, 10, 1), file(tmp_path, 10, 2)
        uris = [store.put(*which, "train.jsonl") for which in (one, other)]
        assert [store.read(uri) for uri in uris] == [one[0].read_bytes(), other[0].read_bytes()]

    @pytest.mark.parametrize("there", ["garbage", "of the same size", "of the same digest, as it says"])
    def test_what_else_is_in_its_place_is_replaced(
        self, store: Store, server: Server, small: tuple[Path, str], client: Any, bucket: str, there: str
    ) -> None:
        path, sha256 = small
        body, about = {
            "garbage": (b"x", {}),
            "of the same size": (b"x" * 1000, {"sha256": "0" * 64}),
            "of the same digest, as it says": (b"x", {"sha256": sha256}),
        }[there]
        client.put_object(Bucket=bucket, Key=f"studies/data/{sha256}/train.jsonl", Body=body, Metadata=about)
        assert store.read(store.put(path, sha256, "train.jsonl")) == path.read_bytes()

    def test_an_encrypted_file_is_told_its_key(
        self, server: Server, small: tuple[Path, str], large: tuple[Path, str], client: Any, bucket: str, store: Store
    ) -> None:
        key = "arn:aws:kms:us-east-1:123456789012:key/0d6a"
        store.put(*small, "train.jsonl")
        encrypting = Store(client, f"s3://{bucket}/studies", key, part_bytes=PART)
        for path, sha256 in (small, large):  # the small one was there, but not encrypted
            assert encrypting.read(encrypting.put(path, sha256, "train.jsonl")) == path.read_bytes()
            head = client.head_object(Bucket=bucket, Key=f"studies/data/{sha256}/train.jsonl")
            assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key)
        server.clear()
        encrypting.put(*small, "train.jsonl")
        assert server.calls == {"HEAD": 1}

    def test_an_upload_that_was_begun_without_encryption_does_not_do(
        self, server: Server, large: tuple[Path, str], client: Any, bucket: str
    ) -> None:
        path, sha256 = large
        place = {"Bucket": bucket, "Key": f"studies/data/{sha256}/train.jsonl"}
        client.create_multipart_upload(**place, Metadata={"sha256": sha256}, ChecksumAlgorithm="SHA256")
        Store(client, f"s3://{bucket}/studies", "key", part_bytes=PART).put(path, sha256, "train.jsonl")
        assert client.head_object(**place)["ServerSideEncryption"] == "aws:kms"

    def test_a_large_file_goes_in_parts(
        self, store: Store, server: Server, large: tuple[Path, str], client: Any, bucket: str
    ) -> None:
        path, sha256 = large
        uri = store.put(path, sha256, "train.jsonl")
        assert server.parts == [1, 2, 3, 4, 5] and server.calls["PUT"] == 0
        assert store.read(uri) == path.read_bytes() and not uploads(client, bucket)
        store.put(path, sha256, "train.jsonl")
        assert len(server.parts) == 5 and server.calls["POST uploads"] == 1

    def test_a_very_large_file_goes_in_as_many_parts_as_s3_takes(
        self, store: Store, server: Server, large: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MOST_PARTS", 2)
        path, sha256 = large
        assert store.read(store.put(path, sha256, "train.jsonl")) == path.read_bytes() and server.parts == [1, 2]

    def test_a_missing_bucket_is_botocores_error(self, client: Any, small: tuple[Path, str]) -> None:
        with pytest.raises(ClientError) as caught:
            Store(client, "s3://nobody-has-this/x", None).put(*small, "train.jsonl")
        assert caught.value.response["Error"]["Code"] == "NoSuchBucket"

    @pytest.mark.parametrize("size", [1000, 4 * PART])
    def test_a_file_that_was_changed_since_is_not_there(
        self, store: Store, tmp_path: Path, client: Any, bucket: str, size: int
    ) -> None:
        path, sha256 = file(tmp_path, size)
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        with pytest.raises(DataError, match="changed since it was hashed"):
            store.put(path, sha256, "train.jsonl")
        assert not list(store.listed(store.join())) and not uploads(client, bucket)
        path.unlink()
        with pytest.raises(DataError, match="cannot be read any more"):
            store.put(path, sha256, "train.jsonl")


class TestBrokenOff:
    def test_a_killed_program_leaves_parts_that_are_not_sent_again(
        self, store: Store, server: Server, large: tuple[Path, str], client: Any, bucket: str
    ) -> None:
        path, sha256 = large
        reached, killed = threading.Event(), threading.Event()

        def hold() -> None:
            reached.set()
            killed.wait()
            raise ConnectionError("it is dead")

        server.hold[3] = hold
        place = f"s3://{bucket}/studies"
        argv = [sys.executable, "-c", PROGRAM, server.endpoint, place, str(path), sha256]
        with subprocess.Popen(argv, cwd=Path(__file__).parents[4], stderr=subprocess.PIPE) as sending:
            assert reached.wait(60), sending.communicate()
            sending.kill()
            sending.communicate()
        killed.set()
        assert server.parts == [1, 2, 3] and not list(store.listed(place))
        [left] = uploads(client, bucket)
        server.clear()
        uri = store.put(path, sha256, "train.jsonl")
        assert server.parts == [3, 4, 5] and server.calls["POST uploads"] == 0, left
        assert store.read(uri) == path.read_bytes() and not uploads(client, bucket)

    def test_parts_that_are_not_whole_or_not_these_are_sent_again(
        self, store: Store, server: Server, large: tuple[Path, str], client: Any, bucket: str
    ) -> None:
        path, sha256 = large
        content = path.read_bytes()
        place = {"Bucket": bucket, "Key": f"studies/data/{sha256}/train.jsonl"}
        about = {"Metadata": {"sha256": sha256}, "ChecksumAlgorithm": "SHA256"}
        begun = client.create_multipart_upload(**place, **about)["UploadId"]
        for number, part in [
            (1, content[:PART]),
            (2, b"x" * PART),
            (3, content[:99]),
            (4, content[3 * PART : 4 * PART]),
        ]:
            client.upload_part(**place, UploadId=begun, PartNumber=number, Body=part)
        server.clear()
        uri = store.put(path, sha256, "train.jsonl")
        assert server.parts == [2, 3, 5] and store.read(uri) == content

    def test_uploads_of_other_files_stay(self, store: Store, large: tuple[Path, str], client: Any, bucket: str) -> None:
        path, sha256 = large
        others = [f"studies/data/{sha256}/train.jsonl.old", "elsewhere"]
        for key in others:
            client.create_multipart_upload(Bucket=bucket, Key=key, ChecksumAlgorithm="SHA256")
        own = {"Bucket": bucket, "Key": f"studies/data/{sha256}/train.jsonl", "ChecksumAlgorithm": "SHA256"}
        client.create_multipart_upload(**own)
        client.create_multipart_upload(**own)
        store.put(path, sha256, "train.jsonl")
        assert sorted(upload["Key"] for upload in uploads(client, bucket)) == sorted(others)

    def test_an_upload_that_another_program_finishes_is_the_others(
        self, store: Store, server: Server, large: tuple[Path, str], client: Any, bucket: str
    ) -> None:
        path, sha256 = large
        second = Store(client_of(server.endpoint), f"s3://{bucket}/studies", None, part_bytes=PART)
        # As the first is at its fourth part, the second goes on with the same upload, and is done.
        server.hold[4] = lambda: second.put(path, sha256, "train.jsonl") and None
        uri = store.put(path, sha256, "train.jsonl")
        assert store.read(uri) == path.read_bytes() and not uploads(client, bucket)
        assert server.calls["POST uploads"] == 1 and server.parts == [1, 2, 3, 4, 4, 5]

    def test_an_upload_that_another_program_gives_up_is_begun_again(
        self, store: Store, server: Server, large: tuple[Path, str], client: Any, bucket: str
    ) -> None:
        path, sha256 = large

        def give_up() -> None:
            [one] = uploads(client_of(server.endpoint), bucket)
            client_of(server.endpoint).abort_multipart_upload(Bucket=bucket, Key=one["Key"], UploadId=one["UploadId"])

        server.hold[4] = give_up
        assert store.read(store.put(path, sha256, "train.jsonl")) == path.read_bytes()
        assert server.parts == [1, 2, 3, 4, 1, 2, 3, 4, 5]

    def test_several_programs_at_once_do_no_harm(
        self, server: Server, large: tuple[Path, str], client: Any, bucket: str, store: Store
    ) -> None:
        path, sha256 = large
        found: list[str] = []

        def send() -> None:
            own = Store(client_of(server.endpoint), f"s3://{bucket}/studies", None, part_bytes=PART)
            found.append(own.put(path, sha256, "train.jsonl"))

        threads = [threading.Thread(target=send) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 3 and len(set(found)) == 1
        assert store.read(found[0]) == path.read_bytes() and not uploads(client, bucket)


class TestReading:
    def test_listing_goes_on_after_its_first_page(self, store: Store, server: Server, client: Any, bucket: str) -> None:
        for number in range(7):
            client.put_object(Bucket=bucket, Key=f"studies/jobs/a b/{number}", Body=b"x" * number)
        client.put_object(Bucket=bucket, Key="studies/jobs-of-others", Body=b"")
        client.meta.events.register("provide-client-params.s3.ListObjectsV2", _two_at_a_time)
        try:
            found = list(store.listed(store.join("jobs", "")))
        finally:
            client.meta.events.unregister("provide-client-params.s3.ListObjectsV2", _two_at_a_time)
        assert found == [StoredObject(uri=store.join("jobs", "a b", str(n)), size=n) for n in range(7)]
        assert server.calls["GET"] == 4
        assert list(store.listed(store.join("nothing"))) == []

    @given(st.lists(st.binary(max_size=30)), st.booleans())
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_lines_are_those_of_the_file(
        self, store: Store, client: Any, bucket: str, rows: list[bytes], ended: bool
    ) -> None:
        rows = [row.replace(b"\n", b"\r") for row in rows]
        content = b"\n".join(rows) + b"\n" * ended
        client.put_object(Bucket=bucket, Key="lines", Body=content)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "BLOCK_BYTES", 7)
            found = list(store.lines(f"s3://{bucket}/lines"))
        expected = content.split(b"\n")
        assert found == (expected if expected[-1] else expected[:-1])

    def test_a_file_that_breaks_off_is_not_a_shorter_file(
        self, store: Store, server: Server, client: Any, bucket: str
    ) -> None:
        client.put_object(Bucket=bucket, Key="lines", Body=b"abc\n" * 10_000)
        server.cut = True
        with pytest.raises(BotoCoreError):
            list(store.lines(f"s3://{bucket}/lines"))
        with pytest.raises(BotoCoreError):
            store.read(f"s3://{bucket}/lines")

    def test_a_missing_file_is_botocores_error(self, store: Store, bucket: str) -> None:
        with pytest.raises(ClientError, match="NoSuchKey"):
            store.read(f"s3://{bucket}/nothing")

    @pytest.mark.parametrize("uri", ["bucket/key", "https://bucket/key", "s3://", "s3:///key"])
    def test_a_uri_is_one_of_s3(self, store: Store, uri: str) -> None:
        with pytest.raises(OptionsError, match="expected s3://bucket/key, found"):
            store.read(uri)


class TestDeleting:
    def test_a_folder_goes_with_all_that_is_in_it_and_its_neighbours_stay(
        self, store: Store, server: Server, client: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "DELETED_AT_ONCE", 2)
        keys = ["job-1/a", "job-1/b/c", "job-1/d e", "job-1/f", "job-1/g", "job-10/a", "job-1.txt", "other"]
        for key in keys:
            client.put_object(Bucket=bucket, Key=key, Body=b"x")
        assert store.delete(f"s3://{bucket}/job-1") == 5
        assert [found.uri for found in store.listed(f"s3://{bucket}/")] == [
            f"s3://{bucket}/{key}" for key in ("job-1.txt", "job-10/a", "other")
        ]
        assert store.delete(f"s3://{bucket}/job-1/") == 0
        assert store.delete(f"s3://{bucket}/other") == 1

    @pytest.mark.parametrize("key", ["", "/", "//"])
    def test_a_whole_bucket_is_refused(self, store: Store, client: Any, bucket: str, key: str) -> None:
        client.put_object(Bucket=bucket, Key="a", Body=b"x")
        with pytest.raises(OptionsError, match="refused to delete a whole bucket"):
            store.delete(f"s3://{bucket}{key}")
        assert len(list(store.listed(f"s3://{bucket}/"))) == 1


def _two_at_a_time(params: dict[str, Any], **_: object) -> None:
    params["MaxKeys"] = 2
