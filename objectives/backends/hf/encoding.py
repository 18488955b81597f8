"""Rows as token arrays: made once per worker for the rows that are used, read by every step of every job."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from objectives.backends.hf.template import Template
from objectives.data import Dataset, Row

CHUNK_ROWS = 10_000
"""Rows that are handed to the tokenizer at a time, which bounds the memory that it takes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Encoded:
    """The rows of one data set as tokens.

    Attributes:
        tokens: all rows' tokens, one row after the other, (n_tokens,).
        starts: where each row begins, and the end of the last, (n_rows + 1,).
        prompts: how many of a row's tokens are prompt, at least 1, (n_rows,).
        truncated: rows that were longer than allowed.
    """

    tokens: NDArray[np.int32]
    starts: NDArray[np.int64]
    prompts: NDArray[np.int64]
    truncated: int

    @classmethod
    def of(cls, pieces: Sequence[tuple[NDArray[np.int32], int]], truncated: int = 0) -> Self:
        """Puts rows together.

        Args:
            pieces: each row's tokens and how many of them are prompt.
            truncated: rows that were longer than allowed.
        """
        return cls(
            tokens=np.concatenate([np.empty(0, dtype=np.int32), *(tokens for tokens, _ in pieces)]),
            starts=np.cumsum([0, *(len(tokens) for tokens, _ in pieces)]),
            prompts=np.array([prompt for _, prompt in pieces], dtype=np.int64),
            truncated=truncated,
        )

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens per row, (n_rows,)."""
        return np.diff(self.starts)

    def row(self, i: int) -> NDArray[np.int32]:
        """The tokens of row `i`."""
        return self.tokens[self.starts[i] : self.starts[i + 1]]

    def prompt(self, i: int) -> NDArray[np.int32]:
        """The prompt tokens of row `i`."""
        return self.tokens[self.starts[i] : self.starts[i] + self.prompts[i]]

    def response(self, i: int) -> NDArray[np.int32]:
        """The tokens of row `i` that are trained on and scored."""
        return self.tokens[self.starts[i] + self.prompts[i] : self.starts[i + 1]]


class EncodedSet:
    """A data set whose rows become tokens when they are first asked for, and then stay so."""

    def __init__(self, data: Dataset, encode: Callable[[Sequence[Row]], Encoded]) -> None:
        """Encodes nothing yet.

        Args:
            data: the rows.
            encode: turns some of them into tokens.
        """
        self._data = data
        self._encode = encode
        self._known: dict[int, tuple[NDArray[np.int32], int]] = {}

    def encoded(self, numbers: NDArray[np.int64]) -> Encoded:
        """Some rows as tokens.

        Args:
            numbers: of the rows, (n,).

        Raises:
            DataError: a file has changed since it was indexed.
        """
        new = np.array(
            [number for number in dict.fromkeys(numbers.tolist()) if number not in self._known], dtype=np.int64
        )
        if len(new):
            made = self._encode(self._data.rows(new))
            for place, number in enumerate(new.tolist()):
                self._known[number] = made.row(place).copy(), int(made.prompts[place])
        return Encoded.of([self._known[number] for number in numbers.tolist()])

    def lengths(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens of some rows as they are trained on, (n,)."""
        return self.encoded(numbers).lengths


def split(rows: Sequence[Row], tokenizer: Any, template: Template) -> Iterator[tuple[list[int], list[int]]]:
    """The tokens of each row's prompt and of its response, nothing cut off; a prompt has at least one.

    They are split into tokens apart, so that the border between them is exact.

    Args:
        rows: any number.
        tokenizer: the base model's.
        template: what stands around the texts.
    """
    # Something must stand before the first token that is predicted, also where template and instruction are empty.
    first = [tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id]
    for start in range(0, len(rows), CHUNK_ROWS):
        texts = [template.texts(row, tokenizer) for row in rows[start : start + CHUNK_ROWS]]
        heads, tails = zip(*texts, strict=True)
        encoded = (tokenizer(list(side), add_special_tokens=False)["input_ids"] for side in (heads, tails))
        for prompt, response in zip(*encoded, strict=True):
            yield prompt or first, response


def encode(rows: Sequence[Row], tokenizer: Any, template: Template, max_length: int) -> Encoded:
    """Turns rows into tokens.

    A row that is too long loses tokens from the middle of its prompt, down to half of `max_length`, and then from the
    end of its response: the template and the words next to the answer stay.

    Args:
        rows: at least one.
        tokenizer: the base model's.
        template: what stands around the texts.
        max_length: most tokens of a row, >= 4.
    """
    pieces: list[tuple[NDArray[np.int32], int]] = []
    truncated = 0
    for prompt, response in split(rows, tokenizer, template):
        truncated += len(prompt) + len(response) > max_length
        head = without_middle(prompt, max(max_length - len(response), max_length // 2))
        pieces.append((np.concatenate([head, np.asarray(response, dtype=np.int32)])[:max_length], len(head)))
    return Encoded.of(pieces, truncated)


def without_middle(tokens: Sequence[int] | NDArray[np.int32], most: int) -> NDArray[np.int32]:
    """The tokens, or if they are more than `most`, those at the beginning and at the end."""
    found = np.asarray(tokens, dtype=np.int32)
    if len(found) <= most:
        return found
    return np.concatenate([found[: most // 2], found[len(found) - (most - most // 2) :]])
