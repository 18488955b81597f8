"""What a recommendation says of itself, in words."""

from __future__ import annotations

import dataclasses

from objectives.mixture import Mixture
from objectives.scorer import Score
from ratio_search.recommendation import Prediction, Recommendation
from ratio_search.record import IMPORTED
from tests.ratio_search.trials import gains_of, trial

SCORER = gains_of("a/x", "b/x", guards={"b/x": 0.1})
HALVES = Mixture.of({"a": 0.5, "b": 0.5})
GOOD = {"a/x": 0.3, "b/x": 0.0}
RECORD = trial(4, HALVES, GOOD, hyperparameters={"rate": 0.1})


def score(**values: float) -> Score:
    return SCORER.score({**GOOD, **{f"{name}/x": value for name, value in values.items()}})


def of_best(**values: float) -> Recommendation:
    return Recommendation.of_best(RECORD, score(**values), scorer=SCORER, considered=2)


def modelled() -> Recommendation:
    """One that a model expects something of."""
    predictions = {
        name: Prediction(value=0.2, low=0.1, high=0.3, gain=0.2, holds=0.9 if name == "b/x" else None) for name in GOOD
    }
    return dataclasses.replace(of_best(), predictions=predictions, guarded=0.904, considered=7)


class TestOfTheBestTrial:
    def test_it_is_the_trial_with_what_that_was_judged_to_be_worth(self) -> None:
        advice = of_best()
        assert (advice.mixture, advice.hyperparameters, advice.record) == (HALVES, {"rate": 0.1}, RECORD)
        assert (advice.tried, advice.score, advice.considered) == (True, score(), 2)
        assert (advice.predictions, advice.guarded, advice.alternatives, advice.unexplained) == ({}, None, (), ())

    def test_it_says_that_the_best_of_several_flatters(self) -> None:
        assert of_best().basis == (
            "best score among 2 finished trials, one fine-tune each; the best of several noisy results is usually a "
            "little worse when it is repeated"
        )

    def test_broken_guards_come_first(self) -> None:
        assert of_best(b=-0.25).basis.startswith(
            "none of the finished trials keeps every guard, and this one breaks: b/x by 0.15; otherwise best score"
        )


class TestByAModel:
    def test_one_that_was_tried(self) -> None:
        assert modelled().basis == (
            "best expected score by a model of 7 finished trials, one fine-tune each; it was tried itself; all guards "
            "hold with a probability of 90%"
        )

    def test_one_that_was_not_names_the_nearest_trial(self) -> None:
        advice = dataclasses.replace(modelled(), tried=False)
        assert "; it was not tried itself; the nearest trial is trial-0004; " in advice.basis

    def test_without_a_guard_none_is_spoken_of(self) -> None:
        assert "guard" not in dataclasses.replace(modelled(), guarded=None).basis

    def test_metrics_that_the_model_explains_nothing_of_are_named(self) -> None:
        advice = dataclasses.replace(modelled(), unexplained=("a/x", "b/x"))
        assert advice.basis.endswith("; the model explains next to nothing of a/x, b/x: more trials, or more test rows")


def test_an_imported_trial_is_told_apart() -> None:
    for advice in (of_best(), modelled()):
        record = dataclasses.replace(RECORD, origin=IMPORTED)
        told = dataclasses.replace(advice, record=record).basis
        assert told == (f"{advice.basis}; trial-0004 was imported, not run by this study, and its seeds are not known")
