"""The mixtures that anyone would try first, and that a recommendation must beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from objectives.backends import Backend
from objectives.domain import Domain
from objectives.mixture import Mixture
from objectives.two_level import Side, TwoLevel
from ratio_search.space import SAME, SimplexSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A mixture with a name of its own.

    Attributes:
        name: `natural` or `usual`, `uniform` or `current`; several where they are the same mixture, as in
            `natural = uniform`; with `(projected)` where the bounds forbid it and the nearest allowed one stands in.
        mixture: what to train on.
    """

    name: str
    mixture: Mixture


def anchors(
    space: SimplexSpace, rows: Mapping[str, int], current: Mixture | None, usual: Mixture | None = None
) -> tuple[Anchor, ...]:
    """The anchors of a study, in the order in which they are tried.

    Args:
        space: the mixtures that may be tried.
        rows: training rows of each domain whose data is known; their proportions are the natural shares, where all
            are known.
        current: today's mixture; None when not stated.
        usual: what a platform would mix by itself; None where it has no data of its own.
    """
    wanted = {"natural": Mixture.from_weights(rows)} if set(rows) == set(space.names) else {}
    if usual is not None:
        wanted["usual"] = usual
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


def usual_mixture(mixed: Sequence[Domain], rows: Mapping[str, int], backend: Backend) -> Mixture | None:
    """What a platform would mix by itself: its own data has its usual share, and is made up as usual.

    The team's own domains have their natural proportions among each other. None where no domain is of the platform's
    data.

    Args:
        mixed: the domains that have a share.
        rows: of each of the team's own.
        backend: the objective's settings.
    """
    known = backend.platform_categories or {}
    platform = {d.name: sum(known.get(name, 0.0) for name in d.categories) for d in mixed if d.categories}
    if not platform:
        return None
    if not any(platform.values()):  # categories that nobody knows: all alike
        platform = dict.fromkeys(platform, 1.0)
    own = {d.name: float(rows[d.name]) for d in mixed if not d.categories}
    share = backend.platform_share if own else 1.0
    sides = [("platform", Side(share=share, inner=Mixture.from_weights(platform)))]
    if own:
        sides.append(("own", Side(share=1 - share, inner=Mixture.from_weights(own))))
    return TwoLevel(names=tuple(d.name for d in mixed), sides=tuple(sides)).mixture()
