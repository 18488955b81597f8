"""What a study is: the validated study file, as values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from objectives.backends import BACKENDS, Backend, Blueprint, load
from objectives.base import Measurement
from objectives.data import ORDER, DataPolicy, Finding
from objectives.domain import Domain
from objectives.errors import OptionsError, ResultError, ScoreError
from objectives.metrics import KINDS
from objectives.mixture import Mixture
from objectives.scorer import Balance, BalanceKind, Metric
from ratio_search.budget import check_knowable
from ratio_search.database_url import DatabaseUrl
from ratio_search.errors import SpaceError, SpecError
from ratio_search.hyperparameters import Hyperparameter
from ratio_search.judged import check_balance, check_function, measured_metric, told_metric
from ratio_search.mixed import check_weighed, stated_current, stated_domains
from ratio_search.sampler.strategy import SamplerKind
from ratio_search.searched import hyperparameters, longest_run
from ratio_search.space import Group, SimplexSpace
from ratio_search.study_file import (
    BudgetSection,
    DataSection,
    HealthSection,
    KeepSection,
    SearchSection,
    StorageKind,
    StudyFile,
    parse,
)
from ratio_search.yaml_file import read, shown, validated


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySpec:
    """A validated study file.

    Attributes:
        name: the study's name and folder.
        root: folder that relative paths refer to.
        domains: in the file's order; those without training data are only tested.
        current: the mixture in use today, run as an anchor; None when not stated.
        backend: the objective's settings.
        metrics: what is judged, in the file's order.
        balance: how gains become one score.
        data: what a share is a share of, how often data may repeat, and what follows from bad rows.
        baseline: whether the untuned model is evaluated as the reference.
        search: how many trials, how many at a time, and the seed.
        budget: what may be spent, over all resumes, and at which prices.
        hyperparameters: what is searched beside the shares, by name.
        keep: which trials' artefacts stay on disk.
        health: when a trial counts as stuck, and the room on the disk that is left alone.
        storage: where the study is kept.
        text: the file as it was written.
    """

    name: str
    root: Path
    domains: tuple[Domain, ...]
    current: Mixture | None
    backend: Backend
    metrics: tuple[Metric, ...]
    balance: Balance
    data: DataPolicy
    baseline: bool
    search: SearchSection
    budget: BudgetSection
    hyperparameters: Mapping[str, Hyperparameter]
    keep: KeepSection
    health: HealthSection
    storage: StorageKind | DatabaseUrl
    text: str

    @classmethod
    def load(cls, path: str | Path, root: Path | None = None) -> Self:
        """Reads a study file.

        Args:
            path: the file.
            root: absolute folder that its relative paths start from; None for the one that it lies in.

        Raises:
            SpecError: it cannot be used; every problem names its dotted path.
        """
        path = Path(path)
        return cls.parse(read(path), root or path.resolve().parent, source=str(path))

    @classmethod
    def parse(cls, text: str, root: Path, source: str = "study file") -> Self:
        """Validates a study file's text.

        Args:
            text: YAML.
            root: absolute folder that relative paths refer to.
            source: what to call the file in errors.

        Raises:
            SpecError: it cannot be used.
        """
        try:
            return cls._of(parse(text), root, text)
        except SpecError as error:
            raise SpecError(f"{source}:\n{error}") from error

    @classmethod
    def _of(cls, file: StudyFile, root: Path, text: str) -> Self:
        backend = _backend(file.objective)
        elsewhere = backend.ELSEWHERE
        domains = stated_domains(file.domains, root, backend)
        check_weighed(domains, file.data.weigh_by)
        mixed = [domain.name for domain in domains if domain.mixed]
        if len(mixed) < 2:
            found = f"only {mixed[0]!r}" if mixed else "none"
            files = "train files" if not elsewhere else "train files, or without any,"
            if backend.platform_categories is not None:
                files = "train files, or a category of the platform's own data,"
            raise SpecError(f"domains: expected at least two domains with {files} to mix, found {found}")
        what = "domain with a share" if elsewhere else "domain with train files"
        make_metric = told_metric if elsewhere else measured_metric
        metrics = tuple(make_metric(i, section, domains, root) for i, section in enumerate(file.metrics))
        spec = cls(
            name=file.name,
            root=root,
            domains=domains,
            current=stated_current(file.current, mixed, what),
            backend=backend,
            metrics=metrics,
            balance=Balance(kind=file.balance.kind, mean=file.balance.mean),
            data=_data(file.data),
            baseline=_baseline(file.baseline, metrics, elsewhere),
            search=file.search,
            budget=file.budget,
            hyperparameters=hyperparameters(file.search.hyperparameters, backend),
            keep=file.keep,
            health=file.health,
            storage=file.storage,
            text=text,
        )
        spec._check_storage()
        check_knowable(spec.budget, spec.backend)
        spec._check_stop()
        spec._check_metrics()
        try:
            _ = spec.space
        except SpaceError as error:
            raise SpecError(f"{error.at or 'domains.*.share'}: {error}") from error
        return spec

    @property
    def mixed(self) -> tuple[Domain, ...]:
        """The domains that have a share."""
        return tuple(domain for domain in self.domains if domain.mixed)

    @property
    def space(self) -> SimplexSpace:
        """The mixtures that the stated bounds allow; how far the data goes is `Repetition`'s affair."""
        return self.space_within({d.name: (d.lower, d.upper) for d in self.mixed})

    def space_within(self, bounds: Mapping[str, tuple[float, float]]) -> SimplexSpace:
        """The mixtures that keep bounds, and all that `search.space` asks.

        Args:
            bounds: (lowest, highest) share of each mixed domain.

        Raises:
            SpaceError: they leave nothing to search.
        """
        asked = self.search.space
        groups = [Group.of(name, g.domains, g.share, g.proportions) for name, g in asked.groups.items()]
        return SimplexSpace.of(bounds, groups=groups, at_most=asked.at_most, grid=asked.grid)

    @property
    def train_rows(self) -> int | None:
        """Rows that the longest job trains on, repeats counted; None where the trainer decides."""
        return longest_run(self.backend, self.hyperparameters)

    @property
    def parallel(self) -> int:
        """Fine-tunes at a time: as many as are asked for, and no more than the objective allows."""
        most = self.backend.most_at_once
        return self.search.parallel if most is None else min(self.search.parallel, most)

    @property
    def held_down(self) -> str | None:
        """That fewer fine-tunes run at a time than are asked for, in words; None where that is not so."""
        if self.parallel == self.search.parallel:
            return None
        return (
            f"{self.parallel} at a time in place of {self.search.parallel}: objective {self.backend.kind!r} is stated "
            "to run no more jobs than that"
        )

    @property
    def blueprint(self) -> Blueprint:
        """What a worker builds its objective from."""
        return Blueprint(
            backend=self.backend, domains=self.domains, root=self.root, policy=self.data, metrics=self.metrics
        )

    def on_final(self) -> Self:
        """The same study, judged on the final files.

        Test and final files are exchanged, not copied: what leaks into either is left out of the training rows, as in
        the search.

        Raises:
            SpecError: some domain that is tested has no final files.
        """
        tested = [domain for domain in self.domains if domain.test]
        without = [domain.name for domain in tested if not domain.final]
        if without or not tested:
            names = without or [domain.name for domain in self.domains]
            raise SpecError(
                f"the study file states no final files for {', '.join(names)}; add domains.{names[0]}.final: rows that "
                "the search has not seen, kept to confirm what it found"
            )
        exchanged = tuple(dataclasses.replace(d, test=d.final, final=d.test) for d in self.domains)
        return dataclasses.replace(self, domains=exchanged)

    def check_produced(self, labelled: Mapping[str, bool]) -> None:
        """Checks that the objective can report every metric.

        Args:
            labelled: each tested domain, with whether all of its test rows have labels.

        Raises:
            SpecError, DataError, OptionsError: it cannot.
        """
        self.backend.check_asked(self.domains, self.root, metrics=self.metrics, baseline=self.baseline)
        produced = self.backend.produces(labelled)
        if produced is not None:
            produced |= {f"{domain.name}/{benchmark}" for domain in self.domains for benchmark in domain.benchmarks}
        for i, metric in enumerate(self.metrics):
            if metric.function is not None:
                check_function(i, metric.function, self.backend, self.root)
                continue
            if produced is None or metric.name in produced:
                continue
            kind = KINDS.get(metric.name.partition("/")[2])
            if kind is not None and kind.needs_labels:
                why = f"needs a label in every test row of {metric.domain!r}"
            else:
                why = f"is nothing that objective {self.backend.kind!r} can measure"
            possible = ", ".join(sorted(name for name in produced if name.startswith(f"{metric.domain}/")))
            raise SpecError(f"metrics[{i}].name: {metric.name!r} {why}; possible are {possible or 'none'}")

    def check_measured(self, measurement: Measurement) -> None:
        """Checks that a job reported every judged metric, and values that these can have.

        Raises:
            ResultError: it did not.
        """
        missing = [metric.name for metric in self.metrics if metric.name not in measurement.metrics]
        if missing:
            found = ", ".join(measurement.metrics) or "none"
            raise ResultError(f"the result lacks {', '.join(missing)}; it reported {found}")
        try:
            for metric in self.metrics:
                metric.check(measurement.metrics[metric.name].value)
        except ScoreError as error:
            raise ResultError(str(error)) from error

    @property
    def identity(self) -> dict[str, Any]:
        """What results depend on, beside the data: changing it would make them incomparable."""
        settings = self.backend.model_dump(mode="json")
        return {
            "name": self.name,
            "domains": {d.name: _role(d) for d in self.domains},
            "objective": {key: value for key, value in settings.items() if key not in self.backend.POLICY},
            "metrics": {metric.name: metric.goal.value for metric in self.metrics},
            "search": {"seed": self.search.seed},
            "rows": {"order": ORDER, "weigh_by": self.data.weigh_by.value, "dropped": self._dropped},
        }

    @property
    def policy(self) -> dict[str, Any]:
        """What may change while the study runs, as plain data."""
        settings = self.backend.model_dump(mode="json")
        return {
            "share": {d.name: [d.lower, d.upper] for d in self.mixed},
            "current": None if self.current is None else dict(self.current),
            "objective": {key: value for key, value in settings.items() if key in self.backend.POLICY},
            "metrics": {
                m.name: {
                    "weight": m.weight,
                    "guard": m.guard,
                    "confidence": m.confidence,
                    "target": m.target,
                    "reference": m.reference,
                    "scale": m.scale,
                    "comparison": m.comparison.value,
                }
                for m in self.metrics
            },
            "balance": {"kind": self.balance.kind.value, "mean": self.balance.mean},
            "data": {
                "max_epochs": {"all": self.data.max_epochs, **{d.name: d.max_epochs for d in self.mixed}},
                "audit": {
                    "near": None if Finding.NEAR_LEAKAGE in self.data.drops else self.data.near,
                    **{finding.value: action.value for finding, action in self.data.actions.items()},
                },
            },
            "baseline": self.baseline,
            "search": {
                "trials": self.search.trials,
                "parallel": self.search.parallel,
                "sampler": self.search.sampler.value,
                "stop": None if self.search.stop is None else self.search.stop.value,
                "worth": None if self.search.stop is None else self.search.worth,
                "hyperparameters": {name: of.to_json() for name, of in self.hyperparameters.items()} or None,
                "space": self.search.space.model_dump(mode="json", exclude_defaults=True) or None,
            },
            "budget": self.budget.model_dump(mode="json"),
            "keep": self.keep.model_dump(mode="json"),
            "storage": None if self.server is None else str(self.server),
            "health": self.health.model_dump(mode="json"),
        }

    @property
    def server(self) -> DatabaseUrl | None:
        """The database server that keeps the trials; None where there is none."""
        return self.storage if isinstance(self.storage, DatabaseUrl) else None

    @property
    def _dropped(self) -> dict[str, Any]:
        """What rows are left out for, and by what else that is decided."""
        by = {Finding.NEAR_LEAKAGE: self.data.near, Finding.ACROSS_DOMAINS: [domain.name for domain in self.mixed]}
        return {finding.value: by.get(finding, True) for finding in sorted(self.data.drops)}

    def _check_storage(self) -> None:
        if self.storage is StorageKind.MEMORY and not self.backend.EXTERNAL:
            raise SpecError(
                f"storage: found memory, but trials of objective {self.backend.kind!r} run in the study's folder; "
                "expected sqlite, or an objective of kind external, whose trials the caller runs"
            )

    def _check_stop(self) -> None:
        if self.search.stop is None:
            return
        if self.search.sampler is not SamplerKind.SIMPLEX_GP:
            raise SpecError(
                f"search.stop: auto asks a model what one more trial would gain, and sampler {self.search.sampler} has "
                f"none; expected sampler: {SamplerKind.SIMPLEX_GP}, or no search.stop"
            )
        if self.balance.kind is BalanceKind.PARETO:
            raise SpecError(
                "search.stop: auto asks what one more trial would gain for the recommended mixture, and balance pareto "
                "looks for all trade-offs; expected another balance, or no search.stop"
            )

    def _check_metrics(self) -> None:
        names = [metric.name for metric in self.metrics]
        for i, name in enumerate(names):
            if name in names[:i]:
                raise SpecError(f"metrics[{i}].name: {name!r} stands here twice; remove one")
        if not any(metric.weight > 0 for metric in self.metrics):
            whose = "" if self.backend.ELSEWHERE else ", of a domain with train files"
            raise SpecError(f"metrics: expected at least one with a weight above 0{whose}")
        check_balance(self.balance, self.metrics)
        if not self.baseline:
            missing = [name for name, m in zip(names, self.metrics, strict=True) if m.reference is None]
            if missing:
                raise SpecError(
                    f"baseline: without the untuned baseline every metric must state its reference; "
                    f"add one to {', '.join(missing)}"
                )


def _role(domain: Domain) -> Any:
    """What a domain is for, beside its files."""
    role = "mixed" if domain.mixed else "tested"
    if not domain.categories and not domain.benchmarks:
        return role
    return {"role": role, "categories": dict(domain.categories), "benchmarks": sorted(domain.benchmarks)}


def _data(section: DataSection) -> DataPolicy:
    return DataPolicy(
        weigh_by=section.weigh_by,
        max_epochs=section.max_epochs,
        actions={finding: getattr(section.audit, finding.value) for finding in Finding},
        near=section.audit.near,
    )


def _backend(settings: Mapping[str, Any]) -> Backend:
    kind = settings.get("kind")
    if not isinstance(kind, str):
        raise SpecError(f"objective.kind: expected one of {', '.join(BACKENDS)}, found {shown(kind)}")
    try:
        model = load(kind)
    except OptionsError as error:
        raise SpecError(f"objective.kind: {error}") from error
    return validated(model, settings, at="objective")


def _baseline(stated: bool | None, metrics: Sequence[Metric], external: bool) -> bool:
    """Whether the untuned model is evaluated; whoever runs trials elsewhere is asked for it only where it is needed."""
    if stated is not None:
        return stated
    return not external or any(metric.reference is None for metric in metrics)
