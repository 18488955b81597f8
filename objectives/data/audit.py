"""What is wrong with a study's data, before anything is spent on it. The user's files are only read."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives.data.corpus import Corpus, Split
from objectives.data.dataset import Dataset
from objectives.data.near import near_rows
from objectives.data.policy import NO_ROWS, Action, Finding
from objectives.data.rows import ProblemKind
from objectives.data.tokens import TokenCounter
from objectives.errors import DataError

SHOWN = 10
"""Rows of a finding that are named; the rest are counted."""

RARE = 10
"""A label is rare when another one has more than this many times its rows."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What the objective makes of a row.

    Attributes:
        context: most tokens that it reads; None for any number.
        counter: counts them; None for the estimate.
    """

    context: int | None = None
    counter: TokenCounter | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One finding in one set of files.

    Attributes:
        finding: what.
        domain, split: where.
        count: how many rows or lines.
        action: what follows.
        kinds: how many of each kind, where there are several kinds of it.
        examples: the first of them, or all, each as file:line and reason.
    """

    finding: Finding
    domain: str
    split: Split
    count: int
    action: Action
    examples: tuple[str, ...]
    kinds: Mapping[str, int] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The key of the study file that names the files."""
        return f"domains.{self.domain}.{self.split}"

    def to_json(self) -> dict[str, Any]:
        """The finding as plain data."""
        return {
            "finding": self.finding.value,
            "domain": self.domain,
            "split": self.split.value,
            "count": self.count,
            "action": self.action.value,
            "kinds": dict(self.kinds),
            "rows": list(self.examples),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What was found, and the data that is left.

    Attributes:
        found: all findings, in the order of `Finding`.
        corpus: the data without the rows that were to be dropped.
    """

    found: tuple[Found, ...]
    corpus: Corpus

    def check(self) -> None:
        """Refuses data with errors, and data of which nothing is left.

        Raises:
            DataError: there are errors; every one is named with its key in the study file and its first rows.
        """
        errors = [found for found in self.found if found.action is Action.ERROR]
        if errors:
            raise AuditError("\n".join(map(_told, errors)), self.found)
        for name, splits in self.corpus.data.items():
            for split, data in splits.items():
                if not len(data):
                    raise DataError(f"domains.{name}.{split}: no row is left that can be used; correct the files")


class AuditError(DataError):
    """Data with errors.

    Attributes:
        found: all findings, errors or not.
    """

    def __init__(self, message: str, found: Sequence[Found]) -> None:
        super().__init__(message)
        self.found = tuple(found)


@dataclass(frozen=True, slots=True)
class _Hit:
    """Rows of a training, test or final set that something is wrong with, and how to say it of one of them."""

    finding: Finding
    domain: str
    split: Split
    rows: Numbers
    reason: Callable[[int], str]


def audit(
    corpus: Corpus,
    capacity: Capacity,
    wanted: Collection[Finding] = tuple(Finding),
    shown: int | None = SHOWN,
) -> Audit:
    """Looks for what can be wrong with rows.

    Args:
        corpus: the data with all its rows.
        capacity: what the objective can read of a row.
        wanted: what to look for.
        shown: rows that are named for each finding; None for all.

    Raises:
        DataError: a file cannot be read.
    """
    actions = corpus.policy.actions
    found = [bad for bad in _bad_lines(corpus, shown) if bad.finding in wanted]
    dropped: dict[str, list[Numbers]] = {}
    for hit in _hits(corpus, capacity, wanted):
        if not len(hit.rows):
            continue
        action = actions[hit.finding]
        if action is Action.DROP and hit.split is Split.TRAIN:
            dropped.setdefault(hit.domain, []).append(hit.rows)
        elif action is Action.DROP:
            action = Action.WARN  # what a study is judged by is not changed behind its back
        found.append(_found(corpus.data[hit.domain][hit.split], hit, action, shown))
    order = list(Finding)
    found.sort(key=lambda one: order.index(one.finding))
    return Audit(found=tuple(found), corpus=_without(corpus, dropped))


