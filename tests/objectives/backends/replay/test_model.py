from __future__ import annotations

import numpy as np
import pytest

from objectives.backends.replay.model import FIT_AT_MOST, PROCESS_TO, MetricModel, Scale


def scale(name: str, *values: float) -> Scale:
    return Scale.of(name, np.array(values))


class TestScale:
    def test_losses_are_told_by_their_logarithms(self) -> None:
        found = scale("a/perplexity", 1.0, np.e**2)
        assert found.logarithmic and found.spread == pytest.approx(1)
        assert found.back(1.0) == pytest.approx(np.e)
        assert found.back(1e6) < np.inf and found.back(-1e6) > 0
        assert not scale("a/perplexity", 0.0, 1.0).logarithmic
        assert not scale("bleu", 1.0, 2.0).logarithmic

    def test_rates_stay_rates_unless_the_table_has_other_units(self) -> None:
        assert [scale("a/f1", 0.1, 0.3).back(value) for value in (-1, 0.5, 2)] == [0, 0.5, 1]
        assert scale("a/f1", 10.0, 30.0).back(120) == 120

    def test_one_value_has_no_spread(self) -> None:
        assert scale("x", 0.1, 0.1 + 1e-15).spread == 0


def runs(n: int, domains: int = 3) -> tuple[np.ndarray, np.ndarray]:
    x = np.sqrt(np.random.default_rng(1).dirichlet(np.ones(domains), n))
    return x, 2 + x[:, 0] - 0.5 * x[:, 1]


@pytest.mark.parametrize("n", [5, 40, FIT_AT_MOST + 5, PROCESS_TO + 1])
def test_a_smooth_law_is_found_by_any_number_of_runs(n: int) -> None:
    x, y = runs(n)
    model = MetricModel.fit(x, y, Scale.of("x", y))
    assert (type(model.regressor).__name__ == "ExtraTreesRegressor") == (n > PROCESS_TO)
    if n > 5:
        assert model.explained is not None and model.explained > 0.9
        assert model.value(np.sqrt(np.array([0.3, 0.3, 0.4]))) == pytest.approx(2 + 0.5 * 0.3**0.5, abs=0.05)


def test_nothing_is_explained_where_there_is_nothing_but_luck() -> None:
    x, _ = runs(60)
    y = np.random.default_rng(2).standard_normal(60)
    explained = MetricModel.fit(x, y, Scale.of("x", y)).explained
    assert explained is not None and explained < 0.3


def test_a_metric_of_one_value_has_it_everywhere() -> None:
    x, _ = runs(8)
    model = MetricModel.fit(x, np.full(8, 0.7), Scale.of("x", np.full(8, 0.7)))
    assert model.explained is None
    assert model.value(x[0], off=3.0) == pytest.approx(0.7)
