"""The rule that stops a search early, and studies that it stops."""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.mixture import Mixture
from ratio_search import Study, StudySpec, report
from ratio_search.errors import SpecError
from ratio_search.record import Record
from ratio_search.status import status
from ratio_search.stopping import LEAST, PATIENCE, EarlyStop, enough
from tests.ratio_search.trials import study_of, text_of, trial

DOCUMENT: dict[str, Any] = {
    "name": "early",
    "domains": {"a": {}, "b": {}, "c": {}},
    "objective": {"kind": "external"},
    "metrics": [{"name": f"{name}/x", "goal": "maximize", "scale": 1, "reference": 0.2} for name in "abc"],
    "search": {"trials": 40, "parallel": 1, "stop": "auto"},
    "storage": "memory",
}
STOP = EarlyStop(gain=0.0003, worth=0.002, trials=40, records=15, closing=True, judgement="x")

Law = Callable[[Mixture], Mapping[str, float]]

text = functools.partial(text_of, DOCUMENT)
made = functools.partial(study_of, DOCUMENT)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def flat(noise: float = 0.01, seed: int = 0) -> Law:
    """Nothing matters, and there is luck."""
    rng = np.random.default_rng(seed)
    return lambda mixture: {f"{name}/x": 0.3 + noise * rng.standard_normal() for name in mixture}


def smooth(mixture: Mixture) -> dict[str, float]:
    """Soon understood, and best at no anchor."""
    return {
        f"{name}/x": share**0.5 + ahead for (name, share), ahead in zip(mixture.items(), (0, 0.1, 0.2), strict=True)
    }


def searching(**keys: Any) -> dict[str, Any]:
    return {**DOCUMENT["search"], **keys}


def run(study: Study, law: Law, most: int = 100) -> Study:
    for _ in range(most):
        if (job := study.ask()) is None:
            break
        assert job.mixture is not None
        study.tell(job.id, law(job.mixture))
    return study


@pytest.fixture(scope="module")
def stopped_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a study that was stopped early."""
    root = tmp_path_factory.mktemp("stopped")
    return run(Study.create(StudySpec.parse(text(storage="sqlite"), root), root), smooth).folder.path


@pytest.fixture(scope="module")
def ripe_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a study that will be stopped when it is asked next, after one more trial."""
    root = tmp_path_factory.mktemp("ripe")
    study = Study.create(StudySpec.parse(text(storage="sqlite", search=searching(worth=10)), root), root)
    return run(study, smooth, LEAST).folder.path


@pytest.fixture
def stopped(stopped_folder: Path, tmp_path: Path) -> Study:
    """A copy of that study."""
    return Study.open(shutil.copytree(stopped_folder, tmp_path / stopped_folder.name))


@pytest.fixture
def ripe(ripe_folder: Path, tmp_path: Path) -> Study:
    """A copy of that study."""
    return Study.open(shutil.copytree(ripe_folder, tmp_path / ripe_folder.name))


def gained(*gains: float | None) -> list[Record]:
    record = trial(0, Mixture.uniform("ab"))
    return [dataclasses.replace(record, number=i, gain=gain) for i, gain in enumerate(gains)]


stops = functools.partial(enough, worth=0.002, parallel=1, complete=LEAST, explained=True)


class TestRule:
    low = gained(*[0.001] * (PATIENCE - 1))

    def test_small_gains_in_a_row_are_enough(self) -> None:
        assert stops(0.001, self.low)

    @pytest.mark.parametrize("gain", [None, 0.002, 0.5])
    def test_one_gain_that_is_not_small_is_not(self, gain: float | None) -> None:
        assert not stops(gain, self.low)

    def test_a_row_that_was_broken_begins_anew(self) -> None:
        assert not stops(0.001, [*self.low[1:], *gained(0.01)])
        assert not stops(0.001, [*gained(0.01), *self.low[1:]])
        assert stops(0.001, [*gained(0.01), *self.low])

    def test_trials_without_a_gain_neither_break_nor_lengthen_it(self) -> None:
        assert stops(0.001, [*self.low, *gained(None)])
        assert not stops(0.001, [*self.low[1:], *gained(None)])

    def test_trials_side_by_side_are_not_a_row(self) -> None:
        assert not stops(0.001, gained(*[0.001] * (PATIENCE + 1)), parallel=4)
        assert stops(0.001, gained(*[0.001] * (PATIENCE + 2)), parallel=4)

    def test_the_first_trials_are_run_in_any_case(self) -> None:
        assert not stops(0.001, self.low, complete=LEAST - 1)
        assert not stops(0.001, self.low, complete=LEAST, explained=False)
        assert stops(0.001, self.low, complete=2 * LEAST, explained=False)


