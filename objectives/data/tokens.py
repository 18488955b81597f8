"""How long a row is in tokens: counted where there is a tokenizer, estimated elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from objectives.data.rows import Row

BYTES_PER_TOKEN = 4
"""Of UTF-8 text, on average over common tokenizers and English; other languages take up to twice the tokens."""

ESTIMATE = f"estimated at {BYTES_PER_TOKEN} bytes of text a token"
"""What is said beside numbers that nobody counted."""


class TokenCounter(Protocol):
    """Counts tokens as an objective would.

    Attributes:
        name: a plain file name that changes when the counts would.
        about: how they are counted, in words.
    """

    name: str
    about: str

    def count(self, rows: Sequence[Row]) -> list[int]:
        """Tokens of each row, each >= 1; nothing is cut off."""
        ...
