from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.data.blend import Blend
from objectives.errors import DataError
from objectives.mixture import Mixture

SIZES = {"a": 40, "b": 25, "c": 10}


def blend(shares: Mapping[str, float], total: int = 60, seed: int = 0, sizes: Mapping[str, int] = SIZES) -> Blend:
    return Blend(mixture=Mixture.from_weights(shares), sizes=sizes, total=total, seed=seed)


def drawn(run: Blend) -> dict[str, list[int]]:
    """Every domain's rows, in the order of the run."""
    rows: dict[str, list[int]] = {name: [] for name in run.mixture}
    for name, row in run.order():
        rows[name].append(row)
    return rows


@st.composite
def blends(draw: st.DrawFn) -> Blend:
    sizes = draw(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 30), min_size=1))
    weights = {name: draw(st.floats(0, 1)) for name in sizes}
    weights[draw(st.sampled_from(sorted(sizes)))] = 1.0
    return blend(weights, total=draw(st.integers(1, 120)), seed=draw(st.integers(0, 2**32)), sizes=sizes)


class TestOrder:
    @given(blends())
    def test_has_the_rows_that_the_mixture_asks_for(self, run: Blend) -> None:
        order = list(run.order())
        assert len(order) == run.total == sum(run.counts.values())
        counted = Counter(name for name, _ in order)
        assert {name: counted[name] for name in run.counts} == run.counts
        assert all(0 <= row < run.sizes[name] for name, row in order)

    @given(blends())
    def test_takes_every_row_of_an_epoch_before_any_again(self, run: Blend) -> None:
        for name, rows in drawn(run).items():
            size = run.sizes[name]
            for start in range(0, len(rows), size):
                epoch = rows[start : start + size]
                assert len(set(epoch)) == len(epoch)
            times = Counter(rows)
            assert max(times.values(), default=0) - min((times[row] for row in range(size)), default=0) <= 1

    @given(blends())
    def test_is_the_same_every_time(self, run: Blend) -> None:
        assert list(run.order()) == list(run.order())

    @given(blends())
    def test_spreads_every_domain_evenly(self, run: Blend) -> None:
        names = [name for name, _ in run.order()]
        for name, count in run.counts.items():
            # Among the first k rows a domain has its share of k, give or take one row of every domain.
            here = np.cumsum([other == name for other in names])
            expected = np.arange(1, run.total + 1) * count / run.total
            assert np.abs(here - expected).max() <= len(run.counts) + 1

    @given(blends(), blends())
    def test_two_mixtures_with_one_seed_differ_by_the_ratio_alone(self, one: Blend, other: Blend) -> None:
        other = Blend(mixture=other.mixture, sizes={**other.sizes, **one.sizes}, total=other.total, seed=one.seed)
        for name in set(one.mixture) & set(other.mixture):
            shorter, longer = sorted((drawn(one)[name], drawn(other)[name]), key=len)
            assert longer[: len(shorter)] == shorter

    def test_every_epoch_has_an_order_of_its_own(self) -> None:
        rows = drawn(blend({"a": 1}, total=120))["a"]
        epochs = [tuple(rows[start : start + 40]) for start in (0, 40, 80)]
        assert len(set(epochs)) == 3

    def test_seeds_and_domains_have_orders_of_their_own(self) -> None:
        sizes = {"a": 30, "b": 30}
        orders = {tuple(rows) for seed in range(4) for rows in drawn(blend(sizes, seed=seed, sizes=sizes)).values()}
        assert len(orders) == 8

    def test_every_row_is_as_likely_to_come_first(self) -> None:
        firsts = Counter(next(blend({"c": 1}, seed=seed).order())[1] for seed in range(1000))
        # Chi-squared with 9 degrees of freedom exceeds 27.9 in one of a thousand samples.
        assert sum((firsts[row] - 100) ** 2 / 100 for row in range(10)) < 27.9

    def test_is_the_same_on_every_machine_and_version(self) -> None:
        order = list(blend({"a": 5, "b": 3, "c": 2}, total=100, seed=7).order())
        assert order[:5] == [("a", 15), ("b", 1), ("c", 7), ("a", 18), ("a", 0)]
        digest = hashlib.sha256("".join(f"{name}{row}," for name, row in order).encode()).hexdigest()
        assert digest == "a9636a4953170577ae66e31704e7bd550dad6d05ec650acc032a4a627e3a9b05"

    def test_is_plain_data(self) -> None:
        assert {(type(name), type(row)) for name, row in blend(SIZES).order()} == {(str, int)}


class TestShares:
    @given(blends())
    def test_realised_are_those_of_whole_rows(self, run: Blend) -> None:
        assert run.realised.names == run.mixture.names
        for name in run.mixture:
            assert run.realised[name] == pytest.approx(run.counts[name] / run.total)
            assert abs(run.realised[name] - run.mixture[name]) < 1 / run.total + 1e-9

    def test_epochs_are_passes_over_a_domain(self) -> None:
        assert blend({"a": 1, "b": 1, "c": 0}, total=100).epochs == {"a": 1.25, "b": 2.0, "c": 0.0}

    def test_rows_of_a_domain_without_any_are_refused(self) -> None:
        with pytest.raises(DataError, match=r"'d' a share of 0\.5.*domains\.d\.train"):
            blend({"a": 1, "d": 1})
        with pytest.raises(DataError, match="'d' a share"):
            blend({"a": 1, "d": 1}, sizes={**SIZES, "d": 0})

    def test_a_domain_without_rows_may_have_no_share(self) -> None:
        assert blend({"a": 1, "d": 0}).counts == {"a": 60, "d": 0}
