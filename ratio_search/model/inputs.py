"""What a process is told of a point: shares first, then the coordinates of hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The inputs of a process.

    Attributes:
        shares: how many of them are shares; they come first.
        settings: how many coordinates of hyperparameters follow.
        own: the place of the share that is expected to matter first, and by itself; None where there is none.
    """

    shares: int
    settings: int = 0
    own: int | None = None

    def __len__(self) -> int:
        return self.shares + self.settings
