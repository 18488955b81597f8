"""The files that an evaluation job wrote, among all that are listed.

Source: Amazon Nova 2 user guide, "customize-fine-tune-evaluate-access-results". Folders differ from one kind of job to
another, so that files are known by their names alone.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

from objectives.errors import ResultError

SHOWN = 5
"""Most files that an error names."""


def called(pattern: str, uris: Iterable[str]) -> list[str]:
    """Those of a job's files whose names have a pattern, in order; at least one.

    Args:
        pattern: of the last part, such as `results_*.json`.
        uris: of all its files.

    Raises:
        ResultError: there is none.
    """
    listed = sorted(uris)
    found = [uri for uri in listed if fnmatch.fnmatchcase(uri.rpartition("/")[2], pattern)]
    if not found:
        raise ResultError(
            f"the evaluation job left no {pattern}; found {', '.join(listed[:SHOWN]) or 'no file'}; look at the job's "
            "log in CloudWatch, /aws/sagemaker/TrainingJobs"
        )
    return found
