"""How often data repeats, and the shares that it allows: the arithmetic, and blends that are really drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from objectives.data import Blend, Weigh
from objectives.mixture import Mixture
from ratio_search.errors import SpecError
from ratio_search.manifest import Manifest
from ratio_search.repetition import Repetition, possible_space
from ratio_search.spec import StudySpec
from ratio_search.study import Study

NAMES = "abcd"
DOMAINS = ("support", "legal", "manuals")
SIZES = {"a": 30, "b": 20, "c": 10}
EPOCHS = st.none() | st.sampled_from([0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 7.0])


def spec(
    *,
    rows: int = 60,
    data: Mapping[str, Any] | None = None,
    domains: Mapping[str, Mapping[str, Any]] | None = None,
    space: Mapping[str, Any] | None = None,
) -> StudySpec:
    """A study of the domains a, b and c, or of others, whose files nobody reads."""
    stated = {name: {} for name in SIZES} if domains is None else domains
    document = {
        "name": "small",
        "domains": {name: {"train": f"{name}.jsonl", "test": f"{name}.jsonl", **keys} for name, keys in stated.items()},
        "objective": {"kind": "command", "argv": ["true"], "rows": rows},
        "metrics": [{"name": "a/accuracy"}],
        "data": dict(data or {}),
        "search": {"space": dict(space or {})},
    }
    return StudySpec.parse(yaml.safe_dump(document), Path("/data"))


def manifest(sizes: Mapping[str, int] = SIZES, tokens: Mapping[str, int] | None = None) -> Manifest:
    return Manifest(files={}, rows={name: {"train": size, "test": 1} for name, size in sizes.items()}, tokens=tokens)


def limits(of: StudySpec, sizes: Mapping[str, int]) -> dict[str, int]:
    """Most rows that may be taken of each domain that has a cap."""
    found = {domain.name: of.data.limit(sizes[domain.name], domain.max_epochs) for domain in of.mixed}
    return {name: limit for name, limit in found.items() if limit is not None}


class TestRepetition:
    def test_where_rows_are_weighed_a_share_takes_its_part_of_the_rows(self) -> None:
        repetition = Repetition(rows=60, sizes=SIZES, means=dict.fromkeys(SIZES, 1.0))
        assert repetition.epochs("a", 0.5) == 1
        assert repetition.epochs("c", 0.5) == 3
        assert repetition.highest("b", 40) == pytest.approx(2 / 3)

    def test_where_tokens_are_weighed_short_rows_repeat_more_often(self) -> None:
        repetition = Repetition(rows=60, sizes={"a": 30, "b": 30}, means={"a": 10, "b": 30})
        # Half of the tokens are 45 rows of 10 and 15 rows of 30.
        assert repetition.epochs("a", 0.5) == pytest.approx(1.5)
        assert repetition.epochs("b", 0.5) == pytest.approx(0.5)
        assert repetition.highest("a", 45) == pytest.approx(0.5)

    def test_the_others_are_taken_to_have_the_longest_rows_among_them(self) -> None:
        repetition = Repetition(rows=60, sizes=SIZES, means={"a": 10, "b": 30, "c": 5})
        alone = Repetition(rows=60, sizes={"a": 30, "b": 20}, means={"a": 10, "b": 30})
        assert repetition.epochs("a", 0.5) == alone.epochs("a", 0.5)

    def test_a_limit_that_the_run_does_not_reach_allows_everything(self) -> None:
        repetition = Repetition(rows=60, sizes=SIZES, means=dict.fromkeys(SIZES, 1.0))
        assert [repetition.highest("a", limit) for limit in (60, 61, 10_000)] == [1.0, 1.0, 1.0]
        assert repetition.highest("a", 59) < 1.0

    @given(
        rows=st.integers(1, 10**9),
        size=st.integers(1, 10**6),
        means=st.tuples(*(st.floats(1, 1e5) for _ in range(3))),
        part=st.floats(0, 1, exclude_max=True),
    )
    def test_the_highest_share_takes_exactly_the_limit(
        self, rows: int, size: int, means: tuple[float, float, float], part: float
    ) -> None:
        repetition = Repetition(rows=rows, sizes=dict.fromkeys("abc", size), means=dict(zip("abc", means, strict=True)))
        limit = int(part * rows)
        share = repetition.highest("a", limit)
        assert 0 <= share <= 1
        assert repetition.epochs("a", share) * size == pytest.approx(limit, rel=1e-6)

    @given(st.floats(0, 1), st.floats(0, 1), st.floats(1, 100), st.floats(1, 100))
    def test_a_larger_share_never_repeats_less(self, one: float, other: float, own: float, longest: float) -> None:
        repetition = Repetition(rows=1000, sizes={"a": 10, "b": 10}, means={"a": own, "b": longest})
        low, high = sorted([one, other])
        assert repetition.epochs("a", low) <= repetition.epochs("a", high) * (1 + 1e-9)

    def test_the_means_of_a_study_are_of_what_it_weighs(self) -> None:
        by_rows = Repetition.of(spec(), manifest())
        assert by_rows is not None
        assert (by_rows.rows, by_rows.sizes, by_rows.means) == (60, SIZES, dict.fromkeys(SIZES, 1.0))
        by_tokens = Repetition.of(spec(data={"weigh_by": "tokens"}), manifest(tokens={"a": 300, "b": 100, "c": 10}))
        assert by_tokens is not None
        assert by_tokens.means == {"a": 10, "b": 5, "c": 1}

    def test_domains_whose_data_is_not_known_count_as_rows_alone(self) -> None:
        known = Repetition.of(spec(), manifest({"a": 30, "b": 20}))
        assert known is not None
        assert (known.sizes, known.means) == ({"a": 30, "b": 20}, dict.fromkeys(SIZES, 1.0))
        by_tokens = spec(data={"weigh_by": "tokens"})
        assert Repetition.of(by_tokens, manifest({"a": 30, "b": 20}, tokens={"a": 300, "b": 100})) is None

    def test_there_is_none_where_the_trainer_decides(self, endless: StudySpec) -> None:
        assert Repetition.of(endless, manifest()) is None


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> StudySpec:
    """A study whose trainer does not say how many rows it takes, with a cap that would bind otherwise."""
    found = spec(data={"max_epochs": 1})
    monkeypatch.setattr(type(found.backend), "train_rows", None)
    return found


class TestPossibleSpace:
    def test_only_domains_whose_data_is_known_are_capped(self) -> None:
        found = possible_space(spec(data={"max_epochs": 1}), manifest({"a": 30}))
        assert found.upper == pytest.approx((0.5, 1.0, 1.0))
        assert possible_space(spec(data={"max_epochs": 1}), manifest({})).upper == (1.0, 1.0, 1.0)

    def test_without_caps_it_is_the_stated_one(self) -> None:
        found = spec(domains={"a": {"share": [0.1, 0.6]}, "b": {}, "c": {"share": 0.2}})
        assert possible_space(found, manifest()) == found.space

    def test_what_else_the_space_asks_stays(self) -> None:
        asks = {"groups": {"g": {"domains": ["b", "c"], "share": [0.3, 0.6]}}, "grid": 0.1, "at_most": 2}
        found = spec(data={"max_epochs": 1.5}, space=asks)
        space = possible_space(found, manifest())
        assert (space.at_most, space.grid) == (2, 0.1)
        assert [(group.name, group.lower, group.upper) for group in space.groups] == [("g", 0.3, 0.5)]
        # 45, 30 and 15 of 60 rows; a is needed, and c alone is too little beside it.
        assert space.lower == pytest.approx((0.5, 0.3, 0.0)) and space.upper == pytest.approx((0.7, 0.5, 0.0))

    def test_caps_that_leave_a_group_too_little_are_refused(self) -> None:
        asks = {"groups": {"g": {"domains": ["b", "c"], "share": [0.6, 1]}}}
        with pytest.raises(
            SpecError, match=r"^data\.max_epochs: .* the highest shares in group 'g' sum to 0\.5 .*raise"
        ):
            possible_space(spec(data={"max_epochs": 1}, space=asks), manifest())

    def test_a_cap_becomes_an_upper_bound(self) -> None:
        space = possible_space(spec(data={"max_epochs": 1.5}), manifest())
        assert space.upper == pytest.approx((0.75, 0.5, 0.25))  # 45, 30 and 15 of 60 rows
        assert space.lower == pytest.approx((0.25, 0, 0))  # b and c together cannot be more

    def test_a_domains_own_cap_goes_before_the_studys(self) -> None:
        domains = {"a": {"max_epochs": 1}, "b": {"max_epochs": 3}, "c": {}}
        space = possible_space(spec(domains=domains, data={"max_epochs": 2}), manifest())
        assert space.upper == pytest.approx((0.5, 1, 1 / 3))

    def test_a_tighter_stated_bound_stays(self) -> None:
        domains: dict[str, dict[str, Any]] = {"a": {"share": [0, 0.3]}, "b": {}, "c": {}}
        space = possible_space(spec(domains=domains, data={"max_epochs": 2}), manifest())
        assert space.upper == pytest.approx((0.3, 2 / 3, 1 / 3))

    def test_where_tokens_are_weighed_the_caps_are_in_tokens(self) -> None:
        found = spec(domains={"a": {"max_epochs": 1}, "b": {}}, data={"weigh_by": "tokens"})
        space = possible_space(found, manifest({"a": 30, "b": 30}, tokens={"a": 300, "b": 900}))
        assert space.upper == pytest.approx((30 * 10 / (30 * 10 + 30 * 30), 1))

    def test_where_the_trainer_decides_there_are_no_caps(self, endless: StudySpec) -> None:
        assert possible_space(endless, manifest()) == endless.space

    def test_a_lowest_share_that_the_data_cannot_give_is_refused_with_the_possible_one(self) -> None:
        domains: dict[str, dict[str, Any]] = {"a": {}, "b": {}, "c": {"share": [0.3, 0.5]}}
        with pytest.raises(SpecError) as error:
            possible_space(spec(rows=6000, domains=domains, data={"max_epochs": 123.4}), manifest())
        # 10 x 123.4 rows of 6,000: 0.20566..., of which no more is promised than there is.
        assert str(error.value) == (
            "domains.c.share: asks for at least 0.3 of 6,000 rows, but 'c' has 10, of which max_epochs allows 1,234 "
            "with repeats: a share of at most 0.2056 is possible; lower the share, raise max_epochs, or make the "
            "fine-tune shorter"
        )

    def test_caps_that_leave_too_little_together_are_refused(self) -> None:
        with pytest.raises(SpecError, match=r"^data\.max_epochs: .* the highest shares sum to 0\.5 .*; raise it, or"):
            possible_space(spec(rows=120, data={"max_epochs": 1}), manifest())

    def test_caps_that_leave_one_mixture_only_are_refused(self) -> None:
        with pytest.raises(SpecError, match=r"^data\.max_epochs: .* nothing to search"):
            possible_space(spec(rows=60, data={"max_epochs": 1}), manifest())

    @pytest.mark.parametrize("epochs", [0.29, 1.1, 2.2, 4.35])
    def test_the_cap_is_the_decimal_that_was_written(self, epochs: float) -> None:
        """100 * 0.29 is less than 29 in floating point."""
        domains = {"a": {"max_epochs": epochs}, "b": {}}
        space = possible_space(spec(rows=1000, domains=domains), manifest({"a": 100, "b": 100}))
        assert space.upper[0] == pytest.approx(round(epochs * 100) / 1000, rel=1e-12)


@settings(max_examples=40, deadline=None)
@example(sizes=[2, 1], epochs=[1.0, None], rows=3, weigh_by=Weigh.TOKENS, seed=0)
@given(
    sizes=st.lists(st.integers(1, 50), min_size=2, max_size=4),
    epochs=st.lists(EPOCHS, min_size=4, max_size=4),
    rows=st.integers(1, 300),
    weigh_by=st.sampled_from(Weigh),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_possible_mixture_repeats_a_domain_too_often(
    sizes: list[int], epochs: list[float | None], rows: int, weigh_by: Weigh, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    names = NAMES[: len(sizes)]
    has = dict(zip(names, sizes, strict=True))
    domains = {name: {} if own is None else {"max_epochs": own} for name, own in zip(names, epochs, strict=False)}
    found = spec(rows=rows, domains=domains, data={"weigh_by": weigh_by.value})
    lengths = {name: rng.integers(1, 40, size) for name, size in has.items()}
    tokens = {name: int(known.sum()) for name, known in lengths.items()} if weigh_by is Weigh.TOKENS else None
    try:
        space = possible_space(found, manifest(has, tokens))
    except SpecError:
        assume(False)
    caps = limits(found, has)
    corners = [space.project(Mixture.of({name: float(name == only) for name in names})) for only in names]
    for mixture in [*corners, *map(space.mixture, space.sample(3, rng))]:
        blend = Blend(
            mixture=mixture,
            sizes=has,
            seed=seed,
            rows=rows,
            weigh_by=weigh_by,
            lengths={name: known.__getitem__ for name, known in lengths.items()},
            limits=caps,
        )
        taken = blend.tally().rows
        assert sum(taken.values()) == rows
        assert all(taken[name] <= cap for name, cap in caps.items())


class TestStudies:
    def test_what_the_data_cannot_give_makes_no_folder(self, small_study: Callable[..., Any]) -> None:
        small = small_study(data={"max_epochs": 0.5})
        with pytest.raises(SpecError, match=r"data\.max_epochs: with the shares that it allows, the highest shares"):
            Study.create(small.spec, small.runs)
        assert not small.runs.exists()

    def test_anchors_and_proposals_stay_within_the_caps(self, small_study: Callable[..., Any]) -> None:
        small = small_study(
            data={"max_epochs": 1.1}, search={"trials": 12, "parallel": 1}, current={"support": 0.9, "legal": 0.1}
        )
        study = Study.create(small.spec, small.runs)
        highest = {"support": 33 / 60, "legal": 22 / 60, "manuals": 11 / 60}
        assert dict(zip(study.space.names, study.space.upper, strict=True)) == pytest.approx(highest)
        tried = []
        while (job := study.ask()) is not None:
            shares = dict.fromkeys(highest, 0.0) if job.mixture is None else dict(job.mixture)
            study.tell(job.id, {f"{name}/accuracy": share for name, share in shares.items()})
            if job.mixture is not None:
                tried.append(shares)
        assert len(tried) == 12
        assert all(shares[name] <= share + 1e-9 for shares in tried for name, share in highest.items())
        names = [study.anchor(record) for record in study.records()[:3]]
        assert names == ["natural", "uniform (projected)", "current (projected)"]

    def test_anchors_and_proposals_keep_what_the_space_asks(self, small_study: Callable[..., Any]) -> None:
        asks = {"groups": {"g": {"domains": ["legal", "manuals"], "share": [0.2, 0.6]}}, "grid": 0.05, "at_most": 2}
        small = small_study(data={"max_epochs": 1.5}, search={"trials": 8, "parallel": 1, "space": asks})
        study = Study.create(small.spec, small.runs)
        tried = []
        while (job := study.ask()) is not None:
            shares = dict.fromkeys(DOMAINS, 0.0) if job.mixture is None else dict(job.mixture)
            study.tell(job.id, {f"{name}/accuracy": share for name, share in shares.items()})
            if job.mixture is not None:
                tried.append(shares)
        assert len(tried) == 8
        for shares in tried:
            assert sum(share > 0 for share in shares.values()) == 2
            assert 0.2 - 1e-9 <= shares["legal"] + shares["manuals"] <= 0.6 + 1e-9
            assert [share / 0.05 for share in shares.values()] == pytest.approx(
                [round(s / 0.05) for s in shares.values()]
            )
        assert study.recommend().mixture in study.space

    def test_natural_shares_are_of_what_is_weighed(self, small_study: Callable[..., Any]) -> None:
        small = small_study(data={"weigh_by": "tokens"})
        long = '{"instruction": "%d", "output": "yes' + " or no" * 40 + '", "label": "yes"}\n'
        (small.file.parent / "data" / "manuals.train.jsonl").write_text("".join(long % i for i in range(10)))
        study = Study.create(small.spec, small.runs)
        tokens = study.manifest.tokens
        assert tokens is not None and tokens["manuals"] > tokens["support"] > tokens["legal"]
        study.ask()  # the baseline
        first = study.ask()
        assert first is not None and first.mixture == Mixture.from_weights(tokens)

    def test_a_cap_that_is_raised_later_widens_what_is_tried(self, small_study: Callable[..., Any]) -> None:
        small = small_study(data={"max_epochs": 1.5})
        study = Study.create(small.spec, small.runs)
        text = study.folder.study_file.read_text()
        study.folder.study_file.write_text(text.replace("max_epochs: 1.5", "max_epochs: 3"))
        again = Study.open(study.folder)
        again.check_identity()
        assert study.space.upper == pytest.approx((0.75, 0.5, 0.25))
        assert again.space.upper == pytest.approx((1, 1, 0.5))
