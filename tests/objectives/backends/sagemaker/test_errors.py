"""Every refusal that users will meet, as AWS words it, through real clients: whose fault it is, and what to do."""

from __future__ import annotations

import datetime
import json
import re
import socket
import ssl
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from objectives.backends.sagemaker import SagemakerBackend
from objectives.backends.sagemaker.client import Clients, clients
from objectives.backends.sagemaker.refusals import REFUSALS
from objectives.backends.sagemaker.reply import Reply, translated
from objectives.errors import (
    AccessError,
    NameInUse,
    ObjectiveError,
    OptionsError,
    RatioSearchError,
    ServiceError,
)

SECRET = "wJalrMARKER/K7MDENG/bPxRfiCYSECRETKEY"
USER = "arn:aws:sts::123456789012:assumed-role/Researcher/ann"
ROLE = "arn:aws:iam::123456789012:role/NovaStudy"
KEY = "arn:aws:kms:us-east-1:123456789012:key/0a1b"


class Handler(BaseHTTPRequestHandler):
    """Answers whatever it is told to."""

    protocol_version = "HTTP/1.1"
    status, body, media = 200, "{}", "application/x-amz-json-1.1"

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = b"" if self.command == "HEAD" else self.body.encode()
        self.send_response(self.status)
        self.send_header("Content-Type", self.media)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = answer

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield found
        found.shutdown()


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment in which boto3 finds nothing, and asks nobody."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    for file in ("config", "credentials"):
        (tmp_path / file).touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return monkeypatch


def point(patch: pytest.MonkeyPatch, url: str) -> None:
    """Leads all clients to one address, with credentials."""
    for service in ("SAGEMAKER", "S3", "STS"):
        patch.setenv(f"AWS_ENDPOINT_URL_{service}", url)
    patch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


@pytest.fixture(scope="module")
def scripted(server: ThreadingHTTPServer) -> Iterator[Clients]:
    """Clients of the server that answers as it is told to."""
    with pytest.MonkeyPatch.context() as patch:
        point(patch, f"http://127.0.0.1:{server.server_port}")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield clients(settings())


def settings(**others: object) -> SagemakerBackend:
    return SagemakerBackend.model_validate(
        {"kind": "sagemaker", "role": ROLE, "place": "s3://a-bucket/p", "model_package_group": "g", "timeout_s": 5}
        | others
    )


def create(asked: Clients) -> None:
    asked.sagemaker.create_training_job(
        TrainingJobName="x", RoleArn=ROLE, OutputDataConfig={"S3OutputPath": "s3://a-bucket/p"}
    )


def describe(asked: Clients) -> None:
    asked.sagemaker.describe_training_job(TrainingJobName="x")


def hub(asked: Clients) -> None:
    asked.sagemaker.describe_hub_content(HubName="h", HubContentType="Model", HubContentName="m")


def group(asked: Clients) -> None:
    asked.sagemaker.describe_model_package_group(ModelPackageGroupName="g")


def identity(asked: Clients) -> None:
    asked.sts.get_caller_identity()


def put(asked: Clients) -> None:
    asked.s3.put_object(Bucket="a-bucket", Key="k", Body=b"x")


def head(asked: Clients) -> None:
    asked.s3.head_object(Bucket="a-bucket", Key="k")


def head_bucket(asked: Clients) -> None:
    asked.s3.head_bucket(Bucket="a-bucket")


def listing(asked: Clients) -> None:
    asked.s3.list_objects_v2(Bucket="a-bucket")


@dataclass(frozen=True, slots=True)
class Case:
    """A reply of a service, and how it is told."""

    call: Callable[[Clients], None]
    code: str
    says: str
    error: type[RatioSearchError]
    todo: str = ""
    status: int = field(default=400, kw_only=True)

    def body(self) -> tuple[str, str]:
        name = self.call.__name__
        if name in ("put", "head", "head_bucket", "listing"):
            return f"<Error><Code>{self.code}</Code><Message>{self.says}</Message></Error>", "application/xml"
        if name == "identity":
            inner = f"<Error><Type>Sender</Type><Code>{self.code}</Code><Message>{self.says}</Message></Error>"
            space = "https://sts.amazonaws.com/doc/2011-06-15/"
            return f'<ErrorResponse xmlns="{space}">{inner}</ErrorResponse>', "text/xml"
        return json.dumps({"__type": self.code, "message": self.says}), "application/x-amz-json-1.1"


