"""Runs from elsewhere: read from a CSV file, checked against a study, taken into it."""

from __future__ import annotations

import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.base import Estimate, Job, JobKind, Measurement, Seeds
from objectives.errors import DataError
from objectives.mixture import Mixture
from objectives.table import MOST_PROBLEMS
from ratio_search import Study, StudySpec, report
from ratio_search.model.points import PointSpace
from ratio_search.past_runs import PastRuns
from ratio_search.recipe import Recipe, rivals
from ratio_search.record import IMPORTED, JobState
from ratio_search.sampler.simplex_sampler import SimplexSampler
from ratio_search.sampler.strategy import Proposal

DOCUMENT: dict[str, Any] = {
    "name": "taking",
    "domains": {"a": {}, "b": {"share": [0, 0.5]}, "c": {}},
    "objective": {"kind": "external"},
    "metrics": [
        {"name": "a/accuracy", "reference": 0.5},
        {"name": "seconds", "goal": "minimize", "scale": 2, "reference": 3},
    ],
    "search": {"trials": 4},
    "storage": "memory",
}
SEARCHED = {
    "rate": {"low": 1e-5, "high": 1e-3, "log": True},
    "rank": {"low": 4, "high": 64, "step": 4},
    "loss": {"choices": ["hinge", "square", 16, True]},
}
HEAD = "share/a,share/b,share/c,a/accuracy,seconds"
SEARCHING = {"trials": 4, "hyperparameters": SEARCHED}


def spec(**keys: Any) -> StudySpec:
    return StudySpec.parse(yaml.safe_dump({**DOCUMENT, **keys}, sort_keys=False), Path("/nowhere"))


def made(**keys: Any) -> Study:
    return Study.create(spec(**keys))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "runs.csv"


def write(file: Path, *lines: str) -> Path:
    file.write_text("\n".join(lines))
    return file


def refusal(file: Path, *lines: str, **keys: Any) -> str:
    with pytest.raises(DataError) as error:
        PastRuns.read(write(file, *lines), spec(**keys))
    return str(error.value).replace(str(file), "runs.csv")


def next_job(study: Study) -> Job:
    job = study.ask()
    assert job is not None
    return job


