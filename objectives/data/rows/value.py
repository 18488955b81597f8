"""JSON values inside a row: arguments of calls, results of tools and parameters of tools."""

from __future__ import annotations

import math
from typing import Any

import orjson

from objectives.data.rows.excerpt import excerpt
from objectives.errors import DataError

DEEPEST = 100
"""Levels of lists and objects in one value. The encoder ends at 254, and a format adds some of its own."""


def check_value(value: object, what: str, depth: int = DEEPEST) -> None:
    """Refuses what JSON cannot say, or says differently.

    Args:
        value: the value to check.
        what: its name in the message.
        depth: levels that are left.

    Raises:
        DataError: the value holds anything but text, booleans, None, finite floating point numbers, integers of
            64 bits, and lists and objects of these in at most 100 levels.
    """
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        check_text(value, what)
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise DataError(
                f"{what} cannot have a number of more than 64 bits, found {excerpt(value)}; write it as text"
            )
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise DataError(f"{what} cannot have a number that JSON lacks, found {value}")
    elif isinstance(value, list | dict):
        if not depth:
            raise DataError(f"{what} cannot have more than {DEEPEST} levels of lists and objects")
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    raise DataError(f"{what} cannot have a key that is not text, found {excerpt(key)}")
                check_text(key, what)
        for inner in value.values() if isinstance(value, dict) else value:
            check_value(inner, what, depth - 1)
    else:
        raise DataError(f"{what} cannot have a value that JSON lacks, found {excerpt(value)}")


def check_object(value: object, what: str) -> None:
    """Refuses all but a JSON object, as `check_value` does.

    Raises:
        DataError: the value is no object, or holds what JSON cannot say.
    """
    if not isinstance(value, dict):
        raise DataError(f"{what} must be a JSON object, found {excerpt(value)}")
    check_value(value, what)


def check_text(text: str, what: str) -> None:
    """Refuses text that UTF-8, and so JSON and a tokenizer, has no place for.

    Raises:
        DataError: the text has half of a surrogate pair.
    """
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            found = excerpt(text[error.start : error.start + 10])
            raise DataError(
                f"{what} cannot have half of a surrogate pair, which is no character, found {found}"
            ) from None


def canonical_text(value: Any) -> str:
    """The value as compact JSON with sorted keys; equal values give equal text."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
