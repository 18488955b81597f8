"""Where studies stand, as data and in tables."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ratio_search.errors import StudyFailed
from ratio_search.health import Doing
from ratio_search.status import overview, status
from ratio_search.status_report import overview_table, status_table
from ratio_search.study import Study

from .conftest import finished
from .test_report import text


class TestStatus:
    def test_of_a_finished_study(self, study: Study) -> None:
        found = status(study)
        assert found["trials"] == {"planned": 4, "complete": 4, "running": 0, "failed": 1, "imported": 0}
        assert (found["driver"], found["baseline"], found["running"]) == (None, "complete", [])
        best = study.recommend()
        assert found["best"] == {
            "trial": best.record.job.id,
            "tried": best.tried,
            "score": best.score.balanced,
            "feasible": True,
            "shares": dict(best.mixture),
        }
        assert [(f["job"], f["message"]) for f in found["failures"]] == [("trial-0000", "the disk was full")]
        json.dumps(found, allow_nan=False)
        shown = text(status_table(found))
        assert "4 of 4 done, 0 open, 1 failed" in shown
        assert "trial-0000: the disk was full" in shown

    def test_the_best_is_a_trial_or_a_mixture_near_one(self, study: Study) -> None:
        found = status(study)
        for tried, words in ((True, "best trial-0002 with +0.1000: "), (False, "best a new mixture near trial-0002 ")):
            best = {**found["best"], "trial": "trial-0002", "tried": tried, "score": 0.1}
            shown = text(status_table({**found, "best": best}))
            assert words in " ".join(shown.split())

    def test_of_a_study_under_way(self, small_study: Any) -> None:
        small = small_study()
        study = Study.create(small.spec, small.runs)
        job = study.ask()
        assert job is not None
        attempt = study.start(job)
        attempt.progress_file.write_text('{"step": 3, "total": 8, "note": "loss 1.2"}')
        found = status(study)
        assert found["trials"]["running"] == 0  # the baseline is no trial
        [activity] = found["running"]
        assert (activity["job"], activity["attempt"]) == ("reference-0000", 1)
        assert (activity["doing"], activity["progress"]) == ("left", "step 3 of 8 loss 1.2")
        assert found["best"] is None
        shown = text(status_table(found))
        assert "reference-0000 attempt 1: goes on when the study is resumed; last said: step 3 of 8 loss 1.2" in shown


class TestHealth:
    @pytest.fixture
    def study(self, small_study: Any) -> Study:
        small = small_study()
        return Study.create(small.spec, small.runs)

    def test_each_open_job_has_what_it_does(self, study: Study) -> None:
        found = status(study)
        job = {"job": "trial-0001", "attempt": 2, "since": "2026-01-01T00:00:00+00:00", "progress": "step 1 of 2"}
        job |= {"silent_s": 900.0, "quiet_s": 930.0, "lost_attempts": 1, "stages": ["train: submitted"], "log": ""}
        job["unfetched"] = None
        words = {
            "waiting": "waits for a worker; attempts lost before: 1",
            "running": "step 1 of 2, 0:15:30 ago",
            "stuck": "no sign of life since 2026-01-01T00:00:00+00:00, 0:15:00 ago; health.stuck_after_s is 120; "
            "last said: step 1 of 2; attempts lost before: 1; end what runs it, or stop and resume the study",
            "elsewhere": "on its platform, train: submitted",
            "left": "goes on when the study is resumed; last said: step 1 of 2",
        }
        assert set(words) == set(Doing)
        for doing, shown in words.items():
            line = " ".join(text(status_table({**found, "running": [{**job, "doing": doing}]})).split())
            assert f"trial-0001 attempt 2: {shown}" in line
            assert ("stuck " in line) == (doing == "stuck")

    def test_the_last_lines_of_what_is_stuck(self, study: Study) -> None:
        job = {"job": "trial-0001", "attempt": 2, "since": "x", "progress": "", "silent_s": 9.0, "quiet_s": None}
        job |= {"doing": "stuck", "lost_attempts": 0, "stages": [], "log": "\n".join(f"line {i}" for i in range(20))}
        shown = text(status_table({**status(study), "running": [job]}))
        assert "last said: nothing" in shown
        assert "line 19" in shown and "line 15" in shown and "line 14" not in shown

    def test_failures_of_one_reason_are_one_line_with_the_latest_log(self, small_study: Any) -> None:
        small = small_study("fail-trials", search={"trials": 8})
        study = Study.create(small.spec, small.runs)
        with pytest.raises(StudyFailed):
            finished(study)
        study.fail(study.ask().id, "something else")  # type: ignore[union-attr]
        found = status(study)
        often, once = found["health"]["reasons"]
        assert (often["kind"], often["count"], often["jobs"]) == ("objective", 2, ["trial-0000", "trial-0001"])
        assert often["message"] == "the trainer failed with exit status #; its last lines say why"
        assert often["log"] == "boom: the data is bad"
        assert (once["message"], once["jobs"]) == ("something else", ["trial-0002"])
        assert len(found["failures"]) == 3
        shown = text(status_table(found))
        assert "2 for one reason, trial-0000, trial-0001: the trainer failed with exit status #" in shown
        assert "boom: the data is bad" in shown
        assert "trial-0002: something else" in shown

    def test_many_failures_of_one_reason_stay_one_line(self, study: Study) -> None:
        found = status(study)
        reason = {"kind": "objective", "message": "no", "jobs": [f"trial-{i:04d}" for i in range(100)], "log": ""}
        shown = text(status_table({**found, "health": {**found["health"], "reasons": [{**reason, "count": 100}]}}))
        assert "100 for one reason, trial-0000, trial-0001, trial-0002, trial-0003, trial-0004 and 95 more: no" in shown

    def test_the_room_on_the_disk(self, small_study: Any, small_disk: Any) -> None:
        disk = small_disk("4m")
        small = small_study()
        study = Study.create(small.spec, disk.path)
        found = status(study)
        assert found["health"]["disk"]["low"]
        assert 0 < found["health"]["disk"]["free_gb"] < 0.0042
        assert "GB left, below health.floor_gb, 1: nothing new is started" in text(status_table(found))
        other = Study.create(small_study(health={"floor_gb": None}).spec, small.runs)
        found = status(other)
        assert not found["health"]["disk"]["low"]
        assert "nothing new is started" not in text(status_table(found))


class TestOverview:
    def test_every_study_of_the_folder_also_a_broken_one(self, study: Study, small_study: Any) -> None:
        broken = study.folder.path.parent / "broken"
        broken.mkdir()
        (broken / "manifest.json").write_text("{")
        first, second = overview(study.folder.path.parent)
        assert (first["name"], second["name"]) == ("broken", "small")
        assert "cannot be read" in first["error"]
        assert {**second, "health": None} == {**status(study), "health": None}  # others use the same disk
        shown = text(overview_table([first, second]))
        assert "cannot be read" in shown
        assert "small" in shown

    def test_a_folder_without_studies(self, tmp_path: Any) -> None:
        assert overview(tmp_path / "nowhere") == []
