"""The mixtures that anyone would try first, and that a recommendation must beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from objectives.mixture import Mixture
from ratio_search.space import SAME, SimplexSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A mixture with a name of its own.

    Attributes:
        name: `natural`, `uniform` or `current`; several where they are the same mixture, as in
            `natural = uniform`; with `(projected)` where the bounds forbid it and the nearest allowed one stands in.
        mixture: what to train on.
    """

    name: str
    mixture: Mixture


def anchors(space: SimplexSpace, rows: Mapping[str, int], current: Mixture | None) -> tuple[Anchor, ...]:
    """The anchors of a study, in the order in which they are tried.

    Args:
        space: the mixtures that may be tried.
        rows: training rows of each domain whose data is known; their proportions are the natural shares, where all
            are known.
        current: today's mixture; None when not stated.
    """
    wanted = {"natural": Mixture.from_weights(rows)} if set(rows) == set(space.names) else {}
    wanted["uniform"] = Mixture.uniform(space.names)
    if current is not None:
        wanted["current"] = current
    found: list[Anchor] = []
    for name, mixture in wanted.items():
        label = name
        if mixture not in space:
            mixture, label = space.project(mixture), f"{name} (projected)"
        twin = next((i for i, known in enumerate(found) if known.mixture.distance(mixture) < SAME), None)
        if twin is None:
            found.append(Anchor(name=label, mixture=mixture))
        else:
            found[twin] = Anchor(name=f"{found[twin].name} = {label}", mixture=found[twin].mixture)
    return tuple(found)
