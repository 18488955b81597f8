from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from objectives.base import Estimate
from objectives.metrics import Goal
from objectives.mixture import Mixture
from objectives.scorer import Balance, BalanceKind, Metric, Scorer
from ratio_search.adviser import POSSIBLE, SHOWN, advise
from ratio_search.hyperparameters import Choice, Hyperparameter, Real
from ratio_search.model.evidence import Evidence
from ratio_search.model.points import PointSpace
from ratio_search.recommendation import Recommendation
from ratio_search.record import Record
from ratio_search.sampler.simplex_gp import SimplexGP
from ratio_search.space import SAME, SimplexSpace
from tests.ratio_search.trials import gains_of, trial

SPACE = SimplexSpace.of(dict.fromkeys("abc", (0.0, 1.0)))
SCORER, AB = gains_of("a/x", "b/x", "c/x"), gains_of("a/x", "b/x")

Law = Callable[[Mixture], Mapping[str, float]]


def shares(mixture: Mixture) -> dict[str, float]:
    """Each metric is its own domain's share, so that the worst one is best at equal shares."""
    return {f"{name}/x": share for name, share in mixture.items()}


def noisy(law: Law, sd: float, seed: int = 0) -> Law:
    rng = np.random.default_rng(seed)
    return lambda mixture: {name: value + sd * rng.standard_normal() for name, value in law(mixture).items()}


def tried(n: int, law: Law = shares, *, seed: int = 0, first: Sequence[Mixture] = ()) -> list[Record]:
    """Finished trials of these mixtures, and of drawn ones."""
    drawn = [SPACE.mixture(row) for row in SPACE.sample(n - len(first), np.random.default_rng(seed))]
    return [trial(i, mixture, law(mixture)) for i, mixture in enumerate([*first, *drawn])]


def advice(
    records: Sequence[Record],
    scorer: Scorer = SCORER,
    *,
    space: SimplexSpace = SPACE,
    searched: Mapping[str, Hyperparameter] | None = None,
    allowed: Sequence[int] | None = None,
    best: Mixture | None = None,
) -> Recommendation:
    """What a model of these trials advises.

    `allowed` are the numbers of those that may be recommended, `best` the mixture that is, whatever the model says.
    """
    points = PointSpace(simplex=space, hyperparameters=searched or {})
    outlook = SimplexGP(points, seed=0).outlook(Evidence.of(records, scorer, points), scorer)
    if best is not None:
        outlook = dataclasses.replace(outlook, best=points.points([best], [{}]))
    known = {record.number: record for record in records if allowed is None or record.number in allowed}
    return advise(outlook, known, scorer, points, np.random.default_rng(0))


class TestTheMixture:
    def test_is_the_best_that_the_model_expects_with_the_nearest_trial(self) -> None:
        records = tried(10)
        found = advice(records)
        assert found.mixture in SPACE
        assert found.mixture.distance(Mixture.uniform("abc")) < 0.03
        distances = {record.number: _distance(record, found.mixture) for record in records}
        assert found.record.number == min(distances, key=lambda number: distances[number])
        assert not found.tried
        assert found.considered == 10

    def test_that_was_tried_is_said_to_be(self) -> None:
        records = tried(12, noisy(shares, 0.05), first=[Mixture.uniform("abc")] * 2)
        found = advice(records, best=Mixture.uniform("abc"))
        assert (found.mixture, found.tried) == (Mixture.uniform("abc"), True)
        assert found.record in records[:2]
        assert not advice(records, best=Mixture.of({"a": 0.33, "b": 0.33, "c": 0.34})).tried

    def test_is_not_the_luckiest_trials(self) -> None:
        """What its neighbours say counts, too."""
        lucky = trial(20, Mixture.of({"a": 0.15, "b": 0.4, "c": 0.45}), {"a/x": 0.38, "b/x": 0.42, "c/x": 0.42})
        records = [*tried(20, noisy(shares, 0.05)), lucky]
        found = advice(records)
        assert max(records, key=lambda record: min(record.values.values())) is lucky
        assert found.mixture["a"] > 0.25
        assert found.score.balanced < 0.37

    def test_comes_with_its_own_settings(self) -> None:
        searched: dict[str, Hyperparameter] = {
            "rate": Real(low=0.1, high=1.0),
            "loss": Choice(choices=("hinge", "square")),
        }
        rng, records = np.random.default_rng(0), []
        for i, record in enumerate(tried(16)):
            settings = {name: of.random(rng) for name, of in searched.items()}
            bonus = 0.2 if settings["loss"] == "square" else 0.0
            values = {name: value + bonus for name, value in record.values.items()}
            mixture = record.job.mixture
            assert mixture is not None
            records.append(trial(i, mixture, values, hyperparameters=settings))
        found = advice(records, searched=searched)
        assert found.hyperparameters["loss"] == "square"
        assert all(found.hyperparameters[name] in of for name, of in searched.items())
        same = found.record.job.mixture == found.mixture
        assert found.tried == (same and dict(found.record.job.hyperparameters) == dict(found.hyperparameters))

    def test_only_trials_that_may_be_recommended_are_named(self) -> None:
        records = tried(12)
        found = advice(records, allowed=[3, 7])
        assert found.record.number in (3, 7)
        assert found.considered == 2
        assert {other.trial for other in found.alternatives} <= {"trial-0003", "trial-0007"}


