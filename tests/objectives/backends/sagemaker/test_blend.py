"""The one training file of a job."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from objectives.backends.sagemaker.blend import MAX_ROWS, MIN_ROWS, TrainingFile
from objectives.backends.sagemaker.percentages import Percentages
from objectives.data import Corpus, DataPolicy, Format, Weigh
from objectives.data.rows import Parsed, parse
from objectives.domain import Domain
from objectives.errors import DataError
from objectives.mixture import Mixture

CODE = Domain(name="code", categories={"code": 1.0})


def plain(domain: str, number: int) -> dict[str, Any]:
    return {"instruction": f"{domain} {number}", "output": "yes ☂", "label": "yes"}


def chat(domain: str, number: int) -> dict[str, Any]:
    said = [("system", "Be brief."), ("user", f"{domain} {number}"), ("assistant", "no " * 20)]
    return {"messages": [{"role": role, "content": text} for role, text in said]}


def file(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """400 short rows of one domain, 100 long ones of another in another format, and a category of Nova's."""
    return opened(tmp_path)


def opened(folder: Path, policy: DataPolicy | None = None, **epochs: float) -> Corpus:
    voc = file(folder / "voc.jsonl", (plain("voc", number) for number in range(400)))
    support = file(folder / "support.jsonl", (chat("support", number) for number in range(100)))
    domains = (
        Domain(name="voc", train=(voc,), max_epochs=epochs.get("voc")),
        Domain(name="support", train=(support,), max_epochs=epochs.get("support")),
        CODE,
    )
    return Corpus.open(domains, folder, policy or DataPolicy())


def made(
    corpus: Corpus, folder: Path, *, rows: int, seed: int = 5, batch_size: int = 32, **shares: float
) -> TrainingFile:
    mixture = Mixture.of({"voc": 0.0, "support": 0.0, "code": 0.0} | shares)
    percentages = Percentages.of(mixture, corpus.domains)
    folder.mkdir(exist_ok=True)
    return TrainingFile.make(corpus, percentages, seed=seed, rows=rows, batch_size=batch_size, folder=folder)


def held(found: TrainingFile) -> Counter[str]:
    """Rows of each domain, by what stands in the file; each of them is what the service takes."""
    rows = []
    for line in found.path.read_bytes().splitlines():
        parsed = parse(line)
        assert isinstance(parsed, Parsed) and parsed.format is Format.CONVERSE and parsed.verbatim
        rows.append(parsed.row)
    return Counter(row.instruction.split()[0] for row in rows)


class TestTheFile:
    def test_it_holds_what_the_job_takes_of_the_teams_data(self, corpus: Corpus, tmp_path: Path) -> None:
        found = made(corpus, tmp_path / "a", rows=1000, voc=0.3, support=0.1, code=0.6)
        assert held(found) == found.rows == {"voc": 300, "support": 100}
        assert found.own == Mixture.of({"voc": 0.75, "support": 0.25})
        content = found.path.read_bytes()
        assert found.sha256 == hashlib.sha256(content).hexdigest() and found.size == len(content)
        assert b'"label"' not in content and "☂".encode() in content

    def test_the_same_job_gives_the_same_bytes_and_another_seed_others(self, corpus: Corpus, tmp_path: Path) -> None:
        one, same, other = (
            made(corpus, tmp_path / name, rows=500, seed=seed, voc=0.3, support=0.1, code=0.6)
            for name, seed in (("one", 5), ("same", 5), ("other", 6))
        )
        assert one.path.read_bytes() == same.path.read_bytes() and one.sha256 == same.sha256
        assert one.sha256 != other.sha256 and one.rows == other.rows

    def test_two_mixtures_differ_by_the_ratio_and_not_by_the_draw(self, corpus: Corpus, tmp_path: Path) -> None:
        less = made(corpus, tmp_path / "less", rows=1000, voc=0.2, support=0.1, code=0.7)
        more = made(corpus, tmp_path / "more", rows=1000, voc=0.3, support=0.1, code=0.6)
        assert set(less.path.read_bytes().splitlines()) < set(more.path.read_bytes().splitlines())

    def test_its_name_is_one_that_the_service_takes(self, corpus: Corpus, tmp_path: Path) -> None:
        found = made(corpus, tmp_path / "a", rows=100, voc=1.0)
        assert re.fullmatch(r"[A-Za-z0-9_\-/.]+", found.path.name) and found.path.suffix == ".jsonl"

    def test_rows_that_the_service_counts_are_rounded_up(self, corpus: Corpus, tmp_path: Path) -> None:
        found = made(corpus, tmp_path / "a", rows=333, voc=0.5, code=0.5)
        assert found.rows == {"voc": 167, "support": 0}

    def test_where_tokens_are_weighed_it_holds_the_proportions_in_tokens(self, tmp_path: Path) -> None:
        corpus = opened(tmp_path, DataPolicy(weigh_by=Weigh.TOKENS))
        found = made(corpus, tmp_path / "a", rows=1000, voc=0.25, support=0.25, code=0.5)
        assert sum(found.rows.values()) == 500 and found.rows["voc"] > 3 * found.rows["support"]
        assert found.own["voc"] == pytest.approx(0.5, abs=0.01)


