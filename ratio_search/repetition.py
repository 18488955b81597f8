"""How often a run passes over a domain, and which shares its data allows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from ratio_search.errors import SpaceError, SpecError
from ratio_search.manifest import Manifest
from ratio_search.space import SimplexSpace
from ratio_search.spec import StudySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """What a run of a certain length makes of the domains' sizes.

    Where tokens are weighed, the rows that a share takes depend on what the others hold. What is said then is the
    most that it can take: as if all others had the longest rows among them.

    Attributes:
        rows: of the run, repeats counted.
        sizes: training rows of each mixed domain whose data is known.
        means: mean length of each mixed domain's rows in what is weighed: 1, or tokens.
    """

    rows: int
    sizes: Mapping[str, int]
    means: Mapping[str, float]

    @classmethod
    def of(cls, spec: StudySpec, manifest: Manifest) -> Self | None:
        """The repetition in a study's trials.

        None where the trainer decides how long they are, or how long the rows of a domain are is not known.
        """
        sizes = manifest.train_rows
        names = [domain.name for domain in spec.mixed]
        if spec.train_rows is None or (manifest.tokens is not None and set(sizes) != set(names)):
            return None
        means = dict.fromkeys(names, 1.0)
        if manifest.tokens is not None:
            means = {name: manifest.tokens[name] / size for name, size in sizes.items()}
        return cls(rows=spec.train_rows, sizes=sizes, means=means)

    def epochs(self, name: str, share: float) -> float:
        """Passes over a domain, at most, when it has a share."""
        own, others = share / self.means[name], (1 - share) / self._longest_other(name)
        return self.rows * own / (own + others) / self.sizes[name]

    def highest(self, name: str, limit: int) -> float:
        """The largest share of a domain that takes no more than `limit` of its rows, repeats counted."""
        if limit >= self.rows:
            return 1.0
        own, others = limit * self.means[name], (self.rows - limit) * self._longest_other(name)
        return own / (own + others)

    def _longest_other(self, name: str) -> float:
        return max(mean for other, mean in self.means.items() if other != name)


def possible_space(spec: StudySpec, manifest: Manifest) -> SimplexSpace:
    """The mixtures that a study may try: within its bounds, and without repeating any domain too often.

    Raises:
        SpecError: the data does not go so far; the message says which share it allows.
    """
    repetition = Repetition.of(spec, manifest)
    bounds = {}
    for domain in spec.mixed:
        size = manifest.train_rows.get(domain.name)
        limit = None if size is None else spec.data.limit(size, domain.max_epochs)
        upper = domain.upper
        if limit is not None and repetition is not None:
            upper = min(upper, repetition.highest(domain.name, limit))
            if upper < domain.lower:
                raise SpecError(
                    f"domains.{domain.name}.share: asks for at least {domain.lower:g} of {repetition.rows:,} rows, but "
                    f"{domain.name!r} has {size:,}, of which max_epochs allows {limit:,} with repeats: a share of at "
                    f"most {math.floor(upper * 1e4) / 1e4:g} is possible; lower the share, raise max_epochs, or make "
                    "the fine-tune shorter"
                )
        bounds[domain.name] = (domain.lower, upper)
    try:
        return spec.space_within(bounds)
    except SpaceError as error:
        raise SpecError(
            f"data.max_epochs: with the shares that it allows, {error}; raise it, or make the fine-tune shorter"
        ) from error