class TestReading:
    def test_rows_become_runs(self, file: Path) -> None:
        head = f"{HEAD},a/accuracy/stderr,a/accuracy/rows,realised/a,realised/b,realised/c"
        found = PastRuns.read(write(file, head, "0.5,0.25,0.25,0.7,2,0.01,300,0.5,0.3,0.2", "1,0,0,0.8,1,,,,,"), spec())
        one, other = found.runs
        assert (one.line, one.mixture) == (2, Mixture.of({"a": 0.5, "b": 0.25, "c": 0.25}))
        assert one.measurement == Measurement(
            metrics={"a/accuracy": Estimate(value=0.7, stderr=0.01, rows=300), "seconds": Estimate(value=2.0)},
            realised=Mixture.of({"a": 0.5, "b": 0.3, "c": 0.2}),
        )
        assert (other.line, other.values, other.measurement.realised) == (3, {"a/accuracy": 0.8, "seconds": 1.0}, None)
        assert (found.incomplete, found.baselines, dict(found.removed), found.ignored) == (0, 0, {}, ())
        assert found.warnings == []

    def test_other_metrics_of_its_domains_come_along_and_other_columns_are_named(self, file: Path) -> None:
        head = f"{HEAD},b/f1,b/notes,bleu,param/old,cost/usd,score"
        found = PastRuns.read(write(file, head, "1,0,0,0.5,1,0.3,good,7,x,9,x", "0,1,0,0.5,1,,,,,,"), spec())
        assert [set(run.values) - {"a/accuracy", "seconds"} for run in found.runs] == [{"b/f1"}, set()]
        assert found.ignored == ("b/notes", "bleu", "param/old")
        assert found.warnings == [f"{file}: ignored what means nothing to the study: b/notes, bleu, param/old"]

    def test_rows_that_are_no_runs_of_the_study_are_counted(self, file: Path) -> None:
        found = PastRuns.read(
            write(
                file,
                f"state,{HEAD},share/old,share/older",
                "failed,0.2,0.3,0.5,,,0,0",
                "complete,,,,0.5,1,,",
                "complete,0.5,0.25,0.25,0.5,1,0,",
                "complete,0.5,0.25,0.15,,,0.1,0",
                "complete,0.5,0.25,0,x,x,0.1,0.15",
            ),
            spec(),
        )
        assert [run.line for run in found.runs] == [4]
        assert (found.incomplete, found.baselines, dict(found.removed)) == (1, 1, {"old": 2, "older": 1})

    def test_a_domain_that_was_added_since_had_no_share(self, file: Path) -> None:
        [run] = PastRuns.read(write(file, "b,a,a/accuracy,seconds", "0.5,0.5,0.5,1"), spec()).runs
        assert run.mixture == Mixture.of({"a": 0.5, "b": 0.5, "c": 0})

    def test_a_domain_that_is_only_tested_has_no_share(self, file: Path) -> None:
        (file.parent / "test.jsonl").write_text('{"instruction": "x", "output": "y"}\n')
        domains = {"a": {}, "b": {}, "general": {"test": str(file.parent / "test.jsonl")}}
        lines = ("share/a,share/b,share/general,a/accuracy,seconds", "0.5,0.5,0,0.5,1", "0.4,0.4,0.2,0.5,1")
        found = PastRuns.read(write(file, *lines), spec(domains=domains))
        assert [run.mixture for run in found.runs] == [Mixture.uniform("ab")]
        assert dict(found.removed) == {"general": 1}

    def test_hyperparameters_are_read_by_their_kind_also_outside_of_the_range_of_now(self, file: Path) -> None:
        head = f"{HEAD},param/rate,param/rank,param/loss"
        rows = ["1e-4,8,hinge", "0.5,7.0,16.0", "1e-9,640,true"]
        found = PastRuns.read(write(file, head, *(f"1,0,0,0.5,1,{row}" for row in rows)), spec(search=SEARCHING))
        assert [dict(run.hyperparameters) for run in found.runs] == [
            {"rate": 1e-4, "rank": 8, "loss": "hinge"},
            {"rate": 0.5, "rank": 7, "loss": 16},
            {"rate": 1e-9, "rank": 640, "loss": True},
        ]
        assert [type(run.hyperparameters["loss"]) for run in found.runs] == [str, int, bool]


