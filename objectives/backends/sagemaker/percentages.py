"""A mixture as Nova's data mixing wants it: the customer's percentage, and one of every category of Nova's side.

Source: Amazon Nova 2 user guide, "nova-forge-sft-datamix-smtj". No step is documented; documented values go down to a
tenth of a per cent, and so do these.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

from objectives.domain import Domain
from objectives.errors import MixtureError
from objectives.mixture import Mixture
from objectives.two_level import TwoLevel, fixed_point

DECIMALS = 1
"""Digits after the point of a percentage."""

WHOLE = 1000
"""Tenths of a per cent in all of something."""

CUSTOMER, NOVA = "customer", "nova"
"""The two sides of a mixture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentages:
    """What the service is told of a mixture, in whole tenths of a per cent.

    Attributes:
        customer_tenths: of the team's own data among all, 0 to 1000.
        categories: of each of Nova's categories that a domain is made of, inside Nova's side; they sum to 1000, but
            are all 0 where the customer has everything, and there are none in a study of the team's own data alone.
        own: what the team's side is made of, over its domains. All are alike where it has no share: the service wants a
            training file all the same.
        domains: what can be mixed, in the mixture's order, each with its categories, none for the team's own data.
    """

    customer_tenths: int
    categories: tuple[tuple[str, int], ...]
    own: Mixture
    domains: tuple[tuple[str, tuple[str, ...]], ...]

    @classmethod
    def of(cls, mixture: Mixture, domains: Sequence[Domain]) -> Self:
        """A mixture in percentages: largest remainders, between the sides and among all categories of Nova's.

        Args:
            mixture: over the mixed domains, in any order.
            domains: of the study; those that are only tested do not matter.

        Raises:
            MixtureError: the mixture is not over these domains, or none of them is the team's own data.
        """
        mixed = {domain.name: domain for domain in domains if domain.mixed}
        if set(mixture.names) != set(mixed):
            raise MixtureError(
                f"expected a mixture over the mixed domains {', '.join(mixed)}, found one over "
                f"{', '.join(mixture.names)}"
            )
        made_of = {name: tuple(mixed[name].categories) for name in mixture.names}
        own = [name for name, categories in made_of.items() if not categories]
        if not own:
            raise MixtureError(
                f"none of the domains {', '.join(mixed)} has train files, and the service takes no job without any; "
                "expected one that has, whose share may be 0"
            )
        flat = {name: mixture[name] for name in own}
        for name, categories in made_of.items():
            flat |= {_key(category): mixture[name] * part for category, part in _inside(mixed[name], categories)}
        nova = [key for key in flat if key not in made_of]
        sides = {CUSTOMER: own} | ({NOVA: nova} if nova else {})
        levels = TwoLevel.of(Mixture.from_weights(flat), sides)
        rounded = levels.rounded(DECIMALS)
        customer = dict(rounded.units)[CUSTOMER]
        tenths = dict(dict(rounded.inner).get(NOVA, ()))
        return cls(
            customer_tenths=customer,
            categories=tuple((_category(key), tenths[key] if customer < WHOLE else 0) for key in nova),
            own=dict(levels.sides)[CUSTOMER].inner,
            domains=tuple(made_of.items()),
        )

    @property
    def customer(self) -> float:
        """The share of the team's own data, 0 to 1, as the service is told it."""
        return self.customer_tenths / WHOLE

    def taken(self, rows: int) -> int:
        """Rows that a job takes of the team's own data, repeats counted: the percentages are of rows.

        Args:
            rows: that the job trains on, Nova's and repeats counted.
        """
        return -(-self.customer_tenths * rows // WHOLE)

    def hyperparameters(self, known: Collection[str]) -> dict[str, str]:
        """The service's hyperparameters that state the mix, as fixed-point decimals such as "12.5".

        All categories are sent or none, and those without a share as "0.0": the service would give the ones that it is
        not told a share of its own. Where the customer has everything, that alone is told, which turns mixing off; a
        study of the team's own data alone tells nothing.

        Args:
            known: all categories that the service has; those of the mixture are sent in any case.
        """
        if not self.categories:
            return {}
        told = {"customer_data_percent": fixed_point(self.customer_tenths, DECIMALS)}
        if self.customer_tenths == WHOLE:
            return told
        tenths = {**dict.fromkeys(known, 0), **dict(self.categories)}
        return told | {f"nova_{name}_percent": fixed_point(units, DECIMALS) for name, units in tenths.items()}

    def realised(self, own: Mixture) -> Mixture:
        """The flat mixture that these percentages make, over the mixed domains.

        Args:
            own: what the training file really holds of the team's domains.
        """
        tenths = dict(self.categories)
        nova = WHOLE - self.customer_tenths
        # Integers as long as they can be: shares that should be equal are.
        return Mixture.from_weights(
            {
                name: nova * sum(tenths[category] for category in categories)
                if categories
                else self.customer_tenths * WHOLE * own[name]
                for name, categories in self.domains
            }
        )


def _inside(domain: Domain, categories: Sequence[str]) -> list[tuple[str, float]]:
    """A domain's categories with their shares of it."""
    return list(Mixture.from_weights(domain.categories).items()) if categories else []


def _key(category: str) -> str:
    """A category's name beside those of domains, which have no slash."""
    return f"{NOVA}/{category}"


def _category(key: str) -> str:
    return key.removeprefix(f"{NOVA}/")