class TestHowManyRows:
    def test_a_job_without_a_share_of_the_teams_data_has_a_file_all_the_same(
        self, corpus: Corpus, tmp_path: Path
    ) -> None:
        found = made(corpus, tmp_path / "a", rows=1000, batch_size=4, code=1.0)
        assert held(found) == found.rows == {"voc": MIN_ROWS // 2, "support": MIN_ROWS // 2}

        capped = opened(tmp_path, DataPolicy(max_epochs=0.01))
        assert made(capped, tmp_path / "a", rows=1000, code=1.0).rows == {"voc": 16, "support": 16}

    def test_what_so_few_rows_hold_is_told(self, corpus: Corpus, tmp_path: Path) -> None:
        found = made(corpus, tmp_path / "a", rows=10, batch_size=4, voc=0.3, support=0.2, code=0.5)
        assert found.rows == {"voc": 5, "support": 3} and found.own == Mixture.of({"voc": 0.625, "support": 0.375})

    def test_at_least_those_of_one_step(self, corpus: Corpus, tmp_path: Path) -> None:
        found = made(corpus, tmp_path / "a", rows=6400, batch_size=64, voc=0.001, code=0.999)
        assert found.rows == {"voc": 64, "support": 0}

    def test_at_most_those_that_the_service_takes(self, corpus: Corpus, tmp_path: Path) -> None:
        found = made(corpus, tmp_path / "a", rows=3 * MAX_ROWS, voc=0.5, support=0.25, code=0.25)
        assert sum(found.rows.values()) == MAX_ROWS == len(found.path.read_bytes().splitlines())
        assert found.own["support"] == pytest.approx(1 / 3, abs=1e-4)


class TestHowOftenRowsRepeat:
    def test_no_row_repeats_more_often_than_it_may(self, tmp_path: Path) -> None:
        corpus = opened(tmp_path, DataPolicy(max_epochs=2))
        found = made(corpus, tmp_path / "a", rows=1000, support=0.2, voc=0.5, code=0.3)
        lines = Counter(found.path.read_bytes().splitlines())
        assert found.rows == {"voc": 500, "support": 200} and max(lines.values()) == 2
        with pytest.raises(DataError, match="rows of 'support', but this domain has 100"):
            made(corpus, tmp_path / "a", rows=1000, support=0.21, voc=0.49, code=0.3)

    def test_a_share_within_the_cap_is_not_refused_for_being_rounded_up(self, tmp_path: Path) -> None:
        corpus = opened(tmp_path, support=1)
        # 99.6 of 1,000 rows; the service knows 100, or 0.1 per cent more of a long run.
        assert made(corpus, tmp_path / "a", rows=1000, support=0.0996, code=0.9004).rows["support"] == 100
        corpus = opened(tmp_path, support=95.6)
        assert made(corpus, tmp_path / "a", rows=10**5, support=0.0956, code=0.9044).rows["support"] == 9600
        with pytest.raises(DataError, match="raise max_epochs"):
            made(corpus, tmp_path / "a", rows=10**5, support=0.098, code=0.902)

    def test_rows_that_only_fill_up_the_file_are_not_taken_and_so_not_counted(self, tmp_path: Path) -> None:
        corpus = opened(tmp_path, support=0.1)
        found = made(corpus, tmp_path / "a", rows=3200, support=0.003, code=0.997)  # of which the job takes 10
        assert found.rows["support"] == 32

    def test_a_file_that_must_be_repeated_has_the_less_of_a_capped_domain(self, tmp_path: Path) -> None:
        corpus = opened(tmp_path, support=300)
        with pytest.raises(DataError, match="rows of 'support'"):
            # Each row of the file is taken three times: 13,333 rows of it would be 40,000, and 30,060 may be.
            made(corpus, tmp_path / "a", rows=3 * MAX_ROWS, voc=1 / 3, support=2 / 3)
