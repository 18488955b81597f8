"""From settings to an objective: reads and encodes the rows, and puts all parts together."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from objectives.backends.hf import HfBackend
from objectives.backends.hf.bench import Bench
from objectives.backends.hf.encoding import Encoded, EncodedSet, encode
from objectives.backends.hf.evaluation import Reading, TestSet
from objectives.backends.hf.labels import Labels
from objectives.backends.hf.learner import silence
from objectives.backends.hf.model import Placement, check_vocabulary, keeps_prompts, ready
from objectives.backends.hf.objective import HfObjective
from objectives.backends.hf.template import Template
from objectives.backends.hf.tiny import TINY, tiny_model
from objectives.data import Corpus, DataPolicy, Dataset, Row, Split, usable
from objectives.domain import Domain
from objectives.errors import DataError

_LOG = logging.getLogger(__name__)


LABEL_ROWS = 200
"""Training rows of each label that are looked at to see how responses begin with it."""


def assemble(settings: HfBackend, domains: Sequence[Domain], root: Path, policy: DataPolicy) -> HfObjective:
    """Builds the objective of one worker; see `HfBackend.build`."""
    torch.set_num_threads(settings.threads)
    silence()
    Placement.of(settings)  # what cannot be had is said before a model is made
    opened = Corpus.open(domains, root, policy)
    folder = tiny_model() if settings.base_model == TINY else settings.base_folder(root)
    make = partial(ready, folder or settings.base_model)
    learner = make(settings)
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
    tests = []
    for name, data in test.items():
        rows = data.rows()
        known = [(encoded(name, rows), rows)]
        if name in train and (some := _of_each_label(train[name])):
            known.append((encoded(name, some), some))
        tests.append(_test_set(name, known, tokenizer, settings.max_length))
    reading = Reading(
        max_length=settings.max_length,
        batch_tokens=settings.eval_batch_tokens,
        cached=any(test.labels and test.labels.first is None for test in tests) and keeps_prompts(learner),
    )
    return HfObjective(settings, Bench(make, learner, settings), corpus, learned, tests, reading)


def _of_each_label(data: Dataset) -> list[Row]:
    """The first rows of each label."""
    names, numbers = data.labels()
    first = [np.flatnonzero(numbers == label)[:LABEL_ROWS] for label in range(len(names))]
    return data.rows(np.sort(np.concatenate(first))) if first else []


def _test_set(name: str, known: Sequence[tuple[Encoded, Sequence[Row]]], tokenizer: Any, max_length: int) -> TestSet:
    """A domain's test set.

    Args:
        name: the domain.
        known: its encoded test rows and, where there are any, training rows with labels.
        tokenizer: the base model's.
        max_length: most tokens of a row.
    """
    judged, rows = known[0]
    truth = tuple(row.label for row in rows if row.label is not None)
    if len(truth) < len(rows):
        return TestSet(domain=name, rows=judged)
    try:
        labels = Labels.of(tokenizer, [(encoded, [row.label for row in own]) for encoded, own in known])
    except DataError as error:
        raise DataError(f"domains.{name}: {error}") from error
    labels.check_fits(max_length)
    return TestSet(domain=name, rows=judged, truth=truth, labels=labels)
