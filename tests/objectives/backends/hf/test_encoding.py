from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from objectives.backends.hf.encoding import Template, encode
from objectives.data import Row
from objectives.errors import OptionsError


@pytest.fixture
def tokenizer(base: Path) -> Any:
    return AutoTokenizer.from_pretrained(base, local_files_only=True)


class TestTemplate:
    def test_is_the_chat_template_cut_at_the_texts(self, tokenizer: Any) -> None:
        assert Template.of(tokenizer) == Template(before="<s>", between="<sep>", after="</s>")

    def test_renders_as_the_chat_template_does(self, tokenizer: Any) -> None:
        tokenizer.chat_template = (
            "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}</s>\n{% endfor %}"
            "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
        )
        template = Template.of(tokenizer)
        turns = [{"role": "user", "content": "why?"}]
        prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        assert f"{template.before}why?{template.between}" == prompt
        assert template.after == "</s>"  # the line break after the turn is nothing to learn

    def test_of_a_thinking_model_ends_the_prompt_after_an_empty_thought(self, tokenizer: Any) -> None:
        tokenizer.chat_template = (
            "{% for m in messages %}{% if m.role == 'assistant' %}<think></think>{% endif %}"
            "{{ m.content }}</s>{% endfor %}"
        )
        assert Template.of(tokenizer) == Template(before="", between="</s><think></think>", after="</s>")

    @pytest.mark.parametrize(
        "date",
        ["date_string if date_string is defined else strftime_now('%d %b %Y')", "strftime_now('%d %B %Y')"],
    )
    def test_does_not_depend_on_the_day(self, tokenizer: Any, date: str) -> None:
        tokenizer.chat_template = f"{{{{ {date} }}}}{{% for m in messages %}}{{{{ m.content }}}}</s>{{% endfor %}}"
        assert Template.of(tokenizer).before == "1 January 2025"

    def test_is_plain_without_a_chat_template(self, tokenizer: Any) -> None:
        tokenizer.chat_template = None
        template = Template.of(tokenizer)
        assert template.before == "### Instruction:\n"
        assert template.between == "\n\n### Response:\n"
        assert template.after == "</s>"

    def test_begins_with_the_token_that_the_tokenizer_itself_puts_first(self, tokenizer: Any) -> None:
        from tokenizers.processors import TemplateProcessing

        tokenizer.chat_template = None
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", tokenizer.bos_token_id)]
        )
        assert Template.of(tokenizer).before == "<s>### Instruction:\n"

    @pytest.mark.parametrize(
        ("chat_template", "message"),
        [
            ("{{ raise_exception('system turn first') }}", "fails on one user and one assistant turn: system turn"),
            ("{{ messages[0].content }}", "the assistant's once"),
            ("{{ messages[1].content }}{{ messages[0].content }}", "the assistant's once"),
            ("{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}", "the assistant's once"),
        ],
    )
    def test_that_cannot_be_used_is_refused(self, tokenizer: Any, chat_template: str, message: str) -> None:
        tokenizer.chat_template = chat_template
        with pytest.raises(OptionsError, match=message):
            Template.of(tokenizer)

    def test_needs_an_end(self, tokenizer: Any) -> None:
        tokenizer.chat_template = None
        tokenizer.eos_token = None
        with pytest.raises(OptionsError, match="no token that ends an output"):
            Template.of(tokenizer)


class TestEncode:
    def test_something_stands_before_the_first_predicted_token(self, tokenizer: Any) -> None:
        tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
        encoded = encode([Row("", "red"), Row("x", "red")], tokenizer, Template.of(tokenizer), 64)
        assert encoded.prompt(0).tolist() == [tokenizer.bos_token_id]
        assert tokenizer.decode(encoded.prompt(1)) == "x"

    def test_keeps_prompt_and_response_apart(self, tokenizer: Any) -> None:
        rows = [Row("colours of 1", "green indeed"), Row("x", "y")]
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
        row = Row("!#" * prompt, "$%" * response)
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
        rows = [Row(f"colours of {i}", "red " * i + "end") for i in range(7)]
        at_once = encode(rows, tokenizer, Template.of(tokenizer), 64)
        monkeypatch.setattr("objectives.backends.hf.encoding.CHUNK_ROWS", 3)
        in_parts = encode(rows, tokenizer, Template.of(tokenizer), 64)
        assert np.array_equal(at_once.tokens, in_parts.tokens)
        assert np.array_equal(at_once.starts, in_parts.starts)
        assert np.array_equal(at_once.prompts, in_parts.prompts)
