"""In which order the domains of a mixture take turns: evenly, so that every beginning of a run holds the shares."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from objectives.mixture import Mixture

WHOLE = 2**32
"""Shares are rounded to multiples of 1 / WHOLE, in which all times are exact."""

FAR = 2**50
"""A time that no run reaches."""

FIRST_SPAN, LONGEST_SPAN = 1024, 65_536
"""Units that are looked at ahead of time; few at first, so that a short run does not wait for what it never uses."""


class Feed(Protocol):
    """The units of one domain, in the order in which they are taken."""

    def __call__(self, start: int, stop: int) -> NDArray[np.int64]:
        """Lengths of the units from `start` up to `stop`, each >= 1; fewer at the end of the last one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The turns of the domains, for as long as anyone asks.

    Unit j of a domain with share p would run from S(j - 1) / p to S(j) / p, S being the lengths added up, if all
    domains could be served at once. At every turn the unit with the earliest end is taken of those that would
    have begun. For units of length 1 this is the quota method (Balinski and Young, American Mathematical Monthly 82,
    1975) seen as scheduling by deadlines (Baruah, Cohen, Plaxton and Varvel, "Proportionate progress", Algorithmica 15,
    1996): after n turns, for every n, a domain has had fewer than one turn more or less than p x n. For other lengths
    it is the worst-case fair queue of Bennett and Zhang (WF2Q, INFOCOM 1996): after any turn, a domain has had its
    share of the length so far, give or take the longest unit.

    A domain whose feed ends leaves its turns to the others, in proportion to their shares.

    Attributes:
        mixture: the shares.
        feeds: units of each domain, in the mixture's order.
        even: whether all units have length 1, which saves looking at their lengths.
    """

    mixture: Mixture
    feeds: Sequence[Feed]
    even: bool = False

    def turns(self) -> Iterator[NDArray[np.int64]]:
        """The numbers of the domains, in the order of their turns, in pieces of any size; ends when all feeds have."""
        weights = self.mixture.counts(WHOLE).values()
        lanes = {
            number: _Lane(number, weight, feed, even=self.even)
            for number, (weight, feed) in enumerate(zip(weights, self.feeds, strict=True))
            if weight
        }
        # Lengths are tokens or rows: the first ones say how far ahead is worth looking.
        unit = max((lane.length for lane in lanes.values()), default=1)
        span, horizon = FIRST_SPAN, 0
        queue = _Queue(lanes, even=self.even)
        while not queue.over:
            # Once feeds have ended, the units of the others lie as much farther apart as their shares are smaller.
            going = sum(lane.weight for lane in lanes.values() if not lane.ended) or WHOLE
            horizon = max(horizon, queue.time) + span * unit * WHOLE // going
            span = min(2 * span, LONGEST_SPAN)
            yield queue.until(horizon)


class _Lane:
    """The units of one domain with the times at which they would begin and end.

    Attributes:
        weight: the domain's share, in parts of `WHOLE`.
        length: of the first unit.
        ended: whether the feed has given its last unit.
        lengths: of the units that have been looked at and not yet been taken, unless all are 1.
    """

    def __init__(self, number: int, weight: int, feed: Feed, *, even: bool) -> None:
        self.weight = weight
        self.ended = False
        self.lengths: deque[int] = deque()
        self._number, self._feed, self._even = number, feed, even
        self._read = 0
        self._total = 0
        self._starts = self._keys = np.empty(0, dtype=np.int64)
        self.length = int(feed(0, 1).max(initial=1))

    @property
    def empty(self) -> bool:
        """Whether all units that have been looked at were given."""
        return not len(self._starts)

    def before(self, horizon: int, lanes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The units that begin before a time and were not given yet.

        Args:
            horizon: the time.
            lanes: how many numbers there are.

        Returns:
            Their beginnings, and keys that sort them by their ends; domain `key % lanes` for both.
        """
        while not self.ended and self._total * WHOLE < horizon * self.weight:
            self._look(horizon, lanes)
        cut = int(np.searchsorted(self._starts, horizon))
        found = self._starts[:cut], self._keys[:cut]
        self._starts, self._keys = self._starts[cut:], self._keys[cut:]
        return found

    def _look(self, horizon: int, lanes: int) -> None:
        mean = max(1, self._total // self._read) if self._read else self.length
        wanted = (horizon * self.weight // WHOLE - self._total) // mean + 1
        lengths = self._feed(self._read, self._read + min(wanted, LONGEST_SPAN))
        self.ended = not len(lengths)
        if self.ended:
            return
        ends = np.cumsum(lengths)
        # What is added to the exact beginning of the block must fit in 64 bits after multiplication by WHOLE.
        count = max(1, int(np.searchsorted(ends, 2**31)))
        lengths, ends = lengths[:count], ends[:count]
        whole, rest = divmod(self._total * WHOLE, self.weight)
        whole = min(whole, FAR)
        starts = whole + (rest + (ends - lengths) * WHOLE) // self.weight
        finish = whole - (-(rest + ends * WHOLE) // self.weight)
        self._starts = np.concatenate([self._starts, np.minimum(starts, FAR)])
        self._keys = np.concatenate([self._keys, np.minimum(finish, FAR) * lanes + self._number])
        if not self._even:
            self.lengths.extend(lengths.tolist())
        self._read += count
        self._total += int(ends[-1])


class _Queue:
    """Takes the unit with the earliest end of those that have begun, again and again.

    Attributes:
        time: length of all units taken.
        over: whether nothing is left.
    """

    def __init__(self, lanes: Mapping[int, _Lane], *, even: bool) -> None:
        self.time = 0
        self.over = not lanes
        self._lanes = lanes
        self._even = even
        self._size = max(lanes, default=0) + 1
        self._begun: list[int] = []

    def until(self, horizon: int) -> NDArray[np.int64]:
        """The domains whose turns are sure once all units that begin before the horizon are known."""
        found = [lane.before(horizon, self._size) for lane in self._lanes.values()]
        starts, keys = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
        order = np.lexsort((keys, starts))
        coming, opens = keys[order].tolist(), [*starts[order].tolist(), FAR, FAR]
        place, taken = self._take(coming, opens, horizon)
        for key in coming[place:]:
            heapq.heappush(self._begun, key)
        self.over = not self._begun and all(lane.ended and lane.empty for lane in self._lanes.values())
        return np.array(taken, dtype=np.int64) % self._size

    def _take(self, coming: list[int], opens: list[int], horizon: int) -> tuple[int, list[int]]:
        """Takes units until the horizon, or until there are none.

        Args:
            coming: keys of the units that begin before the horizon, in the order in which they do.
            opens: when they do, and twice a time that is never reached.
            horizon: the time.

        Returns:
            How many of them have begun, and the keys of those that were taken.
        """
        lengths = None if self._even else {number: lane.lengths.popleft for number, lane in self._lanes.items()}
        begun, size, time, place = self._begun, self._size, self.time, 0
        push, pop, replace = heapq.heappush, heapq.heappop, heapq.heappushpop
        taken: list[int] = []
        while time < horizon:
            if opens[place] <= time:
                while opens[place + 1] <= time:
                    push(begun, coming[place])
                    place += 1
                key = replace(begun, coming[place])
                place += 1
            elif begun:
                key = pop(begun)
            elif place < len(coming):
                # Rounding, or a feed that has ended: the next one comes a little early.
                key = coming[place]
                place += 1
            else:
                break
            taken.append(key)
            time += 1 if lengths is None else lengths[key % size]()
        self.time = time
        return place, taken
