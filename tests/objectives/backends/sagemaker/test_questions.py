from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from objectives.backends import load
from objectives.backends.sagemaker import SagemakerBackend
from objectives.backends.sagemaker.questions import CONTEXT, Questions, check_questions, refusal
from objectives.data import Dataset, Row
from objectives.data.rows import Call, Message, Role, Tool
from objectives.domain import Domain
from objectives.errors import DataError
from objectives.metrics import Goal, row_digest
from objectives.scorer import Metric


def rows_in(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def dataset(path: Path, rows: Sequence[dict[str, Any]]) -> Dataset:
    return Dataset.open([rows_in(path, rows)])


VOC = [
    {"instruction": "The app shuts down.", "output": "app/crash", "label": "app/crash", "system": "Name the leaf."},
    {"messages": [{"role": "user", "content": "It is late."}, {"role": "assistant", "content": "delivery/late"}]},
]
CALL = Message(role=Role.ASSISTANT, calls=(Call(name="t", arguments={}),))
SUPPORT = [{"instruction": "Where is it?", "output": "On its way.", "system": "  "}]


@pytest.fixture
def questions(tmp_path: Path) -> Questions:
    return Questions.of({"voc": dataset(tmp_path / "v.jsonl", VOC), "support": dataset(tmp_path / "s.jsonl", SUPPORT)})


class TestQuestions:
    """Test rows, as an evaluation job asks them."""

    def test_are_lines_of_the_documented_fields_that_say_whose_they_are(
        self, questions: Questions, tmp_path: Path
    ) -> None:
        path = questions.write(tmp_path)
        assert path == tmp_path / "gen_qa.jsonl"
        found = [json.loads(line) for line in path.read_bytes().splitlines()]
        assert found == [
            {"query": "Where is it?", "response": "On its way.", "metadata": '{"domain": "support", "row": 0}'},
            {
                "query": "The app shuts down.",
                "response": "app/crash",
                "system": "Name the leaf.",
                "metadata": '{"domain": "voc", "row": 0}',
            },
            {"query": "It is late.", "response": "delivery/late", "metadata": '{"domain": "voc", "row": 1}'},
        ]
        assert all(isinstance(value, str) for row in found for value in row.values())
        assert questions.domains == ("support", "voc")
        assert questions.asked[1].digest == row_digest(
            Row.of("The app shuts down.", "app/crash", system="Name the leaf.")
        )
        assert sorted(file.name for file in tmp_path.iterdir()) == ["gen_qa.jsonl", "s.jsonl", "v.jsonl"]

    def test_are_the_same_bytes_whatever_order_the_domains_are_in(self, questions: Questions, tmp_path: Path) -> None:
        again = Questions.of(
            {"support": dataset(tmp_path / "s.jsonl", SUPPORT), "voc": dataset(tmp_path / "v.jsonl", VOC)}
        )
        path = questions.write(tmp_path)
        assert again.content == path.read_bytes()
        assert again.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        other = Questions.of({"voc": dataset(tmp_path / "v.jsonl", VOC)})
        assert other.sha256 != again.sha256

    def test_count_rows_over_all_files_of_a_domain(self, tmp_path: Path) -> None:
        files = [rows_in(tmp_path / "a.jsonl", SUPPORT * 2), rows_in(tmp_path / "b.jsonl", VOC)]
        found = Questions.of({"voc": Dataset.open(files)})
        assert [(question.row, question.response) for question in found.asked] == [
            (0, "On its way."),
            (1, "On its way."),
            (2, "app/crash"),
            (3, "delivery/late"),
        ]

    @given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip), min_size=1, max_size=4))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    def test_of_any_text_are_one_line_each(self, tmp_path: Path, texts: list[str]) -> None:
        data = dataset(tmp_path / "t.jsonl", [{"instruction": text, "output": text, "system": text} for text in texts])
        written = Questions.of({"a": data}).write(tmp_path).read_text(encoding="utf-8")
        # By Unicode's own ends of lines, too, which JSON lets stand in a text.
        assert [json.loads(line)["query"] for line in written.splitlines()] == texts


