"""What stands around the texts of a row, by chat templates as models have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from objectives.backends.hf.template import Template
from objectives.data import Row
from objectives.data.rows import Call, Message, Role, Tool
from objectives.errors import DataError, OptionsError

CHAT = (
    "{% if tools %}<tools>{% for tool in tools %}{{ tool | tojson }}{% endfor %}</tools>{% endif %}"
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content if m.content is not none }}"
    "{% for call in m.tool_calls or [] %}<call>{{ call.function | tojson }}</call>{% endfor %}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""As many newer models have it: with tools, and every turn closed."""

SYSTEM, USER, ASSISTANT, TOOL = Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.TOOL

CALL = Call(name="weather", arguments={"city": "Ulm", "days": 2}, id="c1")
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = Tool(name="weather", description="Looks outside.", parameters=CITY)


def said(*turns: tuple[Role, str], tools: tuple[Tool, ...] = ()) -> Row:
    return Row(messages=tuple(Message(role=role, text=text) for role, text in turns), tools=tools)


TWO_TURNS = said((USER, "one"), (ASSISTANT, "two"), (USER, "three"), (ASSISTANT, "four"))
ANSWERED = Row(
    messages=(
        Message(role=USER, text="Rain?"),
        Message(role=ASSISTANT, calls=(CALL,)),
        Message(role=TOOL, answers="c1", name="weather", data={"rain": True}),
        Message(role=ASSISTANT, text="Yes."),
    ),
    tools=(WEATHER,),
)
CALLED = Row(messages=(Message(role=USER, text="Rain?"), Message(role=ASSISTANT, calls=(CALL,))), tools=(WEATHER,))


@pytest.fixture
def tokenizer(base: Path) -> Any:
    return AutoTokenizer.from_pretrained(base, local_files_only=True)


class TestOfOneQuestion:
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
            ("{{ raise_exception('system turn first') }}", "fails on turns of user and assistant: system turn"),
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


class TestWithAChatTemplate:
    @pytest.fixture
    def tokenizer(self, tokenizer: Any) -> Any:
        tokenizer.chat_template = CHAT
        return tokenizer

    @pytest.mark.parametrize(
        ("row", "prompt", "response"),
        [
            (Row.of("why?", "so"), "<|user|>why?</s>\n<|assistant|>", "so</s>"),
            (
                Row.of("why?", "so", system="Be brief."),
                "<|system|>Be brief.</s>\n<|user|>why?</s>\n<|assistant|>",
                "so</s>",
            ),
            (
                TWO_TURNS,
                "<|user|>one</s>\n<|assistant|>two</s>\n<|user|>three</s>\n<|assistant|>",
                "four</s>",
            ),
        ],
    )
    def test_what_the_assistant_says_last_is_the_response(
        self, tokenizer: Any, row: Row, prompt: str, response: str
    ) -> None:
        assert Template.of(tokenizer).texts(row, tokenizer) == (prompt, response)

    def test_prompts_are_those_that_the_model_is_asked_with(self, tokenizer: Any) -> None:
        turns = [{"role": message.role.value, "content": message.text} for message in TWO_TURNS.messages[:-1]]
        asked = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        assert Template.of(tokenizer).texts(TWO_TURNS, tokenizer)[0] == asked

    def test_calls_their_results_and_tools_are_shown(self, tokenizer: Any) -> None:
        prompt, response = Template.of(tokenizer).texts(ANSWERED, tokenizer)
        listed, _, turns = prompt.removeprefix("<tools>").partition("</tools>")
        assert json.loads(listed) == {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "Looks outside.",
                "parameters": CITY,
            },
        }
        # The arguments are an object, as chat templates expect them, and not its text.
        assert turns == (
            '<|user|>Rain?</s>\n<|assistant|><call>{"name": "weather", "arguments": {"city": "Ulm", "days": 2}}</call>'
            '</s>\n<|tool|>{"rain":true}</s>\n<|assistant|>'
        )
        assert response == "Yes.</s>"

    def test_a_call_can_be_the_response(self, tokenizer: Any) -> None:
        prompt, response = Template.of(tokenizer).texts(CALLED, tokenizer)
        assert prompt.endswith("</tools><|user|>Rain?</s>\n<|assistant|>")
        assert response == '<call>{"name": "weather", "arguments": {"city": "Ulm", "days": 2}}</call></s>'

    @pytest.mark.parametrize("row", [Row.of("x", "ratio-search-output"), Row.of("ratio-search-output", "x")])
    @pytest.mark.parametrize("system", [None, "ratio-search-output"])
    def test_rows_may_speak_of_the_marks(self, tokenizer: Any, row: Row, system: str | None) -> None:
        row = Row.of(row.instruction, row.output, system=system)
        start = "" if system is None else f"<|system|>{system}</s>\n"
        assert Template.of(tokenizer).texts(row, tokenizer) == (
            f"{start}<|user|>{row.instruction}</s>\n<|assistant|>",
            f"{row.output}</s>",
        )

    def test_a_thought_that_the_template_puts_before_the_answer_is_part_of_the_prompt(self, tokenizer: Any) -> None:
        tokenizer.chat_template = CHAT.replace(
            "<|{{ m.role }}|>", "<|{{ m.role }}|>{% if loop.last %}<think></think>{% endif %}"
        )
        prompt, response = Template.of(tokenizer).texts(TWO_TURNS, tokenizer)
        assert prompt.endswith("<|user|>three</s>\n<|assistant|><think></think>")
        assert "two</s>" in prompt
        assert response == "four</s>"


