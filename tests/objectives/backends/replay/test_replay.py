"""The settings of the `replay` objective, and what they check of a table before a study begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError

from objectives.backends import load
from objectives.backends.replay import ReplayBackend
from objectives.domain import Domain
from objectives.errors import DataError
from objectives.metrics import Comparison, Goal
from objectives.scorer import Metric

Make = Callable[..., ReplayBackend]


def metric(name: str, **keys: float) -> Metric:
    return Metric(name=name, goal=Goal.MAXIMIZE, **keys)


def test_is_found_by_its_kind_and_needs_no_files(settings: Make) -> None:
    assert load("replay") is ReplayBackend
    assert settings().ELSEWHERE and not settings().EXTERNAL
    assert settings().produces({}) is None


@pytest.mark.parametrize(
    "change", [{"by": "magic"}, {"noise": -1}, {"noise": float("inf")}, {"seconds": -1}, {"table": ""}, {"rows": 3}]
)
def test_settings_that_mean_nothing_are_refused(settings: Make, change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        settings(**change)


class TestTheTable:
    def test_is_part_of_what_a_study_is_wherever_it_lies(self, settings: Make, table: Path) -> None:
        before = settings().fingerprint(table.parent)
        (table.parent / "other").mkdir()
        moved = table.rename(table.parent / "other" / "moved.csv")
        assert settings(table="other/moved.csv").fingerprint(table.parent) == before
        assert {"table", "seconds"} <= settings().POLICY
        moved.write_text(f"{moved.read_text()}\n")
        assert settings(table=str(moved)).fingerprint(Path("elsewhere")) != before

    def test_must_be_there(self, settings: Make, tmp_path: Path) -> None:
        settings().check(tmp_path)
        with pytest.raises(DataError, match=r"objective\.table: .*none\.csv: cannot be read \(No such file"):
            settings(table="none.csv").check(tmp_path)

    def test_is_enough_for_what_it_has(self, settings: Make, tmp_path: Path, domains: Sequence[Domain]) -> None:
        wanted = [metric("a/f1", upper=1.0), metric("steadiness")]
        for by in ("nearest", "model"):
            settings(by=by).check_asked(domains, tmp_path, metrics=wanted, baseline=True)

    def refusal(self, settings: Make, domains: Sequence[Domain], root: Path, *metrics: Metric) -> str:
        with pytest.raises(DataError) as error:
            settings().check_asked(domains, root, metrics=metrics, baseline=True)
        return str(error.value)

    def test_must_have_every_metric(self, settings: Make, table: Path, domains: Sequence[Domain]) -> None:
        found = self.refusal(settings, domains, table.parent, metric("a/F1"), metric("kind"))
        assert found.splitlines() == [
            f"{table}: has no column 'a/F1'; did you mean 'a/f1'? found kind, share/a, share/b, share/c, a/f1, b/loss, "
            "steadiness, notes; the study is judged by it",
            f"{table}: the column 'kind' means something else here than a metric; rename it",
        ]

    def test_must_have_possible_values_in_every_run(
        self, settings: Make, table: Path, domains: Sequence[Domain]
    ) -> None:
        lines = table.read_text().splitlines()
        lines[1] = "baseline,,,,25,,0,"
        lines[4] = "trial,1,0,0,80,-1,,"
        table.write_text("\n".join(lines))
        ratio = Metric(name="b/loss", goal=Goal.MINIMIZE, comparison=Comparison.LOG_RATIO)
        found = self.refusal(settings, domains, table.parent, metric("a/f1", upper=1.0), ratio, metric("steadiness"))
        assert f"{table}:2: b/loss: expected a finite number, found nothing" in found
        assert f"{table}:2: a/f1: expected a value from 0 to 1, found 25" in found
        assert f"{table}:5: b/loss: expected a value above 0, found -1" in found
        assert f"{table}:5: steadiness: expected a finite number, found nothing" in found
        assert len(found.splitlines()) == 5

    def test_must_have_the_untuned_model_where_it_is_asked_for(
        self, settings: Make, table: Path, domains: Sequence[Domain]
    ) -> None:
        lines = table.read_text().splitlines()
        table.write_text("\n".join([lines[0], *lines[2:]]))
        assert "has no row of the untuned model" in self.refusal(settings, domains, table.parent, metric("a/f1"))
        settings().check_asked(domains, table.parent, metrics=[metric("a/f1")], baseline=False)

    @pytest.mark.parametrize(("by", "runs", "least"), [("nearest", 0, 1), ("model", 4, 5)])
    def test_must_have_enough_runs_of_these_domains(
        self, settings: Make, table: Path, domains: Sequence[Domain], by: str, runs: int, least: int
    ) -> None:
        table.write_text("\n".join(table.read_text().splitlines()[: 2 + runs]))
        with pytest.raises(DataError, match=f"has {runs} complete runs of a, b, c; expected {least} or more"):
            settings(by=by).build(domains, table.parent)
