"""How the service behaves, kept in its folder so that it goes on alike when it is started again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

FILE = "options.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Switches of the service.

    Attributes:
        s3: address of the S3 beside it.
        world: study file that the simulated model knows the team's domains from; None for a model without any.
        seed: of the simulated model.
        length: looks at a job until it is over.
        seconds: that a job takes instead; None where looks count.
        quota: jobs that may run at a time; None for any number.
        subscribed: whether the account may mix with Nova's data.
        metadata: whether what questions carry as `metadata` comes back with the answers.
        long_names: whether metrics are called as the documentation describes them (`exact_match`), not as its example
            shows them (`em`).
        shuffled: whether answers come in another order than the questions.
        shown_defaults: whether a description shows further hyperparameters, which the recipe has and nobody stated.
        version: of the base model.
        chances: of each fault, by name, at every call that can have it.
        chaos: seed of the faults that happen by chance.
    """

    s3: str = ""
    world: str | None = None
    seed: int = 0
    length: int = 3
    seconds: float | None = None
    quota: int | None = None
    subscribed: bool = True
    metadata: bool = True
    long_names: bool = False
    shuffled: bool = False
    shown_defaults: bool = False
    version: str = "2.0.1"
    chances: Mapping[str, float] = field(default_factory=dict)
    chaos: int = 0

    @classmethod
    def read(cls, folder: Path) -> Self:
        return cls(**json.loads((folder / FILE).read_text()))

    def write(self, folder: Path) -> None:
        partial = folder / f"{FILE}.partial"
        partial.write_text(json.dumps(dataclasses.asdict(self)))
        partial.rename(folder / FILE)