class TestPredictions:
    def test_contain_what_is_expected_in_the_metrics_own_units(self) -> None:
        metrics = [
            Metric(name="a/perplexity", goal=Goal.MINIMIZE, scale=0.5, reference=8.0),
            Metric(name="b/accuracy", goal=Goal.MAXIMIZE, reference=0.4, upper=1.0),
        ]
        scorer = Scorer(metrics=metrics, balance=Balance(), baseline={})

        def law(mixture: Mixture) -> dict[str, float]:
            return {"a/perplexity": 8 - 4 * math.sqrt(mixture["a"]), "b/accuracy": 0.4 + 0.5 * math.sqrt(mixture["b"])}

        found = advice(tried(12, noisy(law, 0.01)), scorer)
        assert set(found.predictions) == {"a/perplexity", "b/accuracy"}
        for metric in metrics:
            prediction = found.predictions[metric.name]
            assert prediction.low < prediction.value < prediction.high
            assert prediction.value == pytest.approx(law(found.mixture)[metric.name], abs=0.15)
            assert prediction.gain == pytest.approx(metric.gain(prediction.value, scorer.reference(metric)))
            assert found.score.gains[metric.name] == pytest.approx(prediction.gain)
            assert prediction.holds is None
        assert found.predictions["b/accuracy"].high <= 1

    def test_are_narrower_the_more_was_tried_and_wider_the_noisier_it_is(self) -> None:
        def width(n: int, sd: float) -> float:
            found = advice(tried(n, noisy(shares, sd))).predictions["a/x"]
            return found.high - found.low

        assert width(40, 0.05) < width(8, 0.05)
        assert width(20, 0.01) < width(20, 0.1)

    @pytest.mark.parametrize("sd", [0.01, 0.05])
    def test_mostly_hold_the_truth(self, sd: float) -> None:
        """Of nine times ten; it would be fewer of draws that ignored the noise, and all of ones without an end."""
        inside = []
        for seed in range(12):
            found = advice(tried(12, noisy(shares, sd, seed), seed=seed))
            truth = shares(found.mixture)
            inside += [p.low <= truth[name] <= p.high for name, p in found.predictions.items()]
        assert 0.7 < np.mean(inside) <= 1


class TestGuards:
    @staticmethod
    def found(limit: float, n: int = 15) -> Recommendation:
        """Where a is all that counts, and b may not fall below a limit."""
        scorer = gains_of("a/x", "b/x", guards={"b/x": -limit})
        return advice(tried(n, noisy(lambda m: {"a/x": m["a"], "b/x": m["b"]}, 0.01)), scorer)

    def test_hold_where_they_can_be_kept(self) -> None:
        found = self.found(0.3)
        assert found.score.feasible
        assert found.mixture["a"] == pytest.approx(0.66, abs=0.06)
        holds = found.predictions["b/x"].holds
        assert holds is not None and holds > 0.5
        assert found.guarded == pytest.approx(holds), "there is no other one"
        assert found.predictions["a/x"].holds is None

    def test_are_told_to_break_where_they_cannot_be_kept(self) -> None:
        found = self.found(1.3)
        assert not found.score.feasible
        assert found.guarded == 0.0
        assert found.score.violations["b/x"] > 0.2

    def test_together_hold_no_more_often_than_each(self) -> None:
        scorer = gains_of("a/x", "b/x", "c/x", guards={"b/x": -0.3, "c/x": -0.3})
        found = advice(tried(10, noisy(shares, 0.05)), scorer)
        each = [found.predictions[name].holds for name in ("b/x", "c/x")]
        assert found.guarded is not None
        assert found.guarded <= min(holds for holds in each if holds is not None)

    def test_without_any_there_is_no_probability(self) -> None:
        assert advice(tried(8)).guarded is None


class TestTargets:
    @staticmethod
    def found(target: float) -> Recommendation:
        """Where a is to reach a target, and then b is all that counts."""
        aiming = [dataclasses.replace(metric, target=target if metric.name == "a/x" else None) for metric in AB.metrics]
        scorer = dataclasses.replace(AB, metrics=aiming, balance=Balance(kind=BalanceKind.TARGET))
        return advice(tried(15, noisy(lambda m: {"a/x": m["a"], "b/x": m["b"]}, 0.01)), scorer)

    def test_that_can_be_reached_are_and_the_others_get_the_rest(self) -> None:
        found = self.found(0.6)
        assert 0.6 <= found.predictions["a/x"].value < 0.68
        assert found.mixture["c"] < 0.06
        assert found.score.missed == {}
        assert found.reached == found.predictions["a/x"].reaches
        assert found.reached is not None and found.reached > 0.5
        assert found.predictions["b/x"].reaches is None

    def test_that_cannot_be_reached_are_come_near_to(self) -> None:
        found = self.found(1.4)
        assert found.mixture["a"] > 0.95
        assert found.score.missed["a/x"] == pytest.approx(0.4, abs=0.06)
        assert found.reached == found.predictions["a/x"].reaches == 0.0

    def test_without_any_there_is_no_probability(self) -> None:
        assert advice(tried(8)).reached is None


