from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.base import Estimate
from objectives.errors import DataError
from objectives.mixture import Mixture
from objectives.run_table import ROUNDING, RunTable
from objectives.table import Problems


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "runs.csv"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs") / "any.csv"


def read(file: Path, *lines: str, domains: Sequence[str] = "ab", metrics: Sequence[str] = ()) -> RunTable:
    file.write_text("\n".join(lines))
    return RunTable.read(file, domains, metrics)


def mixtures(table: RunTable) -> list[tuple[float, ...]]:
    return [run.mixture.shares for run in table.runs]


class TestShares:
    def test_are_taken_as_they_are(self, file: Path) -> None:
        table = read(file, "share/a,share/b,loss", "0.1,0.9,1", "1,,2")
        assert mixtures(table) == [(0.1, 0.9), (1.0, 0.0)]

    def test_bare_names_will_do(self, file: Path) -> None:
        table = read(file, "b,a,loss", "0.25,0.75,1")
        assert mixtures(table) == [(0.75, 0.25)]
        assert table.candidates == ("loss",)

    def test_a_bare_name_that_is_a_metrics_too_is_that(self, file: Path) -> None:
        assert read(file, "a,b,c", "0.5,1,0.5", domains="abc", metrics=["b"]).shares == {"a": "a", "c": "c"}

    def test_a_domain_that_the_table_lacks_had_none(self, file: Path) -> None:
        table = read(file, "share/a,loss", "1,2")
        assert mixtures(table) == [(1.0, 0.0)]

    def test_runs_with_a_share_of_a_domain_that_is_gone_are_set_apart(self, file: Path) -> None:
        table = read(file, "share/a,share/b,share/old", "0.5,0.5,0", "0.5,0.25,0.25")
        assert mixtures(table) == [(0.5, 0.5)]
        assert [row.mixture and row.mixture["old"] for row in table.rows] == [0, 0.25]

    def test_of_none_of_the_domains_there_are_none(self, file: Path) -> None:
        with pytest.raises(DataError, match=r"has no shares; expected columns such as share/a, for a, b$"):
            read(file, "share/x,loss", "1,2")

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("0.5,x", ":2: share/b: expected a share from 0 to 1, found 'x'"),
            ("-0.1,1.1", ":2: share/a: expected a share from 0 to 1, found '-0.1'"),
            ("nan,1", ":2: share/a: expected a share from 0 to 1, found 'nan'"),
            ("40,60", ":2: share/a: expected a share from 0 to 1, found '40'"),
            ("0.5,0.4", ":2: expected shares that sum to 1, found 0.9 (share/a, share/b)"),
            ("0.5,", ":2: expected shares that sum to 1, found 0.5 (share/a, share/b)"),
        ],
    )
    def test_impossible_ones_are_refused(self, file: Path, row: str, message: str) -> None:
        with pytest.raises(DataError) as error:
            read(file, "share/a,share/b", row)
        assert message in str(error.value)

    @given(st.lists(st.integers(0, 50), min_size=2, max_size=9).filter(any), st.integers(2, 4))
    def test_rounded_ones_are_mended(self, scratch: Path, weights: list[int], digits: int) -> None:
        names = [f"d{i}" for i in range(len(weights))]
        exact = Mixture.from_weights(dict(zip(names, weights, strict=True)))
        rounded = [f"{share:.{digits}f}" for share in exact.shares]
        off = abs(sum(map(float, rounded)) - 1)
        lines = (",".join(f"share/{name}" for name in names), ",".join(rounded))
        if off > ROUNDING:
            with pytest.raises(DataError, match="sum to 1"):
                read(scratch, *lines, domains=names)
            return
        [found] = read(scratch, *lines, domains=names).runs
        assert found.mixture.distance(exact) <= len(names) * 10**-digits


