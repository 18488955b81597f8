"""What a study would do, and what is wrong with its data: what can be known before anything is spent."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from objectives.data import ESTIMATE, SHOWN, Capacity, Finding, Found, Split, TokenCounter
from objectives.domain import Domain
from ratio_search.anchors import Anchor, anchors, usual_mixture
from ratio_search.budget import Foreseen
from ratio_search.forecast import Forecast, RowTokens, counts_tokens, foreseen
from ratio_search.manifest import Manifest, audited
from ratio_search.repetition import Repetition, possible_space
from ratio_search.sampler.strategy import check_installed
from ratio_search.spec import StudySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """What a domain has, and what runs would take of it.

    Attributes:
        rows: of each split, as far as there are files; without those that are left out.
        tokens: likewise; None where they were not counted.
        shares: the lowest and the highest share that is allowed and possible; None without training files.
        epochs: passes over the training rows at these two shares; None where the trainer decides.
    """

    rows: Mapping[str, int]
    tokens: Mapping[str, int] | None
    shares: tuple[float, float] | None
    epochs: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a study would do.

    Attributes:
        spec: of the study.
        supplies: of each domain.
        anchors: the mixtures that are tried first.
        found: what is wrong with the data, errors not among it.
        counted: how tokens were counted, in words; None where they were not.
        rows: tokens of training rows; None where they were not counted, or the rows are elsewhere.
        remarks: what the objective has to say beforehand, as far as it was asked.
    """

    spec: StudySpec
    supplies: Mapping[str, Supply]
    anchors: tuple[Anchor, ...]
    found: tuple[Found, ...]
    counted: str | None
    rows: RowTokens | None = None
    remarks: tuple[str, ...] = ()

    @classmethod
    def of(cls, spec: StudySpec, wanted: Collection[Finding], *, count: bool, shown: int | None = SHOWN) -> Self:
        """Checks everything that can be checked without starting anything.

        Args:
            spec: of the study.
            wanted: what to look for in the data.
            count: whether to count tokens, and to ask the objective for its remarks: what takes seconds. Where a limit
                or a price is of tokens, they are counted anyway.
            shown: rows that are named for each finding; None for all.

        Raises:
            DataError, OptionsError, SpecError: the study cannot be run like this.
        """
        spec.backend.check(spec.root)
        check_installed(spec.search.sampler)
        data = audited(spec, wanted, shown)
        data.check()
        manifest = Manifest.of_corpus(spec, data.corpus)
        space = possible_space(spec, manifest)
        repetition = Repetition.of(spec, manifest)
        remarks = spec.backend.remarks(spec.domains, spec.root) if count else ()
        count = (count or counts_tokens(spec)) and any(data.corpus.data.values())
        capacity = spec.backend.capacity(spec.root) if count else Capacity()
        supplies, means = {}, {}
        for name, splits in data.corpus.data.items():
            shares = epochs = None
            if name in space.names:
                place = space.names.index(name)
                shares = space.lower[place], space.upper[place]
                if repetition is not None and name in repetition.sizes:
                    epochs = repetition.epochs(name, shares[0]), repetition.epochs(name, shares[1])
            tokens = None
            if count:
                lengths = {split: own.lengths(capacity.counter)(np.arange(len(own))) for split, own in splits.items()}
                tokens = {split.value: int(found.sum()) for split, found in lengths.items()}
                if Split.TRAIN in lengths:  # what is longer than the objective reads is cut off
                    means[name] = float(np.minimum(lengths[Split.TRAIN], capacity.context or np.inf).mean())
            supplies[name] = Supply(rows=manifest.rows[name], tokens=tokens, shares=shares, epochs=epochs)
        return cls(
            spec=spec,
            supplies=supplies,
            anchors=anchors(
                space,
                manifest.natural,
                spec.current,
                usual_mixture(spec.mixed, manifest.natural, spec.backend),
            ),
            found=data.found,
            counted=_about(capacity.counter) if count else None,
            rows=RowTokens.of(spec, space, means),
            remarks=remarks,
        )

    def domain(self, name: str) -> Domain:
        """The domain of a name."""
        return next(domain for domain in self.spec.domains if domain.name == name)

    @property
    def foreseen(self) -> Foreseen:
        """What an attempt at a job costs."""
        return foreseen(self.spec, self.rows)

    @property
    def forecast(self) -> Forecast | None:
        """What the study costs; None where its trials are run, and paid for, by its caller."""
        return None if self.spec.backend.EXTERNAL else Forecast.of(self.spec, self.foreseen, self.rows)

    def asking(self, *, trials: int | None, parallel: int | None) -> Self:
        """The same for other numbers than the study file states; None for those that it does."""
        wanted = {key: n for key, n in (("trials", trials), ("parallel", parallel)) if n is not None}
        search = self.spec.search.model_copy(update=wanted)
        return dataclasses.replace(self, spec=dataclasses.replace(self.spec, search=search))

    def to_json(self) -> dict[str, Any]:
        """The plan as plain data."""
        return {
            "name": self.spec.name,
            "domains": {
                name: {
                    **{split.value: supply.rows.get(split.value) for split in Split},
                    "tokens": None if supply.tokens is None else dict(supply.tokens),
                    "categories": dict(self.domain(name).categories),
                    "benchmarks": list(self.domain(name).benchmarks),
                    "share": None if supply.shares is None else list(supply.shares),
                    "epochs": None if supply.epochs is None else list(supply.epochs),
                }
                for name, supply in self.supplies.items()
            },
            "tokens": self.counted,
            "remarks": list(self.remarks),
            "findings": [found.to_json() for found in self.found],
            "anchors": {anchor.name: dict(anchor.mixture) for anchor in self.anchors},
            "hyperparameters": {name: of.to_json() for name, of in self.spec.hyperparameters.items()},
            "metrics": [metric.name for metric in self.spec.metrics],
            "trials": self.spec.search.trials,
            "parallel": self.spec.parallel,
            "cost": None if self.forecast is None else self.forecast.to_json(),
        }


def _about(counter: TokenCounter | None) -> str:
    return ESTIMATE if counter is None else counter.about
