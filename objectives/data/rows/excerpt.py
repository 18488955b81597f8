"""Excerpts of what was found, for messages of one printable line."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable

LONGEST = 60
"""Characters of an excerpt, quotes included."""

SHOWN_KEYS = 6
"""How many keys of an object a message spells out; the rest are counted."""

_shorten = reprlib.Repr()
# A representation of all that a hostile line may hold could be huge or too deep; these bounds keep it small.
_shorten.maxlevel = 3
_shorten.maxlist = _shorten.maxdict = _shorten.maxtuple = 8
_shorten.maxlong = _shorten.maxother = _shorten.maxstring = 4 * LONGEST


def excerpt(found: object) -> str:
    """The beginning of the representation, at most 60 printable characters."""
    try:
        text = repr(found[: LONGEST + 1]) if isinstance(found, str) else _shorten.repr(found)
    except ValueError:  # Python refuses to spell out integers of thousands of digits.
        text = f"a {type(found).__name__} too large to show"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def keys(found: Iterable[object]) -> str:
    """The keys of an object, as a message lists them."""
    names = [text if len(text) <= 20 else f"{text[:17]}..." for text in map(excerpt, found)]
    if len(names) > SHOWN_KEYS:
        names[SHOWN_KEYS:] = [f"{len(names) - SHOWN_KEYS} more"]
    return ", ".join(names) or "none"
