"""All data of a study, ready to be mixed."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from objectives.data.blend import Blend, Lengths, Weigh
from objectives.data.dataset import Dataset
from objectives.data.index import make_indexes
from objectives.data.policy import DataPolicy
from objectives.data.tokens import TokenCounter
from objectives.domain import Domain
from objectives.errors import DataError
from objectives.mixture import Mixture


class Split(enum.StrEnum):
    """What a domain's files are for."""

    TRAIN = "train"
    TEST = "test"
    FINAL = "final"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Corpus:
    """The data sets of all domains.

    Attributes:
        domains: what can be mixed and tested.
        policy: how the data is weighed and how often it may repeat.
        data: the rows of each domain's splits, as far as it has them.
    """

    domains: tuple[Domain, ...]
    policy: DataPolicy
    data: Mapping[str, Mapping[Split, Dataset]]

    @classmethod
    def open(cls, domains: Sequence[Domain], root: Path, policy: DataPolicy) -> Self:
        """Indexes all files that are not yet, with all their rows.

        Args:
            domains: what can be mixed and tested.
            root: folder that relative paths refer to.
            policy: of the study.

        Raises:
            DataError: a file cannot be read, or a split has no rows; the message names its key in the study file.
        """
        make_indexes([root / path for domain in domains for split in Split for path in getattr(domain, split.value)])
        data: dict[str, dict[Split, Dataset]] = {}
        for domain in domains:
            data[domain.name] = {}
            for split in Split:
                if paths := getattr(domain, split.value):
                    data[domain.name][split] = _opened(
                        f"domains.{domain.name}.{split}", [root / path for path in paths]
                    )
        return cls(domains=tuple(domains), policy=policy, data=data)

    def of(self, split: Split) -> dict[str, Dataset]:
        """The data sets of a split, by domain."""
        return {name: own[split] for name, own in self.data.items() if split in own}

    @property
    def sizes(self) -> dict[str, int]:
        """Training rows of each mixed domain."""
        return {name: len(data) for name, data in self.of(Split.TRAIN).items()}

    @property
    def limits(self) -> dict[str, int]:
        """Most rows that a run may take of each domain whose repetition is capped."""
        own = {domain.name: domain.max_epochs for domain in self.domains}
        limits = {name: self.policy.limit(size, own[name]) for name, size in self.sizes.items()}
        return {name: limit for name, limit in limits.items() if limit is not None}

    def lengths(self, counter: TokenCounter | None) -> dict[str, Lengths]:
        """Tokens of each mixed domain's rows.

        Args:
            counter: counts them; None for the estimate.
        """
        return {name: data.lengths(counter) for name, data in self.of(Split.TRAIN).items()}

    def blend(
        self,
        mixture: Mixture,
        *,
        seed: int,
        rows: int | None = None,
        tokens: int | None = None,
        lengths: Mapping[str, Lengths] | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> Blend:
        """The rows that a mixture trains on.

        Args:
            mixture: over the mixed domains.
            seed: the job's data seed.
            rows: of the run, repeats counted; None where `tokens` states its length.
            tokens: of the run.
            lengths: tokens of each domain's rows; None for the estimate, where tokens are weighed.
            limits: most rows that may be taken of a domain, where they are not those of the study.

        Raises:
            DataError: a domain has no rows, or would repeat too often.
        """
        if lengths is None and self.policy.weigh_by is Weigh.TOKENS:
            lengths = self.lengths(None)
        return Blend(
            mixture=mixture,
            sizes=self.sizes,
            seed=seed,
            rows=rows,
            tokens=tokens,
            weigh_by=self.policy.weigh_by,
            lengths=lengths,
            limits=self.limits if limits is None else limits,
        )


def _opened(key: str, paths: Sequence[Path]) -> Dataset:
    try:
        data = Dataset.open(paths)
        if not len(data) and not any(index.problem_counts for index in data.files):
            raise DataError(f"no rows in {', '.join(map(str, paths))}: expected rows with instruction and output")
    except DataError as error:
        raise DataError(f"{key}: {error}") from error
    return data