class TestRefusing:
    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("1,0,0,,1", "runs.csv:2: a/accuracy: expected a finite number, found nothing"),
            ("1,0,0,nan,1", "runs.csv:2: a/accuracy: expected a finite number, found 'nan'"),
            (
                "1,0,0,70,1",
                "runs.csv:2: a/accuracy: expected a value from 0 to 1, found 70; report a rate, or state a scale for "
                "this metric to use other units",
            ),
            ("0.5,0.6,0,0.5,1", "runs.csv:2: expected shares that sum to 1, found 1.1 (share/a, share/b, share/c)"),
            ("1,0,0,0.5", "runs.csv:2: expected 5 cells, as in the first line, found 4"),
        ],
    )
    def test_a_wrong_row_with_its_line_and_column(self, file: Path, row: str, message: str) -> None:
        assert refusal(file, HEAD, row) == message

    def test_columns_that_are_missing(self, file: Path) -> None:
        found = refusal(file, "share/a,a/acuracy,param/rate", "1,0.5,1", search=SEARCHING).splitlines()
        assert found == [
            "runs.csv: has no column 'a/accuracy'; did you mean 'a/acuracy'? found share/a, a/acuracy, param/rate; the "
            "study is judged by it, so every run needs its value",
            "runs.csv: has no column 'seconds'; found share/a, a/acuracy, param/rate; the study is judged by it, so "
            "every run needs its value",
            "runs.csv: has no column param/rank, which the study searches; add one with the value that each run had",
            "runs.csv: has no column param/loss, which the study searches; add one with the value that each run had",
        ]

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("-1,8,hinge", "param/rate: expected a finite number above 0, as its scale is logarithmic, found '-1'"),
            ("x,8,hinge", "param/rate: expected a finite number, found 'x'"),
            ("1e-4,8.5,hinge", "param/rank: expected a whole number, found '8.5'"),
            ("1e-4,,hinge", "param/rank: expected a whole number, found nothing"),
            ("1e-4,8,log", "param/loss: expected one of hinge, square, 16, True, found 'log'"),
        ],
    )
    def test_a_setting_that_cannot_be(self, file: Path, row: str, message: str) -> None:
        head = f"{HEAD},param/rate,param/rank,param/loss"
        assert refusal(file, head, f"1,0,0,0.5,1,{row}", search=SEARCHING) == f"runs.csv:2: {message}"

    def test_all_or_nothing(self, file: Path) -> None:
        study = made()
        write(file, HEAD, "1,0,0,0.5,1", *["1,0,0,x,1"] * (MOST_PROBLEMS + 1))
        with pytest.raises(DataError, match="and 1 more"):
            study.import_runs(file)
        assert study.records() == []

    @pytest.mark.parametrize("cut", [9, 40, 70, 76])
    def test_a_torn_file(self, file: Path, cut: int) -> None:
        text = f'{HEAD}\n0.5,0.25,0.25,0.5,1\n0.5,0.25,"0.25",0.75,1\n'
        study = made()
        file.write_text(text[:cut])
        with pytest.raises(DataError, match=r"runs\.csv"):
            study.import_runs(file)
        assert study.records() == []

    @given(st.binary(max_size=60))
    @settings(max_examples=50)
    def test_garbage_is_refused_in_words(self, scratch: Path, garbage: bytes) -> None:
        scratch.write_bytes(garbage)
        with pytest.raises(DataError, match=r"any\.csv"):
            PastRuns.read(scratch, SPEC)


SPEC = spec()


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("import") / "any.csv"


ROWS = ["1,0,0,0.6,2", "0.25,0.5,0.25,0.7,2.5", "0.333,0.333,0.333,0.55,1", "0.2,0.7,0.1,0.9,0.5"]


