"""Confirms what a study recommends: fresh fine-tunes of it and of its rivals, judged on rows that no search saw."""

from __future__ import annotations

from objectives.attempt import Failure, FailureKind
from objectives.base import Job
from ratio_search.agenda import MAX_FAILURES_IN_A_ROW, because
from ratio_search.contest import Contest
from ratio_search.errors import StudyError
from ratio_search.finals import checked_final
from ratio_search.lineup import Entrant, Lineup, candidates, rivals
from ratio_search.record import JobState, Record
from ratio_search.rerun import Rerun
from ratio_search.searched import usual
from ratio_search.spec import StudySpec
from ratio_search.standing import Standing
from ratio_search.study import Study

TOP, SEEDS = 1, 3
"""Candidates, and fine-tunes of each, where nobody says how many."""


def lineup_of(study: Standing, *, top: int | None = None, seeds: int | None = None) -> Lineup:
    """Who is to be compared, by what the study recommends now; what was run of them before counts.

    Args:
        study: read only.
        top: most candidates, >= 1; None for as many as the last time.
        seeds: fine-tunes of each, >= 1; None likewise.

    Raises:
        StudyError: the study's trials are run elsewhere, so that nothing can be run here.
        SpecError: it has no final files.
        DataError: these cannot be used, or share rows with the test files.
        NothingToRecommend: it has no finished trial.
    """
    spec, earlier = study.spec, study.lineup
    if spec.backend.ELSEWHERE:
        raise StudyError(
            f"study {spec.name!r}: its trials are not run here (objective.kind: {spec.backend.kind}), so nothing here "
            "could run them again; train its mixtures where they were, with new seeds and judged on other rows"
        )
    advice = study.recommend()
    split = checked_final(spec)
    if top is None:
        top = TOP if earlier is None else earlier.candidates
    if seeds is None:
        seeds = SEEDS if earlier is None else earlier.replicates
    ranked = [record for record, _ in study.ranking() if study.allows(record)]
    lineup = Lineup.of(
        candidates(advice, ranked, top),
        rivals(study.anchors, usual(spec.hyperparameters, spec.backend)),
        replicates=seeds,
        split=split,
        baseline=spec.baseline,
    )
    return lineup.settled(earlier)


class Confirming:
    """The agenda of a confirmation: the untuned model on the final files, then one replicate of all after the other.

    An entrant that fails is left out by this driver, and tried again by the next one: the others go on.
    """

    noun = "confirming runs"

    def __init__(self, study: Study, lineup: Lineup) -> None:
        """Prepares the agenda.

        Args:
            study: what is confirmed; it has this lineup.
            lineup: who is compared.
        """
        self._study = study
        self._lineup = lineup
        self._broken: list[Entrant | None] = []
        self._failures = 0

    @property
    def _contest(self) -> Contest:
        found = Contest.of(self._study, self._lineup)
        assert found is not None
        return found

    @property
    def spec(self) -> StudySpec:
        """The study's, judged on the final files."""
        return self._study.spec.on_final()

    @property
    def planned(self) -> int:
        """Runs that are asked for."""
        return self._contest.planned

    @property
    def complete(self) -> int:
        """Runs that are finished."""
        return self._contest.complete

    @property
    def done(self) -> bool:
        """Whether nothing is left to run."""
        return self._contest.done

    def unfinished(self) -> list[Job]:
        """Settles what a dead driver left open; runs that nobody asks for any more are closed."""
        pending, wanted = [], [rerun for _, rerun in self._lineup.reruns()]
        for job in self._study.unconfirmed():
            record = next(record for record in self._study.confirmations() if record.job.id == job.id)
            if any(rerun.same(record) for rerun in wanted):
                pending.append(job)
            else:
                left = ", ".join(stage.name for stage in record.stages if stage.left)
                there = f"; cancel {left} on its platform, where it may still run" if left else ""
                message = f"it was interrupted, and another comparison was asked for since{there}"
                self._study.fail(job.id, Failure(kind=FailureKind.CANCELLED, message=message))
        return pending

    def ask(self) -> Job | None:
        """The first run that is neither finished nor open, its intent stored; None where there is none."""
        contest = self._contest
        for entrant, rerun in self._lineup.reruns():
            record = contest.record(rerun)
            if entrant not in self._broken and (record is None or record.state is JobState.FAILED):
                return self._study.repeat(rerun)
        return None

    def closed(self, record: Record) -> str | None:
        """The untuned model has to be evaluated; fine-tunes may fail, but not three in a row."""
        if record.state is JobState.COMPLETE:
            self._failures = 0
            return None
        assert record.failure is not None
        then = "confirm the study again; finished runs are kept"
        if record.job.mixture is None:
            return because("the untuned model cannot be evaluated on the final files", record.failure, then)
        self._broken.append(self._entrant(record))
        self._failures += 1
        if self._failures >= MAX_FAILURES_IN_A_ROW:
            return because(f"{self._failures} fine-tunes failed in a row, the last one", record.failure, then)
        return None

    def _entrant(self, record: Record) -> Entrant | None:
        def same(rerun: Rerun) -> bool:
            return rerun.same(record)

        return next((entrant for entrant, rerun in self._lineup.reruns() if same(rerun)), None)
