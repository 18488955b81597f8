"""Rows of instruction data: read from four formats, held in one form, and written in any of them.

Formats are told apart row by row and may be mixed in one file. For every format that does not refuse a row,
`parse(dump(row, format))` gives the row back, up to these normalisations:

- The label is for evaluation, and platforms reject keys that they do not know: it is written by the format
  instruction only, and left out by the others.
- What follows from the order of calls and results is said (`objectives.data.rows.linking.linked`): ids of calls,
  and which call a result answers. Blank system messages, and tools' schemas without a property, are left out.
- The format messages has no structured results of tools; they come back as their JSON text.

On reading, further: parts of text that follow each other are one text; an assistant's text stands before its
calls; arguments that chat messages hold as text are compact JSON when they are written again; numbers are those
of JSON with 64 bits, so that a larger integer becomes a floating point number; null is the same as no key; the
last of two equal keys counts; a result of Gemini's under "output" is the result itself. Other keys are ignored,
such as `generationConfig`, `toolChoice` and a tool's `strict`; a line that has them is not verbatim.
"""

from objectives.data.rows.dumping import dump, refusal
from objectives.data.rows.format import Format, FormatError
from objectives.data.rows.lines import MAX_LINE_BYTES, BadLine, Line, lines
from objectives.data.rows.parsing import Parsed, of_mapping, parse, plain_text
from objectives.data.rows.problem import Problem, ProblemKind
from objectives.data.rows.reading import SHOWN_PROBLEMS, read_rows
from objectives.data.rows.row import Call, Message, Role, Row, Tool
from objectives.data.rows.streams import is_plain

__all__ = [
    "MAX_LINE_BYTES",
    "SHOWN_PROBLEMS",
    "BadLine",
    "Call",
    "Format",
    "FormatError",
    "Line",
    "Message",
    "Parsed",
    "Problem",
    "ProblemKind",
    "Role",
    "Row",
    "Tool",
    "dump",
    "is_plain",
    "lines",
    "of_mapping",
    "parse",
    "plain_text",
    "read_rows",
    "refusal",
]
