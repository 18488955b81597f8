"""From settings to an objective: reads and encodes the rows, and puts all parts together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from objectives.backends.hf import HfBackend
from objectives.backends.hf.bench import Bench
from objectives.backends.hf.encoding import Encoded, EncodedSet, encode
from objectives.backends.hf.ending import Ending
from objectives.backends.hf.evaluation import Reading, TestSet
from objectives.backends.hf.labels import Labels
from objectives.backends.hf.learner import Learner, silence
from objectives.backends.hf.model import Placement, check_vocabulary, keeps_prompts, ready
from objectives.backends.hf.objective import HfObjective
from objectives.backends.hf.template import Template
from objectives.backends.hf.tiny import TINY, tiny_model
from objectives.backends.hf.writing import Exam
from objectives.data import Corpus, DataPolicy, Dataset, Row, Split, usable
from objectives.domain import Domain
from objectives.errors import DataError, OptionsError
from objectives.metrics import KINDS, OwnMetric
from objectives.scorer import Metric

_LOG = logging.getLogger(__name__)


LABEL_ROWS = 200
"""Training rows of each label that are looked at to see how responses begin with it."""


def assemble(
    settings: HfBackend, domains: Sequence[Domain], root: Path, policy: DataPolicy, metrics: Sequence[Metric]
) -> HfObjective:
    """Builds the objective of one worker; see `HfBackend.build`."""
    torch.set_num_threads(settings.threads)
    silence()
    Placement.of(settings)  # what cannot be had is said before a model is made
    opened = Corpus.open(domains, root, policy)
    folder = tiny_model() if settings.base_model == TINY else settings.base_folder(root)
    make = partial(ready, folder or settings.base_model)
    learner = _made(make, settings)
    tokenizer, vocabulary = learner.tokenizer, learner.vocabulary
    # Only now is a model of the hub on this machine, to count with: which rows are too long must not change by that.
    corpus = usable(opened, settings.capacity(root))
    train, test = corpus.of(Split.TRAIN), corpus.of(Split.TEST)
    template = Template.of(tokenizer)

    def encoded(name: str, rows: Sequence[Row]) -> Encoded:
        made = encode(rows, tokenizer, template, settings.max_length)
        check_vocabulary(vocabulary, made)
        if made.truncated:
            _LOG.warning(
                "%d of %d rows of %r are cut to %d tokens", made.truncated, len(made), name, settings.max_length
            )
        return made

    learned = {name: EncodedSet(data, partial(encoded, name)) for name, data in train.items()}
    ending = Ending.of(learner, template)
    tests, exams = [], []
    for name, data in test.items():
        rows = data.rows()
        known = [(encoded(name, rows), rows)]
        if name in train and (some := _of_each_label(train[name])):
            known.append((encoded(name, some), some))
        expected = tuple(template.expected(row, tokenizer) for row in rows)
        sizes = _sizes(expected, known[0][0], ending, tokenizer)
        tests.append(_test_set(name, known, sizes, tokenizer, settings.max_length))
        if asked := _asked(name, metrics, root):
            exams.append(
                Exam(
                    domain=name,
                    rows=tuple(rows),
                    encoded=known[0][0],
                    expected=expected,
                    metrics=asked,
                    ending=ending,
                    most=settings.max_new_tokens or _most(known[0][0], settings.max_length),
                )
            )
    reading = Reading(
        max_length=settings.max_length,
        batch_tokens=settings.eval_batch_tokens,
        cached=any(test.labels and test.labels.first is None for test in tests) and keeps_prompts(learner),
    )
    return HfObjective(settings, Bench(make, learner, settings), corpus, learned, tests, exams, reading)


def _made(make: Callable[[HfBackend], Learner], settings: HfBackend) -> Learner:
    """The model, where it is to be computed with; with advice where there is no room for it."""
    try:
        return make(settings)
    except torch.OutOfMemoryError as error:
        raise OptionsError(
            f"objective.base_model: does not fit into the GPU's memory ({error}); expected a smaller model, or more of "
            "a GPU for each fine-tune: raise objective.resources.gpus, or lower search.parallel"
        ) from error


def _of_each_label(data: Dataset) -> list[Row]:
    """The first rows of each label."""
    names, numbers = data.labels()
    first = [np.flatnonzero(numbers == label)[:LABEL_ROWS] for label in range(len(names))]
    return data.rows(np.sort(np.concatenate(first))) if first else []


def _test_set(
    name: str,
    known: Sequence[tuple[Encoded, Sequence[Row]]],
    sizes: NDArray[np.int64],
    tokenizer: Any,
    max_length: int,
) -> TestSet:
    """A domain's test set.

    Args:
        name: the domain.
        known: its encoded test rows and, where there are any, training rows with labels.
        sizes: UTF-8 bytes of each test row's response, (n_rows,).
        tokenizer: the base model's.
        max_length: most tokens of a row.
    """
    judged, rows = known[0]
    truth = tuple(row.label for row in rows if row.label is not None)
    if len(truth) < len(rows):
        return TestSet(domain=name, rows=judged, sizes=sizes)
    try:
        labels = Labels.of(tokenizer, [(encoded, [row.label for row in own]) for encoded, own in known])
    except DataError as error:
        raise DataError(f"domains.{name}: {error}") from error
    labels.check_fits(max_length)
    return TestSet(domain=name, rows=judged, sizes=sizes, truth=truth, labels=labels)


def _asked(domain: str, metrics: Sequence[Metric], root: Path) -> dict[str, str | OwnMetric]:
    """The metrics of a domain that judge answers in words, by their names without it."""
    found: dict[str, str | OwnMetric] = {}
    for metric in metrics:
        if metric.domain != domain:
            continue
        if metric.function is not None:
            found[metric.short] = OwnMetric.load(metric.function, root)
        elif (kind := KINDS.get(metric.short)) is not None and kind.needs_answers:
            found[metric.short] = metric.short
    return found


def _most(rows: Encoded, max_length: int) -> int:
    """Tokens of an answer at most: more than twice the longest response would only make every metric worse."""
    return min(2 * int((rows.lengths - rows.prompts).max()), max_length // 2)


def _sizes(expected: Sequence[str], rows: Encoded, ending: Ending, tokenizer: Any) -> NDArray[np.int64]:
    """UTF-8 bytes of each row's response as it is scored, (n_rows,)."""
    sizes = np.array([len(text.encode(errors="surrogatepass")) for text in expected], dtype=np.int64)
    if rows.truncated:
        for i in np.flatnonzero(rows.lengths == rows.lengths.max()).tolist():
            kept = ending.cut(rows.response(i).tolist(), tokenizer)
            sizes[i] = min(sizes[i], len(kept.encode(errors="surrogatepass")))
    return sizes
