"""Why Amazon's services refuse, and what to do about it: a table, looked through from its beginning.

Sources: "Common Errors" of the API references of SageMaker, STS and S3; botocore's exceptions; for wordings, replies
that people have published. Nova's own (licence, subscription) are not public, so that words are looked for there.
"""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass

from objectives.errors import AccessError, NameInUse, ObjectiveError, OptionsError, RatioSearchError, ServiceError


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """How one kind of reply is told. All that is stated of it has to fit.

    Attributes:
        error: what is raised.
        codes: AWS's names of it, or those of botocore's exceptions or their bases, with spaces between; empty for any.
        calls: operations that it comes from, likewise.
        says: regular expression that is searched for in the reply, in any case.
        todo: what to do; `{call}` is the operation, other such names are groups of `says`. Empty for nothing.
        quoted: whether the reply may be shown: not where a program of somebody else's wrote it.
    """

    error: type[RatioSearchError]
    codes: str = ""
    calls: str = ""
    says: str = ""
    todo: str = ""
    quoted: bool = True

    def todo_after(self, codes: Set[str], call: str, message: str) -> str | None:
        """What to do after a reply; None where it is of another kind.

        Args:
            codes: what it is called.
            call: the operation that was asked for.
            message: what was said.
        """
        if (self.codes and codes.isdisjoint(self.codes.split())) or (self.calls and call not in self.calls.split()):
            return None
        found = re.search(self.says, message, re.IGNORECASE | re.DOTALL)
        if found is None:
            return None
        named = {name: (text or "").strip("\"'.,") or "it" for name, text in found.groupdict().items()}
        return self.todo.format(call=call, **named)


AGAIN = "then run the same again"
POLICY = f"docs/nova.md has the whole policy; {AGAIN}"
UNAUTHORIZED = r"not authorized to perform: (?P<action>{})(.*? on (the )?resources?:? (?P<resource>\S+))?"
DENIED = "AccessDenied AccessDeniedException Forbidden UnauthorizedOperation 403"
MISSING = "ResourceNotFound ResourceNotFoundException ValidationException"
NO_BUCKET = f"make the bucket of objective.place (`aws s3 mb`), or correct it, {AGAIN}"
NO_GROUP = (
    "make the group (`aws sagemaker create-model-package-group --model-package-group-name NAME`), or correct "
    f"objective.model_package_group, {AGAIN}"
)
NEW_SESSION = f"run `aws sso login`, or get new temporary credentials, {AGAIN}"
OTHER_REGION = f"choose a bucket in the region of the jobs for objective.place, {AGAIN}"
NOVA_REGIONS = "Nova is fine-tuned in us-east-1 and us-west-2"

CREDENTIALS = (
    Refusal(
        error=AccessError,
        codes="NoCredentialsError PartialCredentialsError",
        todo="give boto3 credentials in one of its usual ways (`aws configure`, `aws sso login` and AWS_PROFILE, "
        f"AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, or the role of this machine), {AGAIN}",
    ),
    Refusal(
        error=AccessError,
        codes="ExpiredToken ExpiredTokenException LoginError RequestExpired SSOError TokenRefreshRequired "
        "TokenRetrievalError",
        todo=f"the session is over: {NEW_SESSION}",
    ),
    Refusal(
        error=AccessError,
        codes="CredentialRetrievalError",
        quoted=False,
        todo=f"see that what AWS_PROFILE or ~/.aws/config names gives some (`aws sts get-caller-identity`), {AGAIN}",
    ),
    Refusal(
        error=AccessError,
        codes="ConfigNotFound ConfigParseError InvalidConfigError MissingDependencyException ProfileNotFound",
        todo=f"correct AWS_PROFILE or ~/.aws/config, {AGAIN}",
    ),
    Refusal(
        error=AccessError,
        says="signature (not yet current|expired)|RequestTimeTooSkewed",
        todo=f"set this machine's clock, {AGAIN}",
    ),
    Refusal(
        error=AccessError,
        codes="AuthFailure IncompleteSignature InvalidAccessKeyId InvalidClientTokenId InvalidSignatureException "
        "InvalidToken MissingAuthenticationToken MissingAuthenticationTokenException SignatureDoesNotMatch "
        "UnrecognizedClientException",
        todo="AWS does not know these credentials: correct them, or get new ones (`aws sts get-caller-identity` says "
        f"whether they work), {AGAIN}",
    ),
    Refusal(  # a HEAD has no body that could say why
        error=AccessError,
        codes="400",
        calls="HeadBucket HeadObject",
        todo=f"S3 does not say why; most often the session is over: {NEW_SESSION}",
    ),
    Refusal(
        error=OptionsError,
        codes="NoRegionError InvalidRegionError",
        todo=f"state objective.region, or AWS_DEFAULT_REGION; {NOVA_REGIONS}",
    ),
)
"""Who asks, and where."""