class TestDecision:
    @given(gain=st.floats(-1, 1), worth=st.floats(1e-9, 1), closing=st.booleans())
    def test_can_be_kept(self, gain: float, worth: float, closing: bool) -> None:
        stop = dataclasses.replace(STOP, gain=gain, worth=worth, closing=closing)
        assert EarlyStop.from_json(json.loads(json.dumps(stop.to_json()))) == stop

    @pytest.mark.parametrize(
        ("changed", "holds"),
        [
            ({}, True),
            ({"worth": 0.003}, True),
            ({"trials": 30}, True),
            ({"records": 16}, True),
            ({"worth": 0.001}, False),
            ({"trials": 41}, False),
            ({"records": 17}, False),
            ({"judgement": "y"}, False),
        ],
    )
    def test_stands_until_somebody_wants_or_knows_more(self, changed: dict[str, Any], holds: bool) -> None:
        assert STOP.holds(**{"worth": 0.002, "trials": 40, "records": 15, "judgement": "x", **changed}) is holds

    def test_says_why(self) -> None:
        assert STOP.reason == "stopped early: one more trial was expected to gain 0.0003 < worth 0.002"


class TestStudyFile:
    def test_nothing_is_stopped_unless_it_is_stated(self) -> None:
        study = run(made(search={"trials": 16}), flat())
        assert study.complete == 16 and study.early_stop is None

    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            ({"search": searching(sampler="tpe")}, "search.stop: auto asks a model.*sampler tpe has none"),
            ({"balance": {"kind": "pareto"}}, "search.stop: auto.*pareto looks for all trade-offs"),
            ({"search": searching(stop="soon")}, "search.stop: expected 'auto', found 'soon'"),
            ({"search": searching(worth=0)}, "search.worth: expected a number above 0, found 0"),
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, keys: dict[str, Any], message: str) -> None:
        with pytest.raises(SpecError, match=message):
            made(**keys)

    def test_it_is_policy(self) -> None:
        one, other = (StudySpec.parse(text(search=s), Path.cwd()) for s in (searching(worth=0.5), {"trials": 40}))
        assert one.identity == other.identity
        assert one.policy["search"]["stop"] == "auto" and one.policy["search"]["worth"] == 0.5
        assert other.policy["search"]["stop"] is None


class TestStudy:
    def test_a_flat_problem_is_left_soon(self) -> None:
        study = run(made(), flat())
        assert LEAST <= study.complete < 40
        assert study.done and study.early_stop is not None and study.ask() is None
        assert study.early_stop.worth == study.spec.search.worth

    def test_a_steep_one_is_not_left_while_it_climbs(self) -> None:
        best = {"a": 0.9, "b": 0.08, "c": 0.02}

        def steep(mixture: Mixture) -> dict[str, float]:
            return {f"{name}/x": 10 * (share - best[name]) for name, share in mixture.items()}

        study = run(made(), steep)
        gains = [record.gain for record in study.records() if record.gain is not None]
        assert max(gains[LEAST - 10 : LEAST - 5]) > study.spec.search.worth
        assert study.complete > LEAST
        assert study.recommend().mixture.distance(Mixture.of(best)) < 0.01

    def test_a_gain_that_is_worth_nothing_at_all_never_comes(self) -> None:
        study = run(made(search=searching(trials=18, worth=1e-12)), flat())
        assert study.complete == 18 and study.early_stop is None

    def test_a_model_that_explains_nothing_is_given_twice_the_trials(self) -> None:
        study = run(made(), flat(noise=0.0))
        assert study.complete >= 2 * LEAST

    def test_the_last_trial_tries_what_is_recommended(self, ripe: Study) -> None:
        expected = ripe.recommend()
        run(ripe, smooth)
        stop, records = ripe.early_stop, ripe.records()
        assert not expected.tried
        assert stop is not None and stop.closing and stop.records == LEAST and len(records) == LEAST + 1
        assert records[-1].job.mixture == expected.mixture

    def test_what_still_runs_may_change_it(self) -> None:
        study = made(search=searching(worth=10, parallel=3))
        jobs = [study.ask() for _ in range(3)]
        while study.complete < LEAST:
            job = jobs.pop(0)
            assert job is not None and job.mixture is not None
            study.tell(job.id, smooth(job.mixture))
            jobs.append(study.ask())
        assert study.ask() is None, "gains are small"
        assert study.early_stop is None and not study.done, "but it is not decided"
        for job in jobs:
            if job is not None and job.mixture is not None:
                study.tell(job.id, smooth(job.mixture))
        run(study, smooth)
        assert study.done and study.early_stop is not None

    def test_the_last_of_all_trials_is_no_early_stop(self) -> None:
        study = run(made(search=searching(trials=LEAST + 1, worth=10)), smooth)
        assert study.complete == LEAST + 1 and study.early_stop is None


