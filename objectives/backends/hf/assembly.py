"""From settings to an objective: reads and encodes the rows, and puts all parts together."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from objectives.backends.hf import HfBackend, Method
from objectives.backends.hf.encoding import Encoded, Template, encode
from objectives.backends.hf.evaluation import Reading, TestSet
from objectives.backends.hf.labels import Labels
from objectives.backends.hf.learner import silence
from objectives.backends.hf.model import Placement, check_vocabulary, keeps_prompts, load, prepare
from objectives.backends.hf.objective import HfObjective
from objectives.backends.hf.tiny import TINY, tiny_model
from objectives.backends.hf.training import Schedule
from objectives.data import Row, read_rows
from objectives.domain import Domain
from objectives.errors import DataError

_LOG = logging.getLogger(__name__)


def assemble(settings: HfBackend, domains: Sequence[Domain], root: Path) -> HfObjective:
    """Builds the objective of one worker; see `HfBackend.build`."""
    torch.set_num_threads(settings.threads)
    silence()
    train = {d.name: read_rows(root / path for path in d.train) for d in domains if d.train}
    test = {d.name: read_rows(root / path for path in d.test) for d in domains if d.test}
    placement = Placement.of(settings)
    folder = tiny_model() if settings.base_model == TINY else settings.base_folder(root)
    tokenizer, model = load(folder or settings.base_model, placement.dtype, settings.max_length)
    template = Template.of(tokenizer)

    def encoded(name: str, rows: Sequence[Row]) -> Encoded:
        made = encode(rows, tokenizer, template, settings.max_length)
        if made.truncated:
            _LOG.warning(
                "%d of %d rows of %r are cut to %d tokens", made.truncated, len(made), name, settings.max_length
            )
        return made

    learned = {name: encoded(name, rows) for name, rows in train.items()}
    tests = []
    for name, rows in test.items():
        known = [(encoded(name, rows), rows)]
        if name in train:
            known.append((learned[name], train[name]))
        tests.append(_test_set(name, known, tokenizer, settings.max_length))
    learner = prepare(tokenizer, model, settings.lora if settings.method is Method.LORA else None, placement)
    check_vocabulary(learner, [*learned.values(), *(test.rows for test in tests)])
    return HfObjective(
        learner,
        learned,
        tests,
        Schedule(
            steps=settings.steps,
            batch_size=settings.batch_size,
            micro_batch_size=settings.micro_batch_size or settings.batch_size,
            learning_rate=settings.peak_learning_rate,
            warmup_steps=settings.steps // 10 if settings.warmup_steps is None else settings.warmup_steps,
            weight_decay=settings.weight_decay,
        ),
        Reading(
            max_length=settings.max_length,
            batch_tokens=settings.eval_batch_tokens,
            cached=any(test.labels and test.labels.first is None for test in tests) and keeps_prompts(learner),
        ),
        checkpoint_every=settings.checkpoint_every,
    )


def _test_set(name: str, known: Sequence[tuple[Encoded, Sequence[Row]]], tokenizer: Any, max_length: int) -> TestSet:
    """A domain's test set.

    Args:
        name: the domain.
        known: its encoded test rows and, where there are any, its training rows.
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
