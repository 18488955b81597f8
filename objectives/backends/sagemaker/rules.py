"""What the service demands of training rows, found out before anything is sent.

Sources: Amazon Nova 2 user guide, "nova-data-prep-sft-2" (form of rows, number of them, reserved words), and what
Amazon's own checks refuse, which know some more words and look for them in every text: github.com/aws/nova-forge-sdk
(dataset_checks_config, sft_dataset_validator), github.com/aws-samples/amazon-nova-samples (nova_ft_dataset_validator).
Lengths are the audit's affair, which `SagemakerBackend.capacity` tells how much is read, and media that of
`objectives.data.rows`, which knows none.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from objectives.backends.sagemaker.blend import MIN_ROWS
from objectives.data import SHOWN, Dataset, Format, Row
from objectives.data.dataset import READ_ROWS
from objectives.data.index import FileIndex
from objectives.data.rows import Role, refusal
from objectives.domain import Domain
from objectives.errors import DataError, OptionsError

RESERVED = (
    "System:", "SYSTEM:", "User:", "USER:", "Bot:", "BOT:", "Assistant:", "ASSISTANT:", "Thought:", "[EOS]", "<image>",
    "<video>", "<unk>",
)  # fmt: skip
"""Words that no text may have, in this very spelling, anywhere."""

BLOCK_BYTES = 16 * 2**20
"""Looked through at a time."""

SUSPECT = tuple(
    re.compile(pattern)
    for pattern in (
        b"|".join(re.escape(word.encode()) for word in RESERVED),
        rb"\\u00[3-7]",  # any of them, where letters are escaped
        rb'""',  # what has no text
        rb"\[\]",
        rb'"tool',
        rb'"function',
    )
)
"""How a line looks in which a row may break a rule; one that looks otherwise breaks none of those of `Rule`'s but
`CONVERSE`, which the index knows of."""

LONGEST = 16
"""More bytes than anything that `SUSPECT` finds."""


class Rule(enum.Enum):
    """What rows can break; the value says what such rows are, and what to do."""

    CONVERSE = "that Converse, the format of Nova's training files, cannot hold; change or remove them"
    RESERVED = "with a word that Nova reserves, at which a job fails; write it otherwise"
    BLANK = "with a message without any text; write some, or remove them"
    TOOLS = "with tools or calls that Amazon's own checks refuse; correct or remove them"


def check_rows(domains: Sequence[Domain], root: Path) -> None:
    """Checks that the service takes all training rows of the team's own.

    Args:
        domains: what can be mixed.
        root: folder that relative paths refer to.

    Raises:
        DataError: it does not; all rules that rows break are named, each with the first of the rows.
        OptionsError: no domain has training files.
    """
    own = training_sets(domains, root)
    if not own:
        raise OptionsError(
            "domains: expected one or more with train files, found none; the service takes no job without any: add "
            "one, whose share may be 0"
        )
    told = [
        _told(f"domains.{name}.train", data, rule, found)
        for name, data in own.items()
        for rule, found in _broken(data).items()
    ]
    if (count := sum(map(len, own.values()))) < MIN_ROWS:
        told.append(f"domains: {count} training rows in all; expected {MIN_ROWS} or more, as the service does")
    if told:
        raise DataError("\n".join(told))


def training_sets(domains: Sequence[Domain], root: Path) -> dict[str, Dataset]:
    """The rows of each domain of the team's own.

    Raises:
        DataError: a file cannot be read.
    """
    return {domain.name: Dataset.open(root / path for path in domain.train) for domain in domains if domain.train}


def _broken(data: Dataset) -> dict[Rule, dict[int, str]]:
    """Rows that break rules, by rule and number, each with what is wrong; of `CONVERSE` that is told of the first."""
    beyond = np.flatnonzero(~data.column(lambda index: index.holds(Format.CONVERSE))).tolist()
    first = zip(beyond, data.rows(np.array(beyond[:SHOWN], dtype=np.int64)), strict=False)
    why = {number: refusal(row, Format.CONVERSE) or "" for number, row in first}
    broken: dict[Rule, dict[int, str]] = {Rule.CONVERSE: {number: why.get(number, "") for number in beyond}}
    suspects = _suspects(data)
    for start in range(0, len(suspects), READ_ROWS):
        numbers = suspects[start : start + READ_ROWS]
        for number, row in zip(numbers.tolist(), data.rows(numbers), strict=True):
            for rule, reason in _complaints(row):
                broken.setdefault(rule, {}).setdefault(number, reason)
    return {rule: broken[rule] for rule in Rule if broken.get(rule)}


def _suspects(data: Dataset) -> NDArray[np.int64]:
    """Numbers of the rows that must be looked at, sorted; most never are, which is what makes this quick."""
    parts, before = [np.empty(0, dtype=np.int64)], 0
    for index in data.files:
        parts.extend(rows + before for rows in _suspect_rows(index))
        before += len(index)
    return np.unique(np.concatenate(parts))


def _suspect_rows(index: FileIndex) -> Iterator[NDArray[np.int64]]:
    """Numbers of a file's rows, in any order and repeated, block by block."""
    start, kept = 0, b""
    with index.content.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            # With the end of the block before, where something can stand across the border.
            text = kept + block
            places = [found.start() for pattern in SUSPECT for found in pattern.finditer(text)]
            rows = np.searchsorted(index.offset, np.array(places, dtype=np.int64) + start, side="right") - 1
            yield np.unique(rows[rows >= 0])  # none stands in front of the first
            kept = text[-LONGEST:]
            start += len(text) - len(kept)


def _complaints(row: Row) -> Iterator[tuple[Rule, str]]:
    """What is wrong with a row, but for its turns."""
    for message in row.messages:
        if words := [word for word in RESERVED if word in message.text]:
            yield Rule.RESERVED, f"{' and '.join(map(repr, words))} in a text of the {message.role}'s"
        if not message.text and not message.calls and message.role in (Role.USER, Role.ASSISTANT):
            yield Rule.BLANK, f"a message of the {message.role}'s is empty"
    for reason in _of_tools(row):
        yield Rule.TOOLS, reason


def _of_tools(row: Row) -> Iterator[str]:
    names = [tool.name for tool in row.tools]
    if not all(name.strip() for name in names) or len(set(names)) < len(names):
        yield "a tool without a name, or two of one name"
    for tool in row.tools:
        if not (tool.description or "").strip():
            yield f"tool {tool.name!r} has no description"
        if tool.parameters is not None and "type" not in tool.parameters:
            yield f"the parameters of tool {tool.name!r} have no type"
    calls = [call for message in row.messages for call in message.calls]
    for call in calls:
        if names and call.name not in names:
            yield f"a call of {call.name!r}, which is none of the row's tools"
    answers = [message.answers for message in row.messages if message.role is Role.TOOL]
    for what, ids in (("calls", [call.id for call in calls]), ("results", answers)):
        if len(set(ids)) < len(ids):
            yield f"two {what} of one id"


def _told(key: str, data: Dataset, rule: Rule, found: Mapping[int, str]) -> str:
    count = len(found)
    lines = [f"{key}: {count:,} row{'s' if count > 1 else ''} {rule.value}:"]
    for number in sorted(found)[:SHOWN]:
        lines.append(f"  {data.place(number)}: {found[number]}")
    if count > SHOWN:
        lines.append(f"  and {count - SHOWN:,} more")
    return "\n".join(lines)
