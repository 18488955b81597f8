"""Fields of a decoded object: looked up, checked, and named in messages by where they stand."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from objectives.data.rows.excerpt import excerpt, keys
from objectives.errors import DataError

# Writers of tables put None where a field is absent, so None is absence everywhere.


def text_field(data: Mapping[str, Any], key: str, where: str) -> str:
    """The text under the key.

    Raises:
        DataError: there is none, or it is no text.
    """
    value = optional_text(data, key, where)
    if value is None:
        raise DataError(f"{where}: lacks {key!r}, found the keys {keys(data)}")
    return value


def optional_text(data: Mapping[str, Any], key: str, where: str) -> str | None:
    """The text under the key, or None where it is absent or null.

    Raises:
        DataError: it is something else.
    """
    value = data.get(key)
    if value is not None and not isinstance(value, str):
        raise DataError(f"{where}: {key!r} must be text, found {excerpt(value)}")
    return value


def object_field(data: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    """The object under the key.

    Raises:
        DataError: there is none, or it is something else.
    """
    return as_object(data.get(key), f"{where}: {key!r}")


def as_object(value: object, where: str) -> dict[str, Any]:
    """The value, which must be an object.

    Raises:
        DataError: it is something else.
    """
    if not isinstance(value, dict):
        raise DataError(f"{where} must be an object, found {excerpt(value)}")
    return value


def objects(data: Mapping[str, Any], key: str, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of the list under the key, each with where it stands; none where the key is absent or null.

    Raises:
        DataError: it is no list, or an element is no object.
    """
    value = data.get(key)
    if value is None:
        return
    if not isinstance(value, list):
        raise DataError(f"{where}: {key!r} must be a list of objects, found {excerpt(value)}")
    for number, element in enumerate(value, start=1):
        place = f"{where}: {key} {number}"
        yield place, as_object(element, place)


def only_key(data: Mapping[str, Any], expected: Collection[str], where: str) -> str:
    """The one key that has a value.

    Raises:
        DataError: there is none, there are several, or it is not among the expected ones.
    """
    filled = [key for key, value in data.items() if value is not None]
    if len(filled) != 1 or filled[0] not in expected:
        raise DataError(
            f"{where}: expected one of {', '.join(expected)}, which are all that is read, found the keys {keys(filled)}"
        )
    return filled[0]
