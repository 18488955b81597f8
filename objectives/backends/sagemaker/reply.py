"""What Amazon's services reply where they do not do as they are asked, told by errors of ours."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from objectives.backends.sagemaker.refusals import REFUSALS, Refusal
from objectives.errors import ObjectiveError, RatioSearchError, ServiceError

LONGEST = 600
"""Characters of a reply that are shown."""

SERVER_ERROR = 500
"""The least HTTP status that speaks of the service, and not of what it was asked."""

OTHERWISE = Refusal(error=ObjectiveError)
"""How a reply is told that nobody foresaw: this very request is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply that is no success, or why there was none.

    Attributes:
        codes: AWS's name of the error; where there was no reply, those of botocore's exception and its bases.
        message: what was said.
        call: the operation that was asked for; empty where there was no reply.
        status: of HTTP; 0 where there was no reply.
    """

    codes: frozenset[str]
    message: str
    call: str = ""
    status: int = 0

    @classmethod
    def of(cls, error: BotoCoreError | ClientError) -> Reply:
        """The reply that an exception of botocore's stands for."""
        if not isinstance(error, ClientError):
            bases = frozenset(base.__name__ for base in type(error).__mro__)
            return cls(codes=bases, message=" ".join(str(error).split()))
        said: dict[str, Any] = error.response.get("Error", {})
        code = str(said.get("Code", ""))
        return cls(
            codes=frozenset({code}),
            message=" ".join(f"{code}: {said.get('Message', '')}".split()),
            call=str(error.operation_name),
            status=int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)),
        )

    def told(self, doing: str) -> RatioSearchError:
        """Our error for it.

        Args:
            doing: what was being done, in words.
        """
        todo, refusal = next(
            (
                (todo, one)
                for one in REFUSALS
                if (todo := one.todo_after(self.codes, self.call, self.message)) is not None
            ),
            ("", Refusal(error=ServiceError) if self.status >= SERVER_ERROR else OTHERWISE),
        )
        shown = self.message.rstrip(".: ") if len(self.message) <= LONGEST else f"{self.message[:LONGEST]}…"
        said = f"{doing}: {shown if refusal.quoted else 'the credentials cannot be had'}"
        return refusal.error(f"{said}; {todo}" if todo else said)


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Tells every error of botocore's by one of ours, with what to do.

    Args:
        doing: what is being done, in words, such as `starting job x`.

    Raises:
        AccessError: somebody has to repair something before more can be done.
        NameInUse: there is a job of that name.
        ObjectiveError, OptionsError: it is refused, and would be so again.
        ServiceError: it may be asked again.
    """
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise Reply.of(error).told(doing) from error
