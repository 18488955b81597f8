"""What the benchmark of sample efficiency measures with: its problems, their optima, and how runs are played."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.mixing.contestants import registry
from benchmarks.mixing.contestants.base import History, Setting
from benchmarks.mixing.contestants.boxes import Proportions, Sticks
from benchmarks.mixing.contestants.log_linear import LogLinear
from benchmarks.mixing.figures import FLOOR, figures
from benchmarks.mixing.laws import laws
from benchmarks.mixing.maximise import Effort, maximise
from benchmarks.mixing.pile import pile
from benchmarks.mixing.problems import Floats, Landscape, Noise, Problem, random_mixtures
from benchmarks.mixing.quickstart import quickstart
from benchmarks.mixing.regret import Yardstick
from benchmarks.mixing.runs import Outcome, Results, Run, play
from benchmarks.mixing.suite import BALANCES, Suite
from objectives.scorer import BalanceKind

LANDSCAPES = laws(seed=0, draws=1)


@pytest.fixture(params=LANDSCAPES, ids=lambda landscape: landscape.name)
def landscape(request: pytest.FixtureRequest) -> Landscape:
    assert isinstance(request.param, Landscape)
    return request.param


@pytest.fixture(params=BALANCES)
def problem(landscape: Landscape, request: pytest.FixtureRequest) -> Problem:
    return Problem.of(landscape, request.param, Noise.MEDIUM)


def mixtures(domains: int) -> Floats:
    """Random ones, the corners, and edges."""
    return np.concatenate([random_mixtures(domains, 50), np.eye(domains), (np.eye(domains) + np.eye(domains)[0]) / 2])


def test_the_truth_is_finite_and_the_same_each_time_up_to_the_corners(problem: Problem) -> None:
    shares = mixtures(len(problem.task.domains))
    values = problem.truth(shares)
    assert values.shape == (len(shares), len(problem.task.metrics))
    assert np.isfinite(values).all()
    assert np.isfinite(problem.true_score(shares)).all()
    np.testing.assert_array_equal(values, problem.truth(shares))
    np.testing.assert_allclose(problem.truth(shares[7:8])[0], values[7], rtol=1e-12)


def test_a_law_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    again, other = laws(seed=0, draws=1), laws(seed=1, draws=1)
    assert [one.digest for one in again] == [one.digest for one in LANDSCAPES]
    assert not {one.digest for one in other} & {one.digest for one in LANDSCAPES}
    assert not {one.name for one in other} & {one.name for one in LANDSCAPES}


def test_nets_are_the_same_on_every_machine_as_they_are_not_fitted_there(tmp_path: Path) -> None:
    found = [*quickstart(tmp_path), *pile(tmp_path)]
    assert "quickstart" in {landscape.name for landscape in found}
    assert not list(tmp_path.iterdir())


def test_scores_of_many_at_once_are_the_products_own(problem: Problem) -> None:
    values = problem.truth(mixtures(len(problem.task.domains)))
    names = [metric.name for metric in problem.task.metrics]
    one_by_one = [problem.task.scorer.score(dict(zip(names, row, strict=True))) for row in values.tolist()]
    np.testing.assert_allclose(problem.task.score(values), [score.balanced for score in one_by_one], rtol=1e-9)
    gains = [[score.gains[name] for name in names] for score in one_by_one]
    np.testing.assert_allclose(problem.task.gains(values), gains, rtol=1e-9, atol=1e-12)


def test_measurements_stray_as_they_say_and_more_where_the_own_domain_is_absent(landscape: Landscape) -> None:
    problem = Problem.of(landscape, BalanceKind.WEIGHTED, Noise.MEDIUM)
    domains = len(problem.task.domains)
    shares = np.full(domains, 1 / domains)
    measured = np.stack([problem.measure(shares, np.random.default_rng(seed)) for seed in range(500)])
    found = problem.task.comparable(measured).std(axis=0)
    np.testing.assert_allclose(found, problem.noise_sd(shares[None])[0], rtol=0.15)
    metric = int(landscape.own.any(axis=1).argmax())
    present = int(landscape.own[metric].argmax())
    absent = int((~landscape.own[metric]).argmax())
    sd = problem.noise_sd(np.eye(domains)[[present, absent]])[:, metric]
    assert 2.5 < sd[1] / sd[0] <= 3


def test_the_optimum_has_no_regret_and_nothing_beats_it(problem: Problem, tmp_path: Path) -> None:
    yardstick = Yardstick.of(problem, tmp_path)
    assert yardstick.regret(problem, [yardstick.shares])[0] == pytest.approx(0, abs=1e-9)
    assert problem.true_score(mixtures(len(problem.task.domains))).max() <= yardstick.best + 1e-9
    typical = yardstick.regret(problem, random_mixtures(len(problem.task.domains)))
    assert np.median(typical) == pytest.approx(1)
    assert Yardstick.of(problem, tmp_path) == yardstick


def test_the_maximum_is_found_where_it_is_known() -> None:
    task = LANDSCAPES[1].task(BalanceKind.WORST)
    peak = np.array([0.6, 0.4, 0.0, 0.0, 0.0])

    def gains(shares: Floats) -> Floats:
        """Two planes that meet on a ridge, whose highest point is the peak."""
        slope = shares[:, :1] - 0.6
        return np.concatenate([slope, -slope], axis=1) - shares[:, 2:].sum(axis=1, keepdims=True)

    found = maximise(task, gains, np.random.default_rng(0), Effort(pool=300, starts=2, rounds=20))
    np.testing.assert_allclose(found, peak, atol=1e-5)


@pytest.mark.parametrize("box", [Proportions(4), Sticks(4)])
def test_a_box_covers_the_simplex_evenly_and_knows_its_centre(box: Proportions | Sticks) -> None:
    np.testing.assert_allclose(box.shares(box.centre()), np.full(4, 0.25))
    points = np.random.default_rng(0).random((4000, box.size))
    shares = np.stack([box.shares(point) for point in points])
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    # Of uniform mixtures of four domains, (1 - x)^3 have more than x of one of them.
    for domain in range(4):
        for x in (0.1, 0.3, 0.6):
            assert np.mean(shares[:, domain] > x) == pytest.approx((1 - x) ** 3, abs=0.03)


def test_a_log_linear_law_recommends_well_where_the_truth_is_one() -> None:
    problem = Problem.of(LANDSCAPES[0], BalanceKind.WEIGHTED, Noise.LOW)
    slopes = np.random.default_rng(0).normal(0, 1, (3, 4))

    def deficits(shares: Floats) -> Floats:
        found: Floats = np.exp(shares @ slopes)
        return found

    references, units = problem.task.references, problem.task.units
    contestant = LogLinear(Setting(task=problem.task, seed=0, trials=30, parallel=1))

    shares = np.concatenate([np.eye(3), random_mixtures(3, 27)])
    comparable = references - deficits(shares) / units
    history = History(shares=shares, values=np.where(problem.task.log, np.exp(comparable), comparable))
    reached = deficits(contestant.recommend(history)[None]).mean()
    assert reached <= np.quantile(deficits(random_mixtures(3)).mean(axis=1), 0.1)


def test_a_run_is_the_same_when_it_is_played_again(tmp_path: Path) -> None:
    suite = Suite(sizes=(3,), draws=1, tables=False, noises=(Noise.MEDIUM,))
    results = Results(file=tmp_path / "results.jsonl", cache=tmp_path)
    problem = suite.problems(tmp_path)[0].name
    for parallel in (1, 3):
        run = Run(contestant="random", suite=suite, problem=problem, seed=2, parallel=parallel, trials=15)
        first, second = play(run, results), play(run, results)
        assert (first.key, first.regrets) == (second.key, second.regrets)
        assert list(first.regrets) == [10, 15]
        results.add(first)
    assert len(results.read()) == 2


def outcome(contestant: str, problem: str, regrets: dict[int, float], parallel: int = 1) -> Outcome:
    return Outcome(
        key="",
        contestant=contestant,
        problem=problem,
        seed=0,
        parallel=parallel,
        trials=100,
        regrets=regrets,
        ask_seconds=0.1,
        recommend_seconds=0.1,
    )


def test_figures_compare_on_the_problems_that_all_met_and_keep_high_noise_apart() -> None:
    found = figures(
        [
            outcome("ours", "a/worst/low", {20: 0.1, 40: 0.01, 100: 0.0}),
            outcome("ours", "b/worst/low", {20: 0.001, 40: 0.001, 100: 0.001}),
            outcome("ours", "a/worst/low", {20: 0.2, 40: 0.02, 100: 0.005}, parallel=4),
            outcome("ours", "b/worst/low", {20: 0.001, 40: 0.001, 100: 0.001}, parallel=4),
            outcome("ours", "a/worst/high", {20: 0.7}),
            outcome("random", "a/worst/low", {20: 0.4, 40: 0.3, 100: 0.2}),
            outcome("tpe-faq", "a/worst/low", {20: 0.2, 40: 0.2, 100: 0.2}),
            outcome("gp-faq", "a/worst/low", {20: 0.25, 40: 0.2, 100: 0.2}),
        ]
    )
    assert found["ours_regret_20"] == pytest.approx(0.1)
    assert found["ours_regret_100"] == pytest.approx(FLOOR)
    assert found["ours_regret_20_high"] == pytest.approx(0.7)
    assert found["to_optuna_20"] == pytest.approx(0.5)
    assert found["worst_to_random_20"] == pytest.approx(0.25)
    assert found["parallel_cost"] == pytest.approx(np.exp(np.log(2.5) / 2))


def test_results_depend_on_the_method_s_code_and_not_on_what_is_beside_it() -> None:
    files = {file.relative_to(registry.ROOT).as_posix() for file in registry.sources(registry.OURS)}
    assert {
        "ratio_search/sampler/simplex_sampler.py",
        "ratio_search/space/simplex.py",
        "objectives/scorer/scorer.py",
    } <= files
    assert all((registry.ROOT / file).is_file() for file in files)
    assert not {"ratio_search/cli/studies.py", "ratio_search/report.py", "objectives/data/gathering.py"} & files


def test_layout_comments_and_docstrings_do_not_count_as_code(tmp_path: Path) -> None:
    plain, dressed, other = (tmp_path / name for name in ("plain.py", "dressed.py", "other.py"))
    plain.write_text("def f(x):\n    return x + 1\n")
    dressed.write_text('"""A module."""\n\n\ndef f(x):  # one more\n    """Adds."""\n    return (x + 1)\n')
    other.write_text("def f(x):\n    return x + 2\n")
    assert registry.meaning(plain) == registry.meaning(dressed) != registry.meaning(other)
