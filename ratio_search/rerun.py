"""A fine-tune that is run again to confirm what a search found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from objectives.base import Seeds, Value
from objectives.mixture import Mixture
from ratio_search.record import Record
from ratio_search.space import SAME

FIRST_REPLICATE = 1000
"""Number of the first replicate of a study's seed that confirms. A search uses those from 0 on, one more for each
repeat of a mixture, and does not get as far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """What to run, and on what it is judged.

    Attributes:
        mixture: what to train on; None for the untuned model.
        hyperparameters: values of those that are searched, by name.
        replicate: from 0; all mixtures of one replicate share their seeds.
        split: digest of the files that it is judged on.
    """

    mixture: Mixture | None
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)
    replicate: int
    split: str

    @property
    def origin(self) -> str:
        """Why it is run, as a record has it."""
        return f"final:{self.split}"

    def seeds(self, seed: int) -> Seeds:
        """Its two seeds.

        Args:
            seed: the study's.
        """
        return Seeds.of(seed, FIRST_REPLICATE + self.replicate)

    def same(self, record: Record) -> bool:
        """Whether a job is or was this very run."""
        job = record.job
        if (record.origin, record.replicate) != (self.origin, self.replicate):
            return False
        if self.mixture is None or job.mixture is None:
            return self.mixture is job.mixture
        return self.mixture.distance(job.mixture) <= SAME and dict(job.hyperparameters) == dict(self.hyperparameters)
