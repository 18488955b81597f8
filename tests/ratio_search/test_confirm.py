"""Confirming a study, run for real on a trainer that takes hundredths of a second."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from objectives.attempt import Failure, FailureKind
from objectives.base import JobKind, Seeds
from objectives.errors import DataError
from objectives.mixture import Mixture
from ratio_search.confirm import Confirming, lineup_of
from ratio_search.contest import Contest
from ratio_search.errors import NothingToRecommend, SpecError, StudyError, StudyFailed
from ratio_search.lease import Lease
from ratio_search.lineup import RECOMMENDED, Entrant, Lineup
from ratio_search.recipe import Recipe
from ratio_search.record import JobState
from ratio_search.rerun import FIRST_REPLICATE
from ratio_search.runner import SerialRunner
from ratio_search.search import Ending, Moment, Search
from ratio_search.storage import StudyFolder
from ratio_search.study import Study

from .conftest import CONFIRMABLE, SmallStudy, small_study_in
from .test_resume import kill

TRIALS = 4


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished small study with final files."""
    folder = tmp_path_factory.mktemp("original")
    small = small_study_in(folder, domains=CONFIRMABLE, search={"trials": TRIALS})
    study = Study.create(small.spec, small.runs)
    with SerialRunner(study.spec.blueprint) as runner:
        Search(study, runner).run()
    return folder


@pytest.fixture
def finished(original: Path, tmp_path: Path) -> Callable[..., tuple[SmallStudy, Study]]:
    """Makes copies of it; keywords replace keys of its study file that may be edited."""

    def make(**keys: Any) -> tuple[SmallStudy, Study]:
        folder = tmp_path / "copy"
        shutil.copytree(original, folder)
        small = SmallStudy(file=folder / "study.yaml", runs=folder / "runs", ledger=folder / "ledger")
        place = StudyFolder(small.runs / "small")
        for file in (place.study_file, place.manifest_file):
            file.write_text(file.read_text().replace(str(original), str(folder)))
        document = yaml.safe_load(place.study_file.read_text())
        place.study_file.write_text(yaml.safe_dump({**document, **keys}, sort_keys=False))
        return small, Study.open(place)

    return make


def confirm(study: Study, lineup: Lineup, stop_after: int | None = None) -> Ending:
    """Confirms a study in this process; told to stop once so many runs are complete."""
    study.line_up(lineup)
    agenda = Confirming(study, lineup)

    def stopping() -> bool:
        return stop_after is not None and agenda.complete >= stop_after

    with SerialRunner(agenda.spec.blueprint) as runner:
        return Search(study, runner, stopping=stopping, agenda=agenda).run()


def contest(study: Study) -> Contest:
    found = Contest.of(study)
    assert found is not None
    return found


def handover(study: Study, job_id: str) -> dict[str, Any]:
    """What the trainer was told of a job."""
    [file] = (study.folder.path / "jobs" / job_id).glob("attempt-*/handover.json")
    told: dict[str, Any] = json.loads(file.read_text())
    return told


def test_everyone_is_trained_again_with_the_same_new_seeds_and_judged_on_the_final_files(finished: Any) -> None:
    _, study = finished()
    lineup = lineup_of(study, top=2, seeds=2)
    assert confirm(study, lineup) is Ending.DONE
    records = study.confirmations()
    assert [record.state for record in records] == [JobState.COMPLETE] * (1 + 2 * len(lineup.entrants))
    assert {record.job.kind for record in records} == {JobKind.CONFIRMATION}
    assert records[0].job.mixture is None
    for entrant in lineup.entrants:
        runs = contest(study).runs(entrant)
        assert {number: run.job.seeds for number, run in runs.items()} == {
            number: Seeds.of(study.spec.search.seed, FIRST_REPLICATE + number) for number in range(2)
        }
    searched = {record.job.seeds for record in study.records()}
    assert not searched & {record.job.seeds for record in records}
    for record in records:
        files = handover(study, record.job.id)["test_files"]
        assert {Path(path).name for paths in files.values() for path in paths} == {
            f"{name}.final.jsonl" for name in CONFIRMABLE
        }


