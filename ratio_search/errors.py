"""Errors of the search, under the one root of `objectives.errors`.

```
RatioSearchError
├── SpecError          a study file that cannot be used; names the dotted path
├── SpaceError         bounds that leave no mixture to choose from
├── StudyError         a study's folder cannot be used as asked: not there, already there, changed
│   ├── IdentityError  its results would no longer be comparable; names what differs
│   └── Unreachable    the server that keeps its trials is away
├── NothingToRecommend no trial of it is finished
├── SelectionError     a mixture is asked for that the study does not have
├── BudgetError        what is asked may go beyond the budget, and nobody agreed to that
├── ConsentError       what is asked cannot be undone, and nobody agreed to that
├── LeaseError         another driver holds the study
├── RunnerError        trials cannot be run here: too few GPUs, no cluster, no such address
│   └── RunnerLost     what runs them is gone
└── StudyFailed        the study stopped because its work fails
```
"""

from __future__ import annotations

from objectives.errors import RatioSearchError


class SpecError(RatioSearchError):
    """A study file that cannot be used."""


class SpaceError(RatioSearchError):
    """Bounds that leave no mixture, or nothing else, to choose from.

    Attributes:
        at: dotted path of what is wrong in a study file; None where it is the bounds of the shares together.
    """

    def __init__(self, message: str, at: str | None = None) -> None:
        super().__init__(message)
        self.at = at


class StudyError(RatioSearchError):
    """A study's folder cannot be used as asked."""


class IdentityError(StudyError):
    """The study file or its data changed so that old and new results could not be compared."""


class Unreachable(StudyError):
    """The server that keeps a study's trials cannot be reached."""


class NothingToRecommend(RatioSearchError):
    """A study has finished nothing that could be recommended."""


class SelectionError(RatioSearchError):
    """A mixture is asked for in words that mean none, or that the study does not have."""


class BudgetError(RatioSearchError):
    """The worst case of what is asked goes beyond the budget, and nobody agreed to that."""


class ConsentError(RatioSearchError):
    """What is asked cannot be undone, and nobody agreed to that."""


class LeaseError(RatioSearchError):
    """Another driver holds the study."""


class RunnerError(RatioSearchError):
    """Trials cannot be run here."""


class RunnerLost(RunnerError):
    """What runs a study's trials is gone; another driver can go on."""


class StudyFailed(RatioSearchError):
    """The study stopped because its work fails."""
