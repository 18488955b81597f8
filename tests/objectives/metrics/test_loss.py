from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.metrics import bits_per_byte, loss, perplexity
from tests.objectives.metrics.spread import SAMPLES, error_over_spread

ROWS = st.lists(st.tuples(st.floats(0, 50), st.integers(1, 40)), min_size=1, max_size=40)
"""Nats and tokens, or bytes, of each row."""


def arrays(rows: list[tuple[float, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([nats for nats, _ in rows]), np.array([count for _, count in rows])


class TestLoss:
    def test_weighs_tokens_and_not_rows(self) -> None:
        assert loss(np.array([2.0, 9.0]), np.array([1, 9])).value == pytest.approx(1.1)

    @given(ROWS)
    def test_is_the_logarithm_of_perplexity(self, rows: list[tuple[float, int]]) -> None:
        found, exponential = loss(*arrays(rows)), perplexity(*arrays(rows))
        assert found.value == pytest.approx(math.log(exponential.value), abs=1e-9)
        assert found.rows == exponential.rows == len(rows)
        if found.stderr is not None and exponential.stderr is not None:
            assert found.stderr * exponential.value == pytest.approx(exponential.stderr)

    def test_its_standard_error_is_the_spread_of_test_sets(self) -> None:
        rng = np.random.default_rng(5)
        estimates = []
        for _ in range(SAMPLES):
            tokens = rng.integers(1, 30, size=250)
            estimates.append(loss(rng.gamma(4.0, 0.5, size=250) * np.sqrt(tokens), tokens))
        assert error_over_spread(estimates) == pytest.approx(1, rel=0.15)

    def test_one_row_says_nothing_of_the_spread(self) -> None:
        assert loss(np.array([2.0]), np.array([4])).stderr is None


class TestBitsPerByte:
    def test_by_hand(self) -> None:
        # One bit for each of two bytes, and eight bits for each of three.
        nll = np.array([2 * math.log(2), 3 * math.log(256)])
        assert bits_per_byte(nll, np.array([2, 3])).value == pytest.approx((2 + 24) / 5)

    def test_a_model_that_knows_nothing_of_bytes_needs_eight_bits(self) -> None:
        sizes = np.array([1, 5, 17])
        estimate = bits_per_byte(sizes * math.log(256), sizes)
        assert (estimate.value, estimate.stderr) == (pytest.approx(8), pytest.approx(0, abs=1e-12))

    @given(ROWS)
    def test_does_not_depend_on_how_text_is_cut_into_tokens(self, rows: list[tuple[float, int]]) -> None:
        nll, sizes = arrays(rows)
        estimate, per_token = bits_per_byte(nll, sizes), loss(nll, sizes)
        assert estimate.value == pytest.approx(per_token.value / math.log(2))
        assert estimate.stderr == (None if len(rows) < 2 else pytest.approx((per_token.stderr or 0) / math.log(2)))

    def test_an_empty_response_among_others_has_bits_and_no_bytes(self) -> None:
        assert bits_per_byte(np.array([math.log(2), math.log(2)]), np.array([0, 4])).value == pytest.approx(0.5)
