from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from objectives.backends.hf.encoding import Encoded, EncodedSet, encode
from objectives.backends.hf.template import Template
from objectives.data import Dataset, Row
from tests.objectives.backends.hf.conftest import write_rows


@pytest.fixture
def tokenizer(base: Path) -> Any:
    return AutoTokenizer.from_pretrained(base, local_files_only=True)


class TestEncode:
    def test_something_stands_before_the_first_predicted_token(self, tokenizer: Any) -> None:
        tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
        encoded = encode([Row.of("", "red"), Row.of("x", "red")], tokenizer, Template.of(tokenizer), 64)
        assert encoded.prompt(0).tolist() == [tokenizer.bos_token_id]
        assert tokenizer.decode(encoded.prompt(1)) == "x"

    def test_keeps_prompt_and_response_apart(self, tokenizer: Any) -> None:
        rows = [Row.of("colours of 1", "green indeed"), Row.of("x", "y")]
        encoded = encode(rows, tokenizer, Template.of(tokenizer), 64)
        assert len(encoded) == 2
        for i, row in enumerate(rows):
            assert tokenizer.decode(encoded.prompt(i)) == f"<s>{row.instruction}<sep>"
            assert tokenizer.decode(encoded.response(i)) == f"{row.output}</s>"
            assert [*encoded.prompt(i), *encoded.response(i)] == list(encoded.row(i))
        assert encoded.truncated == 0

    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(prompt=st.integers(0, 40), response=st.integers(1, 40), most=st.integers(8, 40))
    def test_cuts_the_middle_of_the_prompt_and_then_the_end_of_the_response(
        self, tokenizer: Any, prompt: int, response: int, most: int
    ) -> None:
        row = Row.of("!#" * prompt, "$%" * response)
        template = Template.of(tokenizer)
        whole = encode([row], tokenizer, template, 10_000)
        cut = encode([row], tokenizer, template, most)
        length = int(whole.lengths[0])
        assert cut.lengths[0] == min(length, most)
        assert cut.truncated == (length > most)
        # The response begins as it did, and all of it is there unless it needs more than half the room.
        kept = len(cut.response(0))
        assert np.array_equal(cut.response(0), whole.response(0)[:kept])
        assert kept == len(whole.response(0)) or kept >= most // 2
        # The prompt begins and ends with the template's tokens.
        assert (cut.prompt(0)[0], cut.prompt(0)[-1]) == (whole.prompt(0)[0], whole.prompt(0)[-1])
        assert len(cut.prompt(0)) >= min(len(whole.prompt(0)), most // 2)

    def test_is_the_same_in_parts(self, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        rows = [Row.of(f"colours of {i}", "red " * i + "end") for i in range(7)]
        at_once = encode(rows, tokenizer, Template.of(tokenizer), 64)
        monkeypatch.setattr("objectives.backends.hf.encoding.CHUNK_ROWS", 3)
        in_parts = encode(rows, tokenizer, Template.of(tokenizer), 64)
        assert np.array_equal(at_once.tokens, in_parts.tokens)
        assert np.array_equal(at_once.starts, in_parts.starts)
        assert np.array_equal(at_once.prompts, in_parts.prompts)

    def test_of_nothing_is_empty(self) -> None:
        nothing = Encoded.of([])
        assert (len(nothing), len(nothing.tokens), nothing.starts.tolist()) == (0, 0, [0])
        assert nothing.lengths.tolist() == []


class TestEncodedSet:
    @pytest.fixture
    def rows(self) -> list[Row]:
        return [Row.of(f"colours of {i}", "red " * i + "end") for i in range(30)]

    @pytest.fixture
    def data(self, rows: list[Row], tmp_path: Path) -> Dataset:
        return Dataset.open(
            [write_rows(tmp_path / "one.jsonl", rows[:20]), write_rows(tmp_path / "two.jsonl", rows[20:])]
        )

    def test_gives_rows_in_the_order_in_which_they_are_asked_for(
        self, tokenizer: Any, rows: list[Row], data: Dataset
    ) -> None:
        template = Template.of(tokenizer)
        encoded = EncodedSet(data, lambda some: encode(some, tokenizer, template, 16))
        whole = encode(rows, tokenizer, template, 16)
        wanted = [25, 3, 3, 29, 0, 25]
        for _ in range(2):  # made, and then known
            found = encoded.encoded(np.array(wanted))
            assert [found.row(i).tolist() for i in range(6)] == [whole.row(number).tolist() for number in wanted]
            assert found.prompts.tolist() == whole.prompts[wanted].tolist()

    def test_makes_each_row_once_and_none_before_it_is_asked_for(
        self, tokenizer: Any, rows: list[Row], data: Dataset
    ) -> None:
        made: list[Row] = []

        def count(some: Sequence[Row]) -> Encoded:
            made.extend(some)
            return encode(some, tokenizer, Template.of(tokenizer), 64)

        encoded = EncodedSet(data, count)
        assert made == []
        for numbers in ([5, 2, 5], [2, 5], [], [2, 21, 7]):
            encoded.encoded(np.array(numbers, dtype=np.int64))
            encoded.lengths(np.array(numbers, dtype=np.int64))
        assert made == [rows[number] for number in (5, 2, 21, 7)]

    def test_lengths_are_of_what_is_trained_on(self, tokenizer: Any, rows: list[Row], data: Dataset) -> None:
        template = Template.of(tokenizer)
        encoded = EncodedSet(data, lambda some: encode(some, tokenizer, template, 16))
        numbers = np.arange(30)
        assert encoded.lengths(numbers).tolist() == encode(rows, tokenizer, template, 16).lengths.tolist()
        assert encoded.lengths(numbers).max() == 16 < encode(rows, tokenizer, template, 1000).lengths.max()
