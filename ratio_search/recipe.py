"""The chosen mixture, with everything needed to believe and reproduce it."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import ConfigDict, TypeAdapter, ValidationError

from objectives.attempt import write_json
from objectives.base import Seeds, Value
from objectives.data import Weigh
from objectives.errors import MixtureError
from objectives.mixture import Mixture
from ratio_search.chosen import Chosen, left_behind
from ratio_search.confirmation import Confirmation
from ratio_search.errors import SpecError, StudyError
from ratio_search.hyperparameters import told
from ratio_search.identity import digest
from ratio_search.recommendation import Recommendation
from ratio_search.record import JobState, Record
from ratio_search.spec import StudySpec
from ratio_search.study import Study
from ratio_search.yaml_file import plain

PACKAGES = ("ratio-search", "optuna", "ray", "numpy", "torch", "transformers", "peft")
"""Whose versions a recipe states, where they are installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a metric is expected to be under the recipe's mixture.

    Attributes:
        value: in the metric's own units.
        interval: between these it lies with a probability of 90 %, if the model is right, on the average of many
            fine-tunes; None without a model.
        gain: against the reference, in scales; more is better.
        reference: what the gain is measured from.
        limit: worst value that keeps the metric's guard; None without a guard.
        holds: the probability that it is kept; None without a guard, or without a model.
        target: what the balance aims at; None without a target.
        reaches: the probability that it is reached; None without a target, or without a model.
        measured: what the recipe's trial measured; None where that trained on another mixture.
        stderr: of that, from the finite test set alone; None when unknown.
    """

    value: float
    interval: tuple[float, float] | None
    gain: float
    reference: float
    limit: float | None
    holds: float | None
    measured: float | None
    stderr: float | None
    target: float | None = None
    reaches: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredient:
    """How one domain enters the mixture.

    Attributes:
        share: of the training rows.
        rows: trained on, repeats counted; None when the trainer did not say.
        epochs: passes over the domain; None likewise.
        size: rows that the domain has; None where only the caller or the platform knows.
        sha256: of the domain's training files.
    """

    share: float
    rows: int | None
    epochs: float | None
    size: int | None
    sha256: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The recommended mixture of a study, or another one that was asked for.

    Attributes:
        study: the study's name.
        identity: digest of all that its results depend on, data included.
        created: when the recipe was made.
        trial: the trial of its mixture, or of the one nearest to it.
        tried: whether that trial trained on this very mixture.
        selection: what was asked for, as `export --select` takes it.
        basis: how it was chosen, in words.
        shares: what to train on; they sum to 1.
        hyperparameters: what to train with instead of the study file's own settings; empty where only the shares were
            searched.
        ingredients: per domain.
        expected: per metric.
        score: the balanced score, by what was asked for, and whether every guard holds and every target is reached, by
            what is expected.
        alternatives: tried mixtures that may be as good, each with its trial, how far its expected score is behind, and
            the probability that it is the better one.
        compared: values of the same metrics for the untuned baseline and the anchors, as far as they were run.
        study_file: the study file's text, which names the data and the objective.
        root: folder that its relative paths refer to.
        seeds: of the trial, or of the confirming run whose artefacts are named.
        artefacts: what it left, such as its adapter: paths on disk, or what its platform calls it.
        confirmation: what fresh fine-tunes of it and of its rivals said; None where it was not confirmed.
        versions: of the packages that ran it.
        command: trains with this recipe; empty where only the caller can.
        training_file: shares of the file that `mix` writes, where a platform adds data of its own to it; empty where
            nobody does, and the file has the recipe's shares.
    """

    study: str
    identity: str
    created: str
    trial: str
    tried: bool
    selection: str = "balanced"
    basis: str
    shares: Mapping[str, float]
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)
    ingredients: Mapping[str, Ingredient]
    expected: Mapping[str, Expected]
    score: Mapping[str, Any]
    alternatives: tuple[Mapping[str, Any], ...]
    compared: Mapping[str, Mapping[str, float]]
    study_file: str
    root: str
    seeds: Seeds
    artefacts: Mapping[str, str]
    versions: Mapping[str, str]
    command: tuple[str, ...]
    training_file: Mapping[str, float] = field(default_factory=dict)
    confirmation: Confirmation | None = None

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    @property
    def mixture(self) -> Mixture:
        """The shares, as a point of the simplex."""
        return Mixture.of(self.shares)

    @property
    def spec(self) -> StudySpec:
        """The study, as its file describes it.

        Raises:
            SpecError: the file cannot be used here.
        """
        return StudySpec.parse(self.study_file, Path(self.root), source="the recipe's study file")

    @property
    def choice(self) -> str:
        """What to train with, in one line."""
        return " ".join([str(self.mixture), *(f"{name}={told(value)}" for name, value in self.hyperparameters.items())])

    @classmethod
    def of(cls, study: Study, file: Path, advice: Recommendation | None = None) -> Self:
        """The recipe of a study, from the trials that are finished.

        Args:
            study: read only.
            file: where the recipe will be kept, for the command that trains with it.
            advice: what it is a recipe of, one of those that `study.select` gives; None for what the study recommends.

        Where fresh fine-tunes of what the study recommends were won by another candidate, it is a recipe of that.

        Raises:
            NothingToRecommend: nothing is finished that could be recommended.
        """
        chosen = Chosen.of(study, advice or study.recommend())
        advice = chosen.advice
        record, score = advice.record, advice.score
        seeds, artefacts = left_behind(study, chosen)
        filed = study.spec.backend.filed(advice.mixture, study.spec.domains)
        return cls(
            study=study.spec.name,
            identity=digest(study.home.charter().identity),
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            trial=record.job.id,
            tried=advice.tried,
            selection=str(advice.selection),
            basis=chosen.basis,
            shares=dict(advice.mixture),
            hyperparameters=dict(advice.hyperparameters),
            ingredients=_ingredients(study, advice),
            expected=_expected(advice),
            score={
                "balanced": score.balanced,
                "feasible": score.feasible,
                "violations": dict(score.violations),
                "guards_hold": advice.guarded,
                "missed": dict(score.missed),
                "targets_reached": advice.reached,
            },
            alternatives=tuple(
                {"trial": other.trial, "shares": dict(other.mixture), "behind": other.behind, "better": other.better}
                for other in advice.alternatives
            ),
            compared=compared(study),
            study_file=study.spec.text,
            root=str(study.spec.root),
            seeds=seeds,
            artefacts=artefacts,
            versions=_versions(),
            training_file={} if filed == advice.mixture else dict(filed),
            command=() if study.spec.backend.ELSEWHERE or study.spec.backend.REMOTE else _command(file.resolve()),
            confirmation=chosen.confirmation,
        )

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads an exported recipe, JSON or YAML.

        Raises:
            StudyError: the file is no recipe; the message says where it is wrong.
        """
        path = Path(path)
        try:
            data = _parsed(path.read_text(encoding="utf-8"))
            recipe = TypeAdapter(cls).validate_python(data)
            _ = recipe.mixture
        except OSError as error:
            raise StudyError(f"{path}: cannot be read ({error.strerror}); expected a recipe") from error
        except (SpecError, UnicodeDecodeError, ValidationError, MixtureError) as error:
            raise StudyError(f"{path}: is no recipe: {error}") from error
        return recipe

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain data."""
        data = TypeAdapter(type(self)).dump_python(self, mode="json")
        assert isinstance(data, dict)
        return data

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


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # JSON is YAML, too, but PyYAML takes its 1e-05 for text
        return plain(text)