class TestTaking:
    def test_what_is_imported_is_a_finished_trial_that_does_not_count(self, file: Path) -> None:
        study = made()
        found = study.import_runs(write(file, HEAD, *ROWS))
        assert (len(found.added), found.already, found.outside) == (4, 0, 1)
        assert study.records() == list(found.added)
        record = study.records()[2]
        assert (record.job.id, record.job.kind, record.origin) == ("trial-0002", JobKind.TRIAL, IMPORTED)
        assert (record.state, record.imported, record.basis, record.losses) == (JobState.COMPLETE, True, (), 0)
        assert record.job.mixture == Mixture.uniform("abc")
        assert record.job.seeds == Seeds.of(0, 0)
        assert record.measurement is not None and not record.measurement.cost and not record.measurement.artefacts
        assert (study.complete, study.done) == (0, False)
        assert not study.attempt(record.job).folder.exists()

    def test_the_study_runs_all_of_its_own_trials_and_no_anchor_again(self, file: Path) -> None:
        study = made()
        study.import_runs(write(file, HEAD, *ROWS))
        origins = []
        while (job := study.ask()) is not None:
            origins.append(study.records()[-1].origin)
            study.tell(job.id, {"a/accuracy": 0.5, "seconds": 2.0})
        assert (study.complete, study.done, len(study.records())) == (4, True, 8)
        assert "anchor:uniform" not in origins and len(origins) == 4
        assert study.ask() is None

    def test_the_sampler_learns_from_it(self, file: Path) -> None:
        """A line of better and better mixtures is followed by the first trial of the study's own."""
        third = "0.3333,0.3333,0.3334,0.5,2"
        line = [f"{a},{(1 - a) / 2},{(1 - a) / 2},{0.4 + a / 2},{4 - 3 * a}" for a in (0.0, 0.2, 0.4, 0.6, 0.8)]
        shares = []
        for seed in range(3):
            study = made(domains={name: {} for name in "abc"}, search={"trials": 4, "seed": seed})
            study.import_runs(write(file, HEAD, third, *line))
            job = next_job(study)
            assert set(study.records()[-1].basis) == set(range(6))
            assert job.mixture is not None
            shares.append(job.mixture["a"])
        # The best that was seen is at 0.8; a second look at the middle of the line would tell nothing.
        assert min(shares) > 0.75

    def test_the_sampler_counts_its_own_trials_alone(self, file: Path) -> None:
        study = made()
        study.import_runs(write(file, HEAD, *ROWS))
        told: list[int | None] = []

        class Listening:
            def propose(self, records: Any, scorer: Any, number: int, left: int | None = None) -> Proposal:
                told.append(left)
                return Proposal(mixture=Mixture.uniform("abc"), origin="listening")

        sampler = SimplexSampler(PointSpace(simplex=study.space), Listening(), anchors=[])
        sampler.trials = 4
        sampler.propose(study.records())
        study.tell(next_job(study).id, {"a/accuracy": 0.5, "seconds": 2.0})
        sampler.propose(study.records())
        assert told == [3, 2]

    @pytest.mark.parametrize("sampler", ["simplex-gp", "random", "tpe"])
    def test_every_sampler_takes_runs_outside_of_bounds_and_ranges(self, file: Path, sampler: str) -> None:
        search = {**SEARCHING, "sampler": sampler}
        study = made(search=search)
        head = f"{HEAD},param/rate,param/rank,param/loss"
        settings = ["1e-4,8,hinge", "0.5,7,16", "1e-9,640,True"]
        study.import_runs(write(file, head, *(f"{ROWS[i % 4]}{i},{settings[i % 3]}" for i in range(12))))
        for _ in range(2):
            job = next_job(study)
            assert job.mixture in study.space
            study.tell(job.id, {"a/accuracy": 0.5, "seconds": 2.0})
        assert study.allows(study.recommend().record)

    def test_its_mixture_may_be_recommended_and_the_recipe_says_so(self, file: Path, tmp_path: Path) -> None:
        study = made()
        study.import_runs(write(file, HEAD, ROWS[2]))
        recipe = Recipe.of(study, tmp_path / "recipe.json")
        assert (recipe.trial, recipe.mixture, recipe.artefacts) == ("trial-0000", Mixture.uniform("abc"), {})
        assert "trial-0000 was imported, not run by this study, and its seeds are not known" in recipe.basis
        assert set(rivals(study)) == {"uniform"}
        job = next_job(study)
        study.tell(job.id, {"a/accuracy": 0.99, "seconds": 0.5})
        assert "imported" not in Recipe.of(study, tmp_path / "recipe.json").basis

    def test_what_bounds_forbid_is_not_recommended(self, file: Path) -> None:
        study = made()
        study.import_runs(write(file, HEAD, *ROWS))
        assert study.ranking()[-1][0].values["a/accuracy"] == 0.9
        assert study.recommend().record.job.mixture in study.space

    def test_a_repeat_of_it_has_the_seeds_of_a_first_visit(self, file: Path) -> None:
        domains = {"a": {"share": 0.5}, "b": {"share": [0.2, 0.3]}, "c": {}}
        study = made(domains=domains, search={"trials": 2, "space": {"grid": 0.1}})
        study.import_runs(write(file, HEAD, "0.5,0.2,0.3,0.6,2", "0.5,0.3,0.2,0.7,2"))
        job = next_job(study)
        assert job.mixture is not None and min(abs(job.mixture["b"] - share) for share in (0.2, 0.3)) < 1e-9
        assert job.seeds == Seeds.of(0, 0)

    def test_the_same_runs_are_taken_once(self, file: Path) -> None:
        study = made()
        study.import_runs(write(file, HEAD, *ROWS[:2]))
        found = study.import_runs(write(file, HEAD, *ROWS, ROWS[3], "1,0,0,0.6,2.5"))
        assert (len(found.added), found.already, len(study.records())) == (3, 3, 5)
        assert found.lines[:2] == ["3 runs imported", "skipped: 3 runs that the study has already"]
        assert study.import_runs(file).added == ()

    def test_the_same_values_of_another_mixture_or_setting_are_another_run(self, file: Path) -> None:
        study = made(search=SEARCHING)
        head = f"{HEAD},param/rate,param/rank,param/loss"
        rows = ["1,0,0,0.6,2,1e-4,8,hinge", "0.9,0.1,0,0.6,2,1e-4,8,hinge", "1,0,0,0.6,2,1e-4,8,square"]
        assert len(study.import_runs(write(file, head, *rows)).added) == 3
        assert study.import_runs(write(file, head, *rows, "1,0,0,0.6,2,1e-4,12,hinge")).already == 3

    def test_its_own_trials_are_not_taken_again(self, file: Path) -> None:
        study = made(search=SEARCHING)
        for i in range(3):
            study.tell(next_job(study).id, {"a/accuracy": 0.5, "seconds": 2.0, "more": i})
        study.fail(next_job(study).id, "no luck")
        file.write_text(report.trials_csv(study))
        found = study.import_runs(file)
        assert (found.added, found.already, found.source.incomplete) == ((), 3, 1)

    def test_it_says_what_happened(self, file: Path) -> None:
        lines = ["state,share/old," + HEAD, "failed,0,1,0,0,1,1", "complete,1,0,0,0,1,1", "complete,,,,,1,1"]
        found = made().import_runs(write(file, *lines, *(f"complete,0,{row}" for row in ROWS)))
        assert found.lines == [
            "4 runs imported",
            "left out: 1 run not complete",
            "left out: 1 run of the untuned model, which a study evaluates itself",
            "left out: 1 run with a share of 'old', which the study cannot mix: such a mixture cannot be tried any "
            "more",
            "of those imported, 1 outside of the study's bounds: they are learned from, and never recommended",
        ]
        assert found.to_json() == {
            "imported": [f"trial-000{i}" for i in range(4)],
            "already": 0,
            "outside_bounds": 1,
            "left_out": {"incomplete": 1, "baseline": 1, "removed_domains": {"old": 1}},
            "ignored_columns": [],
        }