class TestRefusal:
    """Rows that one query cannot ask."""

    @pytest.mark.parametrize(
        ("row", "why"),
        [
            (Row.of("q", "a", system="s"), None),
            (Row.of("q" * (4 * CONTEXT - 8), "a" * 10**5, system="s" * 4), None),
            (Row.of("q" * (4 * CONTEXT - 3), "a"), r"3,500 tokens \(estimated at 4 bytes.*\), and must have less"),
            (Row.of("q" * (4 * CONTEXT - 8), "a", system="s" * 5), "3,500 tokens"),
            (Row.of("\u20ac" * (4 * CONTEXT // 3 + 1), "a"), "3,501 tokens"),
            (Row.of(" \n", "a"), "asks nothing"),
            (
                Row(messages=(*Row.of("q", "a").messages, *Row.of("and?", "b").messages)),
                "several turns",
            ),
            (Row(messages=Row.of("q", "a").messages, tools=(Tool(name="t"),)), "has tools"),
            (Row(messages=(Message(role=Role.USER, text="q"), CALL)), "has tools"),
            (
                Row(messages=(Message(role=Role.USER, text="q", name="Ann"), Message(role=Role.ASSISTANT, text="a"))),
                "names of those who speak",
            ),
        ],
    )  # fmt: skip
    def test_says_why(self, row: Row, why: str | None) -> None:
        found = refusal(row)
        if why is None:
            assert found is None
        else:
            assert found is not None
            assert re.search(why, found)

    def test_of_several_domains_is_one_error_with_files_and_lines(self, tmp_path: Path) -> None:
        two_turns = [{"role": role, "content": "x"} for role in ("user", "assistant", "user", "assistant")]
        voc = rows_in(tmp_path / "voc.jsonl", [*VOC, {"messages": two_turns}])
        long = rows_in(tmp_path / "long.jsonl", [{"instruction": "x" * 20_000, "output": "y"}] * 12)
        domains = [
            Domain(name="voc", test=(Path("voc.jsonl"),)),
            Domain(name="long", test=(Path("long.jsonl"),)),
            Domain(name="code", categories={"code": 1.0}),
        ]
        with pytest.raises(DataError) as caught:
            check_questions(domains, tmp_path, ())
        lines = str(caught.value).splitlines()
        assert lines[0].startswith("domains.long.test: 12 rows that no evaluation job can ask")
        assert lines[0].endswith("change or remove them:")
        assert lines[1].startswith(f"  {long}:1: asks with 5,000 tokens")
        assert lines[11] == "  and 2 more"
        assert lines[12].startswith("domains.voc.test: 1 row that no")
        assert lines[13] == f"  {voc}:3: has several turns, or names of those who speak"
        assert len(lines) == 14

    def test_looks_at_labels_where_they_are_judged(self, tmp_path: Path) -> None:
        rows = [{"instruction": "q", "output": "net: work", "label": label} for label in ("net", "net: work")]
        rows_in(tmp_path / "a.jsonl", rows)
        domains = [Domain(name=name, test=(Path("a.jsonl"),)) for name in ("voc", "other")]
        text = [Metric(name=name, goal=Goal.MAXIMIZE) for name in ("voc/rouge_l", "other/token_f1")]
        check_questions(domains, tmp_path, text)
        with pytest.raises(
            DataError, match=r"domains\.voc\.test: the labels 'net' and 'net: work' cannot be told apart"
        ):
            check_questions(domains, tmp_path, [*text, Metric(name="voc/f1", goal=Goal.MAXIMIZE)])

    def test_comes_with_the_check_of_a_study_file(self, tmp_path: Path) -> None:
        rows_in(tmp_path / "voc.jsonl", [{"instruction": " ", "output": "y"}])
        backend = load("sagemaker").model_validate(
            {
                "kind": "sagemaker",
                "role": "arn:aws:iam::123456789012:role/nova",
                "place": "s3://bucket/prefix",
                "model_package_group": "group",
            }
        )
        assert isinstance(backend, SagemakerBackend)
        rows_in(tmp_path / "train.jsonl", [{"instruction": f"x {i}", "output": "y"} for i in range(200)])
        domains = [Domain(name="voc", train=(Path("train.jsonl"),), test=(Path("voc.jsonl"),))]
        with pytest.raises(DataError, match=r"domains\.voc\.test: 1 row .*\n.*voc\.jsonl:1: asks nothing"):
            backend.check_asked(domains, tmp_path, metrics=(), baseline=True)
