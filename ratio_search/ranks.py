"""Finished trials in the order of their scores, each of which is judged once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from objectives.scorer import Score, Scorer
from ratio_search.record import Record

Key = tuple[bool, tuple[bool, float, float, float, float]]


class Ranks:
    """Puts finished trials in order by one judge: a finished trial can no longer change, and nor can its score.

    Attributes:
        scorer: the judge.
    """

    def __init__(self, scorer: Scorer, allows: Callable[[Record], bool]) -> None:
        """Prepares an order.

        Args:
            scorer: the judge.
            allows: whether a trial keeps the bounds of now; those that do not come last.
        """
        self.scorer = scorer
        self._allows = allows
        self._judged: dict[int, tuple[Key, Record, Score]] = {}

    def of(self, records: Iterable[Record]) -> list[tuple[Record, Score]]:
        """Finished trials of one study with their scores, best first, and earlier ones before their equals."""
        judged = [self._judged.get(record.number) or self._judge(record) for record in records]
        judged.sort(key=lambda one: one[0], reverse=True)
        return [(record, score) for _, record, score in judged]

    def _judge(self, record: Record) -> tuple[Key, Record, Score]:
        score = self.scorer.score(record.values)
        found = self._judged[record.number] = (self._allows(record), score.key), record, score
        return found
