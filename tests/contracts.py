"""What every implementation of an interface promises, as test classes to inherit."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import re
import resource
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from objectives.attempt import Attempt, Failure, FailureKind
from objectives.base import Context, Job, JobKind, Measurement, Objective, Progress, Seeds
from objectives.domain import Domain
from objectives.errors import Cancelled, NameInUse
from objectives.mixture import Mixture
from objectives.remote import RemoteObjective, StageRequest, StageStatus
from ratio_search.errors import SelectionError, StudyError
from ratio_search.formats import Format
from ratio_search.formats.recipe_format import RecipeFormat
from ratio_search.recipe import Recipe

Event = Progress | Measurement


class ObjectiveContract:
    """The promises of a local objective.

    A subclass, or a conftest beside it, gives the fixtures `domains`, at least two of them with training rows, and
    `objective`, built for these domains.
    """

    @pytest.fixture
    def interruptible(self, objective: Objective) -> Objective:
        """The same objective, certain not to finish a first attempt between its first progress and a cancel."""
        return objective

    @pytest.fixture
    def trial(self, domains: Sequence[Domain]) -> Job:
        mixture = Mixture.uniform([domain.name for domain in domains if domain.mixed])
        return Job(id="trial-0001", kind=JobKind.TRIAL, mixture=mixture, seeds=Seeds(data=3, training=5))

    @pytest.fixture
    def other(self, domains: Sequence[Domain]) -> Job:
        weights = {domain.name: 0.0 if i == 0 else float(i) for i, domain in enumerate(domains) if domain.mixed}
        mixture = Mixture.from_weights(weights)
        return Job(id="trial-0002", kind=JobKind.TRIAL, mixture=mixture, seeds=Seeds(data=4, training=6))

    @pytest.fixture
    def baseline(self) -> Job:
        return Job(id="baseline", kind=JobKind.BASELINE, mixture=None, seeds=Seeds(data=3, training=5))

    @pytest.fixture
    def context(self, tmp_path: Path) -> Callable[..., Context]:
        """Makes the context of an attempt, in an empty folder unless a checkpoint is given."""
        made = 0

        def make(cancelled: Callable[[], bool] = lambda: False, checkpoint: Path | None = None) -> Context:
            nonlocal made
            made += 1
            folder = tmp_path / f"attempt-{made}"
            folder.mkdir()
            if checkpoint is None:
                checkpoint = folder / "checkpoint"
                checkpoint.mkdir()
            return Context(folder=folder, checkpoint=checkpoint, cancelled=cancelled)

        return make

    def test_yields_progress_and_last_exactly_one_measurement(
        self, objective: Objective, trial: Job, context: Callable[..., Context]
    ) -> None:
        events = list(objective.run(trial, context()))
        assert len(events) >= 2
        assert all(isinstance(event, Progress) for event in events[:-1])
        assert isinstance(events[-1], Measurement)
        for event in events[:-1]:
            assert isinstance(event, Progress) and 0 <= event.step <= event.total

    def test_metrics_are_finite_and_named_after_domains_with_tests(
        self, objective: Objective, domains: Sequence[Domain], trial: Job, context: Callable[..., Context]
    ) -> None:
        measurement = measured(objective, trial, context())
        tested = {domain.name for domain in domains if domain.test}
        assert {name.partition("/")[0] for name in measurement.metrics} == tested
        for name, estimate in measurement.metrics.items():
            assert name.partition("/")[2], name
            assert math.isfinite(estimate.value), name
            assert estimate.stderr is None or (math.isfinite(estimate.stderr) and estimate.stderr >= 0), name
            assert estimate.rows is None or estimate.rows > 0, name

    def test_a_job_measures_the_same_again_whatever_ran_between(
        self, objective: Objective, trial: Job, other: Job, context: Callable[..., Context]
    ) -> None:
        first = measured(objective, trial, context())
        between = measured(objective, other, context())
        again = measured(objective, trial, context())
        assert first.metrics == again.metrics
        assert (first.realised, first.rows) == (again.realised, again.rows)
        assert between.metrics != first.metrics, "the mixture makes no difference"

    def test_the_baseline_evaluates_everything_and_trains_nothing(
        self, objective: Objective, trial: Job, baseline: Job, context: Callable[..., Context]
    ) -> None:
        untouched = measured(objective, baseline, context())
        tuned = measured(objective, trial, context())
        again = measured(objective, baseline, context())
        assert untouched.realised is None
        assert not any(untouched.rows.values())
        assert set(untouched.metrics) == set(tuned.metrics)
        assert untouched.metrics == again.metrics, "training left a trace in the base model"
        assert untouched.metrics != tuned.metrics, "training makes no difference"

    def test_realised_shares_and_rows_agree_with_the_mixture(
        self, objective: Objective, trial: Job, other: Job, context: Callable[..., Context]
    ) -> None:
        for job in (trial, other):
            measurement = measured(objective, job, context())
            assert job.mixture is not None and measurement.realised is not None
            assert measurement.realised.names == job.mixture.names
            total = sum(measurement.rows.values())
            assert total > 0
            for name in job.mixture:
                assert measurement.rows[name] / total == pytest.approx(measurement.realised[name])
                assert abs(measurement.rows[name] - job.mixture[name] * total) < 1

    def test_a_measurement_survives_json(
        self, objective: Objective, trial: Job, context: Callable[..., Context]
    ) -> None:
        measurement = measured(objective, trial, context())
        text = json.dumps(measurement.to_json(), allow_nan=False)
        assert Measurement.from_json(json.loads(text)) == measurement

    def test_costs_are_known(self, objective: Objective, trial: Job, context: Callable[..., Context]) -> None:
        cost = measured(objective, trial, context()).cost
        assert cost["wall_seconds"] > 0
        assert cost["cpu_seconds"] > 0

    def test_artefacts_are_inside_the_attempts_folder(
        self, objective: Objective, trial: Job, context: Callable[..., Context]
    ) -> None:
        here = context()
        for name, place in measured(objective, trial, here).artefacts.items():
            path = (here.folder / place).resolve()
            assert path.exists() and here.folder.resolve() in path.parents, name

    def test_a_job_cancelled_beforehand_does_not_finish(
        self, objective: Objective, trial: Job, baseline: Job, context: Callable[..., Context]
    ) -> None:
        for job in (trial, baseline):
            with pytest.raises(Cancelled):
                list(objective.run(job, context(cancelled=lambda: True)))

    def test_a_cancelled_job_goes_on_from_its_checkpoint(
        self, interruptible: Objective, objective: Objective, trial: Job, context: Callable[..., Context]
    ) -> None:
        seen: list[Event] = []
        first = context(cancelled=lambda: bool(seen))
        with pytest.raises(Cancelled):
            for event in interruptible.run(trial, first):
                seen.append(event)
        assert not any(isinstance(event, Measurement) for event in seen)
        assert list(first.checkpoint.iterdir()), "no checkpoint was saved"

        resumed = measured(interruptible, trial, context(checkpoint=first.checkpoint))
        straight = measured(objective, trial, context())
        assert resumed.rows == straight.rows
        assert set(resumed.metrics) == set(straight.metrics)
        for name, estimate in straight.metrics.items():
            assert resumed.metrics[name].value == pytest.approx(estimate.value, rel=1e-4), name

    def test_an_attempt_writes_its_result_before_it_reports_it(
        self, objective: Objective, trial: Job, tmp_path: Path
    ) -> None:
        attempt = Attempt(job=trial, folder=tmp_path / "attempt")
        for event in attempt.run(objective):
            if isinstance(event, Measurement):
                assert attempt.result() == event
                return
            assert isinstance(event, Progress)
            assert attempt.result() is None
        pytest.fail("no measurement was reported")

    def test_a_cancelled_attempt_writes_no_result(self, objective: Objective, trial: Job, tmp_path: Path) -> None:
        attempt = Attempt(job=trial, folder=tmp_path / "attempt")
        events = list(attempt.run(objective, cancelled=lambda: True))
        assert isinstance(events[-1], Failure)
        assert events[-1].kind is FailureKind.CANCELLED
        assert not attempt.result_file.exists()


def measured(objective: Objective, job: Job, context: Context) -> Measurement:
    """What a job measures; its last event."""
    *_, last = objective.run(job, context)
    assert isinstance(last, Measurement)
    return last


class RemoteObjectiveContract:
    """The promises of a remote objective.

    A subclass, or a conftest beside it, gives the fixtures `domains`, at least two of them with training rows, and
    `remote`, a function that builds the objective for them anew; what the platform knows lasts for a test at least.
    """

    @pytest.fixture
    def trial(self, domains: Sequence[Domain]) -> Job:
        mixture = Mixture.uniform([domain.name for domain in domains if domain.mixed])
        return Job(id="trial-0001", kind=JobKind.TRIAL, mixture=mixture, seeds=Seeds(data=3, training=5))

    @pytest.fixture
    def other(self, domains: Sequence[Domain]) -> Job:
        weights = {domain.name: float(i) for i, domain in enumerate(domain for domain in domains if domain.mixed)}
        mixture = Mixture.from_weights(weights)
        return Job(id="trial-0002", kind=JobKind.TRIAL, mixture=mixture, seeds=Seeds(data=3, training=5))

    @pytest.fixture
    def baseline(self) -> Job:
        return Job(id="reference-0000", kind=JobKind.BASELINE, mixture=None, seeds=Seeds(data=3, training=5))

    @pytest.fixture
    def request_of(self, tmp_path: Path) -> Callable[..., StageRequest]:
        """Makes the request of a stage; names are new in each test, as a platform forgets none."""
        unique = f"contract-{uuid.uuid4().hex[:8]}"

        def make(job: Job, stage: str, handles: Mapping[str, str] | None = None, attempt: int = 1) -> StageRequest:
            name = f"{unique}-{job.id}-{stage}-a{attempt}"
            folder = tmp_path / job.id
            folder.mkdir(exist_ok=True)
            return StageRequest(stage=stage, name=name, job=job, handles=handles or {}, folder=folder)

        return make

    @pytest.fixture
    def paid(self, remote: Callable[[], RemoteObjective], trial: Job) -> str:
        """A stage that costs: names and cancelling are tried on it. The first one, unless a subclass knows better."""
        return remote().stages(trial)[0]

    @pytest.fixture
    def asked(
        self, remote: Callable[[], RemoteObjective], paid: str, request_of: Callable[..., StageRequest]
    ) -> Callable[[Job], StageRequest]:
        """Makes the request of a job's stage that costs, once all before it are done."""

        def make(job: Job) -> StageRequest:
            handles: dict[str, str] = {}
            for stage in itertools.takewhile(lambda stage: stage != paid, remote().stages(job)):
                handles[stage] = remote().submit(request_of(job, stage, handles))
                *_, last = watched(remote(), stage, handles[stage])
                assert last.failure is None, last
            return request_of(job, paid, handles)

        return make

    def test_stages_have_plain_names_and_the_baseline_has_fewer(
        self, remote: Callable[[], RemoteObjective], trial: Job, baseline: Job
    ) -> None:
        objective = remote()
        stages = objective.stages(trial)
        assert stages and len(set(stages)) == len(stages)
        assert all(re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", stage) for stage in stages)
        assert set(objective.stages(baseline)) < set(stages)
        assert objective.poll_s > 0

    def test_what_was_submitted_is_found_by_whoever_comes_later(
        self, remote: Callable[[], RemoteObjective], trial: Job, asked: Callable[[Job], StageRequest]
    ) -> None:
        request = asked(trial)
        assert remote().find(request) is None
        handle = remote().submit(request)
        assert remote().find(request) == handle
        status = remote().poll(request.stage, handle)
        assert status.failure is None

    def test_a_name_is_used_once(
        self, remote: Callable[[], RemoteObjective], trial: Job, asked: Callable[[Job], StageRequest]
    ) -> None:
        request = asked(trial)
        handle = remote().submit(request)
        with pytest.raises(NameInUse):
            remote().submit(request)
        assert remote().find(request) == handle

    def test_a_stage_that_was_asked_for_something_else_is_not_taken_for_it(
        self, remote: Callable[[], RemoteObjective], trial: Job, other: Job, asked: Callable[[Job], StageRequest]
    ) -> None:
        request = asked(trial)
        remote().submit(request)
        elses = dataclasses.replace(request, job=dataclasses.replace(trial, mixture=other.mixture))
        with pytest.raises(NameInUse):
            remote().find(elses)

    def test_all_stages_lead_to_a_result(
        self,
        remote: Callable[[], RemoteObjective],
        domains: Sequence[Domain],
        trial: Job,
        other: Job,
        baseline: Job,
        request_of: Callable[..., StageRequest],
    ) -> None:
        found = {}
        for job in (trial, other, baseline):
            handles: dict[str, str] = {}
            for stage in remote().stages(job):
                handles[stage] = remote().submit(request_of(job, stage, handles))
                statuses = list(watched(remote(), stage, handles[stage]))
                assert statuses[-1].failure is None, statuses[-1]
                for before, after in itertools.pairwise(statuses):
                    assert all(after.cost[name] >= amount for name, amount in before.cost.items())
                for status in statuses:
                    assert status.progress is None or 0 <= status.progress.step <= status.progress.total
            folder = request_of(job, stage).folder
            found[job.id] = remote().result(job, handles, folder)
            assert remote().result(job, handles, folder) == found[job.id], "asked again, it is another"
        tested = {domain.name for domain in domains if domain.test or domain.benchmarks}
        for measurement in found.values():
            assert {name.partition("/")[0] for name in measurement.metrics} == tested
            text = json.dumps(measurement.to_json(), allow_nan=False)
            assert Measurement.from_json(json.loads(text)) == measurement
        assert found[trial.id].metrics != found[other.id].metrics, "the mixture makes no difference"
        assert found[baseline.id].realised is None
        assert found[trial.id].realised is not None

    def test_a_cancelled_stage_ends_as_such_and_one_that_is_over_stays_as_it_is(
        self, remote: Callable[[], RemoteObjective], trial: Job, other: Job, asked: Callable[[Job], StageRequest]
    ) -> None:
        request = asked(trial)
        stage, handle = request.stage, remote().submit(request)
        remote().cancel(stage, handle)
        remote().cancel(stage, handle)
        *_, last = watched(remote(), stage, handle)
        assert last.failure is not None
        assert last.failure.kind is FailureKind.CANCELLED
        done = remote().submit(asked(other))
        *_, before = watched(remote(), stage, done)
        remote().cancel(stage, done)
        assert remote().poll(stage, done) == before


def watched(objective: RemoteObjective, stage: str, handle: str) -> Iterator[StageStatus]:
    """How a stage is, until it is over."""
    while True:
        status = objective.poll(stage, handle)
        yield status
        if status.ended:
            return
        time.sleep(objective.poll_s)


class RecipeFormatContract:
    """The promises of a format of recipes.

    A subclass names the format, reads shares back from its text, and gives the fixtures `recipe`, which the format can
    hold, and `foreign`, a recipe of an objective that only formats for all can hold.
    """

    FORMAT: ClassVar[Format]
    RESOLUTION: ClassVar[float] = 0.0
    """How far a share that is read back may be from the recipe's."""

    SECRETS: ClassVar[tuple[str, ...]] = (
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN", "PGPASSWORD",
    )  # fmt: skip

    def recovered(self, text: str) -> dict[str, Fraction]:
        """The shares that a text states, exactly."""
        raise NotImplementedError

    def stated(self, recipe: Recipe) -> dict[str, float]:
        """What a recipe has to say of the same shares."""
        return dict(recipe.shares)

    @pytest.fixture
    def writer(self) -> RecipeFormat:
        return self.FORMAT.load()

    def test_it_is_what_the_table_says_and_tells_what_it_is_for(self, writer: RecipeFormat) -> None:
        assert writer.NAME is self.FORMAT
        assert writer.PURPOSE and "\n" not in writer.PURPOSE
        assert re.fullmatch(r"\.[a-z]+", writer.ENDING)

    def test_the_text_is_always_the_same_and_ends_with_a_newline(
        self, writer: RecipeFormat, recipe: Recipe, tmp_path: Path
    ) -> None:
        recipe.save(tmp_path / "recipe.json")
        text = writer.write(recipe)
        assert text.endswith("\n") and not text.endswith("\n\n")
        assert text == self.FORMAT.load().write(Recipe.load(tmp_path / "recipe.json"))

    def test_shares_are_in_it_as_exactly_as_the_format_can(self, writer: RecipeFormat, recipe: Recipe) -> None:
        rng, names = np.random.default_rng(0), list(recipe.shares)
        weights = [rng.dirichlet(np.full(len(names), 0.3)) for _ in range(20)]
        corners = [np.eye(len(names))[i] for i in range(len(names))]
        for row in (*weights, *corners):
            mixture = Mixture.from_weights(dict(zip(names, row.tolist(), strict=True)))
            other = dataclasses.replace(recipe, shares=dict(mixture))
            found = self.recovered(writer.write(other))
            if self.RESOLUTION:
                assert sum(found.values()) == 1
            else:
                assert math.fsum(map(float, found.values())) == 1
            stated = self.stated(other)
            for name in found.keys() | stated.keys():
                assert abs(float(found.get(name, 0)) - stated.get(name, 0)) <= self.RESOLUTION, name

    def test_nothing_secret_is_in_it(
        self, writer: RecipeFormat, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in self.SECRETS:
            monkeypatch.setenv(name, f"sesame-{name}")
        text = writer.write(recipe) + "\n".join(writer.remarks(recipe, Path("recipe.json")))
        assert "sesame" not in text

    def test_a_file_holds_all_of_it_or_what_it_held_before(
        self, writer: RecipeFormat, recipe: Recipe, tmp_path: Path
    ) -> None:
        path = tmp_path / f"out{writer.ENDING}"
        path.write_text("old")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
        try:
            with pytest.raises(StudyError, match=r"out\.[a-z]+: cannot be written \(File too large\); choose another"):
                writer.save(recipe, path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert path.read_text() == "old"
        writer.save(recipe, path)
        assert path.read_text() == writer.write(recipe)
        assert list(tmp_path.glob("*out*")) == [path]

    def test_a_whole_recipe_can_be_read_back(self, writer: RecipeFormat, recipe: Recipe, tmp_path: Path) -> None:
        path = tmp_path / f"out{writer.ENDING}"
        writer.save(recipe, path)
        if writer.WHOLE:
            assert Recipe.load(path) == recipe
        else:
            with pytest.raises(StudyError, match="is no recipe"):
                Recipe.load(path)

    def test_several_are_a_list_where_a_file_holds_several(self, writer: RecipeFormat, recipe: Recipe) -> None:
        several = [recipe, dataclasses.replace(recipe, trial="trial-0099")]
        if writer.WHOLE:
            text = writer.listed(several)
            assert text.index(recipe.trial) < text.index("trial-0099")
        else:
            with pytest.raises(SelectionError, match=f"one file of format {self.FORMAT} holds one recipe, found 2"):
                writer.listed(several)

    def test_a_recipe_of_another_objective_is_refused_with_the_formats_for_it(
        self, writer: RecipeFormat, foreign: Recipe, tmp_path: Path
    ) -> None:
        path = tmp_path / f"out{writer.ENDING}"
        kind = foreign.spec.backend.kind
        if writer.KINDS is None:
            writer.save(foreign, path)
            return
        assert kind not in writer.KINDS
        with pytest.raises(StudyError, match=f"format {self.FORMAT} is for .* of objective '{kind}'.*json, yaml"):
            writer.save(foreign, path)
        assert not path.exists()
