"""What the `replay` objective answers."""

from __future__ import annotations

import dataclasses
import functools
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from objectives.backends import Blueprint
from objectives.backends.replay import ReplayBackend
from objectives.base import Context, Estimate, Job, JobKind, Measurement, Objective, Seeds
from objectives.domain import Domain
from objectives.errors import ObjectiveError
from objectives.mixture import Mixture
from tests.contracts import ObjectiveContract, measured

from .conftest import law, written

Make = Callable[..., ReplayBackend]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Objective]:
    """Builds objectives of the one table; each is built once, as in a worker."""
    file = written(tmp_path_factory.mktemp("table"))
    domains = [Domain(name=name, elsewhere=True) for name in "abc"]

    @functools.cache
    def make(**keys: Any) -> Objective:
        return ReplayBackend.model_validate({"kind": "replay", "table": file.name, **keys}).build(domains, file.parent)

    return make


class _Replays(ObjectiveContract):
    """The contract, but for rows: a table knows none."""

    BY: str

    @pytest.fixture
    def objective(self, made: Callable[..., Objective]) -> Objective:
        return made(by=self.BY)

    @pytest.fixture
    def interruptible(self, made: Callable[..., Objective]) -> Objective:
        return made(by=self.BY, seconds=0.4)

    def test_metrics_are_finite_and_named_after_domains_with_tests(
        self, objective: Objective, trial: Job, context: Any
    ) -> None:
        assert list(measured(objective, trial, context()).metrics) == ["a/f1", "b/loss", "steadiness"]

    def test_realised_shares_and_rows_agree_with_the_mixture(
        self, objective: Objective, trial: Job, other: Job, context: Any
    ) -> None:
        for job in (trial, other):
            found = measured(objective, job, context())
            assert found.realised is not None and job.mixture is not None
            assert set(found.realised) == set(job.mixture)
            assert not found.rows


class TestNearest(_Replays):
    BY = "nearest"

    def test_it_reports_a_run_as_it_was(self, objective: Objective, trial: Job, context: Any) -> None:
        close = dataclasses.replace(trial, mixture=Mixture.of({"b": 0.01, "a": 0.98, "c": 0.01}))
        found = measured(objective, close, context())
        assert found.realised is not None and dict(found.realised) == {"a": 1, "b": 0, "c": 0}
        assert {name: m.value for name, m in found.metrics.items()} == dict(
            zip(("a/f1", "b/loss", "steadiness"), law(1, 0, 0), strict=True)
        )

    def test_near_is_meant_in_square_roots(
        self, settings: Make, tmp_path: Path, domains: Sequence[Domain], trial: Job, context: Any
    ) -> None:
        (tmp_path / "two.csv").write_text("a,b,c,x\n0,0.5,0.5,1\n0.2,0.4,0.4,2\n")
        objective = settings(table="two.csv").build(domains, tmp_path)
        job = dataclasses.replace(trial, mixture=Mixture.of({"a": 0.08, "b": 0.46, "c": 0.46}))
        assert measured(objective, job, context()).metrics["x"].value == 2

    def test_stated_errors_go_with_it_and_repeats_take_turns(
        self, settings: Make, tmp_path: Path, domains: Sequence[Domain], trial: Job, context: Any
    ) -> None:
        (tmp_path / "twice.csv").write_text("a,b,c,x,x/stderr,x/rows\n1,0,0,1,0.1,10\n1,0,0,2,0.2,20\n")
        objective = settings(table="twice.csv").build(domains, tmp_path)
        found = [
            measured(objective, dataclasses.replace(trial, seeds=Seeds(data=seed, training=0)), context()).metrics["x"]
            for seed in (0, 1, 2)
        ]
        one, two = Estimate(value=1, stderr=0.1, rows=10), Estimate(value=2, stderr=0.2, rows=20)
        assert found == [one, two, one]