PERMISSIONS = (
    Refusal(  # before others: the key's own policy has a say as well
        error=AccessError,
        says=UNAUTHORIZED.format(r"kms:\S+"),
        todo="allow {action} on the key {resource} to whoever runs this and to objective.role, in their policies and "
        f"in the key's own, or correct objective.kms_key, {AGAIN}",
    ),
    Refusal(
        error=AccessError,
        says=r"^KMS\.|\bKMS\b.*(access|disabled|does not exist|invalid|not found)",
        todo="objective.kms_key must name a key of the same region that is enabled, and that both whoever runs this "
        f"and objective.role may use, {AGAIN}",
    ),
    Refusal(
        error=AccessError,
        says=UNAUTHORIZED.format("iam:PassRole"),
        todo="allow {action} on {resource} to whoever runs this, with the condition iam:PassedToService: "
        f"sagemaker.amazonaws.com; {POLICY}",
    ),
    Refusal(
        error=AccessError,
        says=UNAUTHORIZED.format(r"\S+"),
        todo=f"allow {{action}} on {{resource}} to whoever runs this; {POLICY}",
    ),
)
"""What is missing, as AWS names it."""

SETTINGS = (
    Refusal(error=AccessError, codes="404 NoSuchBucket", calls="HeadBucket", todo=NO_BUCKET),
    Refusal(
        error=AccessError,
        says="bucket is in this region: |is wrong; expecting '",
        todo=f"the bucket is elsewhere: {OTHER_REGION}",
    ),
    Refusal(
        error=AccessError,
        codes="AuthorizationHeaderMalformed IllegalLocationConstraintException PermanentRedirect 301",
        todo=f"the bucket is in another region: {OTHER_REGION}",
    ),
    Refusal(
        error=AccessError,
        says="No S3 objects found under",
        todo="see that objective.role may s3:ListBucket on the bucket of objective.place and s3:GetObject on what is "
        f"in it, and that the bucket is in the region of the jobs, {AGAIN}",
    ),
    Refusal(error=AccessError, says="NoSuchBucket|specified bucket does not exist", todo=NO_BUCKET),
    Refusal(
        error=AccessError,
        says=r"\beula\b|licen[cs]e agreement",
        todo=f"read the model's licence, and accept it with objective.accept_eula: true, {AGAIN}",
    ),
    Refusal(
        error=AccessError,
        says="assume (the )?role|sts:AssumeRole",
        todo=f"objective.role must be there, and its trust policy let sagemaker.amazonaws.com assume it, {AGAIN}",
    ),
    Refusal(
        error=AccessError,
        codes=MISSING,
        calls="DescribeHubContent",
        todo="SageMaker's public hub has no such model in this region: correct objective.base_model or "
        f"objective.region; {NOVA_REGIONS}",
    ),
    Refusal(
        error=AccessError,
        says="base model .*does not exist",
        todo=f"correct objective.base_model or objective.region; {NOVA_REGIONS}",
    ),
    Refusal(error=AccessError, codes=MISSING, calls="DescribeModelPackageGroup", todo=NO_GROUP),
    Refusal(error=AccessError, says="model.?package.?group.*(does not exist|not found|not be found)", todo=NO_GROUP),
    Refusal(
        error=AccessError,
        codes="ResourceLimitExceeded",
        says=r"\bis 0\b",
        todo=f"this account may run none at all: ask for more under Service Quotas > Amazon SageMaker, {AGAIN}",
    ),
    Refusal(
        error=AccessError,
        codes="SSLError",
        says="certificate",
        todo=f"let AWS_CA_BUNDLE name the file of certificates that your proxy needs, {AGAIN}",
    ),
)
"""What is named and is not there, or is elsewhere. No job is at fault, and every job would meet it."""

UNNAMED = (
    Refusal(
        error=AccessError,
        says=r"\bnova forge\b|subscri(be|ption)",
        todo="Nova's own training data is for subscribers of Nova Forge alone: subscribe, give objective.role the tag "
        f"forge-subscription=true and read access to Forge's buckets, {AGAIN}; or leave the domains with category out",
    ),
    Refusal(
        error=AccessError,
        codes=DENIED,
        calls="HeadBucket HeadObject ListObjectsV2",
        todo="see that the bucket of objective.place is yours, and allow s3:ListBucket on it and s3:GetObject on what "
        f"is in it to whoever runs this; {POLICY}",
    ),
    Refusal(
        error=AccessError,
        codes=DENIED,
        todo=f"AWS does not say which permission is missing; it is one that {{call}} needs; {POLICY}",
    ),
)
"""What is missing, where AWS does not name it; after what says more, in which such words may be names of the team's."""

NOT_NOW = (
    Refusal(error=ServiceError, codes="ResourceLimitExceeded"),
    Refusal(
        error=ServiceError,
        codes="LimitExceededException RequestLimitExceeded RequestThrottled RequestThrottledException RequestTimeout "
        "SlowDown Throttling ThrottlingException ThrottledException TooManyRequestsException",
    ),
    Refusal(error=ServiceError, codes="InternalError InternalFailure InternalServerException ServiceUnavailable"),
    Refusal(
        error=ServiceError,
        codes="EndpointConnectionError",
        todo="see that this machine reaches AWS, and that the region is right",
    ),
    Refusal(error=ServiceError, codes="ConnectionError HTTPClientError IncompleteReadError MetadataRetrievalError"),
)

NO = (
    Refusal(error=NameInUse, codes="ResourceInUse"),
    Refusal(error=OptionsError, codes="ParamValidationError"),
    Refusal(error=ObjectiveError, codes="ResourceNotFound", todo="it may have been deleted"),
)

REFUSALS = (*CREDENTIALS, *PERMISSIONS, *SETTINGS, *UNNAMED, *NOT_NOW, *NO)
"""In order: the first one that fits tells."""
