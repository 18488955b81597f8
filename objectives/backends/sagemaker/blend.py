"""The one training file of a job: the team's own domains, blended by us, as the service takes a single file.

Source: Amazon Nova 2 user guide, "nova-forge-sft-datamix-smtj" (one `train` channel, `S3DataType` Converse) and
"nova-data-prep-sft-2" (rows of a file).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from objectives.backends.sagemaker.percentages import WHOLE, Percentages
from objectives.data import Blend, Corpus, Format, Lengths, Split, write
from objectives.mixture import Mixture

FILE_NAME = "train.jsonl"
"""Letters, digits, underscores, hyphens, slashes and dots are all that the service takes in the name of a file."""

MIN_ROWS, MAX_ROWS = 8, 20_000
"""Rows that a training file may have; it also needs those of one step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFile:
    """What a job trains on, beside what Nova adds.

    Attributes:
        path: Converse rows, one a line, in an order in which every beginning holds the proportions too.
        rows: of each of the team's domains in the file, repeats counted.
        own: what the file really holds of them, in the terms of the study's `data.weigh_by`.
        sha256: of the content.
        size: bytes.
    """

    path: Path
    rows: Mapping[str, int]
    own: Mixture
    sha256: str
    size: int

    @classmethod
    def make(
        cls, corpus: Corpus, percentages: Percentages, *, seed: int, rows: int, batch_size: int, folder: Path
    ) -> Self:
        """Writes the file; the same corpus, percentages and seed give the same bytes.

        It has as many rows as the job takes of the team's data, repeats counted, so that it is read once: whether the
        service repeats a file that is shorter, or ends early, is not documented. Only where that would be fewer rows
        than the service takes, it has more, and the job takes some of them: even a job without a share of the team's
        data needs a file. Where it would be more than the service takes, it has those, and would have to be repeated.

        Args:
            corpus: the study's data.
            percentages: of the job.
            seed: the job's data seed.
            rows: that the job trains on, Nova's and repeats counted: steps times the rows of a step.
            batch_size: rows of a step.
            folder: an existing folder, where the file is written.

        Raises:
            DataError: a domain would repeat more often than it may, a file has changed, or there is no room.
        """
        blend = training_blend(corpus, percentages, seed=seed, rows=rows, batch_size=batch_size)
        [written], tally = write(blend, corpus.of(Split.TRAIN), Format.CONVERSE, [folder / FILE_NAME])
        return cls(path=written.path, rows=tally.rows, own=tally.realised, sha256=written.sha256, size=written.size)


def training_blend(
    corpus: Corpus,
    percentages: Percentages,
    *,
    seed: int,
    rows: int,
    batch_size: int,
    lengths: Mapping[str, Lengths] | None = None,
) -> Blend:
    """The rows of a training file; see `TrainingFile.make`.

    Args:
        corpus: the study's data.
        percentages: of the job.
        seed: the job's data seed.
        rows: that the job trains on.
        batch_size: rows of a step.
        lengths: tokens of each of the team's domains' rows, where they are to be counted.
    """
    taken = percentages.taken(rows)
    count = min(max(taken, MIN_ROWS, batch_size), MAX_ROWS)
    limits = _limits(corpus, taken=taken, count=count, run=rows)
    return corpus.blend(percentages.own, seed=seed, rows=count, lengths=lengths, limits=limits)


def _limits(corpus: Corpus, *, taken: int, count: int, run: int) -> dict[str, int]:
    """Most rows of each capped domain that the file may have, as the job takes `taken` of each `count` that it has.

    A tenth of a per cent of the run is added: the service knows no finer share, so that one that was within the cap may
    have been rounded up.

    Args:
        corpus: the study's data.
        taken: rows that the job takes of the file, repeats counted.
        count: rows of the file.
        run: rows that the job trains on.
    """
    if not taken:
        return {}
    spare = math.ceil(run / WHOLE)
    return {name: math.ceil((limit + spare) * count / taken) for name, limit in corpus.limits.items()}
