"""What Amazon recommends and does not demand, and what it leaves open: said before a study begins, and no more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from objectives.backends.sagemaker.blend import MAX_ROWS
from objectives.backends.sagemaker.rules import training_sets
from objectives.data import Dataset
from objectives.domain import Domain

if TYPE_CHECKING:
    from objectives.backends.sagemaker import SagemakerBackend

TASK_ROWS = 200
"""Rows of each task that are recommended (Amazon Nova 2 user guide, "nova-data-prep-sft-2")."""

BATCH_SIZES = (32, 64, 128, 256, 512, 1024)
"""Those that are documented ("nova-forge-sft-datamix-smtj")."""

KEPT = ("rai", "reasoning-instruction-following")
"""Categories that the same page and Amazon's blog advise to keep some of."""

LOOKED_AT = 1000
"""Rows at a domain's beginning by which its form is told."""


def advice(domains: Sequence[Domain], root: Path, settings: SagemakerBackend) -> tuple[str, ...]:
    """All that there is to say, a line each.

    Args:
        domains: what can be mixed and tested.
        root: folder that relative paths refer to.
        settings: the study's.

    Raises:
        DataError: a training file cannot be read.
    """
    own = training_sets(domains, root)
    return (*_of_sizes(domains, own, settings), *_of_forms(own), *_of_categories(domains, settings))


def _of_sizes(domains: Sequence[Domain], own: Mapping[str, Dataset], settings: SagemakerBackend) -> Iterator[str]:
    few = [f"{name} {len(data):,}" for name, data in own.items() if len(data) < TASK_ROWS]
    if few:
        yield f"few training rows ({', '.join(few)}): Amazon recommends {TASK_ROWS} or more for each task"
    if settings.batch_size not in BATCH_SIZES:
        yield (
            f"objective.batch_size is {settings.batch_size}; Amazon documents {', '.join(map(str, BATCH_SIZES))}, and "
            "other sizes may be refused"
        )
    mixed = [domain for domain in domains if domain.mixed]
    most = min(
        1.0,
        sum(domain.upper for domain in mixed if domain.train),
        1 - sum(domain.lower for domain in mixed if not domain.train),
    )
    if (taken := round(most * settings.train_rows)) > MAX_ROWS:
        yield (
            f"a job can take up to {taken:,} rows of the team's own data, and a training file has at most "
            f"{MAX_ROWS:,}: the service would have to repeat it; whether it does, or ends early, is not documented"
        )


def _of_forms(own: Mapping[str, Dataset]) -> Iterator[str]:
    """Of what some rows have and others lack, by the first rows of each domain."""
    beginnings = {name: data.rows(np.arange(min(len(data), LOOKED_AT))) for name, data in own.items()}
    system = {name: {row.system is not None for row in rows} for name, rows in beginnings.items()}
    if len(set().union(*system.values())) > 1:
        having = ", ".join(name for name, found in system.items() if True in found)
        lacking = ", ".join(name for name, found in system.items() if False in found)
        yield (
            f"some training rows have a system text (in {having}) and others have none (in {lacking}): Amazon's own "
            "check refuses such a file, though no page says that the service does"
        )
    tools = [name for name, rows in beginnings.items() if any(row.tools for row in rows)]
    if tools:
        yield (
            f"training rows with tools (in {', '.join(tools)}): Amazon's pages disagree on whether Nova 2 is "
            "fine-tuned on tools, and one says that a job may fail"
        )


def _of_categories(domains: Sequence[Domain], settings: SagemakerBackend) -> Iterator[str]:
    mixed = {category for domain in domains for category in domain.categories}
    missing = [name for name in KEPT if mixed and name not in mixed and name in settings.platform_categories]
    if missing:
        yield f"no domain has Nova's categories {' and '.join(missing)}, of which Amazon advises to keep some"