def usable(corpus: Corpus, capacity: Capacity) -> Corpus:
    """The data without the rows that its policy leaves out.

    Args:
        corpus: the data with all its rows.
        capacity: what the objective can read of a row.

    Raises:
        DataError: there are lines that are no rows, and they are not to be left out.
    """
    found = audit(corpus, capacity, corpus.policy.drops | NO_ROWS)
    found.check()
    return found.corpus


def _bad_lines(corpus: Corpus, shown: int | None) -> Iterator[Found]:
    for name, splits in corpus.data.items():
        for split, data in splits.items():
            for finding in (Finding.BAD_ROWS, Finding.EMPTY_OUTPUTS):
                kinds: Counter[str] = Counter()
                for index in data.files:
                    kinds.update({kind: n for kind, n in index.problem_counts.items() if _finding(kind) is finding})
                if not kinds:
                    continue
                lines = (
                    f"{index.path}:{number}: {problem.message}"
                    for index in data.files
                    for number, problem in index.problems()
                    if _finding(problem.kind) is finding
                )
                yield Found(
                    finding=finding,
                    domain=name,
                    split=split,
                    count=kinds.total(),
                    action=corpus.policy.actions[finding],
                    examples=tuple(itertools.islice(lines, shown)),
                    kinds=dict(kinds.most_common()) if finding is Finding.BAD_ROWS else {},
                )


def _finding(kind: ProblemKind) -> Finding:
    return Finding.EMPTY_OUTPUTS if kind is ProblemKind.EMPTY_OUTPUT else Finding.BAD_ROWS


def _hits(corpus: Corpus, capacity: Capacity, wanted: Collection[Finding]) -> Iterator[_Hit]:
    train = corpus.of(Split.TRAIN)
    judged = {(split, name): data for split in (Split.TEST, Split.FINAL) for name, data in corpus.of(split).items()}
    hashes = {name: data.column(lambda index: index.hash) for name, data in train.items()}
    if Finding.DUPLICATES in wanted:
        for name, data in train.items():
            yield _Hit(Finding.DUPLICATES, name, Split.TRAIN, _repeated(hashes[name]), _same_as(data, {name: data}))
    if Finding.ACROSS_DOMAINS in wanted:
        for position, (name, data) in enumerate(train.items()):
            before = dict(list(train.items())[:position])
            rows = _members(hashes[name], [hashes[other] for other in before])
            yield _Hit(Finding.ACROSS_DOMAINS, name, Split.TRAIN, rows, _same_as(data, before))
    if Finding.LEAKAGE in wanted:
        yield from _leaks(corpus, hashes)
    if Finding.NEAR_LEAKAGE in wanted and corpus.policy.near is not None:
        for name, data in train.items():
            rows = near_rows(data, list(judged.values()), corpus.policy.near)
            exact = _members(hashes[name], [other.column(lambda index: index.hash) for other in judged.values()])
            rows = np.setdiff1d(rows, exact)
            yield _Hit(
                Finding.NEAR_LEAKAGE, name, Split.TRAIN, rows, lambda _: "nearly the same as a test or final row"
            )
    if Finding.TOO_LONG in wanted and capacity.context is not None:
        yield from _long_rows(corpus, capacity, capacity.context)
    if Finding.IMBALANCE in wanted:
        yield from _rare_labels(corpus)


def _leaks(corpus: Corpus, hashes: Mapping[str, NDArray[np.uint64]]) -> Iterator[_Hit]:
    """Training rows that are judged by, and test rows that are kept for confirming too."""
    tests, finals = corpus.of(Split.TEST), corpus.of(Split.FINAL)
    tested, kept = ([data.column(lambda index: index.hash) for data in sets.values()] for sets in (tests, finals))
    judged = [*tests.items(), *((f"{name} (final)", data) for name, data in finals.items())]
    for name, data in corpus.of(Split.TRAIN).items():
        rows = _members(hashes[name], [*tested, *kept])
        yield _Hit(Finding.LEAKAGE, name, Split.TRAIN, rows, _same_as(data, dict(judged)))
    for name, data in tests.items():
        rows = _members(data.column(lambda index: index.hash), kept)
        yield _Hit(Finding.LEAKAGE, name, Split.TEST, rows, _same_as(data, finals))


