"""What a recommendation says of itself, in words."""

from __future__ import annotations

import dataclasses

from objectives.mixture import Mixture
from objectives.scorer import Balance, BalanceKind, Score, Scorer
from ratio_search.recommendation import Prediction, Recommendation
from ratio_search.record import IMPORTED
from ratio_search.selection import Selection
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


class TestTargets:
    SCORER = Scorer(
        metrics=[dataclasses.replace(metric, target=0.25 if metric.weight else None) for metric in SCORER.metrics],
        balance=Balance(kind=BalanceKind.TARGET),
        baseline={},
    )

    def advice(self, value: float, *, reaches: float | None = None) -> Recommendation:
        """One whose first metric has this value; by a model with the probability that it reaches its target."""
        judged = self.SCORER.score({**GOOD, "a/x": value})
        advice = dataclasses.replace(of_best(), scorer=self.SCORER, score=judged, guarded=None)
        if reaches is None:
            return advice
        prediction = Prediction(value=value, low=0.1, high=0.3, gain=value, holds=None, reaches=reaches)
        return dataclasses.replace(advice, predictions={**modelled().predictions, "a/x": prediction}, reached=reaches)

    def test_that_are_reached_are_said_to_be_as_surely_as_that_is(self) -> None:
        assert self.advice(0.3, reaches=0.834).basis.endswith("; all targets are reached with a probability of 83%")
        assert "target" not in self.advice(0.3).basis

    def test_that_are_missed_are_named_with_how_near_one_comes(self) -> None:
        missed = "a/x is expected to be 0.2 in place of 0.25, which it reaches with a probability of 7%"
        advice = self.advice(0.2, reaches=0.07)
        assert advice.basis.endswith(
            f"; not every target is reached, and no other mixture is expected to come nearer: {missed}"
        )
        guarded = dataclasses.replace(advice, guarded=0.9)
        assert "no other mixture that keeps the guards is expected to come nearer" in guarded.basis
        broken = dataclasses.replace(guarded, score=self.SCORER.score({"a/x": 0.2, "b/x": -0.25}))
        assert broken.basis.endswith(f"; not every target is reached, and guards come first: {missed}")
        asked = dataclasses.replace(advice, selection=Selection.parse("trial:4"))
        assert asked.basis.endswith(f"; not every target is reached: {missed}")

    def test_that_the_best_trial_missed_are_named_with_how_far(self) -> None:
        assert self.advice(0.2).basis.endswith(
            "; it misses a/x by 0.05, and no other trial that may be recommended comes nearer to the targets"
        )
        asked = dataclasses.replace(self.advice(0.2), selection=Selection.parse("trial:4"))
        assert asked.basis.endswith("in one fine-tune; it misses a/x by 0.05")


class TestAskedFor:
    def asked(self, text: str, **values: float) -> str:
        """The basis of the best trial that was asked for as this."""
        return dataclasses.replace(of_best(**values), selection=Selection.parse(text)).basis

    def by_a_model(self, text: str, unbeaten: float | None = None) -> str:
        return dataclasses.replace(modelled(), selection=Selection.parse(text), unbeaten=unbeaten).basis

    def test_what_it_is_best_in_is_said(self) -> None:
        by = "by a model of 7 finished trials, one fine-tune each; it was tried itself"
        assert self.by_a_model("balanced").startswith(f"best expected score {by}")
        assert self.by_a_model("best:a/x").startswith(f"best expected gain of a/x {by}")
        assert self.by_a_model("weights:a=2,b/x=0.5").startswith(
            f"best expected weighted mean of the gains (a=2, b/x=0.5) {by}"
        )
        assert self.asked("best:a/x").startswith(
            "best gain of a/x among 2 finished trials, one fine-tune each; the best"
        )

    def test_what_was_not_chosen_for_being_best_is_not_said_to_be(self) -> None:
        for text in ("trial:4", "front:2"):
            assert self.by_a_model(text).startswith(
                f"asked for as {text}, with what is expected of it by a model of 7 finished trials, one fine-tune each"
            )
            assert self.asked(text) == f"asked for as {text}, with what it measured in one fine-tune"
            assert self.asked(text, b=-0.25).endswith("in one fine-tune; it breaks: b/x by 0.15")
            assert "best" not in self.asked(text, b=-0.25) + self.by_a_model(text)

    def test_of_the_front_it_says_how_surely_it_is_there(self) -> None:
        assert "; no other mixture beats it with a probability of 63%" in self.by_a_model("front:2", 0.634)
        assert "beats" not in self.by_a_model("front:2")
