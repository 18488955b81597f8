"""Where a study stands: all that can be read of it, at any time and from any process."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import optuna

from objectives.attempt import Attempt
from objectives.base import Job, JobKind
from objectives.scorer import Score, Scorer
from ratio_search.adviser import advise
from ratio_search.anchors import anchors
from ratio_search.errors import NothingToRecommend, StudyError
from ratio_search.jobs import Jobs
from ratio_search.manifest import Manifest
from ratio_search.model import Evidence, PointSpace, one_thread
from ratio_search.recommendation import Recommendation
from ratio_search.record import JobState, Record
from ratio_search.repetition import possible_space
from ratio_search.sampler.simplex_gp import SimplexGP
from ratio_search.sampler.simplex_sampler import SimplexSampler
from ratio_search.sampler.strategies import strategy
from ratio_search.sampler.strategy import SamplerKind
from ratio_search.searched import usual
from ratio_search.space import SAME
from ratio_search.spec import StudySpec
from ratio_search.storage import StudyFolder, StudyHome

MODEL_FROM = 3
"""Finished trials, at least, that a model of the metrics is trusted with a recommendation for."""

OVERRIDES, DRIVER_HOURS, POLICY = "overrides", "driver_hours", "policy"
"""Names of study attributes."""


class Standing:
    """A study as its storage has it, and what follows from that. It changes nothing.

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
        self.spec = overridden(spec, self._optuna.user_attrs.get(OVERRIDES, {}))

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


def overridden(spec: StudySpec, overrides: Mapping[str, Mapping[str, int]]) -> StudySpec:
    """The spec with those overrides whose stated value is still the one that they replaced."""
    replaced = {key: o["now"] for key, o in overrides.items() if getattr(spec.search, key) == o["stated"]}
    return dataclasses.replace(spec, search=spec.search.model_copy(update=replaced))