VALUES = {
    "a/accuracy": st.floats(0, 1),
    "seconds": st.floats(-1e300, 1e300),
    "a/bleu": st.floats(-1e300, 1e300),
}


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[Mixture, dict[str, Any], Measurement]]:
    """Finished runs with all that can be known of them; no two are the same."""
    found = []
    for seconds in draw(st.lists(VALUES["seconds"], min_size=1, max_size=3, unique=True)):
        weights = draw(st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda w: sum(w) > 1e-3))
        exact = Mixture.from_weights(dict(zip("abc", weights, strict=True)))
        # A mixture may be off by rounding, and must not be mended then.
        off = draw(st.sampled_from([0.0, 1e-10 if exact["a"] < 0.5 else -1e-10]))
        mixture = Mixture.of({**exact, "a": exact["a"] + off})
        values = {
            "rate": draw(st.floats(1e-8, 1.0)),
            "rank": draw(st.integers(1, 2**40)),
            "loss": draw(st.sampled_from(SEARCHED["loss"]["choices"])),  # type: ignore[arg-type]
        }
        metrics = {
            name: Estimate(
                value=seconds if name == "seconds" else draw(value),
                stderr=draw(st.none() | st.floats(0, 1)),
                rows=draw(st.none() | st.integers(0, 10**9)),
            )
            for name, value in VALUES.items()
        }
        realised = exact if draw(st.booleans()) else None
        found.append((mixture, values, Measurement(metrics=metrics, realised=realised)))
    return found


