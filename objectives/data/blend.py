"""The blend: which rows a mixture trains on, in which order."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from objectives.data.permutation import Permutation
from objectives.data.schedule import Schedule
from objectives.errors import DataError
from objectives.mixture import Mixture

ORDER = "quota-feistel-1"
"""Names the rule by which rows are ordered; another rule gets another name."""

Lengths = Callable[[NDArray[np.int64]], NDArray[np.int64]]
"""Numbers of a domain's rows to their tokens, each >= 1."""


class Weigh(enum.StrEnum):
    """What a share is a share of."""

    ROWS = "rows"
    TOKENS = "tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What a run trains on, repeats counted.

    Attributes:
        rows: per domain.
        tokens: per domain; None where nobody counted them.
        weigh_by: what a share is a share of.
    """

    rows: Mapping[str, int]
    tokens: Mapping[str, int] | None
    weigh_by: Weigh

    @property
    def realised(self) -> Mixture:
        """The shares of what is really trained on."""
        weights = self.rows if self.weigh_by is Weigh.ROWS else self.tokens
        assert weights is not None
        return Mixture.from_weights(weights)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """Some rows of a run, in training order.

    Attributes:
        domains: numbers of the domains in the mixture's order, (n,).
        rows: numbers of the rows within their domain, (n,).
        tokens: of the rows, (n,); None where nobody counted them.
    """

    domains: NDArray[np.int64]
    rows: NDArray[np.int64]
    tokens: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.domains)

    def __getitem__(self, span: slice) -> Part:
        tokens = None if self.tokens is None else self.tokens[span]
        return Part(domains=self.domains[span], rows=self.rows[span], tokens=tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """The rows of one training run, drawn from the domains in a mixture's shares.

    Each domain has one fixed order per epoch and seed, and every mixture takes a prefix of it: two mixtures with the
    same seed differ by the ratio and not by the luck of the draw. The domains take turns so that every beginning of
    the run holds the shares too, to less than one row (`Schedule`); a shorter run is therefore a prefix of a
    longer one. Where tokens are weighed, every beginning holds the shares to less than the longest row. Both orders are
    integer arithmetic: they are the same on every machine.

    Attributes:
        mixture: the shares asked for.
        sizes: rows that each domain has.
        seed: the job's data seed.
        rows: rows of the run, repeats counted; None where `tokens` states its length.
        tokens: tokens of the run: it ends with the last row that fits.
        weigh_by: what a share is a share of.
        lengths: tokens of each domain's rows; needed when tokens are weighed or limit the run.
        limits: most rows that may be taken of a domain, repeats counted; of one that is not named, any number. What a
            domain cannot give when tokens are weighed the others do, as the realised shares then tell.

    Raises:
        DataError: rows are asked of a domain that has none, or more than its limit.
    """

    mixture: Mixture
    sizes: Mapping[str, int]
    seed: int
    rows: int | None = None
    tokens: int | None = None
    weigh_by: Weigh = Weigh.ROWS
    lengths: Mapping[str, Lengths] | None = None
    limits: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert (self.rows is None) != (self.tokens is None), "a run has one length, in rows or in tokens"
        assert self.lengths is not None or (self.weigh_by is Weigh.ROWS and self.tokens is None)
        for name, share in self.mixture.items():
            if share and not self.sizes.get(name):
                raise DataError(
                    f"the mixture gives {name!r} a share of {share:g}, but this domain has no training "
                    f"rows; expected a share of 0, or domains.{name}.train"
                )
            self._check_limit(name, share)

    def parts(self) -> Iterator[Part]:
        """The run in training order, in parts of some ten thousand rows.

        Raises:
            DataError: a domain's limit is reached before the run ends.
        """
        names = self.mixture.names
        taken = np.zeros(len(names), dtype=np.int64)
        left = self.rows if self.tokens is None else self.tokens
        assert left is not None
        feeds = [partial(self._feed, name) for name in names]
        schedule = Schedule(mixture=self.mixture, feeds=feeds, even=self.weigh_by is Weigh.ROWS)
        for turns in schedule.turns():
            part = self._part(turns if self.tokens is not None else turns[:left], taken)
            lengths = np.ones_like(part.rows) if self.tokens is None else part.tokens
            assert lengths is not None
            spent = np.cumsum(lengths)
            fit = int(np.searchsorted(spent, left, side="right"))
            if fit:
                yield part[:fit]
                left -= int(spent[fit - 1])
                taken += np.bincount(part.domains[:fit], minlength=len(names))
            if fit < len(turns) or not left:
                return
        raise DataError(
            f"all domains together give {taken.sum():,} rows before they repeat more often than max_epochs allows; "
            "make the run shorter, or raise max_epochs"
        )

    def tally(self) -> Tally:
        """What the run trains on.

        Raises:
            DataError: see `parts`.
        """
        count = Count(self)
        for part in self.parts():
            count.add(part)
        return count.tally

    def order(self) -> Iterator[tuple[str, int]]:
        """The run's rows in training order, as (domain, row number in that domain)."""
        names = self.mixture.names
        for part in self.parts():
            for domain, row in zip(part.domains.tolist(), part.rows.tolist(), strict=True):
                yield names[domain], row

    def draw(self, name: str, start: int, stop: int) -> NDArray[np.int64]:
        """Row numbers of a domain in the order in which every mixture takes them: without replacement in each epoch.

        Args:
            name: the domain.
            start: the first place.
            stop: the place after the last.
        """
        places, size = np.arange(start, stop), self.sizes.get(name, 0)
        rows = np.empty(len(places), dtype=np.int64)
        for epoch in range(start // size, -(-stop // size)) if size else ():
            here = slice(max(0, epoch * size - start), (epoch + 1) * size - start)
            rows[here] = Permutation(size=size, key=f"{self.seed}/{epoch}/{name}")(places[here] - epoch * size)
        return rows

    def _feed(self, name: str, start: int, stop: int) -> NDArray[np.int64]:
        """The lengths by which a domain's turns are scheduled."""
        stop = min(stop, self.limits.get(name, stop))
        if stop <= start or self.weigh_by is Weigh.ROWS:
            return np.ones(max(0, stop - start), dtype=np.int64)
        assert self.lengths is not None
        return self.lengths[name](self.draw(name, start, stop))

    def _part(self, domains: NDArray[np.int64], taken: NDArray[np.int64]) -> Part:
        """The rows of some turns.

        Args:
            domains: whose turn it is, (n,).
            taken: rows that each domain has given before, (n_domains,).
        """
        rows = np.empty_like(domains)
        tokens = None if self.lengths is None else np.empty_like(domains)
        for number in np.unique(domains):
            name, here = self.mixture.names[number], np.flatnonzero(domains == number)
            rows[here] = self.draw(name, int(taken[number]), int(taken[number]) + len(here))
            if tokens is not None:
                assert self.lengths is not None
                tokens[here] = self.lengths[name](rows[here])
        return Part(domains=domains, rows=rows, tokens=tokens)

    def _check_limit(self, name: str, share: float) -> None:
        """Checks as far as it can be known without counting tokens that a domain's limit suffices."""
        limit = self.limits.get(name)
        if limit is None or self.rows is None or self.weigh_by is Weigh.TOKENS or share * self.rows < limit + 1:
            return
        raise DataError(
            f"the mixture asks for {share * self.rows:,.0f} of {self.rows:,} rows of {name!r}, but this domain has "
            f"{self.sizes[name]:,}, which may repeat until {limit:,} are used; lower the share to "
            f"{10**6 * limit // self.rows / 10**6:g}, or the run to {int(limit / share):,} rows, or raise max_epochs"
        )


class Count:
    """Counts what a run has trained on so far."""

    def __init__(self, blend: Blend) -> None:
        """Begins with nothing."""
        self._blend = blend
        self._rows = np.zeros(len(blend.mixture), dtype=np.int64)
        self._tokens = np.zeros(len(blend.mixture), dtype=np.int64)

    def add(self, part: Part) -> None:
        """Counts some rows."""
        self._rows += np.bincount(part.domains, minlength=len(self._rows))
        if part.tokens is not None:
            np.add.at(self._tokens, part.domains, part.tokens)

    @property
    def tally(self) -> Tally:
        """All that was counted."""
        names, known = self._blend.mixture.names, self._blend.lengths is not None
        return Tally(
            rows=dict(zip(names, self._rows.tolist(), strict=True)),
            tokens=dict(zip(names, self._tokens.tolist(), strict=True)) if known else None,
            weigh_by=self._blend.weigh_by,
        )