def test_the_searchs_own_trials_and_baseline_stay_as_they_are(finished: Any) -> None:
    _, study = finished()
    before, baseline, advice = study.records(), study.baseline(), study.recommend()
    confirm(study, lineup_of(study, top=1, seeds=1))
    again = Study.open(study.folder)
    assert (again.records(), again.baseline(), again.complete, again.done) == (before, baseline, TRIALS, True)
    assert again.recommend().mixture == advice.mixture
    assert again.ask() is None


def test_what_was_run_is_not_run_again_and_more_seeds_and_candidates_add_what_is_missing(finished: Any) -> None:
    small, study = finished()
    confirm(study, lineup_of(study, top=1, seeds=1))
    first = [job for job in small.evaluated if job.startswith("confirmation")]
    assert lineup_of(study) == study.lineup
    assert Confirming(study, lineup_of(study)).ask() is None

    more = lineup_of(study, top=2, seeds=2)
    confirm(study, more)
    runs = [job for job in small.evaluated if job.startswith("confirmation")]
    assert runs[: len(first)] == first
    assert max(Counter(runs).values()) == 1
    assert len(runs) == 1 + 2 * len(more.entrants) == contest(study).planned == contest(study).complete


def test_told_to_stop_it_goes_on_where_it_was(finished: Any) -> None:
    small, study = finished()
    lineup = lineup_of(study, top=1, seeds=2)
    assert confirm(study, lineup, stop_after=3) is Ending.STOPPED
    again = Study.open(study.folder)
    assert contest(again).complete == 3
    assert lineup_of(again) == lineup
    assert confirm(again, lineup_of(again)) is Ending.DONE
    assert max(Counter(small.evaluated).values()) == 1
    assert contest(again).done


def test_hours_are_those_of_the_whole_study(finished: Any) -> None:
    _, study = finished(budget={"hours": 5})
    study.spend(5)
    assert confirm(study, lineup_of(study)) is Ending.BUDGET
    assert study.confirmations() == []


def played(study: Study, lineup: Lineup, accuracy: Callable[[Entrant, str], float | None]) -> Counter[str]:
    """Confirms a study whose runs are told: the accuracy on a domain of each entrant, None where it fails.

    How often each one was asked for, the untuned model as `baseline`.
    """
    study.line_up(lineup)
    agenda, asked = Confirming(study, lineup), Counter[str]()
    while (job := agenda.ask()) is not None:
        entrant = next((one for one in lineup.entrants if one.mixture == job.mixture), None)
        asked["baseline" if entrant is None else entrant.name] += 1
        told = {name: 0.2 if entrant is None else accuracy(entrant, name) for name in CONFIRMABLE}
        known = {f"{name}/accuracy": value for name, value in told.items() if value is not None}
        failure = Failure(kind=FailureKind.OBJECTIVE, message="boom")
        assert agenda.closed(study.tell(job.id, known) if known else study.fail(job.id, failure)) is None
    return asked


def test_an_entrant_that_fails_does_not_lose_the_others(finished: Any) -> None:
    _, study = finished()
    lineup = lineup_of(study, top=2, seeds=2)
    failing = lineup.recommended
    asked = played(study, lineup, lambda one, name: None if one is failing else 0.2 + 0.6 * one.mixture[name])
    assert asked == {"baseline": 1, **{one.name: 1 if one is failing else 2 for one in lineup.entrants}}
    verdict = contest(study).verdict
    assert verdict is not None
    assert (verdict.winner, verdict.missing) == (lineup.entrants[1].name, (failing.name,))
    again = Confirming(study, lineup).ask()
    assert again is not None and again.mixture == failing.mixture, "the next driver tries it again"


