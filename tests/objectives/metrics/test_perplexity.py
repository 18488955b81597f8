from __future__ import annotations

import math

import numpy as np
import pytest

from objectives.metrics import perplexity
from tests.objectives.metrics.spread import SAMPLES, error_over_spread


def test_weighs_tokens_and_not_rows() -> None:
    nll, tokens = np.array([2.0, 9.0]), np.array([1, 9])
    assert perplexity(nll, tokens).value == pytest.approx(math.exp(11 / 10))


def test_its_standard_error_is_the_spread_of_test_sets() -> None:
    rng = np.random.default_rng(2)
    estimates = []
    for _ in range(SAMPLES):
        tokens = rng.integers(1, 30, size=250)
        # Long rows are easier here, so that nats and tokens are not proportional.
        difficulty = rng.gamma(4.0, 0.5, size=250) / np.sqrt(tokens)
        estimates.append(perplexity(difficulty * tokens, tokens))
    assert error_over_spread(estimates) == pytest.approx(1, rel=0.15)


def test_equal_rows_have_no_spread() -> None:
    assert perplexity(np.array([2.0, 4.0]), np.array([1, 2])).stderr == pytest.approx(0.0)


def test_one_row_says_nothing_of_the_spread() -> None:
    estimate = perplexity(np.array([2.0]), np.array([4]))
    assert (estimate.value, estimate.stderr, estimate.rows) == (pytest.approx(math.exp(0.5)), None, 1)
