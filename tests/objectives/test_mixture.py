from __future__ import annotations

import dataclasses
import json
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from objectives.errors import MixtureError
from objectives.mixture import Mixture

names = st.text(min_size=1, max_size=8)
weights = st.dictionaries(names, st.floats(0, 1e6), min_size=1, max_size=30).filter(lambda w: sum(w.values()) > 0)
mixtures = weights.map(Mixture.from_weights)


@st.composite
def alike(draw: st.DrawFn, count: int) -> list[Mixture]:
    """Mixtures of the same domains."""
    domains = draw(st.lists(names, min_size=1, max_size=8, unique=True))
    one = st.lists(st.floats(0.001, 1), min_size=len(domains), max_size=len(domains))
    return [Mixture.from_weights(dict(zip(domains, draw(one), strict=True))) for _ in range(count)]


class TestConstruction:
    @given(st.dictionaries(names, st.floats(0, 1.7e308), min_size=1, max_size=30))
    def test_weights_become_shares_that_sum_to_exactly_one(self, given_weights: dict[str, float]) -> None:
        assume(0 < sum(given_weights.values()) < math.inf)
        mixture = Mixture.from_weights(given_weights)
        assert math.fsum(mixture.shares) == 1.0
        assert mixture.names == tuple(given_weights)
        assert all(share >= 0 for share in mixture.shares)

    @given(weights)
    def test_weights_keep_their_proportions(self, given_weights: dict[str, float]) -> None:
        mixture = Mixture.from_weights(given_weights)
        total = math.fsum(given_weights.values())
        for name, weight in given_weights.items():
            assert mixture[name] == pytest.approx(weight / total, abs=1e-12)

    @given(mixtures)
    def test_shares_are_taken_as_they_are(self, mixture: Mixture) -> None:
        assert Mixture.of(dict(mixture)) == mixture
        assert Mixture.from_weights(mixture) == mixture
        assert Mixture.of(json.loads(json.dumps(dict(mixture)))) == mixture

    def test_rounding_of_a_sum_is_forgiven(self) -> None:
        assert Mixture.of({"a": 0.1 + 0.2, "b": 0.7}).shares == (0.1 + 0.2, 0.7)

    def test_uniform_gives_equal_shares(self) -> None:
        assert Mixture.uniform("abcd").shares == (0.25, 0.25, 0.25, 0.25)

    @pytest.mark.parametrize(
        ("shares", "message"),
        [
            ({}, "at least one domain, found none"),
            ({"a": 0.5, "b": 0.4}, r"must sum to 1, found 0\.9 \(a 0\.5, b 0\.4\)"),
            ({"a": 1 + 1e-8}, "from 0 to 1"),
            ({"a": 0.5, "b": 0.5 + 2e-9}, "must sum to 1"),
            ({"a": -0.1, "b": 1.1}, r"the share of 'a' must be a number from 0 to 1, found -0\.1"),
            ({"a": math.nan, "b": 1.0}, "the share of 'a'.*found nan"),
            ({"a": math.inf, "b": 1.0}, "the share of 'a'.*found inf"),
            ({"a": 1e308, "b": 1e308}, r"the share of 'a'.*found 1e\+308"),
        ],
    )
    def test_an_invalid_one_cannot_exist(self, shares: dict[str, float], message: str) -> None:
        with pytest.raises(MixtureError, match=message):
            Mixture.of(shares)

    def test_a_domain_cannot_stand_there_twice(self) -> None:
        with pytest.raises(MixtureError, match="once in a mixture, found a, a"):
            Mixture((("a", 0.5), ("a", 0.5)))

    @pytest.mark.parametrize(
        ("given_weights", "message"),
        [
            ({}, "positive finite sum, found 0"),
            ({"a": 0.0}, "positive finite sum, found 0"),
            ({"a": -1.0, "b": 3.0}, "the weight of 'a'.*found -1"),
            ({"a": math.nan}, "the weight of 'a'.*found nan"),
            ({"a": math.inf}, "the weight of 'a'.*found inf"),
            ({"a": 1e308, "b": 1e308}, "positive finite sum, found inf"),
        ],
    )
    def test_weights_that_have_no_proportions(self, given_weights: dict[str, float], message: str) -> None:
        with pytest.raises(MixtureError, match=message):
            Mixture.from_weights(given_weights)


class TestReading:
    @given(mixtures)
    def test_is_a_mapping_in_the_domains_order(self, mixture: Mixture) -> None:
        assert list(mixture) == list(mixture.names)
        assert list(mixture.values()) == list(mixture.shares)
        assert len(mixture) == len(mixture.parts)
        assert dict(mixture.items()) == dict(mixture.parts)

    def test_an_unknown_domain_has_no_share(self) -> None:
        mixture = Mixture.uniform("ab")
        assert "c" not in mixture
        with pytest.raises(KeyError, match="'c'"):
            mixture["c"]

    def test_cannot_be_changed_and_can_be_a_key(self) -> None:
        mixture = Mixture.uniform("ab")
        with pytest.raises(dataclasses.FrozenInstanceError):
            mixture.parts = ()  # type: ignore[misc]
        assert {mixture: 1}[Mixture.uniform("ab")] == 1

    def test_reads_well(self) -> None:
        assert str(Mixture.of({"support": 0.25, "legal": 0.75})) == "support=0.250 legal=0.750"


class TestCounts:
    @given(mixtures, st.integers(0, 10**7))
    def test_sum_to_the_total_and_are_within_one_of_the_share(self, mixture: Mixture, total: int) -> None:
        counts = mixture.counts(total)
        assert list(counts) == list(mixture.names)
        assert sum(counts.values()) == total
        for name, count in counts.items():
            assert count >= 0
            assert abs(count - mixture[name] * total) < 1 + 1e-6

    @given(mixtures, st.integers(0, 1000))
    def test_a_share_of_zero_gets_nothing(self, mixture: Mixture, total: int) -> None:
        assert all(mixture[name] > 0 for name, count in mixture.counts(total).items() if count)

    def test_the_largest_remainders_are_rounded_up(self) -> None:
        assert Mixture.of({"a": 0.13, "b": 0.38, "c": 0.49}).counts(10) == {"a": 1, "b": 4, "c": 5}

    def test_equal_remainders_go_to_the_earlier_domain(self) -> None:
        assert Mixture.uniform("abcd").counts(6) == {"a": 2, "b": 2, "c": 1, "d": 1}


class TestDistance:
    @given(alike(3))
    def test_is_a_metric_between_zero_and_one(self, three: list[Mixture]) -> None:
        a, b, c = three
        assert a.distance(a) == 0
        assert 0 <= a.distance(b) <= 1 + 1e-12
        assert a.distance(b) == b.distance(a)
        assert a.distance(c) <= a.distance(b) + b.distance(c) + 1e-12

    def test_is_the_share_of_rows_that_would_change_domain(self) -> None:
        a = Mixture.of({"a": 0.5, "b": 0.3, "c": 0.2})
        b = Mixture.of({"c": 0.3, "b": 0.3, "a": 0.4})
        assert a.distance(b) == pytest.approx(0.1)
        assert Mixture.of({"a": 1, "b": 0}).distance(Mixture.of({"a": 0, "b": 1})) == 1
