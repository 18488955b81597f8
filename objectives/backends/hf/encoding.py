"""Rows as token arrays: made once per worker, read by every step of every job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives.data import Row
from objectives.errors import OptionsError

CHUNK_ROWS = 10_000
"""Rows that are handed to the tokenizer at a time, which bounds the memory that it takes."""

_TIMELESS = "{%- macro strftime_now(format) -%}1 January 2025{%- endmacro -%}"
"""Some templates write today's date, which would make the same job differ from day to day."""

_USER, _ASSISTANT = "ratio-search-instruction", "ratio-search-output"


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What stands around a row's two texts, special tokens included.

    Attributes:
        before: text before the instruction.
        between: text between instruction and output; the prompt ends with it.
        after: text that ends the output; the model is trained and scored on it too.
    """

    before: str
    between: str
    after: str

    @classmethod
    def of(cls, tokenizer: Any) -> Template:
        """The tokenizer's chat template, user and assistant, or a plain one where it has none.

        The chat template is rendered once, on marks, and cut at them: what it adds does not depend on the
        row. The prompt of a model that thinks before it answers so ends after its empty thought.

        Raises:
            OptionsError: the chat template cannot be used, or nothing says how an output ends.
        """
        if tokenizer.chat_template is None:
            # A beginning-of-text token is added where the tokenizer itself would add one.
            starts = tokenizer.bos_token is not None and tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]
            before = f"{tokenizer.bos_token if starts else ''}### Instruction:\n"
            between, after = "\n\n### Response:\n", ""
        else:
            before, between, after = _cut(_rendered(tokenizer))
        after = after.rstrip() or tokenizer.eos_token or ""
        if not after:
            raise OptionsError(
                "the base model's tokenizer has no token that ends an output: expected a chat template that "
                "closes the assistant's turn, or an eos_token in tokenizer_config.json"
            )
        return cls(before=before, between=between, after=after)


def _rendered(tokenizer: Any) -> str:
    turns = [{"role": "user", "content": _USER}, {"role": "assistant", "content": _ASSISTANT}]
    try:
        template = _TIMELESS + tokenizer.get_chat_template()
        text: str = tokenizer.apply_chat_template(
            turns, chat_template=template, tokenize=False, date_string="1 January 2025"
        )
    except Exception as error:  # the template is the model's own program and may raise anything
        raise OptionsError(
            f"the base model's chat template fails on one user and one assistant turn: {error}"
        ) from error
    return text


def _cut(text: str) -> tuple[str, str, str]:
    before, user, rest = text.partition(_USER)
    between, assistant, after = rest.partition(_ASSISTANT)
    if not user or not assistant or _USER in rest or _ASSISTANT in before + after:
        raise OptionsError(
            "the base model's chat template must show the user's text once and then the assistant's once, "
            f"found {text!r}"
        )
    return before, between, after


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


def encode(rows: Sequence[Row], tokenizer: Any, template: Template, max_length: int) -> Encoded:
    """Turns rows into tokens.

    Prompt and response are split into tokens apart, so that the border between them is exact. A row that is
    too long loses tokens from the middle of its prompt, down to half of `max_length`, and then from the end
    of its response: the template and the words next to the answer stay.

    Args:
        rows: at least one.
        tokenizer: the base model's.
        template: what stands around the texts.
        max_length: most tokens of a row, >= 4.
    """
    pieces: list[NDArray[np.int32]] = []
    prompts: list[int] = []
    truncated = 0
    # Something must stand before the first token that is predicted, also where template and instruction are empty.
    first = [tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id]
    for start in range(0, len(rows), CHUNK_ROWS):
        chunk = rows[start : start + CHUNK_ROWS]
        heads = [template.before + row.instruction + template.between for row in chunk]
        tails = [row.output + template.after for row in chunk]
        encoded = (tokenizer(texts, add_special_tokens=False)["input_ids"] for texts in (heads, tails))
        for prompt, response in zip(*encoded, strict=True):
            truncated += len(prompt) + len(response) > max_length
            head = without_middle(prompt or first, max(max_length - len(response), max_length // 2))
            pieces.append(np.concatenate([head, np.asarray(response, dtype=np.int32)])[:max_length])
            prompts.append(len(head))
    return Encoded(
        tokens=np.concatenate(pieces),
        starts=np.cumsum([0, *map(len, pieces)]),
        prompts=np.array(prompts, dtype=np.int64),
        truncated=truncated,
    )


def without_middle(tokens: Sequence[int] | NDArray[np.int32], most: int) -> NDArray[np.int32]:
    """The tokens, or if they are more than `most`, those at the beginning and at the end."""
    found = np.asarray(tokens, dtype=np.int32)
    if len(found) <= most:
        return found
    return np.concatenate([found[: most // 2], found[len(found) - (most - most // 2) :]])
