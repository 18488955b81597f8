"""Writing a row in a format."""

from __future__ import annotations

import orjson

from objectives.data.rows.codecs import CODECS
from objectives.data.rows.format import Format, FormatError
from objectives.data.rows.linking import linked
from objectives.data.rows.row import Row


def dump(row: Row, format: Format) -> bytes:
    """The row as one line of compact JSON in UTF-8, without a line end.

    Raises:
        FormatError: the format cannot hold the row; the message says what it cannot hold, and which formats can.
    """
    try:
        return _line(row, format)
    except FormatError as error:
        able = [other.value for other in Format if other is not format and _holds(row, other)]
        advice = f"{' or '.join(able)} can; choose one of these or leave the row out" if able else "no format can"
        raise FormatError(f"the format {format} cannot hold {error}; {advice}") from None


def refusal(row: Row, format: Format) -> str | None:
    """Why `dump` refuses to write the row in this format, in its words; None if it does not."""
    try:
        dump(row, format)
    except FormatError as error:
        return str(error)
    return None


def _holds(row: Row, format: Format) -> bool:
    try:
        _line(row, format)
    except FormatError:
        return False
    return True


def _line(row: Row, format: Format) -> bytes:
    written = CODECS[format].write(linked(row))
    try:
        return orjson.dumps(written)
    except TypeError as error:  # Texts of rows that were read are sound; of others they are not looked through before.
        raise FormatError(f"what JSON has no place for ({error})") from None
