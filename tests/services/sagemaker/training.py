"""What a fine-tune saw, which is all that its model depends on."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from objectives.backends.sagemaker.catalogue import CATEGORIES
from tests.services.sagemaker.job import BATCH, STEPS

PATIENCE = 4.0
"""How many repeats it takes until further ones bring little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """Rows that went through the model.

    Attributes:
        own: of each of the team's domains, repeats counted.
        fresh: what these are worth, in rows that were never seen before.
        categories: the share of each of Nova's categories among all rows.
        identity: of the data and the hyperparameters; empty where there is no run that noise could belong to.
    """

    own: Mapping[str, float]
    fresh: Mapping[str, float]
    categories: Mapping[str, float]
    identity: str = ""

    @classmethod
    def of(cls, parameters: Mapping[str, str], seen: Mapping[str, Any]) -> Self:
        """What a job saw.

        Args:
            parameters: its hyperparameters.
            seen: its data: `sha256`, and for each domain its number of rows and of different ones.
        """
        rows = int(parameters.get("max_steps", STEPS)) * int(parameters.get("global_batch_size", BATCH))
        customer, categories = mixing(parameters)
        whole = max(1, sum(count for count, _ in seen["domains"].values()))
        own = {name: customer * rows * count / whole for name, (count, _) in seen["domains"].items()}
        fresh = {name: worth(own[name], different) for name, (_, different) in seen["domains"].items()}
        told = json.dumps([dict(sorted(parameters.items())), seen["sha256"]])
        identity = hashlib.sha256(told.encode()).hexdigest()
        return cls(own=own, fresh=fresh, categories=categories, identity=identity)


def mixing(parameters: Mapping[str, str]) -> tuple[float, dict[str, float]]:
    """The customer's share, and that of each of Nova's categories among all rows."""
    nova = {name: float(parameters.get(f"nova_{name}_percent", "nan")) for name in CATEGORIES}
    told = not any(math.isnan(value) for value in nova.values())
    customer = float(parameters.get("customer_data_percent", "50" if told else "100")) / 100
    if customer == 1:
        return 1.0, {}
    shares = nova if told else CATEGORIES
    return customer, {name: (1 - customer) * value / 100 for name, value in shares.items()}


def worth(rows: float, different: float) -> float:
    """What rows are worth that repeat, in rows that do not: each further pass brings less than the one before.

    The form is that of Muennighoff et al., "Scaling Data-Constrained Language Models".
    """
    if rows <= different or not different:
        return rows
    repeats = rows / different - 1
    return different * (1 + PATIENCE * (1 - math.exp(-repeats / PATIENCE)))
