"""What a study advises, and what the advice rests on."""

from __future__ import annotations

from dataclasses import dataclass

from objectives.mixture import Mixture
from objectives.scorer import Score, Scorer
from ratio_search.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """The mixture to train with, by what is finished so far.

    Attributes:
        mixture: what to train on.
        record: the finished trial that it was measured in.
        score: what that trial is judged to be worth.
        scorer: the judge.
        considered: finished trials that it was chosen from.
    """

    mixture: Mixture
    record: Record
    score: Score
    scorer: Scorer
    considered: int

    @property
    def basis(self) -> str:
        """How it was chosen, in words."""
        basis = (
            f"best score among {self.considered} finished trials, one fine-tune each; "
            "the best of several noisy results is usually a little worse when it is repeated"
        )
        if self.score.feasible:
            return basis
        broken = ", ".join(f"{name} by {excess:.4g}" for name, excess in self.score.violations.items())
        return f"none of the finished trials keeps every guard, and this one breaks: {broken}; otherwise {basis}"
