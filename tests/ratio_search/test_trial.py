from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from objectives.attempt import Failure, FailureKind
from objectives.base import JobKind, Measurement, Seeds
from objectives.mixture import Mixture
from ratio_search.record import JobState
from ratio_search.trial import (
    ATTEMPT,
    BASIS,
    FAILURE,
    LOSSES,
    MEASUREMENT,
    ORIGIN,
    SEEDS,
    TrialReader,
    number_of,
    shares_of,
)

DOMAINS = ("a", "b")
PARAMS: dict[str, Any] = {"share/b": 0.75, "share/a": 0.25, "rate": 0.1, "loss": "hinge"}
KINDS: dict[str, BaseDistribution] = {
    "share/b": FloatDistribution(0, 1),
    "share/a": FloatDistribution(0, 1),
    "rate": FloatDistribution(0.01, 1),
    "loss": CategoricalDistribution(("hinge", "square")),
}
INTENT: dict[str, Any] = {ORIGIN: "explore", BASIS: [0, 2], SEEDS: {"data": 1, "training": 2}, ATTEMPT: 3}
MEASURED = Measurement.of_numbers({"a/f1": 0.5})
BROKEN = Failure(kind=FailureKind.OBJECTIVE, message="boom")


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study()


def added(
    study: optuna.Study, state: TrialState = TrialState.COMPLETE, *, mixed: bool = True, **attributes: Any
) -> FrozenTrial:
    """A trial of the study, with these attributes beside those of its intent; None leaves one out."""
    told = {name: value for name, value in {**INTENT, **attributes}.items() if value is not None}
    study.add_trial(
        optuna.trial.create_trial(
            state=state,
            value=0.0 if state is TrialState.COMPLETE else None,
            params=PARAMS if mixed else {},
            distributions=KINDS if mixed else {},
            user_attrs=told,
        )
    )
    return study.get_trials(deepcopy=False)[-1]


@pytest.fixture
def reader() -> TrialReader:
    return TrialReader(JobKind.TRIAL, DOMAINS)


def test_a_trial_holds_all_that_is_known_of_a_job(study: optuna.Study, reader: TrialReader) -> None:
    trial = added(study, measurement=MEASURED.to_json(), losses=1)
    record = reader.record(trial)
    assert record is not None
    assert (record.number, record.job.id, record.job.kind) == (0, "trial-0000", JobKind.TRIAL)
    assert record.job.mixture == Mixture.of({"a": 0.25, "b": 0.75})
    assert tuple(record.job.mixture) == DOMAINS, "in the study's order"
    assert record.job.hyperparameters == {"rate": 0.1, "loss": "hinge"}, "all parameters that are no shares"
    assert (record.job.seeds, record.job.attempt) == (Seeds(data=1, training=2), 3)
    assert (record.origin, record.basis) == ("explore", (0, 2))
    assert (record.state, record.measurement, record.failure, record.losses) == (
        JobState.COMPLETE,
        MEASURED,
        None,
        1,
    )
    assert (record.started, record.finished) == (trial.datetime_start, trial.datetime_complete)


def test_what_is_not_noted_yet_is_not_there(study: optuna.Study, reader: TrialReader) -> None:
    record = reader.record(added(study, TrialState.RUNNING, basis=None))
    assert record is not None
    assert (record.basis, record.state, record.measurement, record.failure, record.losses) == (
        (),
        JobState.RUNNING,
        None,
        None,
        0,
    )


def test_a_reference_has_no_mixture(study: optuna.Study) -> None:
    record = TrialReader(JobKind.BASELINE, DOMAINS).record(added(study, mixed=False, basis=None))
    assert record is not None
    assert (record.job.id, record.job.mixture, record.job.hyperparameters) == ("reference-0000", None, {})


@pytest.mark.parametrize("state", [TrialState.RUNNING, TrialState.FAIL])
def test_without_an_origin_it_was_never_meant_to_be_run(
    study: optuna.Study, reader: TrialReader, state: TrialState
) -> None:
    half_made, whole = added(study, state, origin=None), added(study)
    assert reader.record(half_made) is None
    assert [record.number for record in reader.records([half_made, whole])] == [1]


@pytest.mark.parametrize(
    ("state", "kept"), [(TrialState.FAIL, BROKEN), (TrialState.RUNNING, BROKEN), (TrialState.COMPLETE, None)]
)
def test_a_failure_is_that_of_a_failed_job_or_of_one_whose_driver_died(
    study: optuna.Study, reader: TrialReader, state: TrialState, kept: Failure | None
) -> None:
    record = reader.record(added(study, state, failure=BROKEN.to_json()))
    assert record is not None
    assert record.failure == kept


def test_a_failed_job_keeps_what_it_measured(study: optuna.Study, reader: TrialReader) -> None:
    record = reader.record(added(study, TrialState.FAIL, measurement=MEASURED.to_json(), failure=BROKEN.to_json()))
    assert record is not None
    assert (record.state, record.values) == (JobState.FAILED, {"a/f1": 0.5})


def test_an_open_job_is_read_anew_and_a_closed_one_once(study: optuna.Study, reader: TrialReader) -> None:
    trial = study.ask()
    for name, value in INTENT.items():
        trial.set_user_attr(name, value)
    for name in ("share/a", "share/b"):
        trial.suggest_float(name, 0.5, 0.5)

    def now() -> FrozenTrial:
        return study.get_trials()[0]

    first = reader.record(now())
    trial.set_user_attr(LOSSES, 2)
    second = reader.record(now())
    assert first is not None and second is not None
    assert (first.losses, second.losses) == (0, 2)
    trial.set_user_attr(MEASUREMENT, MEASURED.to_json())
    trial.set_user_attr(FAILURE, BROKEN.to_json())
    study.tell(trial, 1.0)
    closed = reader.record(now())
    assert closed is not None and closed.state is JobState.COMPLETE and closed.measurement == MEASURED
    assert reader.record(now()) is closed


def test_shares_are_taken_by_name(study: optuna.Study) -> None:
    assert shares_of(added(study), ("b", "a")).shares == (0.75, 0.25)


@pytest.mark.parametrize(
    ("job_id", "kind", "number"),
    [
        ("trial-0007", JobKind.TRIAL, 7),
        ("trial-12345", JobKind.TRIAL, 12345),
        ("reference-0000", JobKind.BASELINE, 0),
        ("confirmation-0002", JobKind.CONFIRMATION, 2),
        ("confirmation-0002", JobKind.TRIAL, None),
        ("trial-7", JobKind.TRIAL, None),
        ("trial-00007", JobKind.TRIAL, None),
        ("trial-0007\n", JobKind.TRIAL, None),
        ("trial-\u0660\u0660\u0660\u0667", JobKind.TRIAL, None),
        ("trial-9999999999", JobKind.TRIAL, None),
        ("", JobKind.TRIAL, None),
    ],
)
def test_a_jobs_id_has_its_number(job_id: str, kind: JobKind, number: int | None) -> None:
    assert number_of(job_id, kind) == number
