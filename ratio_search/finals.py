"""The final files of a study: rows that its search never saw, kept to confirm what it found."""

from __future__ import annotations

from objectives.data import Action, Finding, Found, Split
from objectives.errors import DataError
from ratio_search.errors import SpecError
from ratio_search.identity import digest
from ratio_search.manifest import audited
from ratio_search.spec import StudySpec


def checked_final(spec: StudySpec) -> str:
    """Checks that a study can be judged on its final files; gives the digest of their content.

    What is found in its data is as good or bad as it was for the search; only rows that are tested on, too, are never
    allowed.

    Raises:
        SpecError: a tested domain has no final files, or a metric cannot be measured on them.
        DataError: files cannot be used, or some of their rows stand in the test files.
    """
    spec.on_final()
    actions = spec.data.actions
    found = audited(spec, {finding for finding in Finding if actions[finding] is not Action.WARN} | {Finding.LEAKAGE})
    overlaps = [one for one in found.found if one.finding is Finding.LEAKAGE and one.split is Split.TEST]
    if overlaps:
        raise DataError("\n".join(map(_overlapping, overlaps)))
    found.check()
    final = found.corpus.of(Split.FINAL)
    try:
        spec.check_produced({name: data.labelled for name, data in final.items()})
    except SpecError as error:
        raise SpecError(f"on the final files in place of the test files: {error}") from error
    return digest({name: [index.sha256 for index in data.files] for name, data in final.items()})


def _overlapping(found: Found) -> str:
    lines = [
        f"{found.key}: {found.count} row{'s' if found.count > 1 else ''} of these files, found in the final files "
        "too, which should hold what the search never saw; remove them there:",
        *(f"  {one}" for one in found.examples),
    ]
    if found.count > len(found.examples):
        lines.append(f"  and {found.count - len(found.examples)} more")
    return "\n".join(lines)
