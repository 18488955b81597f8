"""What an error makes of the program's exit code."""

from __future__ import annotations

import pytest

from objectives.errors import AccessError, DataError, ObjectiveError, OptionsError, RatioSearchError, ServiceError
from ratio_search.cli.app import told
from ratio_search.errors import (
    BudgetError,
    ConsentError,
    LeaseError,
    NothingToRecommend,
    RunnerError,
    RunnerLost,
    SpecError,
    StudyError,
    StudyFailed,
)


@pytest.mark.parametrize(
    ("code", "errors"),
    [
        (1, [StudyFailed, NothingToRecommend, ObjectiveError, RunnerLost, AccessError]),
        (2, [SpecError, StudyError, DataError, OptionsError, RunnerError]),
        (3, [BudgetError, ConsentError, LeaseError, ServiceError]),
    ],
)
def test_it_tells_failed_from_wrong_from_not_now(
    code: int, errors: list[type[RatioSearchError]], capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in errors:
        assert told(kind("because")) == code, kind
        assert capsys.readouterr().err == "error: because\n"
