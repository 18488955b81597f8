"""The reader and writer of each format."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from objectives.data.rows import contents, converse, instruction, messages
from objectives.data.rows.content import Codec
from objectives.data.rows.format import Format

CODECS: Mapping[Format, Codec] = MappingProxyType(
    {
        Format.INSTRUCTION: instruction,
        Format.MESSAGES: messages,
        Format.CONVERSE: converse,
        Format.CONTENTS: contents,
    }
)
"""Who reads and writes a format."""
