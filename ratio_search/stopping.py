"""When a search has found what it is likely to find: the rule of `search.stop: auto`, and the decision that is kept."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from pydantic import TypeAdapter

from ratio_search.record import Record

WORTH = 0.001
"""Score that one more trial must be expected to gain, unless the study file states it: 0.1 % points of a rate, or 0.1 %
of a perplexity."""

PATIENCE = 5
"""Proposals in a row, at least, that must be worth less: a model that just changed its mind may change it again."""

LEAST = 12
"""Finished trials before which nothing is stopped; of metrics that the model does not explain, twice as many."""


class StopKind(enum.StrEnum):
    """What may end a search before all its trials are run."""

    AUTO = "auto"
    """That one more trial is not expected to gain what it must be worth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyStop:
    """The decision that no more trials are worth it.

    Attributes:
        gain: what one more trial was expected to gain, in score.
        worth: what it would have had to gain.
        trials: how many the study was to have.
        records: trials that were on record when it was decided.
        closing: whether one more trial follows, of what is recommended, so that it was tried.
        judgement: digest of what the gain depends on, beside the trials.
    """

    gain: float
    worth: float
    trials: int
    records: int
    closing: bool
    judgement: str

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Reads what `to_json` wrote."""
        return TypeAdapter(cls).validate_python(data)

    def to_json(self) -> dict[str, Any]:
        """The decision as plain data."""
        data = TypeAdapter(type(self)).dump_python(self, mode="json")
        assert isinstance(data, dict)
        return data

    @property
    def final(self) -> int:
        """Trials that are on record once it is carried out."""
        return self.records + self.closing

    @property
    def reason(self) -> str:
        """Why, in words."""
        return f"stopped early: one more trial was expected to gain {max(self.gain, 0):.4f} < worth {self.worth:g}"

    def holds(self, *, worth: float, trials: int, records: int, judgement: str) -> bool:
        """Whether it still stands: nobody wants more trials or smaller gains, judges otherwise, or knows more.

        Args:
            worth: what one more trial must gain now.
            trials: how many the study is to have now.
            records: trials on record now.
            judgement: what gains depend on now.
        """
        wanted = trials > self.trials or worth < self.worth
        return not wanted and records <= self.final and judgement == self.judgement


def enough(
    gain: float | None, records: Sequence[Record], *, worth: float, parallel: int, complete: int, explained: bool
) -> bool:
    """Whether one more trial is not worth it, and has not been for long enough to believe it.

    A gain is what a trial adds to what is known and to what the trials will bring that still run, so that of many at a
    time the last ones always look poor. Hence those that run side by side count as one.

    Args:
        gain: of the trial that would be next; None where it is not known.
        records: the study's own trials, in order and in any state, since an earlier decision was overruled.
        worth: what a trial must be expected to gain.
        parallel: trials at a time.
        complete: finished trials that the model knows.
        explained: whether the model explains every metric.
    """
    if gain is None or gain >= worth or complete < (LEAST if explained else 2 * LEAST):
        return False
    known = [record.gain for record in records if record.gain is not None]
    before = PATIENCE - 1 + parallel - 1
    return len(known) >= before and all(earlier < worth for earlier in known[-before:])
