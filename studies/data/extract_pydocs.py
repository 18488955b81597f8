"""Extracts the sentences behind the pydocs domain from the running Python's standard library.

Docstrings differ between Python versions, so what this wrote once is frozen in `sources/pydocs.jsonl`; it is
kept to show where the sentences come from, and is not part of generating the data:

    python studies/data/extract_pydocs.py > sentences.jsonl
"""

from __future__ import annotations

import ast
import json
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

FAMILIES = {
    "data": "bisect collections copy dataclasses decimal enum fractions heapq numbers random statistics weakref",
    "files": "fileinput filecmp fnmatch glob gzip os pathlib posixpath shutil tarfile tempfile zipfile",
    "language": "ast code codeop compileall dis importlib inspect pkgutil pyclbr runpy symtable tokenize typing",
    "markup": "configparser csv email html json mailbox mimetypes plistlib quopri tomllib xml",
    "network": "ftplib http imaplib ipaddress poplib smtplib socket socketserver ssl telnetlib urllib xmlrpc",
    "parallel": "asyncio concurrent contextlib multiprocessing queue sched selectors signal subprocess threading",
    "system": "argparse calendar cmd datetime getopt getpass gettext locale logging optparse platform shlex",
    "testing": "bdb cProfile doctest faulthandler pdb profile pstats timeit trace traceback unittest warnings",
}
"""Label to the top-level modules that belong to it."""

SHORTEST, LONGEST = 30, 110
"""Characters of a sentence that is kept."""

MOST = 45
"""Sentences kept of one module, so that none fills its family."""

FOREIGN = re.compile(r"copyright(?!.*Python Software Foundation)", re.IGNORECASE)
"""A notice of somebody else's, whose terms may differ from the PSF licence: such a file is left out."""


def sentences(module: str, library: Path) -> Iterator[str]:
    """The first sentence of each docstring of a module or package, in the order of its files and lines."""
    package = library / module
    if not package.is_dir():
        files = [library / f"{module}.py"]
    else:
        files = sorted(path for path in package.rglob("*.py") if "test" not in path.relative_to(package).parts)
    for path in files:
        source = path.read_text(encoding="utf-8") if path.is_file() else ""
        if FOREIGN.search(source):
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                paragraph = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
                yield re.split(r"(?<=[.!?]) (?=[A-Z])", paragraph)[0]


def keep(sentence: str) -> bool:
    """Whether a sentence is plain prose of a fitting length."""
    return sentence.isascii() and sentence[:1].isalpha() and SHORTEST <= len(sentence) <= LONGEST


def main() -> None:
    """Writes label, module and sentence as JSON lines, each sentence once, in the order of the families."""
    library = Path(sysconfig.get_path("stdlib"))
    seen: set[str] = set()
    for label, modules in FAMILIES.items():
        for module in modules.split():
            fresh = {s.casefold(): s for s in sentences(module, library) if keep(s) and s.casefold() not in seen}
            seen.update(fresh)
            for sentence in list(fresh.values())[:MOST]:
                row = {"label": label, "module": module, "sentence": sentence}
                sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