class TestWhatAChatTemplateHasNoPlaceFor:
    """Templates say nothing when they pass over something: the row would be trained on without it."""

    @pytest.mark.parametrize(
        ("row", "without", "what"),
        [
            (CALLED, "<tools>{% for tool in tools %}{{ tool | tojson }}{% endfor %}</tools>", "tools"),
            (Row(messages=CALLED.messages), "<call>{{ call.function | tojson }}</call>", "calls of tools"),
            (CALLED, "<call>{{ call.function | tojson }}</call>", "calls of tools"),
            (ANSWERED, "<call>{{ call.function | tojson }}</call>", "calls of tools"),
        ],
    )
    def test_is_an_error(self, tokenizer: Any, row: Row, without: str, what: str) -> None:
        tokenizer.chat_template = CHAT
        template = Template.of(tokenizer)
        assert template.texts(row, tokenizer)
        assert without in CHAT
        tokenizer.chat_template = CHAT.replace(without, "")
        with pytest.raises(
            DataError, match=rf"has no place for {what}, so it would not be shown all of a row; leave such"
        ):
            template.texts(row, tokenizer)

    def test_a_system_message_among_it(self, tokenizer: Any) -> None:
        tokenizer.chat_template = "{% for m in messages if m.role != 'system' %}{{ m.content }}</s>{% endfor %}"
        with pytest.raises(DataError, match="has no place for a system message"):
            Template.of(tokenizer).texts(Row.of("why?", "so", system="Be brief."), tokenizer)

    def test_white_space_around_a_system_message_may_be_left_out(self, tokenizer: Any) -> None:
        tokenizer.chat_template = CHAT.replace("m.content if", "m.content | trim if")
        prompt, _ = Template.of(tokenizer).texts(Row.of("why?", "so", system=" Be brief.\n"), tokenizer)
        assert prompt.startswith("<|system|>Be brief.</s>")

    def test_turns_that_a_template_refuses(self, tokenizer: Any) -> None:
        tokenizer.chat_template = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        tokenizer.chat_template += CHAT
        with pytest.raises(OptionsError, match="fails on turns of system and user and assistant: no system"):
            Template.of(tokenizer).texts(Row.of("why?", "so", system="Be brief."), tokenizer)

    @pytest.mark.parametrize(
        ("row", "template"),
        [
            (TWO_TURNS, "{% if messages|length == 2 %}" + CHAT + "{% endif %}"),
            (CALLED, "{% if not add_generation_prompt %}changed{% endif %}" + CHAT),
        ],
    )
    def test_turns_whose_prompt_cannot_be_told_from_the_response(self, tokenizer: Any, row: Row, template: str) -> None:
        tokenizer.chat_template = template
        with pytest.raises(
            OptionsError, match=r"changes what was said before .*; expected rows of one turn, or another"
        ):
            Template.of(tokenizer).texts(row, tokenizer)


class TestWithoutAChatTemplate:
    @pytest.fixture
    def tokenizer(self, tokenizer: Any) -> Any:
        tokenizer.chat_template = None
        return tokenizer

    @pytest.mark.parametrize(
        ("row", "prompt", "response"),
        [
            (Row.of("why?", "so"), "### Instruction:\nwhy?\n\n### Response:\n", "so</s>"),
            (
                Row.of("why?", "so", system="Be brief."),
                "### System:\nBe brief.\n\n### Instruction:\nwhy?\n\n### Response:\n",
                "so</s>",
            ),
            (
                TWO_TURNS,
                "### Instruction:\none\n\n### Response:\ntwo\n\n### Instruction:\nthree\n\n### Response:\n",
                "four</s>",
            ),
        ],
    )
    def test_turns_have_titles(self, tokenizer: Any, row: Row, prompt: str, response: str) -> None:
        assert Template.of(tokenizer).texts(row, tokenizer) == (prompt, response)

    def test_the_first_token_stays_the_first(self, tokenizer: Any) -> None:
        template = Template(before="<s>### Instruction:\n", between="\n\n### Response:\n", after="</s>")
        prompt, _ = template.texts(Row.of("why?", "so", system="Be brief."), tokenizer)
        assert prompt.startswith("<s>### System:\nBe brief.")

    @pytest.mark.parametrize("row", [ANSWERED, CALLED, said((USER, "why?"), (ASSISTANT, "so"), tools=(WEATHER,))])
    def test_tools_cannot_be_shown(self, tokenizer: Any, row: Row) -> None:
        with pytest.raises(DataError, match=r"has no chat template, so tools and their calls cannot be shown to it"):
            Template.of(tokenizer).texts(row, tokenizer)
