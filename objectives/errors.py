"""Every error that a user can meet, under one root.

```
RatioSearchError
├── MixtureError            shares that are not a point of the simplex
├── DataError               a training or test file that cannot be used
├── OptionsError            the objective's own settings cannot work here
├── ScoreError              metrics that cannot be judged
├── DeviceError             the machine failed, not the fine-tune
│   └── FenceError          what is left of an earlier attempt at the same job does not end
├── ServiceError            a platform does not answer, or has no room now; the same may be asked again
├── AccessError             a platform lets this driver do nothing, until somebody repairs that
├── NameInUse               a platform has a job of that name
├── ObjectiveError          a fine-tune or its evaluation failed by its own fault
│   ├── ResultError         a result that lacks what was asked for, or is no result
│   └── Cancelled           a fine-tune ended because it was told to
└── (ratio_search.errors)   specification, study, lease and space errors
```

A message says what was found, what was expected, where, and what to do.
"""

from __future__ import annotations


class RatioSearchError(Exception):
    """Root of all errors that ratio-search raises on purpose."""


class MixtureError(RatioSearchError):
    """Shares that are not a point of the simplex."""


class DataError(RatioSearchError):
    """A training or test file that cannot be used as it is."""


class OptionsError(RatioSearchError):
    """Settings of an objective that cannot work on this machine, such as a base model that is not there."""


class ScoreError(RatioSearchError):
    """Metrics that cannot be judged: a reference is missing, or a value is outside its metric's range."""


class DeviceError(RatioSearchError):
    """What a fine-tune ran on failed, such as a GPU that was lost: it may be tried again, by another worker.

    Attributes:
        log: the last lines of the trainer's own output, empty when there is none.
    """

    def __init__(self, message: str, *, log: str = "") -> None:
        super().__init__(message)
        self.log = log


class FenceError(DeviceError):
    """What is left of an earlier attempt at the same job does not end, so that another one cannot begin."""


class ServiceError(RatioSearchError):
    """A platform cannot be reached, asks for fewer calls or has no room now: the same may be asked again later.

    What was asked may have been done all the same.
    """


class AccessError(RatioSearchError):
    """A platform refuses whatever this driver asks: for want of credentials, of a permission, of a subscription.

    No job is at fault, and none is failed for it: all stay as they are until somebody has repaired it. The message says
    how.
    """


class NameInUse(RatioSearchError):
    """A platform has a job of that name already."""


class ObjectiveError(RatioSearchError):
    """A fine-tune or its evaluation failed by its own fault; repeating it unchanged would fail again.

    Attributes:
        log: the last lines of the trainer's own output, empty when there is none.
    """

    def __init__(self, message: str, *, log: str = "") -> None:
        super().__init__(message)
        self.log = log


class ResultError(ObjectiveError):
    """A result that lacks a metric that was asked for, or that is no result at all."""


class Cancelled(ObjectiveError):
    """A fine-tune ended early because it was told to."""