def _command(file: Path) -> tuple[str, ...]:
    return ("ratio-search", "train", str(file), "--out", str(file.with_suffix(".trained")))


def _ingredients(study: Study, advice: Recommendation) -> dict[str, Ingredient]:
    sizes, rows = study.manifest.train_rows, _rows(study, advice)
    return {
        name: Ingredient(
            share=share,
            rows=rows.get(name),
            epochs=rows[name] / sizes[name] if name in rows and name in sizes else None,
            size=sizes.get(name),
            sha256=study.manifest.files[name].get("train", ()),
        )
        for name, share in advice.mixture.items()
    }


def _rows(study: Study, advice: Recommendation) -> Mapping[str, int]:
    """The rows that a run takes of each domain, as far as that is known."""
    measured, backend = advice.record.measurement, study.spec.backend
    assert measured is not None
    if advice.tried:
        return measured.rows
    total = backend.with_hyperparameters(advice.hyperparameters).train_rows
    return advice.mixture.counts(total) if total is not None and study.spec.data.weigh_by is Weigh.ROWS else {}


def _expected(advice: Recommendation) -> dict[str, Expected]:
    measured = advice.record.measurement
    assert measured is not None
    found = {}
    for metric in advice.scorer.metrics:
        reference, predicted = advice.scorer.reference(metric), advice.predictions.get(metric.name)
        estimate = measured.metrics[metric.name] if advice.tried else None
        # Without a model it is always a trial's own mixture that is recommended.
        value = measured.metrics[metric.name].value if predicted is None else predicted.value
        found[metric.name] = Expected(
            value=value,
            interval=None if predicted is None else (predicted.low, predicted.high),
            gain=advice.score.gains[metric.name],
            reference=reference,
            limit=metric.limit(reference),
            holds=None if predicted is None else predicted.holds,
            measured=None if estimate is None else estimate.value,
            stderr=None if estimate is None else estimate.stderr,
            target=metric.target,
            reaches=None if predicted is None else predicted.reaches,
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
