from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.base import Estimate, Job, JobKind, Measurement, Seeds
from objectives.errors import ResultError
from objectives.mixture import Mixture

finite = st.floats(allow_nan=False, allow_infinity=False)
names = st.text(min_size=1, max_size=12)
mixtures = st.dictionaries(names, st.floats(0.001, 1), min_size=1, max_size=6).map(Mixture.from_weights)
whole = st.integers(0, 2**63)
estimates = st.builds(
    Estimate,
    value=finite,
    stderr=st.none() | st.floats(0, allow_nan=False, allow_infinity=False),
    rows=st.none() | whole,
)
measurements = st.builds(
    Measurement,
    metrics=st.dictionaries(names, estimates, max_size=5),
    realised=st.none() | mixtures,
    rows=st.dictionaries(names, whole, max_size=5),
    cost=st.dictionaries(names, finite, max_size=3),
    artefacts=st.dictionaries(names, names, max_size=3),
)
jobs = st.builds(
    Job,
    id=names,
    kind=st.sampled_from(JobKind),
    mixture=st.none() | mixtures,
    seeds=st.builds(Seeds, data=whole, training=whole),
    attempt=st.integers(1, 9),
    hyperparameters=st.dictionaries(names, finite | st.integers() | st.booleans() | names, max_size=3),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(["metrics", "realised", "rows", "cost", "artefacts"])


class TestSeeds:
    def test_repeat_for_the_same_study_and_replicate(self) -> None:
        assert Seeds.of(7, 2) == Seeds.of(7, 2)

    def test_differ_between_replicates_studies_and_purposes(self) -> None:
        drawn = [Seeds.of(seed, replicate) for seed in range(5) for replicate in range(5)]
        assert len({number for seeds in drawn for number in (seeds.data, seeds.training)}) == 50

    def test_stay_the_same_between_versions(self) -> None:
        assert Seeds.of(0, 0) == Seeds(data=2968811710, training=3677149159)


class TestJob:
    @given(jobs)
    def test_survives_json(self, job: Job) -> None:
        assert Job.from_json(json.loads(json.dumps(job.to_json(), allow_nan=False))) == job

    def test_one_that_was_written_without_hyperparameters_has_none(self) -> None:
        job = Job(id="trial-0000", kind=JobKind.TRIAL, mixture=Mixture.uniform("ab"), seeds=Seeds.of(0, 0))
        data = job.to_json()
        del data["hyperparameters"]
        assert Job.from_json(data) == job
        assert job.hyperparameters == {}


class TestMeasurement:
    @given(measurements)
    def test_survives_json(self, measurement: Measurement) -> None:
        text = json.dumps(measurement.to_json(), allow_nan=False)
        assert Measurement.from_json(json.loads(text)) == measurement

    def test_a_bare_number_is_a_metric(self) -> None:
        assert Measurement.from_json({"metrics": {"a/f1": 1}}) == Measurement(metrics={"a/f1": Estimate(value=1.0)})

    def test_realised_weights_are_divided_by_their_sum(self) -> None:
        measurement = Measurement.from_json({"metrics": {}, "realised": {"a": 30, "b": 10}})
        assert measurement.realised == Mixture.of({"a": 0.75, "b": 0.25})

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (None, "must be an object"),
            ([], "must be an object"),
            ({}, '"metrics"'),
            ({"metrics": [1]}, '"metrics"'),
            ({"metrics": {"a/f1": math.nan}}, "'a/f1': value must be a finite number, found nan"),
            ({"metrics": {"a/f1": math.inf}}, "'a/f1': value must be a finite number, found inf"),
            ({"metrics": {"a/f1": None}}, "'a/f1': value must be a finite number, found None"),
            ({"metrics": {"a/f1": True}}, "'a/f1': value must be a finite number, found True"),
            ({"metrics": {"a/f1": "0.5"}}, "'a/f1': value must be a finite number, found '0.5'"),
            ({"metrics": {"a/f1": 10**400}}, "documented shape"),
            ({"metrics": {"a/f1": {"stderr": 1}}}, "'a/f1' must be a number or"),
            ({"metrics": {"a/f1": {"value": 1, "std": 1}}}, "'a/f1' must be a number or"),
            ({"metrics": {"a/f1": {"value": 1, "stderr": -1}}}, "'a/f1': stderr must be >= 0, found -1"),
            ({"metrics": {"a/f1": {"value": 1, "stderr": math.nan}}}, "'a/f1': stderr must be a finite number"),
            ({"metrics": {"a/f1": {"value": 1, "rows": 1.5}}}, "'a/f1': rows must be a whole number >= 0, found 1.5"),
            ({"metrics": {"a/f1": {"value": 1, "rows": -1}}}, "'a/f1': rows must be a whole number >= 0, found -1"),
            ({"metrics": {}, "realised": {"a": 0}}, "documented shape.*positive finite sum"),
            ({"metrics": {}, "realised": {"a": "x"}}, "documented shape"),
            ({"metrics": {}, "realised": 1}, "documented shape"),
            ({"metrics": {}, "rows": {"a": 1.5}}, "rows of 'a' must be a whole number >= 0, found 1.5"),
            ({"metrics": {}, "rows": {"a": True}}, "rows of 'a' must be a whole number >= 0, found True"),
            ({"metrics": {}, "rows": [1]}, r"rows must be an object with names and values, found \[1\]"),
            ({"metrics": {}, "cost": {"usd": math.nan}}, "cost 'usd' must be a finite number, found nan"),
            ({"metrics": {}, "artefacts": "adapter"}, "artefacts must be an object"),
        ],
    )
    def test_a_result_of_another_shape_is_refused(self, data: Any, message: str) -> None:
        with pytest.raises(ResultError, match=message):
            Measurement.from_json(data)

    @given(st.dictionaries(keys, anything) | anything)
    def test_anything_is_a_measurement_that_can_be_written_or_refused(self, data: Any) -> None:
        try:
            measurement = Measurement.from_json(data)
        except ResultError:
            return
        json.dumps(measurement.to_json(), allow_nan=False)
        assert all(math.isfinite(estimate.value) for estimate in measurement.metrics.values())
