"""Domains that are bounded, or moved, together."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from ratio_search.errors import SpaceError

SMALLEST = 1e-6
"""The least that a domain may be of a group with settled proportions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A set of domains with bounds on the sum of their shares.

    Attributes:
        name: what errors call it.
        domains: its members, one or more.
        lower, upper: the smallest and the largest sum of their shares.
        proportions: what each member holds of that sum, where this is settled, so that only the sum is searched;
            they sum to 1. None where the members are searched too.
    """

    name: str
    domains: tuple[str, ...]
    lower: float = 0.0
    upper: float = 1.0
    proportions: tuple[float, ...] | None = None

    @classmethod
    def of(
        cls,
        name: str,
        domains: Sequence[str],
        share: tuple[float, float] = (0.0, 1.0),
        proportions: Mapping[str, float] | None = None,
    ) -> Self:
        """Takes a group as it is stated.

        Args:
            name: its name.
            domains: its members.
            share: inclusive bounds on the sum of their shares, 0 <= lowest <= highest <= 1.
            proportions: a weight above 0 for each member, which freezes their shares against each other.

        Raises:
            SpaceError: a member stands there twice, there is none, or a weight is missing, unknown or not above 0.
        """
        at = f"search.space.groups.{name}"
        if not domains:
            raise SpaceError(f"group {name!r} has no domains, expected one or more", f"{at}.domains")
        twice = next((domain for i, domain in enumerate(domains) if domain in domains[:i]), None)
        if twice is not None:
            raise SpaceError(f"{twice!r} stands in group {name!r} twice; remove one", f"{at}.domains")
        if proportions is None:
            return cls(name=name, domains=tuple(domains), lower=share[0], upper=share[1])
        for domain, weight in proportions.items():
            where = f"{at}.proportions.{domain}"
            if domain not in domains:
                raise SpaceError(_unknown(domain, domains, f"domain of group {name!r}"), where)
            if not 0 < weight < math.inf:
                raise SpaceError(
                    f"found {weight:g}, expected a weight above 0; a domain that shall have nothing is left out of the "
                    "group, with `share: 0`",
                    where,
                )
        missing = [domain for domain in domains if domain not in proportions]
        if missing:
            raise SpaceError(
                f"expected a weight for each domain of group {name!r}, found none for {', '.join(missing)}; add it",
                f"{at}.proportions",
            )
        largest = max(proportions.values())
        total = math.fsum(weight / largest for weight in proportions.values())
        parts = tuple(proportions[domain] / largest / total for domain in domains)
        small = next((domain for domain, part in zip(domains, parts, strict=True) if part < SMALLEST), None)
        if small is not None:
            raise SpaceError(
                f"found {proportions[small]:g}, expected at least a millionth of the group's weights; a domain that "
                "shall have nothing is left out of the group, with `share: 0`",
                f"{at}.proportions.{small}",
            )
        return cls(name=name, domains=tuple(domains), lower=share[0], upper=share[1], proportions=parts)


def check_groups(groups: Sequence[Group], names: Sequence[str]) -> None:
    """Checks that groups are disjoint sets of known domains.

    Args:
        groups: in any order.
        names: the domains that have a share.

    Raises:
        SpaceError: two groups share a name or a domain, or a domain is unknown.
    """
    owner: dict[str, str] = {}
    known: set[str] = set()
    for group in groups:
        at = f"search.space.groups.{group.name}"
        if group.name in known:
            raise SpaceError(f"two groups are called {group.name!r}; rename one", at)
        known.add(group.name)
        for domain in group.domains:
            if domain not in names:
                raise SpaceError(_unknown(domain, names, "domain with a share"), f"{at}.domains")
            if domain in owner:
                raise SpaceError(
                    f"{domain!r} is in group {owner[domain]!r} too, expected it in one only; remove it from one",
                    f"{at}.domains",
                )
            owner[domain] = group.name


def _unknown(name: str, known: Sequence[str], what: str) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"{name!r} is no {what}; " + (f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}")