def _long_rows(corpus: Corpus, capacity: Capacity, context: int) -> Iterator[_Hit]:
    for name, splits in corpus.data.items():
        for split, data in splits.items():
            tokens = data.lengths(capacity.counter)(np.arange(len(data)))

            def reason(row: int, tokens: Numbers = tokens) -> str:
                return f"{tokens[row]:,} tokens, more than the {context:,} that are read"

            yield _Hit(Finding.TOO_LONG, name, split, np.flatnonzero(tokens > context), reason)


def _rare_labels(corpus: Corpus) -> Iterator[_Hit]:
    for name, splits in corpus.data.items():
        for split, data in splits.items():
            names, numbers = data.labels()
            if not names or (numbers < 0).any():
                continue
            counts = np.bincount(numbers, minlength=len(names))
            rare = np.flatnonzero((counts > 0) & (counts * RARE < counts.max()))
            first = np.array([np.flatnonzero(numbers == label)[0] for label in rare], dtype=np.int64)

            def reason(
                row: int, names: tuple[str, ...] = names, numbers: Numbers = numbers, counts: Numbers = counts
            ) -> str:
                label = int(numbers[row])
                often = int(counts.argmax())
                return f"label {names[label]!r} has {counts[label]:,} rows, {names[often]!r} has {counts[often]:,}"

            yield _Hit(Finding.IMBALANCE, name, split, first, reason)


def _same_as(data: Dataset, others: Mapping[str, Dataset]) -> Callable[[int], str]:
    """Says of a row where else it stands first."""

    @cache
    def known() -> tuple[NDArray[np.uint64], list[tuple[Dataset, NDArray[np.uint64], Numbers]]]:
        sets = []
        for other in others.values():
            hashes = other.column(lambda index: index.hash)
            order = np.argsort(hashes, kind="stable")
            sets.append((other, hashes[order], order))
        return data.column(lambda index: index.hash), sets

    def reason(row: int) -> str:
        own, sets = known()
        for other, hashes, order in sets:
            place = int(np.searchsorted(hashes, own[row]))
            if place < len(hashes) and hashes[place] == own[row]:
                return f"the same as {other.place(int(order[place]))}"
        raise AssertionError("a row that stands elsewhere is nowhere else")

    return reason


def _repeated(hashes: NDArray[np.uint64]) -> Numbers:
    """Numbers of the rows that stand before, sorted."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    return np.sort(order[1:][ordered[1:] == ordered[:-1]])


def _members(hashes: NDArray[np.uint64], others: list[NDArray[np.uint64]]) -> Numbers:
    """Numbers of the rows that stand in some other set."""
    found = reduce(np.logical_or, (np.isin(hashes, other) for other in others), np.zeros(len(hashes), dtype=np.bool_))
    return np.flatnonzero(found)


def _found(data: Dataset, hit: _Hit, action: Action, shown: int | None) -> Found:
    return Found(
        finding=hit.finding,
        domain=hit.domain,
        split=hit.split,
        count=len(hit.rows),
        action=action,
        examples=tuple(f"{data.place(int(row))}: {hit.reason(int(row))}" for row in hit.rows[:shown]),
    )


def _without(corpus: Corpus, dropped: Mapping[str, list[Numbers]]) -> Corpus:
    data = {name: dict(splits) for name, splits in corpus.data.items()}
    for name, rows in dropped.items():
        data[name][Split.TRAIN] = data[name][Split.TRAIN].without(np.unique(np.concatenate(rows)))
    return replace(corpus, data=data)


def _told(found: Found) -> str:
    """An error in words: what, how often, where, and what to do."""
    if found.finding in NO_ROWS:
        what = f"{found.count} bad line{'s' if found.count > 1 else ''}; correct or remove them"
    else:
        what = f"{found.count} row{'s' if found.count > 1 else ''} with {found.finding.value}; correct or remove them"
    # Rows that a study is judged by are not left out behind its back.
    judged = found.split is not Split.TRAIN and found.finding not in NO_ROWS
    remedy = Action.WARN if judged or found.finding is Finding.IMBALANCE else Action.DROP
    lines = [
        f"{found.key}: {what}, or set data.audit.{found.finding} to {remedy}:",
        *(f"  {one}" for one in found.examples),
    ]
    if found.count > len(found.examples):
        lines.append(f"  and {found.count - len(found.examples)} more")
    return "\n".join(lines)
