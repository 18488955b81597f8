from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from objectives.data import Row
from objectives.errors import DataError
from objectives.metrics import Answer, read_answers, row_digest, write_answers

# Halves of characters too, which a model of bytes can write.
TEXT = st.text(st.characters(codec=None), max_size=20)
ANSWERS = st.lists(
    st.builds(
        Answer,
        domain=st.sampled_from(["legal", "support"]),
        row=st.integers(0, 10**6),
        digest=st.just("0123456789abcdef"),
        expected=TEXT,
        generated=TEXT,
    ),
    max_size=8,
)


@given(ANSWERS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read_by_domain(tmp_path: Path, answers: list[Answer]) -> None:
    write_answers(tmp_path / "answers.jsonl", answers)
    found = read_answers(tmp_path / "answers.jsonl")
    assert set(found) == {answer.domain for answer in answers}
    for domain, own in found.items():
        assert own == [answer for answer in answers if answer.domain == domain]
    assert [path.name for path in tmp_path.iterdir()] == ["answers.jsonl"]


def test_a_line_is_an_object_that_anybody_can_read(tmp_path: Path) -> None:
    answer = Answer(domain="legal", row=3, digest="00ff", expected="Ja", generated="Nein\n")
    write_answers(tmp_path / "answers.jsonl", [answer])
    [line] = (tmp_path / "answers.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "domain": "legal",
        "row": 3,
        "digest": "00ff",
        "expected": "Ja",
        "generated": "Nein\n",
    }


def test_answers_that_cannot_be_written_leave_what_was_there(tmp_path: Path) -> None:
    answer = Answer(domain="legal", row=0, digest="", expected="a", generated="b")
    write_answers(tmp_path / "answers.jsonl", [answer])
    with pytest.raises(ZeroDivisionError):
        write_answers(tmp_path / "answers.jsonl", (answer for _ in range(2) if 1 / 0))
    assert read_answers(tmp_path / "answers.jsonl") == {"legal": [answer]}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_digest_names_what_a_row_says() -> None:
    assert row_digest(Row.of("q", "a")) == row_digest(Row.of("q", "a", "label"))
    assert len({row_digest(row) for row in (Row.of("q", "a"), Row.of("q", "b"), Row.of("q", "a", None, "system"))}) == 3


@pytest.mark.parametrize(
    "line",
    [
        "no JSON",
        "[]",
        '{"domain": "a"}',
        '{"domain": "a", "row": true, "digest": "", "expected": "", "generated": ""}',
        '{"domain": "a", "row": -1, "digest": "", "expected": "", "generated": ""}',
        '{"domain": "a", "row": 1, "digest": "", "expected": null, "generated": ""}',
    ],
)
def test_something_else_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "answers.jsonl"
    write_answers(path, [Answer(domain="a", row=0, digest="", expected="", generated="")])
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=r"answers\.jsonl:2: expected .*, found"):
        read_answers(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No such file or directory.* expected the answers"):
        read_answers(tmp_path / "answers.jsonl")