def test_three_failures_in_a_row_and_a_failing_baseline_end_it(finished: Any) -> None:
    _, study = finished()
    lineup = lineup_of(study, top=1, seeds=3)
    agenda = Confirming(study, lineup)
    failure = Failure(kind=FailureKind.OBJECTIVE, message="boom")
    jobs = [agenda.ask() for _ in range(4)]
    ends = [agenda.closed(study.fail(job.id, failure)) for job in jobs if job is not None]
    assert ends[0] is not None and ends[0].startswith("the untuned model cannot be evaluated on the final files: boom")
    assert ends[1:3] == [None, None]
    assert ends[3] is not None and ends[3].startswith("3 fine-tunes failed in a row, the last one: boom")


def test_a_broken_trainer_ends_it_with_the_reason(finished: Any) -> None:
    small, study = finished()
    trainer = small.file.parent / "ledger"
    broken = study.folder.study_file
    broken.write_text(broken.read_text().replace(str(trainer), f"{trainer}\n  - fail"))
    again = Study.open(study.folder)
    with pytest.raises(StudyFailed, match=r"(?s)untuned model cannot.*boom.*confirm the study again"):
        confirm(again, lineup_of(again))


def test_other_final_files_begin_anew(finished: Any) -> None:
    small, study = finished()
    confirm(study, lineup_of(study, top=1, seeds=1))
    runs = len(study.confirmations())
    with (small.file.parent / "data" / "legal.final.jsonl").open("a") as file:
        file.write('{"instruction": "one more", "output": "yes", "label": "yes"}\n')
    again = Study.open(study.folder)
    again.check_identity()
    lineup = lineup_of(again)
    assert lineup.split != again.lineup.split  # type: ignore[union-attr]
    anew = Contest.of(again, lineup)
    assert anew is not None and anew.verdict is None
    assert not any(anew.runs(entrant) for entrant in lineup.entrants)
    confirm(again, lineup)
    assert len(again.confirmations()) == 2 * runs


def test_runs_that_nobody_asks_for_any_more_are_closed(finished: Any) -> None:
    _, study = finished()
    lineup = lineup_of(study, top=1, seeds=2)
    agenda = Confirming(study, lineup)
    jobs = [agenda.ask() for _ in range(1 + 2 * len(lineup.entrants))]
    assert all(job is not None for job in jobs) and agenda.ask() is None
    fewer = lineup_of(study, top=1, seeds=1)
    wanted = {job.id for job in jobs[: 1 + len(fewer.entrants)] if job is not None}
    assert {job.id for job in Confirming(study, fewer).unfinished()} == wanted
    closed = [record for record in study.confirmations() if record.state is JobState.FAILED]
    assert {record.job.id for record in closed} == {job.id for job in jobs if job is not None} - wanted


class TestWhatCannotBeConfirmed:
    def test_a_study_without_a_finished_trial(self, small_study: Any) -> None:
        small = small_study(domains=CONFIRMABLE)
        study = Study.create(small.spec, small.runs)
        with pytest.raises(NothingToRecommend, match="no finished baseline"):
            lineup_of(study)

    def test_a_study_whose_trials_are_run_elsewhere(self, tmp_path: Path) -> None:
        from .trials import study_of

        document = {
            "name": "told",
            "domains": {"a": {}, "b": {}},
            "objective": {"kind": "external"},
            "metrics": [{"name": "accuracy", "reference": 0.5}],
            "storage": "memory",
        }
        with pytest.raises(StudyError, match=r"trials are not run here \(objective\.kind: external\)"):
            lineup_of(study_of(document))

    def test_a_domain_without_final_files_is_named(self, finished: Any) -> None:
        domains = {name: dict(files) for name, files in CONFIRMABLE.items()}
        del domains["legal"]["final"]
        _, study = finished(domains=domains)
        with pytest.raises(SpecError, match=r"no final files for legal; add domains\.legal\.final"):
            lineup_of(study)

    def test_final_files_that_overlap_the_test_files_whatever_the_audit_allows(self, finished: Any) -> None:
        small, study = finished(data={"audit": {"leakage": "warn"}})
        data = small.file.parent / "data"
        row = (data / "legal.test.jsonl").read_text().splitlines(keepends=True)[2]
        with (data / "manuals.final.jsonl").open("a") as file:
            file.write(row)
        with pytest.raises(DataError, match=r"domains\.legal\.test: 1 row of these files, found in the final") as error:
            lineup_of(Study.open(study.folder))
        assert f"{data / 'legal.test.jsonl'}:3: the same as {data / 'manuals.final.jsonl'}:6" in str(error.value)


