from __future__ import annotations

import json
from typing import Any

import pytest

from objectives.backends.sagemaker.inference import Inference
from objectives.backends.sagemaker.questions import Question
from objectives.data import Row
from objectives.errors import ResultError

QUESTION = Question.of("voc", 3, Row.of("q", "a\n", system="s"))
DOCUMENTED = {"prompt": "s q", "inference": " A ", "gold": "a", "metadata": '{"domain": "voc", "row": 3}'}


def read(**changed: Any) -> Inference:
    return Inference.of(7, json.dumps({**DOCUMENTED, **changed}).encode())


def test_a_line_is_read_as_it_is_documented() -> None:
    assert read() == Inference(line=7, text=" A ", gold="a", prompt="s q", key=("voc", 3))
    assert read().expects(QUESTION) and read(gold=None).expects(QUESTION)
    assert not read(gold="b").expects(QUESTION)
    assert str(read()) == "prompt 's q', gold 'a'"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"),
        (["x"], "x"),
        ([{"role": "system", "content": "s"}, {"role": "user", "content": [{"text": "x"}]}], "s\nx"),
        (None, None),
        (3, None),
        ({"x": 1}, None),
    ],
)
def test_a_prompt_may_be_a_text_or_messages(value: Any, text: str | None) -> None:
    assert read(prompt=value).prompt == text


@pytest.mark.parametrize(
    ("metadata", "key"),
    [
        ({"domain": "voc", "row": 3}, ("voc", 3)),
        ({"domain": "voc", "row": "3", "more": 1}, ("voc", 3)),
        (json.dumps(json.dumps({"domain": "", "row": 0})), ("", 0)),
        ({"domain": "voc", "row": -1}, None),
        ({"domain": "voc", "row": 1.5}, None),
        ({"domain": "voc", "row": True}, None),
        ({"domain": "voc", "row": "\u00b2"}, None),
        ({"domain": 3, "row": 3}, None),
        ({"row": 3}, None),
        ("voc", None),
        ("", None),
        ("[" * 100_000, None),
        (None, None),
        ([["voc", 3]], None),
    ],
)
def test_metadata_says_whose_it_is_or_nothing(metadata: Any, key: tuple[str, int] | None) -> None:
    assert read(metadata=metadata).key == key


@pytest.mark.parametrize("inference", [None, 3, [], ["a", "b"], {"text": "a"}])
def test_a_line_that_says_nothing_is_refused(inference: Any) -> None:
    with pytest.raises(ResultError, match=r"line 7 of the answers has no inference: expected a text, found "):
        read(inference=inference)