class TestResuming:
    def test_a_stopped_study_stays_stopped(self, stopped: Study) -> None:
        assert stopped.done and stopped.early_stop is not None
        stopped.override(trials=40)
        assert stopped.done and stopped.ask() is None
        assert "stopped_early" in (stopped.folder.path / "history.jsonl").read_text()

    def test_more_trials_go_on(self, stopped: Study) -> None:
        before = stopped.complete
        stopped.override(trials=60)
        assert not stopped.done
        run(stopped, smooth)
        assert stopped.done and stopped.early_stop is not None
        assert before + PATIENCE - 1 <= stopped.complete < 60, "the row begins anew"

    @pytest.mark.parametrize(
        "keys",
        [
            {"search": searching(worth=1e-9)},
            {"balance": {"kind": "weighted"}},
            {"search": {"trials": 40}},
            {"domains": {"a": {"share": [0, 0.5]}, "b": {}, "c": {}}},
        ],
    )
    def test_other_wishes_go_on(self, stopped: Study, keys: dict[str, Any]) -> None:
        stopped.folder.study_file.write_text(text(storage="sqlite", **keys))
        again = Study.open(stopped.folder)
        assert again.early_stop is None and not again.done
        assert again.ask() is not None

    def test_more_knowledge_goes_on(self, stopped: Study, tmp_path: Path) -> None:
        table = tmp_path / "runs.csv"
        table.write_text("a,b,c,a/x,b/x,c/x\n0.5,0.25,0.25,0.9,0.9,0.9\n0.6,0.2,0.2,0.9,0.9,0.9\n")
        assert len(stopped.import_runs(table).added) == 2
        assert not Study.open(stopped.folder).done

    def test_killed_between_the_decision_and_its_last_trial_it_runs_that(self, ripe: Study) -> None:
        history = ripe.folder.path / "history.jsonl"
        history.unlink()
        history.mkdir()  # so that noting the decision fails, which is stored by then
        with pytest.raises(IsADirectoryError):
            ripe.ask()
        history.rmdir()
        again = Study.open(ripe.folder)
        assert again.early_stop is not None and again.early_stop.closing and not again.done
        assert again.unfinished() == []
        expected = again.recommend().mixture
        run(again, smooth)
        assert again.records()[-1].job.mixture == expected
        assert again.done and len(again.records()) == LEAST + 1

    def test_killed_in_its_last_trial_it_ends_with_that(self, ripe: Study) -> None:
        last = ripe.ask()
        assert last is not None and last.mixture is not None
        again = Study.open(ripe.folder)
        assert not again.done and again.ask() is None
        assert again.unfinished() == [last]
        again.tell(last.id, smooth(last.mixture))
        assert again.done

    def test_status_and_trials_say_so(self, stopped: Study) -> None:
        found = status(stopped)
        assert found["stopped_early"].startswith("stopped early: one more trial was expected to gain 0.0")
        rows = report.trial_rows(stopped)
        assert rows[0]["expected_gain"] is None and rows[-2]["expected_gain"] is not None
