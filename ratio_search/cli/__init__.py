"""The command line: parses, calls, prints, and turns errors into exit codes. Nothing heavy is imported for help."""

from __future__ import annotations

import io
import os
import sys

# Each registers its commands with the program, in the order in which help lists them.
from ratio_search.cli import studies, confirm, results, front, score, explain, past_runs, recipes  # isort: skip
from ratio_search.cli.app import app

__all__ = ["app", "confirm", "explain", "front", "main", "past_runs", "recipes", "results", "score", "studies"]


def main() -> None:
    """Runs the program and exits.

    Exit codes: 0 done, 1 the study or its work failed, 2 the input is wrong and nothing was started, 3 refused
    for now, 129, 130 and 143 interrupted and resumable.
    """
    from objectives.errors import ObjectiveError, RatioSearchError

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name from elsewhere must not end a command
    try:
        app()
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except RatioSearchError as error:
        from ratio_search.errors import LeaseError, NothingToRecommend, StudyFailed

        print(f"error: {error}", file=sys.stderr)
        failed = isinstance(error, StudyFailed | NothingToRecommend | ObjectiveError)
        sys.exit(1 if failed else 3 if isinstance(error, LeaseError) else 2)
