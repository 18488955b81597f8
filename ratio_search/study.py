"""The lifecycle of a study. The only writer of its storage, and the only module that speaks to Optuna's study."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np
import optuna
from optuna.study import StudyDirection

from objectives.attempt import Attempt, Failure, FailureKind
from objectives.base import Job, JobKind, Measurement
from objectives.errors import ResultError
from objectives.metrics import Goal
from objectives.scorer import Score, Scorer
from ratio_search.adviser import advise
from ratio_search.anchors import anchors
from ratio_search.charter import Charter
from ratio_search.distributions import incompatible
from ratio_search.errors import IdentityError, NothingToRecommend, StudyError
from ratio_search.identity import differences, listed
from ratio_search.jobs import Jobs
from ratio_search.manifest import Manifest
from ratio_search.model import Evidence, PointSpace, one_thread
from ratio_search.past_runs import Imported, PastRuns
from ratio_search.recommendation import Recommendation
from ratio_search.record import JobState, Record
from ratio_search.repetition import possible_space
from ratio_search.sampler.simplex_gp import SimplexGP
from ratio_search.sampler.simplex_sampler import SimplexSampler
from ratio_search.sampler.strategies import strategy
from ratio_search.sampler.strategy import SamplerKind, check_installed
from ratio_search.searched import usual
from ratio_search.space import SAME
from ratio_search.spec import StudySpec
from ratio_search.storage import StudyFolder, StudyHome, StudyMemory
from ratio_search.study_file import SearchSection, StorageKind, read, validated
from ratio_search.trial import ATTEMPT, FAILURE, LOSSES, MEASUREMENT

MODEL_FROM = 3
"""Finished trials, at least, that a model of the metrics is trusted with a recommendation for."""

MAX_LOSSES = 3
"""Attempts of one job that may be lost to the infrastructure before the job counts as failed."""

OVERRIDES, DRIVER_HOURS, POLICY = "overrides", "driver_hours", "policy"
"""Names of study attributes."""

_DIRECTIONS = {Goal.MAXIMIZE: StudyDirection.MAXIMIZE, Goal.MINIMIZE: StudyDirection.MINIMIZE}


class Study:
    """A search for the best mixture, kept in a folder so that it can go on after anything.

    Reading is safe at any time and from any process. Only one process may call what changes the study, and
    must hold its `Lease`.

    Attributes:
        spec: what the study is.
        home: where it is kept.
        manifest: what its data was when it began.
        space: the mixtures that it may try.
    """

    def __init__(self, spec: StudySpec, home: StudyHome, manifest: Manifest) -> None:
        self.spec = spec
        self.home = home
        self.manifest = manifest
        storage = home.storage()
        domains = [domain.name for domain in spec.mixed]
        self.space = possible_space(spec, manifest)
        self._anchors = anchors(self.space, manifest.natural, spec.current)
        self._points = points = PointSpace(simplex=self.space, hyperparameters=spec.hyperparameters)
        self._model = SimplexGP(points, seed=spec.search.seed)
        ours = spec.search.sampler is SamplerKind.SIMPLEX_GP
        self._sampler = SimplexSampler(
            points,
            self._model if ours else strategy(spec.search.sampler, points, seed=spec.search.seed),
            anchors=self._anchors,
            settings=usual(spec.hyperparameters, spec.backend),
        )
        try:
            self._optuna = optuna.load_study(study_name=spec.name, storage=storage, sampler=self._sampler)
            references = optuna.load_study(study_name=f"{spec.name}/reference", storage=storage)
        except KeyError as error:
            raise StudyError(
                f"{self.folder.database}: holds no study {spec.name!r}, though the folder is this study's; restore it "
                "from a copy"
            ) from error
        self._trials = Jobs(self._optuna, storage, JobKind.TRIAL, domains)
        self._references = Jobs(references, storage, JobKind.BASELINE, domains)
        self.spec = _overridden(spec, self._optuna.user_attrs.get(OVERRIDES, {}))

    # Making and opening

    @classmethod
    def create(cls, spec: StudySpec, runs: str | Path = "runs") -> Self:
        """Makes a new study; its folder appears complete or not at all, and there is none where it is kept in memory.

        Args:
            spec: what the study is.
            runs: folder that holds the folders of studies.

        Raises:
            StudyError: a study of this name is there; the message says how to go on.
            IdentityError: likewise, and it is not the same study; the differing paths are listed.
            DataError, SpecError: the study's data cannot be used, or what its sampler needs is not installed.
        """
        check_installed(spec.search.sampler)
        charter = Charter.of(spec)
        folder = StudyFolder(Path(runs) / spec.name)
        home: StudyHome = StudyMemory(spec.name) if spec.storage is StorageKind.MEMORY else folder
        if home.exists:
            raise cls._there_already(folder, spec, charter)
        home.make(spec.text, charter, {metric.name: _DIRECTIONS[metric.goal] for metric in spec.metrics})
        home.log("created")
        return cls(spec, home, charter.manifest)

    @classmethod
    def open(cls, folder: str | Path | StudyFolder) -> Self:
        """Opens a study for reading, by the study file in its folder and the data as it was.

        Raises:
            StudyError: there is no study, or it is damaged.
            IdentityError: the study file in the folder was edited into another study's.
            SpecError: it was edited into something that cannot be used.
        """
        folder = folder if isinstance(folder, StudyFolder) else StudyFolder(Path(folder))
        charter = folder.charter()
        spec = StudySpec.parse(read(folder.study_file), charter.root, source=str(folder.study_file))
        if spec.storage is not StorageKind.SQLITE:
            raise StudyError(
                f"{folder.study_file}: storage: expected sqlite, which keeps this study, found {spec.storage}; put it "
                "back"
            )
        # Without these two the records could not even be read.
        before, now = (
            {key: side.get(key) for key in ("name", "domains")} for side in (charter.identity, spec.identity)
        )
        if differing := differences(before, now):
            raise IdentityError(
                f"{folder.study_file}: describes another study now, because this changed:\n{listed(differing)}\n"
                "put it back, or launch a new study under another name"
            )
        study = cls(spec, folder, charter.manifest)
        study._check_hyperparameters()
        return study

    @classmethod
    def reopen(cls, spec: StudySpec, runs: str | Path = "runs") -> Self | None:
        """Opens the study that a study file describes; None where it was not made yet.

        Args:
            spec: of the study file.
            runs: folder that holds the folders of studies.

        Raises:
            IdentityError: another study of this name is there; the differing paths are listed.
            StudyError: it is damaged.
        """
        folder = StudyFolder(Path(runs) / spec.name)
        if not folder.exists:
            return None
        charter = Charter.of(spec)
        if differences(folder.charter().identity, charter.identity):
            raise cls._there_already(folder, spec, charter)
        return cls.open(folder)

    def _check_hyperparameters(self) -> None:
        """Checks that values of what is searched now can be kept beside those that were tried."""
        differing = incompatible(self._trials.distributions, self.spec.hyperparameters)
        if differing:
            lines = [f"search.hyperparameters.{name}: {how}" for name, how in differing.items()]
            raise IdentityError(
                f"{self.home.place}: bounds and steps of a hyperparameter may change, but not its kind, its scale or "
                f"its choices, once it was tried:\n{listed(lines)}\n"
                "put it back, give it another name, or launch a new study"
            )

    @classmethod
    def _there_already(cls, folder: StudyFolder, spec: StudySpec, charter: Charter) -> StudyError:
        """Why a study cannot be made where one of its name is, and how to go on."""
        differing = differences(folder.charter().identity, charter.identity)
        if differing:
            return IdentityError(
                f"{folder.path} holds another study of this name; it differs in:\n{listed(differing)}\n"
                "give the new one another name, or remove that folder"
            )
        how = f"Study.open({str(folder.path)!r})" if spec.backend.EXTERNAL else f"`ratio-search resume {folder.path}`"
        message = f"{folder.path}: the study is already there; {how} goes on with it, or give the new one another name"
        changed = differences(cls.open(folder).spec.policy, spec.policy)
        if changed:
            message += f"\nits own study file, {folder.study_file}, says otherwise here:\n{listed(changed)}"
        return StudyError(message)

    def check_identity(self) -> None:
        """Checks that results of now could be compared with those on record: reads all data again.

        Raises:
            IdentityError: the data or the study file's identity changed; the differing paths are listed.
            DataError: data can no longer be read.
        """
        differing = differences(self.home.charter().identity, Charter.of(self.spec).identity)
        if differing:
            raise IdentityError(
                f"{self.home.place}: results would no longer be comparable, because this changed:\n"
                f"{listed(differing)}\nput it back, or launch a new study under another name"
            )

    # Reading

    @property
    def folder(self) -> StudyFolder:
        """The folder that the study is kept in.

        Raises:
            StudyError: it has none.
        """
        if not isinstance(self.home, StudyFolder):
            raise StudyError(f"{self.home.place}: has no folder; state storage: sqlite in the study file for one")
        return self.home

    def records(self) -> list[Record]:
        """All trials, in order."""
        return self._trials.records()

    def baseline(self) -> Record | None:
        """The evaluation of the untuned model: the finished one, else the latest."""
        found = self._references.records()
        done = [record for record in found if record.state is JobState.COMPLETE]
        return done[0] if done else found[-1] if found else None

    def scorer(self) -> Scorer | None:
        """Judges metrics; None until the references are known."""
        baseline = self.baseline()
        known = baseline is not None and baseline.state is JobState.COMPLETE
        if any(m.reference is None for m in self.spec.metrics) and not known:
            return None
        values = baseline.values if baseline is not None and known else {}
        return Scorer(metrics=self.spec.metrics, balance=self.spec.balance, baseline=values)

    def ranking(self) -> list[tuple[Record, Score]]:
        """Finished trials with their scores, best first; empty until the references are known.

        Those that bounds of now would not allow come last.
        """
        scorer = self.scorer()
        if scorer is None:
            return []
        scored = [(record, scorer.score(record.values)) for record in self._trials.records(JobState.COMPLETE)]
        return sorted(scored, key=lambda pair: (self.allows(pair[0]), pair[1]), reverse=True)

    def allows(self, record: Record) -> bool:
        """Whether a trial keeps the bounds of now, which may have changed since it was run."""
        values = record.job.hyperparameters
        kept = all(values[name] in of for name, of in self.spec.hyperparameters.items() if name in values)
        return kept and record.job.mixture is not None and record.job.mixture in self.space

    def anchor(self, record: Record) -> str | None:
        """The name of the anchor that a trial is or was; None for any other trial."""
        mixture = record.job.mixture
        if mixture is None:
            return None
        for anchor in self._anchors:
            if anchor.mixture.distance(mixture) <= SAME:
                return anchor.name
        kind, _, name = record.origin.partition(":")
        return name if kind == "anchor" else None

    def recommend(self) -> Recommendation:
        """What to train with, by what is finished so far.

        Raises:
            NothingToRecommend: no trial is finished, or the references are not known.
        """
        ranking, scorer = self.ranking(), self.scorer()
        if not ranking or scorer is None:
            missing = "no finished trial" if scorer is not None else "no finished baseline to compare with"
            raise NothingToRecommend(
                f"study {self.spec.name!r} has {missing} yet, so there is nothing to recommend; {self._further}"
            )
        allowed = {record.number: record for record, _ in ranking if self.allows(record)}
        if not allowed:
            raise NothingToRecommend(
                f"none of the {len(ranking)} finished trials of study {self.spec.name!r} keeps the bounds that its "
                "file now states; resume it with more trials, or widen the bounds"
            )
        evidence = Evidence.of(self.records(), scorer, self._points)
        # A trial without a value of what is searched by now is nothing that a model of it could learn from.
        if evidence.complete < MODEL_FROM or not set(evidence.numbers) & set(allowed):
            return Recommendation.of_best(*ranking[0], scorer=scorer, considered=len(allowed))
        outlook = self._model.outlook(evidence, scorer)
        rng = np.random.default_rng([self.spec.search.seed, len(evidence.measured)])
        with one_thread():
            return advise(outlook, allowed, scorer, self._points, rng)

    @property
    def _further(self) -> str:
        """How to go on with the study, in words."""
        if self.spec.backend.EXTERNAL:
            return "ask for jobs and tell what they measured"
        return f"`ratio-search resume {self.home.place}` goes on with it"

    @property
    def complete(self) -> int:
        """Finished fine-tunes, which `search.trials` counts; not those that were imported."""
        return self._trials.count(JobState.COMPLETE)

    @property
    def done(self) -> bool:
        """Whether nothing is left to do: all trials finished, none open, and the baseline known if it is wanted."""
        references = self._references.count(JobState.COMPLETE) or not self.spec.baseline
        left_open = self._trials.count(JobState.RUNNING) + self._references.count(JobState.RUNNING)
        return bool(references) and not left_open and self.complete >= self.spec.search.trials

    @property
    def driver_hours(self) -> float:
        """Wall-clock hours that drivers have spent on the study."""
        return float(self._optuna.user_attrs.get(DRIVER_HOURS, 0.0))

    def attempt(self, job: Job) -> Attempt:
        """The job with the folder that its attempt runs in."""
        return self.home.attempt(job)

    # Changing: one process at a time

    def ask(self) -> Job | None:
        """The next new job, its intent stored: the baseline first, then trials; None when enough are asked for."""
        seed = self.spec.search.seed
        if self.spec.baseline and not self._references.count(JobState.COMPLETE, JobState.RUNNING):
            return self._references.add(lambda trial: None, seed)
        if self._trials.count(JobState.COMPLETE, JobState.RUNNING) >= self.spec.search.trials:
            return None
        self._sampler.scorer, self._sampler.trials = self.scorer(), self.spec.search.trials
        return self._trials.add(self._sampler.suggest, seed)

    def unfinished(self) -> list[Job]:
        """Settles what a dead driver left open, and gives the jobs that need another attempt.

        A trial whose intent was not completely stored is closed, at no cost. One whose failure is on record is
        closed, too. One whose result is on disk is told. Any other goes on, from its last checkpoint, in a new
        attempt.
        """
        pending = []
        for jobs in (self._references, self._trials):
            jobs.drop_half_made()
            for record in jobs.records(JobState.RUNNING):
                result = record.failure or self._result_on_disk(record.job)
                if isinstance(result, Measurement):
                    self.tell(record.job.id, result)
                elif isinstance(result, Failure):
                    self.fail(record.job.id, result)
                else:
                    pending.append(self.again(record.job))
        return pending

    def start(self, job: Job) -> Attempt:
        """The job's attempt, on record as started: whatever follows, no later attempt shares its folder."""
        attempt = self.attempt(job)
        attempt.folder.mkdir(parents=True, exist_ok=True)
        return attempt

    def again(self, job: Job) -> Job:
        """The next attempt at a job, its intent stored; the same attempt while that was never started."""
        if not self.attempt(job).folder.exists():
            return job
        jobs, record = self._open(job.id)
        jobs.note(record, ATTEMPT, job.attempt + 1)
        return dataclasses.replace(job, attempt=job.attempt + 1)

    def lost(self, job: Job) -> bool:
        """Counts an attempt that the infrastructure lost; whether the job may be tried again."""
        jobs, record = self._open(job.id)
        jobs.note(record, LOSSES, record.losses + 1)
        return record.losses + 1 < MAX_LOSSES

    def store(self, job_id: str, measurement: Measurement) -> Failure | None:
        """Stores all that a job reported, without closing it; what is wrong with it, if anything is.

        What is no number is not stored.
        """
        jobs, record = self._open(job_id)
        try:
            measurement = Measurement.from_json(measurement.to_json())
        except ResultError as error:
            return Failure(kind=FailureKind.RESULT, message=str(error))
        jobs.note(record, MEASUREMENT, measurement.to_json())
        try:
            self.spec.check_measured(measurement)
        except ResultError as error:
            return Failure(kind=FailureKind.RESULT, message=str(error))
        return None

    def tell(self, job_id: str, result: Measurement | Mapping[str, float]) -> Record:
        """Stores a job's result and closes the job: complete, or failed when a metric is missing or impossible.

        Args:
            job_id: as `ask` gave it.
            result: what the objective reported, or its metrics alone.

        Raises:
            StudyError: no such job is open.
        """
        if not isinstance(result, Measurement):
            result = Measurement.of_numbers(result)
        wrong = self.store(job_id, result)
        return self.close(job_id) if wrong is None else self.fail(job_id, wrong)

    def close(self, job_id: str) -> Record:
        """Closes a job whose good result is stored.

        Raises:
            StudyError: no such job is open.
        """
        jobs, record = self._open(job_id)
        if jobs.kind is JobKind.TRIAL:
            # In the order in which they were first stated: the file's own may have changed since.
            return jobs.close(record, [record.values[name] for name in self._optuna.metric_names or ()])
        return jobs.close(record, [0.0])  # an Optuna study needs a value; the attributes are the truth

    def fail(self, job_id: str, failure: Failure | str) -> Record:
        """Closes a job as failed.

        Args:
            job_id: as `ask` gave it.
            failure: the reason.

        Raises:
            StudyError: no such job is open.
        """
        if isinstance(failure, str):
            failure = Failure(kind=FailureKind.OBJECTIVE, message=failure)
        jobs, record = self._open(job_id)
        jobs.note(record, FAILURE, failure.to_json())
        return jobs.close(record, None)

    def override(self, *, trials: int | None = None, parallel: int | None = None) -> None:
        """Runs the study with other numbers than its file states, from now on and until the file is edited.

        Args:
            trials: fine-tunes to finish in all, >= 1.
            parallel: fine-tunes at a time, >= 1.

        Raises:
            SpecError: a number is not what the study file's key expects.
        """
        wanted = {key: n for key, n in (("trials", trials), ("parallel", parallel)) if n is not None}
        validated(SearchSection, wanted, at="search")
        overrides = dict(self._optuna.user_attrs.get(OVERRIDES, {}))
        stated = StudySpec.parse(self.spec.text, self.spec.root)
        for key, value in wanted.items():
            overrides[key] = {"stated": getattr(stated.search, key), "now": value}
        self._optuna.set_user_attr(OVERRIDES, overrides)
        self.spec = _overridden(stated, overrides)

    def spend(self, hours: float) -> None:
        """Adds wall-clock hours of a driver to the study's account."""
        self._optuna.set_user_attr(DRIVER_HOURS, self.driver_hours + hours)

    def begin(self) -> None:
        """Notes in the study's history that a driver starts, and which policy changed since the last one.

        From now on an anchor that failed before may be tried again, as its cause may be gone.
        """
        self._sampler.forgiven = frozenset(record.number for record in self._trials.records(JobState.FAILED))
        last = self._optuna.user_attrs.get(POLICY, self.spec.policy)
        changed = differences(last, self.spec.policy)
        self.home.log("started", **({"policy_changed": changed} if changed else {}))
        self._optuna.set_user_attr(POLICY, self.spec.policy)

    def import_runs(self, source: str | Path | PastRuns) -> Imported:
        """Adds runs from elsewhere as finished trials, which are learned from but do not count as the study's own.

        Those that the study has already are left alone, so that the same file may be imported again.

        Args:
            source: a CSV file, or the runs that were read from one.

        Raises:
            DataError: anything in the file is wrong; then nothing is imported.
        """
        runs = source if isinstance(source, PastRuns) else PastRuns.read(source, self.spec)
        judged = self._optuna.metric_names or ()
        # By what was measured, as few runs have all values in common.
        known: dict[tuple[float, ...], list[Record]] = {}
        for record in self._trials.records(JobState.COMPLETE):
            known.setdefault(tuple(record.values[name] for name in judged), []).append(record)
        added = []
        for run in runs.runs:
            values = tuple(run.values[name] for name in judged)
            alike = known.setdefault(values, [])
            if not any(map(run.same, alike)):
                added.append(self._trials.take(run, self.spec.hyperparameters, values, self.spec.search.seed))
                alike.append(added[-1])
        found = Imported(
            source=runs,
            added=tuple(added),
            already=len(runs.runs) - len(added),
            outside=sum(not self.allows(record) for record in added),
        )
        self.home.log("imported", file=str(runs.path), runs=len(added), already=found.already)
        return found

    def _open(self, job_id: str) -> tuple[Jobs, Record]:
        for jobs in (self._references, self._trials):
            record = jobs.open(job_id)
            if record is not None:
                return jobs, record
        raise StudyError(f"no open job {job_id!r} in study {self.spec.name!r}; it is closed, or was never asked for")

    def _result_on_disk(self, job: Job) -> Measurement | Failure | None:
        try:
            return self.attempt(job).result()
        except ResultError as error:
            return Failure(kind=FailureKind.RESULT, message=str(error))


def _overridden(spec: StudySpec, overrides: Mapping[str, Mapping[str, int]]) -> StudySpec:
    """The spec with those overrides whose stated value is still the one that they replaced."""
    replaced = {key: o["now"] for key, o in overrides.items() if getattr(spec.search, key) == o["stated"]}
    return dataclasses.replace(spec, search=spec.search.model_copy(update=replaced))
