"""What every way to search has in common: it looks at the trials so far and proposes the next one."""

from __future__ import annotations

import enum
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from objectives.base import Value
from objectives.mixture import Mixture
from objectives.scorer import Scorer
from ratio_search.errors import SpecError
from ratio_search.record import Record

REPEAT = "repeat"
"""The origin of a trial whose mixture and hyperparameters were tried before."""


class SamplerKind(enum.StrEnum):
    """The strategies that a study file can name as `search.sampler`."""

    SIMPLEX_GP = "simplex-gp"
    """Ours: a Gaussian process over the shares themselves."""
    RANDOM = "random"
    """Uniform draws, which every other strategy must beat."""
    TPE = "tpe"
    """Optuna's `TPESampler`, on a box that stands for the space."""
    OPTUNA_GP = "optuna-gp"
    """Optuna's `GPSampler`, on the same box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What to try next.

    Attributes:
        mixture: what to train on.
        hyperparameters: the values of those that are searched, by name.
        origin: why: `anchor:<name>`, `space-filling`, or the name of what chose it.
        basis: numbers of the trials that it is conditioned on, in order; empty when it would have been the same
            whatever came before.
        gain: what trying it is expected to be worth: by how much the expected score of what is recommended rises, over
            what the trials that still run will bring. An estimate by draws, which may be a little below 0; None where
            that is not known.
    """

    mixture: Mixture
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)
    origin: str
    basis: tuple[int, ...] = ()
    gain: float | None = None


class Strategy(Protocol):
    """Chooses where to look next; it keeps nothing between two calls that its arguments do not state."""

    def propose(
        self, records: Sequence[Record], scorer: Scorer | None, number: int, left: int | None = None
    ) -> Proposal:
        """The next trial. The same arguments give the same proposal.

        Args:
            records: all trials that were meant to be run, in order and in any state; those that are still running
                count as pending.
            scorer: judges the finished ones; None while the references are not known.
            number: of the trial to propose, which its random draws depend on.
            left: trials that will be asked for after this one; None where nobody knows.
        """
        ...


def check_installed(kind: SamplerKind) -> None:
    """Checks that what a sampler needs is installed, without loading it.

    Raises:
        SpecError: it is not.
    """
    if kind is SamplerKind.OPTUNA_GP and importlib.util.find_spec("torch") is None:
        raise SpecError(
            "search.sampler: optuna-gp needs torch, which is not installed; `pip install torch`, or choose one of "
            f"{', '.join(other.value for other in SamplerKind if other is not SamplerKind.OPTUNA_GP)}"
        )
