"""The formats of rows, and what a format says when it cannot hold one."""

from __future__ import annotations

from enum import StrEnum

from objectives.errors import DataError


class Format(StrEnum):
    """How a row is written.

    Attributes:
        INSTRUCTION: an instruction and an output, or another pair of such keys.
        MESSAGES: chat messages, as OpenAI has them.
        CONVERSE: Bedrock's Converse, as Nova is trained on, of the schema "bedrock-conversation-2024".
        CONTENTS: contents, as Vertex AI has them for Gemini.
    """

    INSTRUCTION = "instruction"
    MESSAGES = "messages"
    CONVERSE = "converse"
    CONTENTS = "contents"


class FormatError(DataError):
    """A row that the wanted format cannot hold."""
