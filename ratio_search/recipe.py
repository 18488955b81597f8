"""The chosen mixture, with everything needed to believe and reproduce it."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from objectives.attempt import write_json
from objectives.base import Seeds
from objectives.errors import MixtureError
from objectives.mixture import Mixture
from ratio_search.errors import StudyError
from ratio_search.identity import digest
from ratio_search.keep import kept
from ratio_search.recommendation import Recommendation
from ratio_search.record import JobState, Record
from ratio_search.study import Study

PACKAGES = ("ratio-search", "optuna", "ray", "numpy", "torch", "transformers", "peft")
"""Whose versions a recipe states, where they are installed."""

FORMATS = ("json", "yaml")
"""What a recipe can be exported as."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a metric was measured to be under the recipe's mixture.

    Attributes:
        value: in the metric's own units.
        stderr: from the finite test set alone; None when unknown.
        gain: against the reference, in scales; more is better.
        reference: what the gain is measured from.
        limit: worst value that keeps the metric's guard; None without a guard.
    """

    value: float
    stderr: float | None
    gain: float
    reference: float
    limit: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredient:
    """How one domain enters the mixture.

    Attributes:
        share: of the training rows.
        rows: trained on, repeats counted; None when the trainer did not say.
        epochs: passes over the domain; None likewise.
        size: rows that the domain has.
        sha256: of the domain's training files.
    """

    share: float
    rows: int | None
    epochs: float | None
    size: int
    sha256: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The recommended mixture of a study.

    Attributes:
        study: the study's name.
        identity: digest of all that its results depend on, data included.
        created: when the recipe was made.
        trial: the trial that it rests on.
        basis: how it was chosen, in words.
        shares: what to train on; they sum to 1.
        ingredients: per domain.
        expected: per metric.
        score: the balanced score, and whether every guard holds.
        compared: values of the same metrics for the untuned baseline and the anchors, as far as they were run.
        study_file: the study file's text, which names the data and the objective.
        root: folder that its relative paths refer to.
        seeds: of the trial.
        artefacts: what the trial left on disk, such as its adapter.
        versions: of the packages that ran it.
        command: trains with this recipe.
    """

    study: str
    identity: str
    created: str
    trial: str
    basis: str
    shares: Mapping[str, float]
    ingredients: Mapping[str, Ingredient]
    expected: Mapping[str, Expected]
    score: Mapping[str, Any]
    compared: Mapping[str, Mapping[str, float]]
    study_file: str
    root: str
    seeds: Seeds
    artefacts: Mapping[str, str]
    versions: Mapping[str, str]
    command: tuple[str, ...]

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    @property
    def mixture(self) -> Mixture:
        """The shares, as a point of the simplex."""
        return Mixture.of(self.shares)

    @classmethod
    def of(cls, study: Study, file: Path) -> Self:
        """The recipe of a study, from the trials that are finished.

        Args:
            study: read only.
            file: where the recipe will be kept, for the command that trains with it.

        Raises:
            NothingToRecommend: nothing is finished that could be recommended.
        """
        advice = study.recommend()
        record, score = advice.record, advice.score
        return cls(
            study=study.spec.name,
            identity=digest(study.folder.charter().identity),
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            trial=record.job.id,
            basis=advice.basis,
            shares=dict(advice.mixture),
            ingredients=_ingredients(study, record),
            expected=_expected(advice),
            score={
                "balanced": score.balanced,
                "feasible": score.feasible,
                "violations": dict(score.violations),
            },
            compared=compared(study),
            study_file=study.spec.text,
            root=str(study.spec.root),
            seeds=record.job.seeds,
            artefacts={name: str(path) for name, path in kept(study, record).items()},
            versions=_versions(),
            command=(
                "ratio-search",
                "train",
                str(file.resolve()),
                "--out",
                str(file.resolve().with_suffix(".trained")),
            ),
        )

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads an exported recipe, JSON or YAML.

        Raises:
            StudyError: the file is no recipe; the message says where it is wrong.
        """
        path = Path(path)
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML, too
            recipe = TypeAdapter(cls).validate_python(data)
            _ = recipe.mixture
        except OSError as error:
            raise StudyError(f"{path}: cannot be read ({error.strerror}); expected a recipe") from error
        except (yaml.YAMLError, UnicodeDecodeError, ValidationError, MixtureError) as error:
            raise StudyError(f"{path}: is no recipe: {error}") from error
        return recipe

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain data."""
        data = TypeAdapter(type(self)).dump_python(self, mode="json")
        assert isinstance(data, dict)
        return data

    def text(self, format_: str) -> str:
        """The recipe as a file's text.

        Args:
            format_: one of `FORMATS`.
        """
        assert format_ in FORMATS, format_
        if format_ == "json":
            return json.dumps(self.to_json(), indent=2, allow_nan=False) + "\n"
        return str(yaml.safe_dump(self.to_json(), sort_keys=False, allow_unicode=True))

    def save(self, path: Path) -> None:
        """Writes the recipe as JSON; the file appears complete or not at all."""
        write_json(path, self.to_json())


def rivals(study: Study) -> dict[str, Record]:
    """The untuned baseline and the anchors, as far as they are finished, by name."""
    named = {}
    baseline = study.baseline()
    if baseline is not None and baseline.state is JobState.COMPLETE:
        named["baseline"] = baseline
    for record in study.records():
        name = study.anchor(record)
        if name is not None and record.state is JobState.COMPLETE:
            named[name] = record
    return named


def compared(study: Study) -> dict[str, dict[str, float]]:
    """The judged metrics of the rivals."""
    return {
        name: {metric.name: record.values[metric.name] for metric in study.spec.metrics}
        for name, record in rivals(study).items()
    }


def _ingredients(study: Study, record: Record) -> dict[str, Ingredient]:
    assert record.measurement is not None and record.job.mixture is not None
    sizes, rows = study.manifest.train_rows, record.measurement.rows
    return {
        name: Ingredient(
            share=share,
            rows=rows.get(name),
            epochs=rows[name] / sizes[name] if name in rows else None,
            size=sizes[name],
            sha256=study.manifest.files[name]["train"],
        )
        for name, share in record.job.mixture.items()
    }


def _expected(advice: Recommendation) -> dict[str, Expected]:
    measured = advice.record.measurement
    assert measured is not None
    found = {}
    for metric in advice.scorer.metrics:
        estimate, reference = measured.metrics[metric.name], advice.scorer.reference(metric)
        found[metric.name] = Expected(
            value=estimate.value,
            stderr=estimate.stderr,
            gain=advice.score.gains[metric.name],
            reference=reference,
            limit=metric.limit(reference),
        )
    return found


def _versions() -> dict[str, str]:
    versions = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
