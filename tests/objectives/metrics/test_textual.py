from __future__ import annotations

from pathlib import Path

import pytest

from objectives.data import Row
from objectives.errors import DataError, OptionsError
from objectives.metrics import (
    Answer,
    OwnMetric,
    exact_match,
    judge,
    remeasured,
    rouge_l,
    row_digest,
    token_f1,
    write_answers,
)

ROWS = {
    "support": [Row.of("one?", "the first"), Row.of("some?", "the second"), Row.of("three?", "a third")],
    "general": [Row.of("four?", "and a fourth")],
}
GENERATED = {"support": ["the first", "second", "nothing"], "general": ["fourth and"]}


def of(domain: str) -> list[Answer]:
    return [
        Answer(domain=domain, row=i, digest=row_digest(row), expected=row.output, generated=generated)
        for i, (row, generated) in enumerate(zip(ROWS[domain], GENERATED[domain], strict=True))
    ]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    write_answers(tmp_path / "answers.jsonl", [*of("support"), *of("general")])
    return tmp_path / "answers.jsonl"


def initials(rows: list[Row], generated: list[str]) -> list[bool]:
    return [row.instruction[0] == text[0] for row, text in zip(rows, generated, strict=True)]


def lengths(generated: list[str]) -> list[int]:
    return [len(text) for text in generated]


def test_metrics_of_kept_answers_are_those_of_the_texts(kept: Path) -> None:
    found = remeasured(kept)
    assert set(found) == {f"{domain}/{name}" for domain in ROWS for name in ("exact_match", "token_f1", "rouge_l")}
    for domain, rows in ROWS.items():
        expected = [row.output for row in rows]
        assert found[f"{domain}/exact_match"] == exact_match(expected, GENERATED[domain])
        assert found[f"{domain}/token_f1"] == token_f1(expected, GENERATED[domain])
        assert found[f"{domain}/rouge_l"] == rouge_l(expected, GENERATED[domain])
    assert found["support/exact_match"].value == pytest.approx(1 / 3)
    assert found["support/token_f1"].value == pytest.approx(2 / 3)


def test_a_function_can_be_asked_later(kept: Path, tmp_path: Path) -> None:
    own = OwnMetric.load(f"{__name__}:lengths", tmp_path)
    found = remeasured(kept, [own, "rouge_l"])
    assert found["support/lengths"].value == (9 + 6 + 7) / 3
    assert found["general/lengths"].value == 10
    assert "general/rouge_l" in found


def test_a_function_that_asks_for_rows_is_given_those_that_were_answered(kept: Path, tmp_path: Path) -> None:
    own = OwnMetric.load(f"{__name__}:initials", tmp_path)
    assert remeasured(kept, [own], ROWS)["support/initials"].value == 1 / 3
    # Some answers alone, too: each is put beside its own row.
    assert judge(of("support")[1:], own, ROWS["support"]).value == 1 / 2


@pytest.mark.parametrize(
    "rows", [{}, {**ROWS, "support": ROWS["support"][:2]}, {**ROWS, "support": ROWS["support"][::-1]}]
)
def test_other_rows_are_refused(kept: Path, tmp_path: Path, rows: dict[str, list[Row]]) -> None:
    own = OwnMetric.load(f"{__name__}:initials", tmp_path)
    with pytest.raises(DataError, match=r"rows of 'support': row \d is not the one that was answered"):
        remeasured(kept, [own], rows)


def test_what_cannot_be_told_from_answers_is_refused(kept: Path) -> None:
    with pytest.raises(OptionsError, match="'perplexity' cannot be told from answers; those that can are exact_match"):
        remeasured(kept, ["perplexity"])