def unauthorized(action: str, resource: str) -> str:
    why = f"because no identity-based policy allows the {action} action"
    return f"User: {USER} is not authorized to perform: {action} on resource: {resource} {why}"


JOB = "arn:aws:sagemaker:us-east-1:123456789012:training-job/x"
QUOTA = (
    "The account-level service limit 'Number of concurrent serverless model customization jobs' is {} Jobs, with "
    "current utilization of {} Jobs and a request delta of 1 Jobs. Please use AWS Service Quotas to ask for more."
)
INVALID = "ValidationException"

CASES = {
    "expired token": Case(
        describe, "ExpiredTokenException", "The security token included in the request is expired", AccessError,
        "aws sso login",
    ),
    "expired token of S3": Case(put, "ExpiredToken", "The provided token has expired.", AccessError, "aws sso login"),
    "expired token of STS": Case(identity, "ExpiredToken", "It is expired", AccessError, "aws sso login", status=403),
    "expired token of a HEAD": Case(head, "", "", AccessError, "aws sso login"),
    "unknown key": Case(
        describe, "UnrecognizedClientException", "The security token included in the request is invalid.", AccessError,
        "AWS does not know these credentials",
    ),
    "unknown key of STS": Case(
        identity, "InvalidClientTokenId", "The security token included in the request is invalid.", AccessError,
        "AWS does not know these credentials", status=403,
    ),
    "unknown key of S3": Case(
        put, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", AccessError,
        "AWS does not know these credentials", status=403,
    ),
    "wrong secret": Case(put, "SignatureDoesNotMatch", "The signature we calculated does not match", AccessError,
        "AWS does not know these credentials", status=403),
    "wrong clock": Case(describe, "InvalidSignatureException", "Signature expired: 2020 is now earlier than 2021",
        AccessError, "this machine's clock"),
    "wrong clock of S3": Case(put, "RequestTimeTooSkewed", "The difference between the request time and the "
        "current time is too large.", AccessError, "this machine's clock", status=403),
    "missing permission": Case(
        create, "AccessDeniedException", unauthorized("sagemaker:CreateTrainingJob", JOB), AccessError,
        f"allow sagemaker:CreateTrainingJob on {JOB} to whoever runs this",
    ),
    "missing permission to pass the role": Case(
        create, "AccessDeniedException", unauthorized("iam:PassRole", ROLE), AccessError,
        f"allow iam:PassRole on {ROLE} to whoever runs this, with the condition iam:PassedToService",
    ),
    "missing permission of S3": Case(
        put, "AccessDenied", unauthorized("s3:PutObject", '"arn:aws:s3:::a-bucket/k"'), AccessError,
        "allow s3:PutObject on arn:aws:s3:::a-bucket/k to", status=403,
    ),
    "S3 says only no": Case(put, "AccessDenied", "Access Denied", AccessError, "one that PutObject needs", status=403),
    "S3 says only no to a HEAD": Case(head, "", "", AccessError, "allow s3:ListBucket", status=403),
    "the bucket is somebody else's": Case(head_bucket, "", "", AccessError, "place is yours", status=403),
    "the profile's own role may not be assumed": Case(
        identity, "AccessDenied", unauthorized("sts:AssumeRole", ROLE), AccessError, f"allow sts:AssumeRole on {ROLE}",
        status=403,
    ),
    "no permission to list": Case(listing, "AccessDenied", "Access Denied", AccessError, "s3:ListBucket", status=403),
    "SageMaker says only no": Case(create, "AccessDeniedException", "", AccessError, "CreateTrainingJob needs"),
    "the key may not be used": Case(
        put, "AccessDenied", unauthorized("kms:GenerateDataKey", KEY), AccessError,
        f"allow kms:GenerateDataKey on the key {KEY}", status=403,
    ),
    "the key is disabled": Case(put, "KMS.DisabledException", f"{KEY} is disabled.", AccessError, "objective.kms_key"),
    "no such key": Case(put, "KMS.NotFoundException", f"Key '{KEY}' does not exist", AccessError, "objective.kms_key"),
    "the job's key": Case(create, INVALID, f"KMS key {KEY} does not exist", AccessError, "objective.kms_key"),
    "no subscription": Case(
        create, INVALID, "Data mixing requires an active Amazon Nova Forge subscription.", AccessError,
        "forge-subscription=true",
    ),
    "no subscription, otherwise": Case(
        create, "AccessDeniedException", "Your account is not subscribed to this feature", AccessError,
        "forge-subscription=true",
    ),
    "no bucket": Case(put, "NoSuchBucket", "The specified bucket does not exist", AccessError, "aws s3 mb", status=404),
    "no bucket at a HEAD": Case(head_bucket, "", "", AccessError, "aws s3 mb", status=404),
    "the bucket is elsewhere": Case(
        create, INVALID, 'No S3 objects found under S3 URL "s3://a-bucket/k" given in input data source. Error message '
        "from S3: The bucket is in this region: eu-west-1. Please use this region to retry the request", AccessError,
        "the bucket is elsewhere",
    ),
    "S3 knows the bucket elsewhere": Case(
        put, "IllegalLocationConstraintException", "The eu-west-1 location constraint is incompatible for the region",
        AccessError, "in another region",
    ),
    "the role cannot read the data": Case(
        create, INVALID, 'No S3 objects found under S3 URL "s3://a-bucket/subscriptions" given in input data source. '
        f'Please ensure that the bucket exists, and that the role "{ROLE}" has "s3:ListBucket" permissions on it.',
        AccessError, "objective.role may s3:ListBucket",
    ),
    "licence": Case(
        create, INVALID, "You must accept the end-user license agreement (EULA) of the model", AccessError,
        "objective.accept_eula: true",
    ),
    "the role cannot be assumed": Case(
        create, INVALID, f"Could not assume role {ROLE}. Please ensure that the role exists and allows principal "
        "'sagemaker.amazonaws.com' to assume the role.", AccessError, "trust policy",
    ),
    "no such model": Case(hub, "ResourceNotFound", "Hub content m does not exist", AccessError, "objective.base_model"),
    "no such model, later": Case(create, INVALID, "Base model m does not exist.", AccessError, "objective.base_model"),
    "no such group": Case(
        group, INVALID, "ModelPackageGroup arn:aws:sagemaker:x:1:model-package-group/g does not exist.", AccessError,
        "create-model-package-group",
    ),
    "no such group, later": Case(
        create, INVALID, "ModelPackageGroup arn:aws:sagemaker:x:1:model-package-group/g does not exist.", AccessError,
        "create-model-package-group",
    ),
    "no quota at all": Case(create, "ResourceLimitExceeded", QUOTA.format(0, 0), AccessError, "Service Quotas"),
    "no room now": Case(create, "ResourceLimitExceeded", QUOTA.format(10, 10), ServiceError),
    "throttled": Case(describe, "ThrottlingException", "Rate exceeded", ServiceError),
    "S3 is throttled": Case(put, "SlowDown", "Please reduce your request rate.", ServiceError, status=503),
    "busy": Case(describe, "ServiceUnavailable", "Service is unavailable, please try again.", ServiceError, status=503),
    "broken": Case(describe, "InternalFailure", "unknown error", ServiceError, status=500),
    "broken in a new way": Case(describe, "NeverHeardOf", "", ServiceError, status=502),
    "the name is taken": Case(create, "ResourceInUse", "Training job names must be unique", NameInUse),
    "no such job": Case(describe, "ResourceNotFound", "Requested resource not found.", ObjectiveError, "deleted"),
    "this request is wrong": Case(create, INVALID, "Hyperparameter alpha: 63 is not one of 32, 64", ObjectiveError),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_refusal_says_whose_fault_it_is_and_what_to_do(scripted: Clients, case: Case) -> None:
    Handler.body, Handler.media = case.body()
    Handler.status = case.status
    with pytest.raises(RatioSearchError) as raised, translated("starting x"):
        case.call(scripted)
    assert type(raised.value) is case.error, raised.value
    message = str(raised.value)
    assert message.startswith("starting x: ")
    assert case.says[:60].rstrip(".") in message and case.todo in message, message
    assert "{" not in message
    assert SECRET not in message


def test_every_line_of_the_table_is_met_by_some_case() -> None:
    """Those without an answer of a service are met by the tests below."""
    met = set()
    for case in CASES.values():
        call = {
            "create": "CreateTrainingJob", "describe": "DescribeTrainingJob", "hub": "DescribeHubContent",
            "group": "DescribeModelPackageGroup", "identity": "GetCallerIdentity", "put": "PutObject",
            "head": "HeadObject", "head_bucket": "HeadBucket", "listing": "ListObjectsV2",
        }[case.call.__name__]  # fmt: skip
        code = case.code or str(case.status)
        found = (r for r in REFUSALS if r.todo_after({code}, call, f"{code}: {case.says}") is not None)
        met.add(next(found, None))
    of_botocore = {r for r in REFUSALS if re.search(r"Error\b|ProfileNotFound", r.codes) and "Internal" not in r.codes}
    assert not set(REFUSALS) - met - of_botocore


def reached(asked: Clients) -> str:
    with pytest.raises(ServiceError) as raised, translated("looking at x"):
        describe(asked)
    return str(raised.value)


def test_nobody_there_is_asked_again(nowhere: pytest.MonkeyPatch) -> None:
    point(nowhere, "http://127.0.0.1:9")
    assert "this machine reaches AWS" in reached(clients(settings()))


@pytest.mark.parametrize("accepts", [True, False])
def test_one_that_does_not_answer_is_asked_again(nowhere: pytest.MonkeyPatch, accepts: bool) -> None:
    """It is silent until the time limit, or hangs up at once."""

    def hang_up() -> None:
        connection, _ = listener.accept()
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        point(nowhere, f"http://127.0.0.1:{listener.getsockname()[1]}")
        if not accepts:
            threading.Thread(target=hang_up, daemon=True).start()
        reached(clients(settings(), most_s=0.2 if accepts else 30))


def test_a_proxy_with_a_certificate_of_its_own(nowhere: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(own_certificate(tmp_path))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda request, address: None  # type: ignore[method-assign]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        point(nowhere, f"https://127.0.0.1:{server.server_port}")
        with pytest.raises(AccessError, match="AWS_CA_BUNDLE"), translated("looking at x"):
            describe(clients(settings()))
        server.shutdown()


def own_certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    day, now = datetime.timedelta(days=1), datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
    file = folder / "proxy.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return file


def test_no_credentials(nowhere: pytest.MonkeyPatch) -> None:
    with pytest.raises(AccessError, match="aws configure"):
        clients(settings())


def test_half_of_the_credentials(nowhere: pytest.MonkeyPatch) -> None:
    nowhere.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    with pytest.raises(AccessError, match=r"AWS_SECRET_ACCESS_KEY.*aws configure"):
        clients(settings())


def test_a_profile_that_is_not_there(nowhere: pytest.MonkeyPatch) -> None:
    nowhere.setenv("AWS_PROFILE", "nova")
    with pytest.raises(AccessError, match=r"\(nova\).*correct AWS_PROFILE"):
        clients(settings())


def test_nobody_has_logged_in(nowhere: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        "[profile nova]\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = r\n"
        "[sso-session s]\nsso_region = us-east-1\nsso_start_url = https://127.0.0.1:9/start\n"
    )
    nowhere.setenv("AWS_PROFILE", "nova")
    with pytest.raises(AccessError, match="aws sso login"), translated("looking at x"):
        describe(clients(settings()))


def test_what_a_program_says_that_gives_no_credentials_is_shown_to_nobody(
    nowhere: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('{SECRET}')\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "config").write_text(f"[profile nova]\ncredential_process = {program}\n")
    nowhere.setenv("AWS_PROFILE", "nova")
    with pytest.raises(AccessError, match="get-caller-identity") as raised, translated("looking at x"):
        describe(clients(settings()))
    assert SECRET not in str(raised.value)


def test_no_region(nowhere: pytest.MonkeyPatch) -> None:
    nowhere.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(OptionsError, match=r"state objective\.region.*us-east-1"):
        clients(settings())
    with pytest.raises(AccessError, match="aws configure"):
        clients(settings(region="us-west-2"))


def test_a_region_that_cannot_be(nowhere: pytest.MonkeyPatch) -> None:
    point(nowhere, "http://127.0.0.1:9")
    nowhere.setenv("AWS_DEFAULT_REGION", "us east 1")
    with pytest.raises(OptionsError, match=r"state objective\.region"):
        clients(settings())


def test_a_request_that_cannot_be_sent(scripted: Clients) -> None:
    with pytest.raises(OptionsError, match="RoleArn"), translated("starting x"):
        scripted.sagemaker.create_training_job(TrainingJobName="x")


def test_a_long_reply_is_cut() -> None:
    reply = Reply(codes=frozenset({"Odd"}), message="x" * 5000)
    assert len(str(reply.told("doing"))) < 700