class TestRows:
    def test_without_shares_or_of_kind_baseline_are_the_untuned_model(self, file: Path) -> None:
        table = read(file, "kind,share/a,share/b,loss", ",,,1", "trial,0,0,2", "Baseline,0.5,0.5,3", "trial,1,0,4")
        assert [row["loss"] for row in table.untuned] == ["1", "2", "3"]
        assert [run.row["loss"] for run in table.runs] == ["4"]

    def test_that_are_not_complete_are_counted_and_not_judged(self, file: Path) -> None:
        table = read(file, "state,share/a,share/b", "failed,7,x", "COMPLETE,1,0", ",0,1", "running,,")
        assert (len(table.runs), table.incomplete) == (2, 2)

    def test_a_metric_may_have_the_name_of_another_column(self, file: Path) -> None:
        table = read(file, "share/a,share/b,state", "0.5,0.5,3", metrics=["state"])
        assert (len(table.runs), table.candidates) == (1, ("state",))
        assert read(file, "share/a,share/b,state", "0.5,0.5,3").incomplete == 1


def test_what_our_own_export_prints_beside_metrics_is_none(file: Path) -> None:
    own = "trial,origin,state,attempt,started,seconds,score,feasible,failure,message"
    prefixed = "share/a,share/b,param/rate,seed/data,realised/a,rows/a,cost/wall_seconds,artefact/adapter"
    metrics = "a/f1,a/f1/stderr,a/f1/rows,a/f1/gain,a/f1/violation,a/f1/missed,bleu,x/rows"
    table = read(file, f"{own},{prefixed},{metrics}")
    assert table.candidates == ("a/f1", "bleu", "x/rows")


class TestEstimates:
    HEAD = "share/a,share/b,f1,f1/stderr,f1/rows"

    def estimate(self, file: Path, row: str) -> Estimate | None:
        table = read(file, self.HEAD, f"0.5,0.5,{row}")
        problems = Problems(file)
        found = table.estimate(table.runs[0].row, "f1", problems)
        problems.check()
        return found

    def test_have_what_is_there(self, file: Path) -> None:
        assert self.estimate(file, "0.5,0.01,300") == Estimate(value=0.5, stderr=0.01, rows=300)
        assert self.estimate(file, "1e-3,,") == Estimate(value=0.001)

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            (",,", ":2: f1: expected a finite number, found nothing"),
            ("inf,,", ":2: f1: expected a finite number, found 'inf'"),
            ("1,-1,", ":2: f1/stderr: expected a number of at least 0, found '-1'"),
            ("1,x,", ":2: f1/stderr: expected a number of at least 0, found 'x'"),
            ("1,,2.5", ":2: f1/rows: expected a whole number of at least 0, found '2.5'"),
        ],
    )
    def test_wrong_ones_are_refused(self, file: Path, row: str, message: str) -> None:
        with pytest.raises(DataError) as error:
            self.estimate(file, row)
        assert message in str(error.value)

    def test_a_column_that_is_missing_is_told_with_one_that_is_near(self, file: Path) -> None:
        assert read(file, self.HEAD).lacks("F1") == f"has no column 'F1'; found {self.HEAD.replace(',', ', ')}"
        assert "did you mean 'f1/rows'?" in read(file, self.HEAD).lacks("f1/row")


class TestRealised:
    def realised(self, file: Path, row: str) -> Mixture | None:
        table = read(file, "share/a,share/b,realised/a,realised/b,realised/old", f"0.5,0.5,{row}")
        problems = Problems(file)
        found = table.realised(table.runs[0].row, problems)
        problems.check()
        return found

    def test_are_read_where_they_are_stated(self, file: Path) -> None:
        assert self.realised(file, "0.52,0.48,") == Mixture.of({"a": 0.52, "b": 0.48})
        assert self.realised(file, ",,") is None
        assert self.realised(file, "0.5,0.4,0.1") is None

    def test_are_checked(self, file: Path) -> None:
        with pytest.raises(DataError, match=r":2: expected shares that sum to 1, found 0\.7"):
            self.realised(file, "0.5,0.2,")