@pytest.mark.parametrize("moment", [Moment.ASKED, Moment.REPORTED, Moment.STORED])
def test_killed_at_any_moment_it_goes_on_and_repeats_nothing(finished: Any, moment: Moment) -> None:
    small, study = finished()
    at = kill(study.folder.path, "serial", moment, 3, "confirm")
    assert at.startswith("confirmation-")
    again = Study.open(study.folder)
    lineup = lineup_of(again)
    assert lineup == again.lineup
    assert confirm(again, lineup) is Ending.DONE
    assert contest(again).done
    assert max(Counter(small.evaluated).values()) == 1
    assert len(small.evaluated) == 1 + TRIALS + contest(again).planned


class TestTheRecipe:
    def test_before_a_confirmation_it_says_so(self, finished: Any) -> None:
        _, study = finished()
        recipe = Recipe.of(study, study.folder.recipe_file)
        assert recipe.confirmation is None
        assert f"not confirmed by fresh fine-tunes, as `ratio-search confirm {study.folder.path}` would" in recipe.basis

    def test_afterwards_it_holds_the_verdict_and_names_the_adapter_of_the_winners_first_run(
        self, finished: Any, tmp_path: Path
    ) -> None:
        _, study = finished()
        lineup = lineup_of(study, top=1, seeds=2)
        confirm(study, lineup)
        recipe = Recipe.of(study, study.folder.recipe_file)
        found = recipe.confirmation
        assert found is not None
        assert recipe.mixture == study.recommend().mixture
        assert (found.winner, found.split, found.complete) == (lineup.recommended.name, "final", found.planned)
        assert found.contenders == {one.name: dict(one.mixture) for one in lineup.entrants}
        for name, share in recipe.shares.items():
            assert found.values[f"{name}/accuracy"].value == pytest.approx(0.2 + 0.6 * share)
        assert f"confirmed on the final files: {found.winner} has a score of" in recipe.basis
        assert found.optimism is not None and found.optimism.optimism.value == pytest.approx(0, abs=0.03)
        runs = contest(study).runs(lineup.recommended)
        assert recipe.seeds == runs[0].job.seeds == found.seeds[0]
        adapter = Path(recipe.artefacts["adapter"])
        assert adapter == study.attempt(runs[0].job).folder / "adapter"
        left = {path.parent.parent.name for path in study.folder.path.glob("jobs/confirmation-*/attempt-*/adapter")}
        assert left == {runs[0].job.id}
        recipe.save(tmp_path / "recipe.json")
        assert Recipe.load(tmp_path / "recipe.json") == recipe

    def test_one_without_the_field_can_still_be_read(self, finished: Any, tmp_path: Path) -> None:
        _, study = finished()
        recipe = Recipe.of(study, study.folder.recipe_file)
        old = recipe.to_json()
        del old["confirmation"]
        (tmp_path / "old.json").write_text(json.dumps(old))
        assert Recipe.load(tmp_path / "old.json") == recipe

    def test_another_candidate_that_wins_is_what_it_recommends(self, finished: Any) -> None:
        _, study = finished()
        lineup = lineup_of(study, top=2, seeds=2)
        other = lineup.entrants[1]
        played(study, lineup, lambda one, name: 0.9 if one is other else 0.5)
        recipe = Recipe.of(study, study.folder.recipe_file)
        assert recipe.mixture == other.mixture != study.recommend().mixture
        assert (recipe.trial, recipe.tried, recipe.selection) == (other.trial, True, "balanced")
        assert recipe.basis.startswith("fresh fine-tunes of it did better than those of what the search recommended; ")
        assert recipe.confirmation is not None and recipe.confirmation.winner == other.name

    def test_what_was_confirmed_before_the_search_went_on_says_nothing_of_another_mixture(self, finished: Any) -> None:
        _, study = finished()
        lineup = lineup_of(study, top=1, seeds=1)
        moved = Mixture.of({"support": 0.8, "legal": 0.1, "manuals": 0.1})
        first = dataclasses.replace(lineup.recommended, mixture=moved)
        confirm(study, dataclasses.replace(lineup, entrants=(first, *lineup.entrants[1:])))
        assert contest(study).done
        assert not list(study.folder.path.glob("jobs/confirmation-*/attempt-*/adapter"))
        recipe = Recipe.of(study, study.folder.recipe_file)
        assert recipe.confirmation is None
        assert recipe.mixture == study.recommend().mixture
        assert recipe.basis.endswith("an earlier confirmation was of another mixture")

    def test_while_it_goes_on_each_candidates_first_adapter_stays(self, finished: Any) -> None:
        _, study = finished(keep={"best": 1})
        lineup = lineup_of(study, top=2, seeds=3)
        confirm(study, lineup, stop_after=1 + 2 * len(lineup.entrants))
        first = [contest(study).runs(one)[0].job.id for one in lineup.entrants if one.candidate]
        left = {path.parent.parent.name for path in study.folder.path.glob("jobs/*/attempt-*/adapter")}
        assert left == {*first, study.ranking()[0][0].job.id}


