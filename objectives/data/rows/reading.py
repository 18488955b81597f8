"""Reading all rows of some files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from objectives.data.rows.lines import BadLine, lines
from objectives.data.rows.parsing import EXPECTED, Parsed, parse
from objectives.data.rows.row import Row
from objectives.errors import DataError

SHOWN_PROBLEMS = 10
"""How many bad lines an error message spells out; the rest are counted."""


def read_rows(paths: Iterable[Path]) -> tuple[Row, ...]:
    """Reads all rows of the files, in order; blank lines are skipped and further keys ignored.

    Raises:
        DataError: a file cannot be read, has a bad line, or the files hold no row at all. Every bad line is
            counted and the first ten are shown as file:line.
    """
    rows: list[Row] = []
    problems: list[str] = []
    count = 0
    files = tuple(paths)
    for path in files:
        for line in lines(path):
            found = line.problem if isinstance(line, BadLine) else parse(line.data)
            if isinstance(found, Parsed):
                rows.append(found.row)
                continue
            count += 1
            if len(problems) < SHOWN_PROBLEMS:
                problems.append(f"  {path}:{line.number}: {found.message}")
    if count:
        raise DataError(_summary(count, problems))
    if not rows:
        raise DataError(f"no rows in {', '.join(map(str, files))}: expected JSON lines with {EXPECTED}")
    return tuple(rows)


def _summary(count: int, shown: Sequence[str]) -> str:
    first = f"{count} bad line{'s' if count > 1 else ''}; correct or remove them:"
    rest = [f"  and {count - len(shown)} more"] if count > len(shown) else []
    return "\n".join([first, *shown, *rest])
