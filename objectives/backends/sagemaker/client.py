"""Clients of Amazon's services, with the credentials that boto3 finds in its usual places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import NoCredentialsError, NoRegionError

from objectives.backends.sagemaker import SagemakerBackend
from objectives.backends.sagemaker.reply import translated

CONNECT_S = 10.0
"""Most seconds until a connection stands."""

CONNECTIONS = 50
"""Most connections that are kept to each service; threads share the clients."""

TRIES = 3
"""How often a call is made that nobody repeats, or whose repetition is dear: of a check while somebody waits, and of
S3, as one hiccup among the parts of a large file need not cost a long pause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """One client of each service, which threads may share. Credentials stay inside boto3.

    Attributes:
        sagemaker, s3, sts: the clients.
        region: of all of them.
    """

    sagemaker: Any
    s3: Any
    sts: Any
    region: str


def clients(settings: SagemakerBackend, *, most_s: float | None = None) -> Clients:
    """Makes the clients; nothing is asked of any service, but where boto3 looks for credentials on the network.

    botocore's own retries are off, but for S3's: a driver waits and asks again by himself, as long as it takes, and
    looks up what became of a lost answer first. Retries inside a call would make it last several time limits.

    Args:
        settings: of the study.
        most_s: most seconds that an answer may take, where that is less than the settings have: for a check, which is
            made while somebody waits, and is not made again.

    Raises:
        AccessError: there are no credentials, or boto3's own files cannot be used.
        OptionsError: there is no region.
    """
    with translated("looking for credentials"):
        # A session is not for several threads; its clients are.
        session = boto3.Session(region_name=settings.region)
        if session.region_name is None:
            raise NoRegionError
        if session.get_credentials() is None:
            raise NoCredentialsError
        answer_s = min(settings.timeout_s, most_s or settings.timeout_s)
        usual = 1 if most_s is None else TRIES

        def client(service: str, tries: int) -> Any:
            config = Config(
                connect_timeout=min(CONNECT_S, answer_s),
                read_timeout=answer_s,
                retries={"total_max_attempts": tries, "mode": "standard"},
                max_pool_connections=CONNECTIONS,
            )
            return session.client(service, config=config)

        return Clients(
            sagemaker=client("sagemaker", usual),
            s3=client("s3", TRIES),
            sts=client("sts", usual),
            region=session.region_name,
        )