class TestAlternatives:
    def test_are_other_trials_that_may_be_as_good_best_first(self) -> None:
        near = [Mixture.of({"a": 1 / 3 - d, "b": 1 / 3 + d, "c": 1 / 3}) for d in (0.0, 0.01, -0.01, 0.02, -0.02, 0.03)]
        records = tried(16, noisy(shares, 0.1), first=near)
        found = advice(records)
        assert 1 <= len(found.alternatives) <= SHOWN
        by_id = {record.job.id: record for record in records}
        for other in found.alternatives:
            assert other.mixture == by_id[other.trial].job.mixture
            assert other.mixture.distance(found.mixture) > SAME
            assert POSSIBLE <= other.better <= 1
        behind = [other.behind for other in found.alternatives]
        assert behind == sorted(behind)

    def test_there_is_none_where_one_is_clearly_best(self) -> None:
        records = tried(12, noisy(shares, 0.001), first=[Mixture.uniform("abc")])
        assert min(_distance(record, Mixture.uniform("abc")) for record in records[1:]) > 0.05
        assert [o.trial for o in advice(records).alternatives if o.trial != "trial-0000"] == []

    def test_the_recommended_mixture_is_none_however_often_it_was_run(self) -> None:
        records = tried(12, noisy(shares, 0.05), first=[Mixture.uniform("abc")] * 6)
        found = advice(records, best=Mixture.uniform("abc"))
        assert all(other.mixture != found.mixture for other in found.alternatives)

    def test_one_that_was_run_again_is_told_once(self) -> None:
        other = Mixture.of({"a": 0.3, "b": 0.35, "c": 0.35})
        found = advice(tried(14, noisy(shares, 0.1), first=[Mixture.uniform("abc"), other, other, other]))
        mixtures = [one.mixture for one in found.alternatives]
        assert len(set(mixtures)) == len(mixtures)

    def test_the_nearest_trial_can_be_one_of_a_mixture_that_was_not_tried(self) -> None:
        """Where all mixtures are worth the same, so that nobody could tell which one is the better."""
        records = tried(3, noisy(shares, 0.1), first=[Mixture.of({"a": 0.33, "b": 0.33, "c": 0.34})] * 3)
        mean = gains_of("a/x", "b/x", "c/x", balance=Balance(kind=BalanceKind.WEIGHTED))
        found = advice(records, mean, best=Mixture.of({"a": 0.34, "b": 0.33, "c": 0.33}))
        assert found.record.job.id == "trial-0000"
        assert [other.mixture for other in found.alternatives] == [found.record.job.mixture]


def test_metrics_of_which_nothing_is_explained_are_named_as_a_rule() -> None:
    """By chance, mixtures can seem to explain a little of what is noise alone."""
    named = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        law = noisy(lambda m: {"a/x": m["a"], "c/x": m["c"]}, 0.05, seed)
        found = advice(tried(20, lambda m, law=law, rng=rng: {**law(m), "b/x": float(rng.standard_normal())}))  # type: ignore[misc]
        assert set(found.unexplained) <= {"b/x"}
        assert ("the model explains next to nothing of b/x" in found.basis) == bool(found.unexplained)
        named.append(bool(found.unexplained))
    assert sum(named) >= 5


def test_a_trial_that_all_others_speak_against_is_named_and_no_alternative() -> None:
    records = tried(16)
    best = advice(records).record
    assert best.job.mixture is not None
    wrong = {name: value - 9 for name, value in best.values.items()}
    found = advice([trial(r.number, best.job.mixture, wrong) if r is best else r for r in records])
    assert found.doubted == (best.job.id,)
    assert f"what {best.job.id} measured is doubted" in found.basis
    assert best.job.id not in [found.record.job.id, *(other.trial for other in found.alternatives)]


def test_known_errors_of_measurement_count_as_noise() -> None:
    """A surprising value that is known to be uncertain is not believed."""
    odd = Mixture.of({"a": 0.2, "b": 0.4, "c": 0.4})
    records = tried(12)

    def expected(stderr: float) -> float:
        values = {name: Estimate(value=0.6, stderr=stderr if name == "a/x" else 1e-4) for name in ("a/x", "b/x", "c/x")}
        # Three times, as one that differs from all others would be doubted.
        return advice([*records, *(trial(12 + i, odd, values) for i in range(3))]).predictions["a/x"].value

    assert expected(1.0) == pytest.approx(1 / 3, abs=0.05)
    assert expected(1e-4) > 0.5


def test_the_same_trials_give_the_same_advice() -> None:
    records = tried(9, noisy(shares, 0.05))
    assert advice(records) == advice(records)


def _distance(record: Record, mixture: Mixture) -> float:
    assert record.job.mixture is not None
    return record.job.mixture.distance(mixture)
