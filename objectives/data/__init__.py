"""The data that objectives eat: rows in many formats, an index over them, and the blend that a mixture asks for."""

from objectives.data.audit import SHOWN, Audit, AuditError, Capacity, Found, audit, usable
from objectives.data.blend import ORDER, Blend, Lengths, Part, Tally, Weigh
from objectives.data.corpus import Corpus, Split
from objectives.data.dataset import Dataset
from objectives.data.policy import DEFAULT_POLICY, Action, DataPolicy, Finding
from objectives.data.rows import Format, Row, read_rows
from objectives.data.tokens import ESTIMATE, TokenCounter
from objectives.data.writing import Written, blended, write

__all__ = [
    "DEFAULT_POLICY",
    "ESTIMATE",
    "ORDER",
    "SHOWN",
    "Action",
    "Audit",
    "AuditError",
    "Blend",
    "Capacity",
    "Corpus",
    "DataPolicy",
    "Dataset",
    "Finding",
    "Format",
    "Found",
    "Lengths",
    "Part",
    "Row",
    "Split",
    "Tally",
    "TokenCounter",
    "Weigh",
    "Written",
    "audit",
    "blended",
    "read_rows",
    "usable",
    "write",
]
