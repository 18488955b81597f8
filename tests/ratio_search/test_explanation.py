"""An explanation of trials whose law is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from objectives.mixture import Mixture
from objectives.scorer import Scorer
from ratio_search.explanation import MOVED, Explainer, Explanation, Influence, Relation, Spread
from ratio_search.hyperparameters import Hyperparameter, Real
from ratio_search.model import Evidence, PointSpace
from ratio_search.record import Record
from ratio_search.sampler.simplex_gp import SimplexGP
from ratio_search.space import SimplexSpace
from tests.ratio_search.trials import gains_of, trial

Law = Callable[[Mixture], Mapping[str, float]]

SPACE = SimplexSpace.of(dict.fromkeys("abcd", (0.0, 1.0)))


def straight(mixture: Mixture) -> dict[str, float]:
    """What helps one of them hurts the other; the third lives on `b` and `c` alone."""
    a, b, c, _ = mixture.shares
    return {"a/x": 2 * a - b, "b/x": b - 2 * a, "c/x": b + 0.5 * c}


def by_balance(mixture: Mixture) -> dict[str, float]:
    """Only the ratio of `a` to `b` counts, and it is best at 1."""
    a, b, _, _ = mixture.shares
    return {"a/x": -abs(a / (a + b + 1e-9) - 0.5)}


def trials(law: Law, n: int = 24, noise: float = 0.005, seed: int = 0, space: SimplexSpace = SPACE) -> list[Record]:
    rng = np.random.default_rng(seed)
    mixtures = [space.mixture(row) for row in space.sample(n, rng)]
    return [
        trial(i, m, {name: value + noise * rng.standard_normal() for name, value in law(m).items()})
        for i, m in enumerate(mixtures)
    ]


def explained(
    records: Sequence[Record],
    scorer: Scorer,
    *,
    space: SimplexSpace = SPACE,
    hyperparameters: Mapping[str, Hyperparameter] | None = None,
    worth: float = 0.001,
) -> Explanation:
    points = PointSpace(simplex=space, hyperparameters=hyperparameters or {})
    model = SimplexGP(points, seed=0)
    outlook = model.outlook(Evidence.of(records, scorer, points), scorer)
    proposal = model.propose(records, scorer, len(records))
    return Explainer(outlook=outlook, scorer=scorer, space=points, worth=worth, seed=0).explain(proposal)


def influence(found: Explanation, name: str) -> Influence:
    return next(influence for influence in found.influences if influence.name == name)


def relation(found: Explanation, *metrics: str) -> Relation:
    return next(relation for relation in found.relations if set(relation.metrics) == set(metrics))


def true_slope(law: Law, mixture: Mixture, domain: str, metric: str) -> float:
    """The derivative in proportion, by a small step of its own."""

    def at(share: float) -> float:
        rest = (1 - share) / (1 - mixture[domain])
        return law(Mixture.of({n: share if n == domain else s * rest for n, s in mixture.items()}))[metric]

    return (at(mixture[domain] + 1e-6) - at(mixture[domain])) / 1e-6 * MOVED


SCORER = gains_of("a/x", "b/x", "c/x")
STRAIGHT = explained(trials(straight), SCORER)
NARROW = SimplexSpace.of({"a": (0.0, 1.0), "b": (0.0, 1.0), "c": (0.0, 0.3), "d": (0.0, 0.3)})
BALANCED = explained(trials(by_balance, 40, space=NARROW), gains_of("a/x"), space=NARROW)


class TestSlopes:
    def test_are_those_of_the_law(self) -> None:
        for known in STRAIGHT.influences:
            for metric, slope in known.slopes.items():
                true = true_slope(straight, STRAIGHT.mixture, known.name, metric)
                assert slope.low - 0.02 <= true <= slope.high + 0.02, (known.name, metric)
                assert slope.mean == pytest.approx(true, abs=0.03)

    def test_intervals_hold_the_truth_about_as_often_as_they_say(self) -> None:
        held = []
        for seed in range(8):
            found = explained(trials(straight, noise=0.1, seed=seed), SCORER)
            for known in found.influences:
                for metric, slope in known.slopes.items():
                    held.append(slope.low <= true_slope(straight, found.mixture, known.name, metric) <= slope.high)
        assert np.mean(held) >= 0.75

    def test_signs_are_marked_where_they_are_sure(self) -> None:
        assert influence(STRAIGHT, "a").slopes["a/x"].sign == 1
        assert influence(STRAIGHT, "a").slopes["b/x"].sign == -1
        assert influence(STRAIGHT, "b").slopes["a/x"].sign == -1

    def test_of_what_is_luck_alone_are_not_sure(self) -> None:
        found = explained(trials(lambda mixture: {"a/x": 0.0}, noise=1.0), gains_of("a/x"))
        assert {slope.sign for known in found.influences for slope in known.slopes.values()} == {0}
        assert found.unexplained == ("a/x",)

    def test_are_taken_inside_the_space(self) -> None:
        space = SimplexSpace.of({"a": (0.0, 0.4), "b": (0.25, 0.25), "c": (0.0, 1.0), "d": (0.0, 1.0)})
        found = explained(trials(straight, space=space), gains_of("a/x", "c/x"), space=space)
        assert influence(found, "b").slopes == {}
        low, high = influence(found, "a").moved
        assert 0 <= low < high <= 0.4
        assert influence(found, "a").slopes["a/x"].sign == 1


class TestRelations:
    def test_opposed_metrics_are_named_first_with_a_probability(self) -> None:
        first = STRAIGHT.relations[0]
        assert set(first.metrics) == {"a/x", "b/x"}
        assert first in STRAIGHT.conflicts and first.conflict > 0.99
        assert first.here is not None and first.here.mean < -0.9
        assert first.tried.mean < -0.9

    def test_metrics_that_are_one_go_together(self) -> None:
        def alike(mixture: Mixture) -> dict[str, float]:
            return {"a/x": mixture["a"], "b/x": 3 * mixture["a"]}

        [only] = explained(trials(alike, 60), gains_of("a/x", "b/x")).relations
        assert only.here is not None and only.here.mean > 0.8 and only.tried.mean > 0.9
        assert only.conflict < 0.05

    def test_metrics_of_their_own_domains_compete_for_shares(self) -> None:
        def own(mixture: Mixture) -> dict[str, float]:
            return {f"{name}/x": mixture[name] for name in "abcd"}

        found = explained(trials(own), gains_of(*(f"{name}/x" for name in "abcd")))
        for known in found.relations:
            assert known.here is not None and known.here.mean == pytest.approx(-1 / 3, abs=0.1)

    def test_what_all_mixtures_have_in_common_is_no_relation(self) -> None:
        def opposed(mixture: Mixture) -> dict[str, float]:
            return {"a/x": 5 + mixture["a"], "b/x": 5 - mixture["a"]}

        [only] = explained(trials(opposed), gains_of("a/x", "b/x")).relations
        assert only.tried.mean < -0.9

    def test_one_metric_has_none(self) -> None:
        assert BALANCED.relations == () and BALANCED.conflicts == ()


class TestShares:
    def test_a_domain_without_influence_is_free(self) -> None:
        for name in "cd":
            known = influence(BALANCED, name)
            assert known.free
            assert known.slopes["a/x"].sign == 0
            assert known.drop.low <= 0

    def test_one_that_matters_is_not(self) -> None:
        for name in "ab":
            known = influence(BALANCED, name)
            assert not known.free
            assert known.same[0] <= known.share <= known.same[1]
            assert known.drop.mean > 0.1

    def test_what_is_worth_nothing_widens_the_range(self) -> None:
        def steep(mixture: Mixture) -> dict[str, float]:
            return {"a/x": -abs(mixture["a"] - 0.5)}

        records = trials(steep, 60, noise=0.0)
        narrow, wide = (influence(explained(records, gains_of("a/x"), worth=w), "a").same for w in (0.001, 0.1))
        assert narrow[1] - narrow[0] < 0.12
        assert wide[1] - wide[0] == pytest.approx(0.2, abs=0.06)


class TestNextTrial:
    def test_luck_is_what_the_trials_vary_by(self) -> None:
        found = explained(trials(straight, 40, noise=0.1), gains_of("a/x"))
        assert 0.05 < found.next.noise < 0.2

    def test_gain_and_mixture_are_those_of_the_proposal(self) -> None:
        assert STRAIGHT.next.gain is not None
        assert STRAIGHT.next.mixture in SPACE
        assert STRAIGHT.next.worth == 0.001

    def test_more_is_to_be_gained_after_few_trials_than_after_many(self) -> None:
        few, many = (
            [explained(trials(straight, n, seed=seed), gains_of("a/x", "c/x")).next.gain or 0.0 for seed in range(3)]
            for n in (6, 40)
        )
        assert sum(few) > 2 * max(sum(many), 0)


def test_hyperparameters_stay_as_recommended() -> None:
    kinds = {"rate": Real(low=0.0, high=1.0)}
    rng = np.random.default_rng(0)
    records = []
    for i, row in enumerate(SPACE.sample(24, rng)):
        mixture, rate = SPACE.mixture(row), float(rng.random())
        values = {name: value - (rate - 0.3) ** 2 for name, value in straight(mixture).items()}
        records.append(trial(i, mixture, values, hyperparameters={"rate": rate}))
    found = explained(records, SCORER, hyperparameters=kinds)
    assert found.hyperparameters["rate"] == pytest.approx(0.3, abs=0.15)
    assert influence(found, "a").slopes["a/x"].sign == 1


def test_it_is_plain_data_and_the_same_again() -> None:
    one, other = (explained(trials(straight), SCORER).to_json() for _ in range(2))
    assert one == other == json.loads(json.dumps(one, allow_nan=False))
    assert one["conflicts"][0] in (["a/x", "b/x"], ["b/x", "a/x"])
    assert one["mixture"].keys() == set("abcd")


@pytest.mark.parametrize(("above", "sign"), [(1.0, 1), (0.96, 1), (0.94, 0), (0.5, 0), (0.06, 0), (0.04, -1)])
def test_a_sign_is_sure_when_the_interval_leaves_out_0(above: float, sign: int) -> None:
    draws = np.linspace(above - 1, above, 1001)
    spread = Spread.of(draws)
    assert spread.sign == sign
    assert (spread.low > 0) - (spread.high < 0) == sign