@given(histories())
@settings(max_examples=25, deadline=None)
def test_what_a_study_prints_another_one_takes_as_it_was(
    scratch: Path, runs: list[tuple[Mixture, dict[str, Any], Measurement]]
) -> None:
    head = [f"share/{name}" for name in "abc"] + [f"realised/{name}" for name in "abc"]
    head += [f"param/{name}" for name in SEARCHED] + [f"{m}{more}" for m in VALUES for more in ("", "/stderr", "/rows")]
    rows = []
    for mixture, values, measured in runs:
        cells = [*mixture.shares, *(measured.realised.shares if measured.realised else [None] * 3), *values.values()]
        cells += [x for m in measured.metrics.values() for x in (m.value, m.stderr, m.rows)]
        rows.append(",".join("" if cell is None else str(cell) for cell in cells))
    one, other = made(search=SEARCHING), made(search=SEARCHING)
    one.import_runs(write(scratch, ",".join(head), *rows))
    scratch.write_text(report.trials_csv(one))
    other.import_runs(scratch)
    for study in (one, other):
        kept = [(r.job.mixture, dict(r.job.hyperparameters), r.measurement) for r in study.records()]
        assert kept == runs


class TestInAFolder:
    @pytest.fixture
    def study(self, tmp_path: Path) -> Study:
        text = yaml.safe_dump({**DOCUMENT, "storage": "sqlite", "search": SEARCHING}, sort_keys=False)
        return Study.create(StudySpec.parse(text, tmp_path), tmp_path / "runs")

    @pytest.fixture
    def many(self, file: Path) -> Path:
        rows = [f"{i / 80},0,{1 - i / 80},{i / 100},{i},1e-4,{i + 1},hinge" for i in range(80)]
        return write(file, f"{HEAD},param/rate,param/rank,param/loss", *rows)

    def test_a_new_process_knows_it(self, study: Study, many: Path) -> None:
        found = study.import_runs(many)
        again = Study.open(study.folder)
        assert again.records() == list(found.added)
        last = json.loads((study.folder.path / "history.jsonl").read_text().splitlines()[-1])
        assert (last["event"], last["runs"], last["already"]) == ("imported", 80, 0)
        again.check_identity()

    def test_a_setting_outside_of_its_range_does_not_close_the_study(self, study: Study, file: Path) -> None:
        study.import_runs(write(file, f"{HEAD},param/rate,param/rank,param/loss", "1,0,0,0.5,1,0.5,7,square"))
        again = Study.open(study.folder)
        job = next_job(again)
        again.tell(job.id, {"a/accuracy": 0.5, "seconds": 1.0})
        assert again.complete == 1

    def test_killed_in_the_middle_it_is_whole_after_a_second_try(self, study: Study, many: Path) -> None:
        code = f"from ratio_search import Study; Study.open({str(study.folder.path)!r}).import_runs({str(many)!r})"
        with (
            sqlite3.connect(study.folder.database) as rows,
            subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) as process,
        ):
            while rows.execute("SELECT count(*) FROM trials").fetchone()[0] < 3:
                assert process.poll() is None, process.stderr.read() if process.stderr else ""
                time.sleep(0.002)
            os.kill(process.pid, signal.SIGKILL)
        rows.close()
        before = Study.open(study.folder)
        kept = before.records()
        assert 3 <= len(kept) < 80, "it was not killed in the middle"
        assert [record.values["seconds"] for record in kept] == list(map(float, range(len(kept))))
        assert all(record.state is JobState.COMPLETE and record.imported for record in kept)

        found = before.import_runs(many)
        assert (found.already, len(found.added)) == (len(kept), 80 - len(kept))
        whole = Study.open(study.folder).records()
        assert [record.values["seconds"] for record in whole] == list(map(float, range(80)))
        assert math.isclose(sum(record.values["a/accuracy"] for record in whole), sum(i / 100 for i in range(80)))