class TestModel(_Replays):
    BY = "model"

    def test_it_knows_the_law_between_the_runs(self, objective: Objective, trial: Job, context: Any) -> None:
        for weights in ((0.2, 0.3, 0.5), (0.55, 0.4, 0.05)):
            mixture = Mixture.of(dict(zip("abc", weights, strict=True)))
            found = measured(objective, dataclasses.replace(trial, mixture=mixture), context())
            assert found.realised == mixture
            values = [estimate.value for estimate in found.metrics.values()]
            assert values == pytest.approx(law(*weights), abs=0.05)
            assert all(estimate.stderr is None for estimate in found.metrics.values())

    def test_it_says_how_far_it_can_be_believed(self, settings: Make, table: Path, domains: Sequence[Domain]) -> None:
        first, *models = settings(by="model").remarks(domains, table.parent)
        assert first == f"{table}: 40 runs"
        assert [line.partition(":")[0] for line in models] == [
            "model of a/f1",
            "model of b/loss",
            "model of steadiness",
        ]
        assert all("explains 9" in line or "explains 100%" in line for line in models)
        assert settings().remarks(domains, table.parent) == (first,)


@pytest.mark.parametrize("by", ["nearest", "model"])
class TestNoise:
    def values(self, objective: Objective, job: Job, tmp_path: Path) -> list[float]:
        *_, last = objective.run(job, Context(folder=tmp_path, checkpoint=tmp_path))
        assert isinstance(last, Measurement)
        return [estimate.value for estimate in last.metrics.values()]

    def test_is_as_large_as_stated_and_follows_from_the_job(
        self, settings: Make, table: Path, domains: Sequence[Domain], by: str
    ) -> None:
        quiet = settings(by=by).build(domains, table.parent)
        loud = settings(by=by, noise=0.1).build(domains, table.parent)
        mixture = Mixture.of({"a": 0.2, "b": 0.3, "c": 0.5})

        def job(seed: int, mixture: Mixture = mixture) -> Job:
            return Job(id="x", kind=JobKind.TRIAL, mixture=mixture, seeds=Seeds(data=seed, training=0))

        plain = self.values(quiet, job(0), table.parent)
        assert self.values(loud, job(0), table.parent) == self.values(loud, job(0), table.parent)
        off = np.array([self.values(loud, job(seed), table.parent) for seed in range(200)]) - plain
        spread = np.array([law(*map(float, row.split(",")[1:4])) for row in table.read_text().splitlines()[2:]]).std(0)
        spread[1] = off[:, 1].std() / 0.1  # a loss is disturbed on the scale of its logarithm
        assert off.std(axis=0) == pytest.approx(0.1 * spread, rel=0.25)
        assert abs(np.corrcoef(off[:, 0], off[:, 2])[0, 1]) < 0.3
        near = Mixture.of({"a": 0.2 + 1e-9, "b": 0.3 - 1e-9, "c": 0.5})
        assert self.values(loud, job(0, near), table.parent) != self.values(loud, job(0), table.parent)

    def test_leaves_possible_values_and_the_untuned_model(
        self, settings: Make, table: Path, domains: Sequence[Domain], by: str
    ) -> None:
        wild = settings(by=by, noise=50).build(domains, table.parent)
        for seed in range(20):
            mixture = Mixture.of({"a": 1, "b": 0, "c": 0})
            job = Job(id="x", kind=JobKind.TRIAL, mixture=mixture, seeds=Seeds(data=seed, training=0))
            rate, loss, _ = self.values(wild, job, table.parent)
            assert 0 <= rate <= 1 and loss > 0
        baseline = Job(id="x", kind=JobKind.BASELINE, mixture=None, seeds=Seeds(data=0, training=0))
        assert self.values(wild, baseline, table.parent) == [0.25, 2.5, 0]


def test_a_worker_elsewhere_builds_the_same(
    settings: Make, table: Path, domains: Sequence[Domain], tmp_path: Path
) -> None:
    blueprint = Blueprint(backend=settings(noise=0.1), domains=tuple(domains), root=table.parent)
    job = Job(id="x", kind=JobKind.TRIAL, mixture=Mixture.uniform("abc"), seeds=Seeds(data=0, training=0))
    context = Context(folder=tmp_path, checkpoint=tmp_path)
    sent = pickle.loads(pickle.dumps(blueprint))
    assert measured(sent.build(), job, context).metrics == measured(blueprint.build(), job, context).metrics


def test_the_untuned_model_must_be_in_the_table(
    settings: Make, table: Path, domains: Sequence[Domain], tmp_path: Path
) -> None:
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], *lines[2:]]))
    baseline = Job(id="x", kind=JobKind.BASELINE, mixture=None, seeds=Seeds(data=0, training=0))
    with pytest.raises(ObjectiveError, match="has no row of the untuned model"):
        list(settings().build(domains, tmp_path).run(baseline, Context(folder=tmp_path, checkpoint=tmp_path)))
