"""What losing trials left on a platform: a pretend one, whose server is a real one in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from objectives.backends import BACKENDS
from objectives.remote import Leftover
from ratio_search.leftovers import Leftovers, untidied
from ratio_search.leftovers import losers as losers_of
from ratio_search.recipe import Recipe
from ratio_search.record import JobState
from ratio_search.report import trial_rows
from ratio_search.study import Study
from tests.ratio_search.conftest import CONFIRMABLE, MakeRemote, Program
from tests.ratio_search.test_remote_study import REFERENCED, created, driven
from tests.services.backend import LOCKED, PlatformBackend
from tests.services.server import PretendServer


@pytest.fixture
def study(remote_study: MakeRemote) -> Study:
    """A finished one of five trials, of which one is kept."""
    found = created(remote_study(search={"trials": 5, "parallel": 2}, keep={"best": 1}))
    driven(found)
    return found


def places(study: Study, *jobs: str) -> list[str]:
    """What jobs left on the pretend platform."""
    stages = [f"small-{study.identifier}-{job}-train-a1" for job in jobs]
    return [f"{of}:{stage}" for stage in stages for of in ("platform", "escrow")]


def losers(study: Study) -> list[str]:
    return [record.job.id for record in losers_of(study)]


def kept(study: Study) -> set[str]:
    return {record.job.id for record in study.records()} - set(losers(study))


class TestWhoLost:
    def test_the_recommended_and_the_best_are_kept(self, study: Study) -> None:
        assert kept(study) == {study.recommend().record.job.id, study.ranking()[0][0].job.id}
        assert len(losers(study)) >= 3

    def test_as_many_as_the_study_file_asks_for_and_what_is_recommended(self, study: Study) -> None:
        text = study.folder.study_file.read_text()
        ranked, advised = [record.job.id for record, _ in study.ranking()], study.recommend().record.job.id
        for best in (0, 3, 9):
            study.folder.study_file.write_text(text.replace("best: 1", f"best: {best}"))
            again = Study.open(study.folder)
            assert len(kept(again)) in (min(max(best, 1), 5), min(best + 1, 5))
            assert advised in kept(again)
            assert set(ranked[: max(best - 1, 0)]) <= kept(again)

    def test_nobody_while_trials_cannot_be_compared(self, remote_study: MakeRemote) -> None:
        study = created(remote_study(search={"trials": 3}, baseline=False, metrics=REFERENCED, keep={"best": 1}))
        driven(study)
        assert losers(study)
        document = yaml.safe_load(study.folder.study_file.read_text())
        document |= {"baseline": True, "metrics": [{"name": metric["name"]} for metric in REFERENCED]}
        study.folder.study_file.write_text(yaml.safe_dump(document))
        assert losers(Study.open(study.folder)) == [], "the baseline is not evaluated yet"

    def test_a_confirmed_run_is_kept_and_the_others_of_the_confirmation_are_not(
        self, remote_study: MakeRemote, program: Program
    ) -> None:
        study = created(remote_study(domains=CONFIRMABLE, search={"trials": 3}, keep={"best": 1}))
        driven(study)
        assert program("confirm", str(study.folder.path), "--seeds", "2").code == 0
        again = Study.open(study.folder)
        confirming = {record.job.id for record in again.confirmations() if record.job.mixture is not None}
        [held] = confirming - set(losers(again))
        recipe = Recipe.of(again, again.folder.recipe_file)
        assert recipe.artefacts["model"] == f"platform:small-{again.identifier}-{held}-train-a1"

    def test_a_failed_trial_by_what_it_had_done(self, remote_study: MakeRemote, server: PretendServer) -> None:
        server.fault("poll", "overrun", stage="evaluate", after=4)
        study = created(remote_study(search={"trials": 1, "parallel": 1}))
        driven(study)
        [failed] = [record for record in study.records() if record.state is JobState.FAILED]
        assert losers(study) == [failed.job.id]
        found = Leftovers.of(study, study.spec.blueprint.connect())
        assert [one.leftover.place for one in found.left] == places(study, failed.job.id)
        assert found.unknown == ()
        assert untidied(study) == [], "nothing is known of it without its objective"

    def test_what_a_failed_one_left_may_not_be_known(
        self, remote_study: MakeRemote, server: PretendServer, program: Program, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.fault("poll", "overrun", stage="evaluate", after=4)
        study = created(remote_study(search={"trials": 1, "parallel": 1}))
        driven(study)
        monkeypatch.setitem(BACKENDS, "pretend", f"{__name__}:{Ignorant.__name__}")
        done = program("leftovers", str(study.folder.path))
        assert done.code == 0
        assert f"trial-0000: train platform:small-{study.identifier}-trial-0000-train-a1: failed later; " in done.out


class Ignorant(PlatformBackend):
    """A platform that knows what a job left by its measurement alone."""

    def build(self, *arguments: Any, **keywords: Any) -> Any:
        built = super().build(*arguments, **keywords)
        known = built.leftovers

        def leftovers(artefacts: Mapping[str, str]) -> tuple[Leftover, ...]:
            return known(artefacts) if "model" in artefacts else ()

        built.leftovers = leftovers  # type: ignore[method-assign]
        return built


class TestTheCommand:
    def test_lists_what_it_is_where_it_is_and_how_it_is_deleted(
        self, study: Study, server: PretendServer, program: Program
    ) -> None:
        done = program("leftovers", str(study.folder.path))
        assert done.code == 0
        wanted = places(study, *losers(study))
        lines = done.out.splitlines()
        assert lines[0] == f"{losers(study)[0]}: model {wanted[0]}"
        assert lines[1] == f"  pretend rm {wanted[0]}"
        assert [line.split()[-1] for line in lines if line.startswith("trial-")] == wanted
        assert (
            lines[-1] == f"{len(wanted)} in all, which may cost as long as they are there; --delete --yes deletes them"
        )
        assert server.deleted == []
        found = json.loads(program("leftovers", str(study.folder.path), "--json").out)
        assert [one["place"] for one in found["leftovers"]] == wanted
        assert found["leftovers"][0] == {
            "job": losers(study)[0],
            "what": "model",
            "place": wanted[0],
            "command": f"pretend rm {wanted[0]}",
        }
        assert (found["deleted"], found["unknown"]) == ([], [])

    def test_deletes_nothing_unless_somebody_agrees(
        self, study: Study, server: PretendServer, program: Program
    ) -> None:
        for options in (["--yes"], ["--delete"], ["--delete", "--json"]):
            done = program("leftovers", str(study.folder.path), *options)
            assert done.code == (3 if "--delete" in options else 0)
            assert ("would be deleted for good, and nothing was: --yes agrees to it" in done.err) == bool(done.code)
        assert json.loads(done.out)["deleted"] == []
        assert server.deleted == []

    def test_deletes_what_it_lists_once(self, study: Study, server: PretendServer, program: Program) -> None:
        wanted, folder = places(study, *losers(study)), str(study.folder.path)
        count = len(losers(study))
        assert f"of {count} jobs that lost, which may cost: ratio-search leftovers" in program("status", folder).out
        done = program("leftovers", folder, "--delete", "--yes")
        assert done.code == 0
        assert server.deleted == wanted
        assert [line.split()[-1] for line in done.out.splitlines() if line.startswith("deleted: ")] == wanted
        done = program("leftovers", folder, "--delete", "--yes", "--json")
        assert json.loads(done.out) == {"name": "small", "leftovers": [], "unknown": [], "deleted": []}
        assert "left nothing that is known here, or nothing any more" in program("leftovers", folder).out
        assert server.deleted == wanted
        assert json.loads(program("status", folder, "--json").out)["leftovers"] == []
        assert "leftovers" not in program("status", folder).out

    def test_a_recipe_and_a_table_name_what_is_still_there(self, study: Study, program: Program) -> None:
        program("leftovers", str(study.folder.path), "--delete", "--yes")
        again = Study.open(study.folder)
        models = {row["trial"]: row["artefact/model"] for row in trial_rows(again)}
        assert {trial for trial, model in models.items() if model is not None} == kept(again)
        assert all(row["artefact/base_model"] == "base/1" for row in trial_rows(again))
        recipe = Recipe.of(again, again.folder.recipe_file)
        if recipe.tried:
            assert recipe.artefacts == {"base_model": "base/1", "model": models[recipe.trial]}

    def test_goes_on_after_an_error_and_the_rest_is_deleted_the_next_time(
        self, study: Study, server: PretendServer, program: Program
    ) -> None:
        wanted, folder = places(study, *losers(study)), str(study.folder.path)
        server.fault("delete", "forbidden", after=1)
        server.fault("delete", "throttle", "busy", after=3)
        server.fault("delete", "expired", after=5)
        done = program("leftovers", folder, "--delete", "--yes")
        assert done.code == 1
        left = [place for place in wanted if place not in server.deleted]
        assert len(left) == 2
        for place in left:
            assert place in done.err
        assert "this could not be deleted, and may still cost:\n  trial-" in done.err
        found = json.loads(program("leftovers", folder, "--json").out)
        assert [one["place"] for one in found["leftovers"]] == left
        assert program("leftovers", folder, "--delete", "--yes").code == 0
        assert sorted(server.deleted) == sorted(wanted)

    def test_a_platform_that_has_no_time_is_not_asked_for_ever(
        self, study: Study, server: PretendServer, program: Program
    ) -> None:
        server.fault("delete", *["throttle"] * 1000)
        done = program("leftovers", str(study.folder.path), "--delete", "--yes", "--json")
        assert done.code == 1
        assert len(json.loads(done.out)["leftovers"]) == len(places(study, *losers(study)))
        assert server.deleted == []

    def test_needs_the_study_for_itself_only_to_delete(
        self, study: Study, server: PretendServer, program: Program
    ) -> None:
        with study.folder.lease():
            assert program("leftovers", str(study.folder.path)).code == 0
            assert program("leftovers", str(study.folder.path), "--delete", "--yes").code == 3
        assert server.deleted == []

    def test_says_that_more_may_be_needed_while_the_study_goes_on(self, study: Study, program: Program) -> None:
        study.override(trials=9)
        assert "a trial that loses now may still be recommended" in program("leftovers", str(study.folder.path)).out

    def test_without_a_way_in_it_says_why(
        self, study: Study, program: Program, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(LOCKED, "no credentials were found: set them")
        done = program("leftovers", str(study.folder.path))
        assert (done.code, done.err) == (1, "error: no credentials were found: set them\n")

    def test_a_study_that_runs_here_has_nothing_there(self, small_study: Any, program: Program) -> None:
        small = small_study()
        Study.create(small.spec, small.runs)
        for options in ([], ["--delete"], ["--delete", "--yes"]):
            done = program("leftovers", str(small.runs / "small"), *options)
            assert (done.code, done.out) == (0, "small: nothing is on a platform; objective 'command' has none\n")
        done = program("leftovers", str(small.runs / "small"), "--json")
        assert json.loads(done.out)["leftovers"] == []
