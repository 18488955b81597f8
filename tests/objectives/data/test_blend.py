from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chi2

from objectives.data.blend import Blend, Count, Lengths, Weigh
from objectives.errors import DataError
from objectives.mixture import Mixture

SIZES = {"a": 40, "b": 25, "c": 10}
ROOT = Path(__file__).parents[3]

FROZEN_BEGINNING = [("a", 25), ("b", 2), ("a", 34), ("c", 5), ("a", 1)]
FROZEN_ROWS = "60edce616633336a7117385eac21cf5363708048a308427438e9f8bc18d3c7cb"
FROZEN_TOKENS = "59bc77827f1ff330895eeb28bd6409296d9002874c359e35a1a203905dfac9f5"


def blend(shares: Mapping[str, float], rows: int = 60, seed: int = 0, sizes: Mapping[str, int] = SIZES) -> Blend:
    return Blend(mixture=Mixture.from_weights(shares), sizes=sizes, rows=rows, seed=seed)


def known(lengths: list[int]) -> Lengths:
    """Tokens of rows, as a list has them."""
    return lambda rows: np.array(lengths, dtype=np.int64)[rows]


TEN_TOKENS = {name: known([10] * size) for name, size in SIZES.items()}


def drawn(run: Blend) -> dict[str, list[int]]:
    """Every domain's rows, in the order of the run."""
    rows: dict[str, list[int]] = {name: [] for name in run.mixture}
    for name, row in run.order():
        rows[name].append(row)
    return rows


