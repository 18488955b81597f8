"""What is wrong with a line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

LONGEST_MESSAGE = 299
"""Characters of a problem's message, whatever the line."""


class ProblemKind(StrEnum):
    """Why a line gives no row."""

    NOT_UTF8 = "not UTF-8"
    NOT_JSON = "not JSON"
    NOT_A_ROW = "not a row"
    EMPTY_OUTPUT = "empty output"
    TOO_LONG = "line too long"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a line gives no row.

    Attributes:
        kind: the sort of problem.
        message: what was found and what was expected; one printable line of less than 300 characters.
    """

    kind: ProblemKind
    message: str

    def __post_init__(self) -> None:
        if len(self.message) > LONGEST_MESSAGE:
            object.__setattr__(self, "message", f"{self.message[: LONGEST_MESSAGE - 3]}...")
