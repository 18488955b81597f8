"""Where a study stands: all that can be read of it, at any time and from any process."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import optuna

from objectives.attempt import Attempt
from objectives.base import Job, JobKind
from objectives.scorer import BalanceKind, Metric, Score, Scorer
from ratio_search.adviser import EXPLAINED
from ratio_search.anchors import Anchor, anchors, usual_mixture
from ratio_search.base_models import changed_base
from ratio_search.budget import Foreseen
from ratio_search.errors import NothingToRecommend, StudyError
from ratio_search.explanation import Explainer, Explanation
from ratio_search.front import Front
from ratio_search.grounds import Grounds
from ratio_search.identity import digest
from ratio_search.jobs import Jobs
from ratio_search.lineup import Lineup
from ratio_search.manifest import Manifest
from ratio_search.model import Evidence, PointSpace, one_thread
from ratio_search.ranks import Ranks
from ratio_search.recommendation import Recommendation
from ratio_search.record import JobState, Record
from ratio_search.repetition import possible_space
from ratio_search.sampler.simplex_gp import SimplexGP
from ratio_search.sampler.simplex_sampler import SimplexSampler
from ratio_search.sampler.strategies import strategy
from ratio_search.sampler.strategy import REPEAT, SamplerKind
from ratio_search.searched import usual
from ratio_search.selection import Selection
from ratio_search.space import SAME
from ratio_search.spec import StudySpec
from ratio_search.stopping import EarlyStop, enough
from ratio_search.storage import StudyFolder, StudyHome, reference_name

MODEL_FROM = 3
"""Finished trials, at least, that a model of the metrics is trusted with a recommendation for."""

OVERRIDES, DRIVER_HOURS, POLICY, EARLY_STOP = "overrides", "driver_hours", "policy", "early_stop"
LINEUP, IDENTIFIER, FORESEEN, DENIED, DISCARDED = "lineup", "identifier", "foreseen", "denied", "discarded/"
"""Names of study attributes; the last one goes before a job's id."""


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
        usually = usual_mixture(spec.mixed, manifest.natural, spec.backend)
        self._anchors = anchors(self.space, manifest.natural, spec.current, usually)
        self._points = points = PointSpace(simplex=self.space, hyperparameters=spec.hyperparameters)
        self._model = SimplexGP(points, seed=spec.search.seed)
        ours = spec.search.sampler is SamplerKind.SIMPLEX_GP
        self._sampler = SimplexSampler(
            points,
            self._model if ours else strategy(spec.search.sampler, points, seed=spec.search.seed),
            anchors=self._anchors,
            settings=usual(spec.hyperparameters, spec.backend),
        )
        self._optuna = optuna.load_study(study_name=spec.name, storage=storage)
        references = optuna.load_study(study_name=reference_name(spec.name), storage=storage)
        self._trials = Jobs(self._optuna, storage, JobKind.TRIAL, domains)
        self._references = Jobs(references, storage, JobKind.BASELINE, domains)
        self._confirmations = Jobs(references, storage, JobKind.CONFIRMATION, domains)
        self._baseline: Record | None = None
        self._ranks: Ranks | None = None
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

    def jobs(self) -> list[Record]:
        """All jobs of every kind: the untuned baseline, trials, and runs that were to confirm."""
        return [*self._references.records(), *self.records(), *self.confirmations()]

    def baseline(self) -> Record | None:
        """The evaluation of the untuned model: the finished one, else the latest."""
        if self._baseline is None or self._baseline.state is not JobState.COMPLETE:
            found = self._references.records()
            done = [record for record in found if record.state is JobState.COMPLETE]
            self._baseline = done[0] if done else found[-1] if found else None
        return self._baseline

    def confirmations(self) -> list[Record]:
        """All fresh runs that were to confirm a recommendation, this one or an earlier one, in order."""
        return self._confirmations.records()

    @property
    def lineup(self) -> Lineup | None:
        """Who was compared when the study was confirmed last; None where it never was."""
        data = self._optuna.user_attrs.get(LINEUP)
        return None if data is None else Lineup.from_json(data)

    @property
    def anchors(self) -> tuple[Anchor, ...]:
        """The mixtures that a recommendation must beat."""
        return self._anchors

    def scorer(self) -> Scorer | None:
        """Judges metrics; None until the references are known."""
        baseline = self.baseline()
        known = baseline is not None and baseline.state is JobState.COMPLETE
        if any(m.reference is None for m in self.spec.metrics) and not known:
            return None
        values = baseline.values if baseline is not None and known else {}
        return Scorer(metrics=self.spec.metrics, balance=self.spec.balance, baseline=values)

    def warnings(self, scorer: Scorer | None = None) -> list[str]:
        """What a person should know of the study's judgement.

        That is a base model that changed while it ran, and guards that even the untuned model breaks.

        Args:
            scorer: another judge than the study's own.
        """
        found = [] if self.changed_base is None else [self.changed_base]
        baseline, scorer = self.baseline(), scorer or self.scorer()
        if scorer is None or baseline is None or baseline.state is not JobState.COMPLETE:
            return found
        broken = scorer.score(baseline.values).violations
        return found + [
            _broken_untuned(metric, baseline.values[metric.name], scorer.reference(metric))
            for metric in scorer.metrics
            if metric.name in broken
        ]

    @property
    def changed_base(self) -> str | None:
        """That its jobs began with different base models, in words; None where that is not known to be so."""
        return changed_base(self.jobs())

    def ranking(self, scorer: Scorer | None = None) -> list[tuple[Record, Score]]:
        """Finished trials with their scores, best first; empty until the references are known.

        Those that bounds of now would not allow come last.

        Args:
            scorer: another judge than the study's own.
        """
        scorer = scorer or self.scorer()
        if scorer is None:
            return []
        if self._ranks is None or self._ranks.scorer != scorer:
            self._ranks = Ranks(scorer, self.allows)
        return self._ranks.of(self._trials.records(JobState.COMPLETE))

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

    def recommend(self, scorer: Scorer | None = None) -> Recommendation:
        """What to train with, by what is finished so far.

        Args:
            scorer: another judge than the study's own; where only weights, guards, targets or the balance differ, what
                is believed of the metrics stays as it is.

        Raises:
            NothingToRecommend: no trial is finished, or the references are not known.
        """
        return self.grounds(scorer).recommend()

    def select(self, selection: Selection) -> tuple[Recommendation, ...]:
        """The mixture that is asked for, by what is finished so far; several where part of the front is.

        Raises:
            NothingToRecommend: see `recommend`.
            SelectionError: the study has no such mixture.
        """
        scorer = self.scorer()
        judge = None if scorer is None else selection.judge(scorer)
        return self.grounds(judge).select(selection, self.records())

    def front(self) -> Front:
        """The mixtures that no other one beats, by what is finished so far.

        Raises:
            NothingToRecommend: see `recommend`.
        """
        return self.grounds().front()

    def explain(self) -> Explanation:
        """Why that is recommended, what around it matters, and what one more trial is expected to gain.

        Raises:
            NothingToRecommend: see `recommend`; also where too few trials are finished for a model.
        """
        grounds, records = self.grounds(), self.records()
        if grounds.outlook is None:
            raise NothingToRecommend(
                f"study {self.spec.name!r} has {len(grounds.allowed)} finished trials that could be recommended, and "
                f"explaining takes a model of at least {MODEL_FROM}; {self._further}"
            )
        scorer = grounds.scorer
        if scorer.balance.kind is BalanceKind.PARETO:  # what is recommended then is chosen by the worst gain
            scorer = dataclasses.replace(scorer, balance=dataclasses.replace(scorer.balance, kind=BalanceKind.WORST))
        search = self.spec.search
        explainer = Explainer(
            outlook=grounds.outlook, scorer=scorer, space=self._points, worth=search.worth, seed=search.seed
        )
        with one_thread():
            return explainer.explain(self._model.propose(records, scorer, len(records)))

    def grounds(self, scorer: Scorer | None = None) -> Grounds:
        """What a recommendation rests on; see `recommend`."""
        scorer = scorer or self.scorer()
        ranking = self.ranking(scorer)
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
        modelled = evidence.complete >= MODEL_FROM and set(evidence.numbers) & set(allowed)
        return Grounds(
            ranking=ranking,
            allowed=allowed,
            scorer=scorer,
            space=self._points,
            outlook=self._model.outlook(evidence, scorer) if modelled else None,
            seed=self.spec.search.seed,
        )

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
        """Whether nothing is left to do: all trials finished, none open, and the baseline known if it is wanted.

        All are those that are wanted, or those before the search was stopped early.
        """
        references = self._references.count(JobState.COMPLETE) or not self.spec.baseline
        left_open = self._trials.count(JobState.RUNNING) + self._references.count(JobState.RUNNING)
        if not references or left_open:
            return False
        stop = self.early_stop
        return self.complete >= self.spec.search.trials or (stop is not None and len(self.records()) >= stop.final)

    @property
    def early_stop(self) -> EarlyStop | None:
        """The decision to run no more trials, though fewer are finished than were wanted; None where none stands."""
        stop, search = self._last_stop, self.spec.search
        if stop is None or search.stop is None:
            return None
        records = len(self.records())
        stands = stop.holds(worth=search.worth, trials=search.trials, records=records, judgement=self._judgement)
        return stop if stands else None

    @property
    def _last_stop(self) -> EarlyStop | None:
        """The last decision to run no more trials, whether it still stands or not."""
        data = self._optuna.user_attrs.get(EARLY_STOP)
        return None if data is None else EarlyStop.from_json(data)

    def _too_little(self, records: Sequence[Record]) -> float | None:
        """What one more trial is expected to gain, where that is not enough; None where it is, or nobody knows."""
        search, scorer, earlier = self.spec.search, self.scorer(), self._last_stop
        if scorer is None or self._last >= search.trials:  # the last one is not about its gain
            return None
        gain = self._sampler.propose(records).gain
        if gain is None:
            return None
        outlook = self._model.outlook(Evidence.of(records, scorer, self._points), scorer)
        stops = enough(
            gain,
            records if earlier is None else records[earlier.final :],
            worth=search.worth,
            parallel=self.spec.parallel,
            complete=outlook.evidence.complete,
            explained=min(outlook.surrogate.explained) >= EXPLAINED,
        )
        return gain if stops else None

    def _closes(self, records: Sequence[Record]) -> bool:
        """Whether the last trial, were it the next one, would try what is recommended and was not tried."""
        scorer, self._sampler.trials = self.scorer(), self._last
        last = self._sampler.propose(records)
        assert scorer is not None
        best = self._model.outlook(Evidence.of(records, scorer, self._points), scorer).best
        same = self.space.mixture(best.shares[0]).distance(last.mixture) <= SAME
        return same and dict(best.settings[0]) == dict(last.hyperparameters) and last.origin != REPEAT

    @property
    def _last(self) -> int:
        """How many trials there would be if the next one were the last."""
        return self._trials.count(JobState.COMPLETE, JobState.RUNNING) + 1

    @property
    def _judgement(self) -> str:
        """Digest of what gains depend on beside the trials, as far as it may change."""
        policy = self.spec.policy
        searched = {key: policy["search"][key] for key in ("space", "hyperparameters")}
        return digest({**{key: policy[key] for key in ("metrics", "balance", "share")}, **searched})

    @property
    def identifier(self) -> str | None:
        """What tells this study from others of its name, wherever it is copied; None before its first driver."""
        found = self._optuna.user_attrs.get(IDENTIFIER)
        return None if found is None else str(found)

    @property
    def driver_hours(self) -> float:
        """Wall-clock hours that drivers have spent on the study."""
        return float(self._optuna.user_attrs.get(DRIVER_HOURS, 0.0))

    @property
    def denied(self) -> str | None:
        """Why its platform let the last driver do nothing; None where it did, and while another driver tries."""
        found = self._optuna.user_attrs.get(DENIED)
        return None if found is None else str(found)

    def discarded(self, job_id: str) -> tuple[str, ...]:
        """What was deleted of all that a job left on its platform, as that calls it."""
        return tuple(self._optuna.user_attrs.get(f"{DISCARDED}{job_id}", ()))

    @property
    def foreseen(self) -> Foreseen:
        """What its jobs were expected to cost when it was launched."""
        return Foreseen.from_json(self._optuna.user_attrs.get(FORESEEN))

    def attempt(self, job: Job) -> Attempt:
        """The job with the folder that its attempt runs in."""
        return self.home.attempt(job)


def _broken_untuned(metric: Metric, value: float, reference: float) -> str:
    """Says that the untuned baseline breaks a metric's guard, which a stated reference makes possible."""
    return (
        f"{metric.name}: even the untuned baseline breaks this guard: its value is {value:.4g}, the limit "
        f"{metric.limit(reference):.4g}, which is {metric.guard:g} behind the stated reference of {reference:.4g}; "
        "mixtures keep it only where they improve on the untuned model; otherwise state another guard or reference"
    )


def overridden(spec: StudySpec, overrides: Mapping[str, Mapping[str, int]]) -> StudySpec:
    """The spec with those overrides whose stated value is still the one that they replaced."""
    replaced = {key: o["now"] for key, o in overrides.items() if getattr(spec.search, key) == o["stated"]}
    return dataclasses.replace(spec, search=spec.search.model_copy(update=replaced))
