from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.data.blend import Weigh
from objectives.data.corpus import Corpus, Split
from objectives.data.policy import DEFAULT_POLICY, DataPolicy
from objectives.domain import Domain
from objectives.errors import DataError
from objectives.mixture import Mixture


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RATIO_SEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(path: Path, count: int, size: int = 1) -> Path:
    """A file of so many rows, each of so many estimated tokens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"instruction": f"{path.name} {number} ".ljust(4 * size - 2, "x"), "output": "y"} for number in range(count)
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return Path(path.name)


def opened(root: Path, policy: DataPolicy = DEFAULT_POLICY, **own: float | None) -> Corpus:
    """Two domains, `short` of 40 rows with 5 tokens each and `long` of 10 rows with 20, and a third only judged."""
    short, long, judged = write(root / "short", 40, 5), write(root / "long", 10, 20), write(root / "judged", 3)
    domains = [
        Domain(name="short", train=(short,), test=(judged,), max_epochs=own.get("short")),
        Domain(name="long", train=(long,), test=(judged,), max_epochs=own.get("long")),
        Domain(name="watched", test=(judged,), final=(judged,)),
    ]
    return Corpus.open(domains, root, policy)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RATIO_SEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        return opened(tmp_path_factory.mktemp("corpus"))


class TestOpening:
    def test_takes_the_rows_of_several_files_in_order(self, tmp_path: Path) -> None:
        first, second = write(tmp_path / "first", 2), write(tmp_path / "second", 3)
        empty = write(tmp_path / "empty", 0)
        elsewhere = tmp_path / "elsewhere"
        write(elsewhere / "third", 1)
        domain = Domain(name="a", train=(second, empty, first, elsewhere / "third"), test=(Path("elsewhere/third"),))
        corpus = Corpus.open([domain], tmp_path, DEFAULT_POLICY)
        rows = corpus.data["a"][Split.TRAIN].rows()
        assert [row.instruction.split()[0] for row in rows] == ["second"] * 3 + ["first"] * 2 + ["third"]
        assert corpus.of(Split.TEST)["a"].rows() == rows[-1:]
        assert corpus.data["a"][Split.TRAIN].place(5) == f"{elsewhere / 'third'}:1"

    def test_has_the_splits_that_domains_have(self, tmp_path: Path) -> None:
        corpus = opened(tmp_path)
        assert {name: list(splits) for name, splits in corpus.data.items()} == {
            "short": [Split.TRAIN, Split.TEST],
            "long": [Split.TRAIN, Split.TEST],
            "watched": [Split.TEST, Split.FINAL],
        }
        assert list(corpus.of(Split.FINAL)) == ["watched"]
        assert corpus.sizes == {"short": 40, "long": 10}

    @pytest.mark.parametrize("split", list(Split))
    def test_a_missing_file_is_named_with_its_key(self, tmp_path: Path, split: Split) -> None:
        there = write(tmp_path / "there", 1)
        domain = Domain(name="legal", **{split.value: (there, Path("nowhere"))})
        with pytest.raises(DataError) as caught:
            Corpus.open([Domain(name="a", train=(there,)), domain], tmp_path, DEFAULT_POLICY)
        assert str(caught.value) == (
            f"domains.legal.{split.value}: {tmp_path / 'nowhere'}: cannot be read (No such file or directory); "
            "expected a file of rows"
        )

    @pytest.mark.parametrize("split", list(Split))
    def test_files_without_rows_are_refused(self, tmp_path: Path, split: Split) -> None:
        one, other = write(tmp_path / "one", 0), write(tmp_path / "other", 0)
        with pytest.raises(
            DataError, match=rf"^domains\.legal\.{split}: no rows in .*one, .*other: expected rows with"
        ):
            Corpus.open([Domain(name="legal", **{split.value: (one, other)})], tmp_path, DEFAULT_POLICY)

    def test_bad_lines_are_left_to_the_audit(self, tmp_path: Path) -> None:
        (tmp_path / "bad").write_text("no JSON\n")
        corpus = Corpus.open([Domain(name="a", train=(Path("bad"),))], tmp_path, DEFAULT_POLICY)
        assert corpus.sizes == {"a": 0}

    def test_a_torn_file_is_named_with_its_key(self, tmp_path: Path) -> None:
        (tmp_path / "torn").write_bytes(b"\x1f\x8b")
        with pytest.raises(DataError, match=r"^domains\.a\.test: .*torn: found a gzip file that ends too early"):
            Corpus.open([Domain(name="a", test=(Path("torn"),))], tmp_path, DEFAULT_POLICY)


class TestLimits:
    def test_are_of_the_domains_whose_repetition_is_capped(self, tmp_path: Path) -> None:
        assert opened(tmp_path).limits == {}
        assert opened(tmp_path, long=1.25).limits == {"long": 12}
        assert opened(tmp_path, DataPolicy(max_epochs=2)).limits == {"short": 80, "long": 20}
        assert opened(tmp_path, DataPolicy(max_epochs=2), short=0.5, long=7).limits == {"short": 20, "long": 70}

    def test_follow_from_the_rows_that_are_left(self, tmp_path: Path) -> None:
        corpus = opened(tmp_path, DataPolicy(max_epochs=2))
        left = corpus.data["long"][Split.TRAIN].without(np.arange(4))
        less = Corpus(domains=corpus.domains, policy=corpus.policy, data={**corpus.data, "long": {Split.TRAIN: left}})
        assert less.sizes == {"short": 40, "long": 6}
        assert less.limits == {"short": 80, "long": 12}


class TestLengths:
    def test_are_estimated_or_counted(self, tmp_path: Path) -> None:
        corpus = opened(tmp_path)
        estimated = corpus.lengths(None)
        assert list(estimated) == ["short", "long"]
        assert estimated["short"](np.arange(3)).tolist() == [5, 5, 5]
        assert estimated["long"](np.array([9, 0])).tolist() == [20, 20]

        class Counter:
            name, about = "instructions", "characters of the instruction"

            def count(self, rows: object) -> list[int]:
                assert isinstance(rows, list)
                return [len(row.instruction) for row in rows]

        assert corpus.lengths(Counter())["long"](np.array([9, 0])).tolist() == [78, 78]


shares = st.integers(0, 100).map(lambda share: Mixture.from_weights({"short": share, "long": 100 - share}))
few = settings(deadline=None, max_examples=40)


class TestBlend:
    @few
    @given(shares, st.integers(1, 200), st.integers(0, 2**32))
    def test_by_rows_has_the_shares_in_rows(self, kept: Corpus, mixture: Mixture, rows: int, seed: int) -> None:
        counts = Counter(name for name, _ in kept.blend(mixture, seed=seed, rows=rows).order())
        assert counts.total() == rows
        assert abs(counts["short"] - mixture["short"] * rows) <= 1

    @few
    @given(shares, st.integers(1, 200), st.integers(0, 2**32))
    def test_by_tokens_has_the_shares_in_tokens(self, kept: Corpus, mixture: Mixture, rows: int, seed: int) -> None:
        corpus = replace(kept, policy=DataPolicy(weigh_by=Weigh.TOKENS))
        blend = corpus.blend(mixture, seed=seed, rows=rows)
        counts = Counter(name for name, _ in blend.order())
        tokens = {"short": 5 * counts["short"], "long": 20 * counts["long"]}
        assert counts.total() == rows
        assert abs(tokens["short"] - mixture["short"] * sum(tokens.values())) <= 20
        assert blend.tally().tokens == tokens

    @few
    @given(shares, st.integers(1, 60), st.sampled_from(list(Weigh)))
    def test_never_takes_more_than_the_limits(self, kept: Corpus, mixture: Mixture, rows: int, weigh_by: Weigh) -> None:
        corpus = replace(kept, policy=DataPolicy(weigh_by=weigh_by, max_epochs=1))
        asked = {name: share * rows for name, share in mixture.items()}
        try:
            counts = Counter(name for name, _ in corpus.blend(mixture, seed=0, rows=rows).order())
        except DataError as error:
            assert "max_epochs" in str(error)
            if weigh_by is Weigh.ROWS:
                assert any(asked[name] > size - 1 for name, size in kept.sizes.items())
            else:
                assert rows > sum(size for name, size in kept.sizes.items() if mixture[name])
        else:
            assert counts.total() == rows
            assert all(counts[name] <= size for name, size in kept.sizes.items())

    def test_by_rows_a_share_beyond_the_limit_is_refused(self, tmp_path: Path) -> None:
        corpus = opened(tmp_path, long=1.5)
        half = Mixture.from_weights({"short": 1, "long": 1})
        assert Counter(name for name, _ in corpus.blend(half, seed=0, rows=30).order()) == {"short": 15, "long": 15}
        with pytest.raises(DataError, match=r"20 of 40 rows of 'long'.*has 10.*until 15 are used; lower .* max_epochs"):
            corpus.blend(half, seed=0, rows=40)

    def test_by_tokens_others_give_what_a_domain_cannot(self, tmp_path: Path) -> None:
        corpus = opened(tmp_path, DataPolicy(weigh_by=Weigh.TOKENS), long=0.5)
        blend = corpus.blend(Mixture.from_weights({"short": 1, "long": 9}), seed=0, rows=30)
        assert blend.tally().rows == {"short": 25, "long": 5}
        assert blend.tally().realised["long"] == pytest.approx(100 / 225)

    def test_uses_the_lengths_that_were_counted(self, tmp_path: Path) -> None:
        corpus = opened(tmp_path, DataPolicy(weigh_by=Weigh.TOKENS))
        same = dict.fromkeys(corpus.sizes, np.ones_like)
        blend = corpus.blend(Mixture.from_weights({"short": 1, "long": 1}), seed=0, rows=20, lengths=same)
        assert blend.tally().rows == {"short": 10, "long": 10}
