"""The command line: parses, calls, prints, and turns errors into exit codes. Nothing heavy is imported for help."""

from __future__ import annotations

import io
import os
import sys

# Each registers its commands with the program, in the order in which help lists them.
from ratio_search.cli import studies, stop, leftovers, confirm, results, front, score, explain, past_runs, recipes  # isort: skip
from ratio_search.cli.app import app, told

__all__ = [
    "app",
    "confirm",
    "explain",
    "front",
    "leftovers",
    "main",
    "past_runs",
    "recipes",
    "results",
    "score",
    "stop",
    "studies",
]


def main() -> None:
    """Runs the program and exits.

    Exit codes: 0 done, 1 the study or its work failed, 2 the input is wrong and nothing was started, 3 refused
    for now, 129, 130 and 143 interrupted and resumable.
    """
    from objectives.errors import RatioSearchError

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name from elsewhere must not end a command
    try:
        app()
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except RatioSearchError as error:
        sys.exit(told(error))
    except Exception as error:
        if "optuna" not in sys.modules:  # then no database was opened
            raise
        from ratio_search.storage import DATABASE_ERRORS, reason

        if not isinstance(error, DATABASE_ERRORS):
            raise
        print(f"error: the study's database: {reason(error)}", file=sys.stderr)
        sys.exit(1)
