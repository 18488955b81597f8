from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.backends.sagemaker.answered import answer_files, answered
from objectives.backends.sagemaker.questions import Questions
from objectives.data import Row
from objectives.errors import ResultError
from objectives.metrics import row_digest
from tests.objectives.backends.sagemaker.lines import SUPPORT, VOC, Line, asked, line, of, whole, written


@pytest.fixture
def questions() -> Questions:
    return asked(voc=VOC, support=SUPPORT)


class TestWithMetadata:
    """Answers that say whose they are."""

    @pytest.mark.parametrize("form", ["text", "object", "text of text", "number as text"])
    def test_are_put_beside_their_rows(self, questions: Questions, form: str) -> None:
        lines = [line(question) for question in questions.asked]
        for one, question in zip(lines, questions.asked, strict=True):
            own = {"domain": question.domain, "row": question.row}
            one["metadata"] = {
                "text": json.dumps(own),
                "object": own,
                "text of text": json.dumps(json.dumps(own)),
                "number as text": {**own, "row": str(question.row)},
            }[form]
        random.Random(0).shuffle(lines)
        found = of(lines, questions)
        assert found == whole(questions)
        assert list(found) == ["support", "voc"]
        assert found["voc"][1].digest == row_digest(VOC[1])

    def test_may_tell_no_more_than_that(self, questions: Questions) -> None:
        lines = [{"inference": written(q), "metadata": json.loads(q.line)["metadata"]} for q in questions.asked]
        assert of(lines[::-1], questions) == whole(questions)

    def test_may_have_the_text_in_a_list_of_one(self, questions: Questions) -> None:
        lines = [line(question) for question in questions.asked]
        lines = [{**one, "inference": [one["inference"]], "gold": [f" {one['gold']}\n"]} for one in lines]
        assert of(lines, questions) == whole(questions)

    def test_of_several_files_are_joined(self, questions: Questions) -> None:
        files = [[json.dumps(line(question)).encode()] for question in questions.asked]
        assert answered(itertools.chain(*files, [b"\n", b"  "]), questions) == whole(questions)

    def test_of_some_rows_help_those_without(self, questions: Questions) -> None:
        lines = [line(question) for question in questions.asked]
        for one in lines[1::2]:
            del one["metadata"]
        random.Random(1).shuffle(lines)
        assert of(lines, questions) == whole(questions)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda lines: lines[:-2], "2 of 5 questions have no answer: row 1 of 'voc', row 2 of 'voc'"),
            (lambda lines: [], "5 of 5 questions have no answer: .*did not write all of its output"),
            (lambda lines: [*lines, lines[2]], "line 6 of the answers is a second answer to row 0 of 'voc'"),
            (
                lambda lines: [*lines[:4], {**lines[4], "metadata": '{"domain": "voc", "row": 7}'}],
                "line 5 of the answers answers what was not asked: row 7 of 'voc'",
            ),
            (
                lambda lines: [{**lines[0], "metadata": '{"domain": "other", "row": 0}'}, *lines[1:]],
                "line 1 of the answers answers what was not asked: row 0 of 'other'",
            ),
            (
                lambda lines: [{**lines[0], "gold": "Never."}, *lines[1:]],
                "to row 0 of 'support', whose right answer is 'On its way.', but its gold is 'Never.'",
            ),
        ],
    )
    def test_that_are_not_all_and_once_are_refused(
        self, questions: Questions, change: Callable[[list[Line]], list[Line]], message: str
    ) -> None:
        with pytest.raises(ResultError, match=message) as caught:
            of(change([line(question) for question in questions.asked]), questions)
        assert "objective.evaluate_by: domain" in str(caught.value)

    @pytest.mark.parametrize("torn", [b'{"inference": "to v', b"[]", b"\xff\xfe{", b"[" * 100_000, b"null"])
    def test_that_are_torn_are_refused(self, questions: Questions, torn: bytes) -> None:
        lines = [json.dumps(line(question)).encode() for question in questions.asked]
        with pytest.raises(ResultError, match="line 5 of the answers is no JSON object, or is torn"):
            answered([*lines[:-1], torn], questions)

    @pytest.mark.parametrize("inference", [None, 3, ["a", "b"], []])
    def test_that_say_nothing_are_refused(self, questions: Questions, inference: Any) -> None:
        lines = [line(question) for question in questions.asked]
        with pytest.raises(ResultError, match=r"line 2 of the answers has no inference: expected a text, found "):
            of([lines[0], {**lines[1], "inference": inference}, *lines[2:]], questions)

    def test_of_one_domain_are_not_advised_to_be_asked_by_domain(self) -> None:
        with pytest.raises(ResultError) as caught:
            of([], asked(voc=VOC))
        assert "evaluate_by" not in str(caught.value)

    @given(st.data())
    @settings(deadline=None)
    def test_may_be_any_text(self, data: st.DataObject) -> None:
        text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)
        texts = data.draw(st.lists(text, min_size=1, max_size=6))
        some = asked(a=[Row.of(text, text) for text in texts], b=[Row.of(text, text) for text in texts])
        # Halves of characters too, which a model of bytes can write.
        size = len(some.asked)
        inferences = data.draw(st.lists(st.text(st.characters(codec=None)), min_size=size, max_size=size))
        lines = [{**line(q), "inference": wrote} for q, wrote in zip(some.asked, inferences, strict=True)]
        found = of(data.draw(st.permutations(lines)), some)
        assert [answer.generated for answers in found.values() for answer in answers] == inferences


class TestFiles:
    """The files of a job."""

    def test_with_answers_are_found_wherever_they_are(self) -> None:
        found = answer_files(
            ["s3://b/j/output/output/x/eval_results/inference_output.jsonl", "s3://b/j/output/output/manifest.json"]
        )
        assert found == ["s3://b/j/output/output/x/eval_results/inference_output.jsonl"]
        assert answer_files(["b/inference_output_1.jsonl", "b/inference_output_0.jsonl"]) == [
            "b/inference_output_0.jsonl",
            "b/inference_output_1.jsonl",
        ]

    @pytest.mark.parametrize(("uris", "listed"), [([], "no file"), (["s3://b/x.json"], "s3://b/x.json")])
    def test_without_any_are_refused(self, uris: list[str], listed: str) -> None:
        with pytest.raises(ResultError, match=rf"left no inference_output\*\.jsonl; found {listed};"):
            answer_files(uris)