class TestTheCommand:
    def test_it_ends_with_a_verdict_that_status_and_export_know_of(self, finished: Any, program: Any) -> None:
        _, study = finished()
        folder = str(study.folder.path)
        assert "not confirmed" in program("export", folder).err
        assert json.loads(program("status", folder, "--json").out)["confirmation"] is None
        done = program("confirm", folder, "--runner", "serial", "--top", "1", "--seeds", "2")
        assert done.code == 0, done.err
        # Where it is an anchor, too, that is named beside it.
        assert re.search(rf"^{RECOMMENDED}( = \w+)? has a score of ", done.out, re.MULTILINE)
        assert Recipe.load(study.folder.recipe_file).confirmation is not None
        assert "not confirmed" not in program("export", folder).err
        runs = len(study.confirmations())
        assert runs in (5, 7)
        assert f"{runs} of {runs} runs" in program("status", folder).out
        assert f"confirmed by {runs} of {runs} runs" in program("resume", folder).out

    def test_a_rival_that_is_better_is_told_wherever_the_recipe_is_shown(self, finished: Any, program: Any) -> None:
        _, study = finished()
        lineup = lineup_of(study, top=1, seeds=2)
        played(study, lineup, lambda one, name: 0.5 if one.candidate else 0.9)
        rivals = [one.name for one in lineup.entrants if not one.candidate]
        assert rivals
        done = program("export", str(study.folder.path))
        assert f"confirmed on the final files, but {' and '.join(rivals)} did better there" in done.err
        recipe = json.loads(done.out)
        assert recipe["confirmation"]["beaten_by"] == rivals
        assert recipe["basis"].endswith("instead, unless the candidates have other merits")

    def test_json_is_one_document_and_a_second_call_runs_nothing(self, finished: Any, program: Any) -> None:
        small, study = finished()
        command = ("confirm", str(study.folder.path), "--runner", "serial", "--seeds", "1", "--json")
        first = json.loads(program(*command).out)
        runs = len(small.evaluated)
        second = json.loads(program(*command).out)
        assert first == second and first["complete"] == first["planned"] == runs - 1 - TRIALS
        assert len(small.evaluated) == runs

    def test_what_cannot_be_confirmed_is_told_by_the_exit_code(self, small_study: Any, program: Any) -> None:
        small = small_study(domains=CONFIRMABLE)
        Study.create(small.spec, small.runs)
        done = program("confirm", str(small.runs / "small"))
        assert (done.code, done.out) == (1, "")
        assert "has no finished baseline" in done.err

    def test_it_waits_for_another_driver(self, finished: Any, program: Any) -> None:
        _, study = finished()
        with Lease(study.folder.lock_file):
            done = program("confirm", str(study.folder.path), "--runner", "serial")
        assert (done.code, done.out) == (3, "")
        assert study.confirmations() == [] and study.lineup is None