def whole(run: Blend) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number of the domain, and tokens (or 1), of each row of the run."""
    parts = list(run.parts())
    domains = np.concatenate([part.domains for part in parts]) if parts else np.empty(0, dtype=np.int64)
    tokens = [np.ones_like(part.domains) if part.tokens is None else part.tokens for part in parts]
    return domains, np.concatenate(tokens) if parts else np.empty(0, dtype=np.int64)


def digest(run: Blend) -> str:
    return hashlib.sha256("".join(f"{name}{row}," for name, row in run.order()).encode()).hexdigest()


@st.composite
def blends(draw: st.DrawFn, smallest: int = 1, largest: int = 30) -> Blend:
    """Runs of so many rows."""
    sizes = draw(st.dictionaries(st.sampled_from("abcdef"), st.integers(smallest, largest), min_size=1))
    weights = {name: draw(st.floats(0, 1) | st.sampled_from([0, 1e-9, 1e-3])) for name in sizes}
    weights[draw(st.sampled_from(sorted(sizes)))] = 1.0
    return blend(weights, rows=draw(st.integers(1, 150)), seed=draw(st.integers(0, 2**32)), sizes=sizes)


@st.composite
def weighed(draw: st.DrawFn) -> Blend:
    """Runs of so many tokens, in which tokens are weighed, too, or rows still are."""
    run = draw(blends(smallest=30, largest=100))
    lengths = {}
    for name, size in run.sizes.items():
        few = draw(st.lists(st.integers(1, 40), min_size=1, max_size=9))
        lengths[name] = known((few * size)[:size])
    tokens, by = draw(st.integers(1, 3000)), draw(st.sampled_from(Weigh))
    return replace(run, rows=None, tokens=tokens, weigh_by=by, lengths=lengths)


class TestOrder:
    @given(blends())
    @settings(max_examples=50, deadline=None)
    def test_has_the_rows_that_are_asked_for(self, run: Blend) -> None:
        order = list(run.order())
        assert len(order) == run.rows
        assert all(0 <= row < run.sizes[name] for name, row in order)

    @given(blends(), st.integers(1, 150))
    @settings(max_examples=50, deadline=None)
    def test_a_shorter_run_is_the_beginning_of_a_longer_one(self, run: Blend, rows: int) -> None:
        shorter, longer = sorted([list(run.order()), list(replace(run, rows=rows).order())], key=len)
        assert longer[: len(shorter)] == shorter

    @given(weighed(), st.integers(1, 3000))
    @settings(max_examples=50, deadline=None)
    def test_a_run_of_fewer_tokens_is_the_beginning_of_a_longer_one(self, run: Blend, tokens: int) -> None:
        few, many = sorted([list(run.order()), list(replace(run, tokens=tokens).order())], key=len)
        assert many[: len(few)] == few

    @given(blends())
    @settings(max_examples=50, deadline=None)
    def test_takes_every_row_of_an_epoch_before_any_again(self, run: Blend) -> None:
        for name, rows in drawn(run).items():
            size = run.sizes[name]
            for start in range(0, len(rows), size):
                epoch = rows[start : start + size]
                assert len(set(epoch)) == len(epoch)
            times = Counter(rows)
            assert max(times.values(), default=0) - min((times[row] for row in range(size)), default=0) <= 1

    @given(blends(), blends(), st.data())
    @settings(max_examples=50, deadline=None)
    def test_two_mixtures_with_one_seed_differ_by_the_ratio_alone(
        self, one: Blend, other: Blend, data: st.DataObject
    ) -> None:
        sizes = {**other.sizes, **one.sizes}
        other = replace(other, sizes=sizes, seed=one.seed)
        if data.draw(st.booleans()):  # however their shares are weighed
            lengths = {
                name: known(data.draw(st.lists(st.integers(1, 9), min_size=n, max_size=n))) for name, n in sizes.items()
            }
            other = replace(other, weigh_by=Weigh.TOKENS, lengths=lengths)
        rows, others = drawn(one), drawn(other)
        for name in set(one.mixture) & set(other.mixture):
            shorter, longer = sorted((rows[name], others[name]), key=len)
            assert longer[: len(shorter)] == shorter
            assert one.draw(name, 0, len(longer)).tolist() == longer

    @given(blends(), st.data())
    @settings(max_examples=50, deadline=None)
    def test_any_part_of_a_domains_rows_is_drawn_alone(self, run: Blend, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(run.mixture.names))
        start, stop = sorted((data.draw(st.integers(0, 100)), data.draw(st.integers(0, 100))))
        assert run.draw(name, start, stop).tolist() == run.draw(name, 0, 100)[start:stop].tolist()

    def test_seeds_domains_and_epochs_have_orders_of_their_own(self) -> None:
        orders = {
            tuple(blend(SIZES, seed=seed, sizes={"a": 30, "b": 30, "c": 30}).draw(name, epoch * 30, (epoch + 1) * 30))
            for seed in range(4)
            for name in SIZES
            for epoch in range(4)
        }
        assert len(orders) == 4 * 3 * 4

    def test_every_row_is_as_likely_to_come_first(self) -> None:
        firsts = Counter(int(blend({"c": 1}, seed=seed).draw("c", 0, 1)[0]) for seed in range(1000))
        assert sum((firsts[row] - 100) ** 2 / 100 for row in range(10)) < chi2.isf(1e-4, 9)

    def test_a_long_run_keeps_all_of_this(self) -> None:
        run = blend({"a": 5, "b": 3, "c": 2}, rows=100_000, sizes={"a": 30_000, "b": 70_000, "c": 9_000})
        domains, _ = whole(run)
        assert len(domains) == 100_000
        exact = np.arange(1, 100_001)[:, None] * np.array(run.mixture.shares)
        assert np.abs(np.cumsum(domains[:, None] == np.arange(3), axis=0) - exact).max() < 1.001
        for name, rows in drawn(run).items():
            assert rows == run.draw(name, 0, len(rows)).tolist()
        assert len(set(drawn(run)["b"])) == 30_000

    def test_is_the_same_on_every_machine_and_version(self) -> None:
        run = blend({"a": 5, "b": 3, "c": 2}, rows=5000, seed=7)
        assert list(run.order())[:5] == FROZEN_BEGINNING
        assert digest(run) == FROZEN_ROWS
        lengths = {name: known([7 + (31 * row) % 50 for row in range(size)]) for name, size in SIZES.items()}
        weighed_run = replace(run, rows=None, tokens=100_000, weigh_by=Weigh.TOKENS, lengths=lengths)
        assert digest(weighed_run) == FROZEN_TOKENS

    def test_is_the_same_in_every_process(self) -> None:
        code = (
            "from tests.objectives.data.test_blend import blend, digest\n"
            "print(digest(blend({'a': 5, 'b': 3, 'c': 2}, rows=5000, seed=7)))"
        )
        found = {
            subprocess.run(
                [sys.executable, "-c", code],
                cwd=ROOT,
                env={**os.environ, "PYTHONHASHSEED": hash_seed},
                check=True,
                capture_output=True,
                text=True,
            ).stdout.strip()
            for hash_seed in ("1", "2")
        }
        assert found == {FROZEN_ROWS}

    def test_leaves_numpys_own_generator_alone(self) -> None:
        before = np.random.get_state(legacy=False)
        list(blend(SIZES, rows=500).order())
        after = np.random.get_state(legacy=False)
        assert np.array_equal(before["state"]["key"], after["state"]["key"])
        assert before["state"]["pos"] == after["state"]["pos"]

    def test_does_not_depend_on_numpys_own_generator(self) -> None:
        orders = []
        kept = np.random.get_state()
        for seed in (1, 2):
            np.random.seed(seed)
            orders.append(list(blend(SIZES, rows=500).order()))
        np.random.set_state(kept)
        assert orders[0] == orders[1]

    def test_is_plain_data(self) -> None:
        assert {(type(name), type(row)) for name, row in blend(SIZES).order()} == {(str, int)}


class TestShares:
    @given(blends())
    @settings(max_examples=50, deadline=None)
    def test_every_beginning_holds_them_within_one_row(self, run: Blend) -> None:
        domains, _ = whole(run)
        shares = np.array(run.mixture.shares)
        here = np.cumsum(domains[:, None] == np.arange(len(shares)), axis=0)
        assert np.abs(here - np.arange(1, len(domains) + 1)[:, None] * shares).max() < 1 + 1e-6

    @given(weighed())
    @settings(max_examples=50, deadline=None)
    def test_every_beginning_holds_those_of_tokens_within_the_longest_row(self, run: Blend) -> None:
        run = replace(run, weigh_by=Weigh.TOKENS)
        domains, tokens = whole(run)
        if not len(domains):
            return
        shares = np.array(run.mixture.shares)
        here = np.cumsum((domains[:, None] == np.arange(len(shares))) * tokens[:, None], axis=0)
        assert run.lengths is not None
        longest = max(
            run.lengths[name](np.arange(run.sizes[name])).max() for name, share in run.mixture.items() if share
        )
        assert np.abs(here - np.cumsum(tokens)[:, None] * shares).max() <= longest + 1e-6

    @given(weighed())
    @settings(max_examples=50, deadline=None)
    def test_rows_are_weighed_though_tokens_limit_the_run(self, run: Blend) -> None:
        run = replace(run, weigh_by=Weigh.ROWS)
        order = list(run.order())
        assert order == list(replace(run, tokens=None, rows=len(order), lengths=None).order())

    @given(weighed(), st.integers(1, 150))
    @settings(max_examples=30, deadline=None)
    def test_tokens_are_weighed_though_rows_limit_the_run(self, run: Blend, rows: int) -> None:
        run = replace(run, weigh_by=Weigh.TOKENS, tokens=150 * 40)
        assert list(replace(run, tokens=None, rows=rows).order()) == list(run.order())[:rows]

    def test_a_domain_without_rows_is_refused(self) -> None:
        with pytest.raises(DataError, match=r"'d' a share of 0\.5.*domains\.d\.train"):
            blend({"a": 1, "d": 1})
        with pytest.raises(DataError, match="'d' a share"):
            blend({"a": 1, "d": 1}, sizes={**SIZES, "d": 0})

    def test_a_domain_without_rows_may_have_no_share(self) -> None:
        assert blend({"a": 1, "d": 0}).tally().rows == {"a": 60, "d": 0}
        assert blend({"a": 1, "d": 0}, sizes={**SIZES, "d": 0}).tally().rows == {"a": 60, "d": 0}


class TestTokens:
    @given(weighed())
    @settings(max_examples=50, deadline=None)
    def test_the_run_ends_with_the_last_row_that_fits(self, run: Blend) -> None:
        assert run.tokens is not None
        _, tokens = whole(run)
        assert tokens.sum() <= run.tokens
        _, more = whole(replace(run, tokens=run.tokens + 40))
        assert more[: len(tokens)].tolist() == tokens.tolist()
        assert tokens.sum() + more[len(tokens)] > run.tokens

    def test_a_row_that_fits_exactly_is_taken(self) -> None:
        run = replace(blend({"c": 1}), rows=None, tokens=30, lengths={"c": known([10] * 10)})
        assert len(list(run.order())) == 3
        assert len(list(replace(run, tokens=29).order())) == 2
        assert list(replace(run, tokens=9).order()) == []

    def test_each_row_has_its_own(self) -> None:
        lengths = {name: known([row + 1 for row in range(size)]) for name, size in SIZES.items()}
        for part in replace(blend(SIZES, rows=3000), lengths=lengths).parts():
            assert part.tokens is not None and (part.tokens == part.rows + 1).all()

    def test_are_unknown_where_nobody_counts_them(self) -> None:
        run = blend(SIZES)
        assert [part.tokens for part in run.parts()] == [None]
        assert run.tally().tokens is None


class TestLimits:
    @given(blends(), st.data())
    @settings(max_examples=50, deadline=None)
    def test_are_never_exceeded(self, run: Blend, data: st.DataObject) -> None:
        limits = {name: data.draw(st.integers(1, 2 * size)) for name, size in run.sizes.items()}
        lengths = {name: known([1 + 7 * row % 5 for row in range(size)]) for name, size in run.sizes.items()}
        for by in Weigh:
            try:
                run = replace(run, limits=limits, lengths=lengths, weigh_by=by)
                tally = run.tally()
            except DataError:
                continue
            assert all(tally.rows[name] <= limits[name] for name in run.mixture)
            assert sum(tally.rows.values()) == run.rows

    @given(blends(), st.data())
    @settings(max_examples=50, deadline=None)
    def test_that_are_not_reached_change_nothing(self, run: Blend, data: st.DataObject) -> None:
        used = {name: len(rows) for name, rows in drawn(run).items()}
        limits = {name: rows + data.draw(st.integers(0, 3)) for name, rows in used.items()}
        assert list(replace(run, limits=limits).order()) == list(run.order())

    def test_a_share_of_rows_beyond_one_is_refused_before_the_run(self) -> None:
        with pytest.raises(
            DataError,
            match=r"asks for 50 of 100 rows of 'c', but this domain has 10, which may repeat until 30 are used; "
            r"lower the share to 0\.3, or the run to 60 rows, or raise max_epochs",
        ):
            replace(blend({"a": 1, "c": 1}, rows=100), limits={"c": 30})

    @settings(deadline=None)
    @given(rows=st.integers(10, 10**8), share=st.floats(0.01, 0.99), part=st.floats(0.01, 0.9))
    def test_what_a_refusal_advises_is_accepted(self, rows: int, share: float, part: float) -> None:
        limit = max(1, int(share * rows * part))
        sizes = {"a": 10, "b": 10}
        mixture = Mixture.of({"a": share, "b": 1 - share})
        if share * rows < limit + 1:
            return
        with pytest.raises(DataError) as refused:
            Blend(mixture=mixture, sizes=sizes, seed=0, rows=rows, limits={"a": limit})
        found = re.search(r"lower the share to (\S+), or the run to ([\d,]+) rows", str(refused.value))
        assert found is not None
        lower, shorter = float(found[1]), int(found[2].replace(",", ""))
        Blend(mixture=mixture, sizes=sizes, seed=0, rows=shorter, limits={"a": limit})
        mixture = Mixture.of({"a": lower, "b": 1 - lower})
        Blend(mixture=mixture, sizes=sizes, seed=0, rows=rows, limits={"a": limit})

    def test_of_all_domains_that_do_not_suffice_end_the_run_with_an_error(self) -> None:
        run = replace(blend({"a": 1, "c": 1}), rows=None, tokens=10_000, lengths=TEN_TOKENS, limits={"a": 80, "c": 20})
        expected = "all domains together give 100 rows before .* max_epochs allows; make the run shorter, or raise"
        for by in Weigh:
            with pytest.raises(DataError, match=expected):
                replace(run, weigh_by=by).tally()
        assert replace(run, tokens=1000).tally().rows == {"a": 80, "c": 20}

    def test_a_rare_domain_goes_on_alone_when_the_others_have_reached_theirs(self) -> None:
        limits = {"a": 80, "b": 100}
        run = replace(blend({"a": 1, "b": 1e-9}, rows=180), weigh_by=Weigh.TOKENS, lengths=TEN_TOKENS, limits=limits)
        assert run.tally().rows == limits

    def test_what_a_domain_cannot_give_the_others_do_where_tokens_are_weighed(self) -> None:
        run = replace(
            blend({"a": 2, "b": 1, "c": 1}, rows=200), weigh_by=Weigh.TOKENS, lengths=TEN_TOKENS, limits={"c": 5}
        )
        tally = run.tally()
        assert tally.rows["c"] == 5
        assert sum(tally.rows.values()) == 200
        assert tally.rows["a"] == pytest.approx(130, abs=3)
        assert tally.realised["c"] == pytest.approx(5 / 200)


class TestTally:
    @given(blends() | weighed())
    @settings(max_examples=50, deadline=None)
    def test_is_what_the_parts_hold(self, run: Blend) -> None:
        domains, tokens = whole(run)
        tally = run.tally()
        names = run.mixture.names
        assert tally.rows == {name: int((domains == number).sum()) for number, name in enumerate(names)}
        expected = {name: int(tokens[domains == number].sum()) for number, name in enumerate(names)}
        assert tally.tokens == (None if run.lengths is None else expected)
        assert tally.weigh_by is run.weigh_by

    @given(blends() | weighed())
    @settings(max_examples=50, deadline=None)
    def test_realised_shares_are_those_of_what_is_weighed(self, run: Blend) -> None:
        tally = run.tally()
        amounts = tally.rows if run.weigh_by is Weigh.ROWS else tally.tokens
        assert amounts is not None
        if not any(amounts.values()):
            return
        assert tally.realised.names == run.mixture.names
        for name, amount in amounts.items():
            assert tally.realised[name] == pytest.approx(amount / sum(amounts.values()))

    def test_counts_as_far_as_the_run_has_come(self) -> None:
        run = blend({"a": 1, "b": 1}, rows=10)
        count = Count(run)
        assert count.tally.rows == {"a": 0, "b": 0}
        [part] = run.parts()
        count.add(part[:3])
        assert count.tally.rows == {"a": 2, "b": 1}
        count.add(part[3:])
        assert count.tally == run.tally()
