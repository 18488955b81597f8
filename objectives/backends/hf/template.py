"""What stands around the texts of a row when a model reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from objectives.data.rows import Format, Role, Row, dump
from objectives.errors import DataError, OptionsError

_TIMELESS = "{%- macro strftime_now(format) -%}1 January 2025{%- endmacro -%}"
"""Some templates write today's date, which would make the same job differ from day to day."""

_USER, _ASSISTANT = "ratio-search-instruction", "ratio-search-output"
_TOOL, _CALL = "ratio-search-tool", "ratio-search-call"

_PLAIN_TITLES = {Role.SYSTEM: "System", Role.USER: "Instruction", Role.ASSISTANT: "Response"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What stands around the two texts of a row of one question and one answer, special tokens included.

    Attributes:
        before: text before the instruction.
        between: text between instruction and output; the prompt ends with it.
        after: text that ends the output; the model is trained and scored on it too.
    """

    before: str
    between: str
    after: str

    @classmethod
    def of(cls, tokenizer: Any) -> Template:
        """The tokenizer's chat template, user and assistant, or a plain one where it has none.

        The chat template is rendered once, on marks, and cut at them: what it adds does not depend on the
        row. The prompt of a model that thinks before it answers so ends after its empty thought.

        Raises:
            OptionsError: the chat template cannot be used, or nothing says how an output ends.
        """
        if tokenizer.chat_template is None:
            # A beginning-of-text token is added where the tokenizer itself would add one.
            starts = tokenizer.bos_token is not None and tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]
            before = f"{tokenizer.bos_token if starts else ''}{_titled(Role.USER)}"
            between, after = f"\n\n{_titled(Role.ASSISTANT)}", ""
        else:
            turns = [{"role": "user", "content": _USER}, {"role": "assistant", "content": _ASSISTANT}]
            before, between, after = _cut(_rendered(tokenizer, turns))
        after = after.rstrip() or tokenizer.eos_token or ""
        if not after:
            raise OptionsError(
                "the base model's tokenizer has no token that ends an output: expected a chat template that "
                "closes the assistant's turn, or an eos_token in tokenizer_config.json"
            )
        return cls(before=before, between=between, after=after)

    def texts(self, row: Row, tokenizer: Any) -> tuple[str, str]:
        """The prompt of a row, and the response that is trained on and scored: what the assistant says last.

        Args:
            row: of any number of turns.
            tokenizer: the one that this template was made of.

        Raises:
            DataError, OptionsError: the template has no place for what the row has, such as calls of tools.
        """
        if row.plain and row.system is None:
            return f"{self.before}{row.instruction}{self.between}", f"{row.output}{self.after}"
        if tokenizer.chat_template is None:
            return self._plainly(row), f"{row.output}{self.after}"
        turns, tools = _conversation(row)
        if not row.messages[-1].calls:
            marked = _rendered(tokenizer, [*turns[:-1], {"role": "assistant", "content": _ASSISTANT}], tools)
            prompt, mark, _ = marked.rpartition(_ASSISTANT)
            if mark:
                _check_shown(row, prompt, tokenizer, turns, tools)
                return prompt, f"{row.output}{self.after}"
        else:
            prompt = _rendered(tokenizer, turns[:-1], tools, add_generation_prompt=True)
            whole = _rendered(tokenizer, turns, tools)
            if whole.startswith(prompt):
                _check_shown(row, prompt, tokenizer, turns, tools)
                return prompt, whole[len(prompt) :].rstrip()
        raise OptionsError(
            "the base model's chat template changes what was said before when the assistant's last turn is added, so a "
            "prompt cannot be told from its response; expected rows of one turn, or another base model"
        )

    def expected(self, row: Row, tokenizer: Any) -> str:
        """The response of a row, without what ends it.

        Raises:
            DataError, OptionsError: as for `texts`.
        """
        if not row.messages[-1].calls:
            return row.output
        return self.texts(row, tokenizer)[1].removesuffix(self.after)

    def _plainly(self, row: Row) -> str:
        """The prompt of a row for a model without a chat template."""
        if row.tools or any(message.calls or message.role is Role.TOOL for message in row.messages):
            raise DataError(
                "the base model has no chat template, so tools and their calls cannot be shown to it; leave such rows "
                "out, or choose a model that was made for them"
            )
        turns = (f"{_titled(message.role)}{message.text}\n\n" for message in row.messages[:-1])
        return f"{self.before.removesuffix(_titled(Role.USER))}{''.join(turns)}{_titled(Role.ASSISTANT)}"


def _titled(role: Role) -> str:
    return f"### {_PLAIN_TITLES[role]}:\n"


def _conversation(row: Row) -> tuple[list[dict[str, Any]], list[dict[str, Any]] | None]:
    """Messages and tools as chat templates expect them: as in the chat format, but arguments as objects."""
    data = json.loads(dump(row, Format.MESSAGES))
    for message in data["messages"]:
        for call in message.get("tool_calls") or ():
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return data["messages"], data.get("tools")


def _check_shown(
    row: Row, prompt: str, tokenizer: Any, turns: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None
) -> None:
    """Checks that a chat template does not pass over what many have no place for: it says nothing when it does."""
    calls = sum(len(message.calls) for message in row.messages)
    missed = {"a system message": row.system is not None and row.system.strip() not in prompt}
    if tools or calls:
        marked = [
            {**turn, "tool_calls": _renamed(turn["tool_calls"], _CALL)} if turn.get("tool_calls") else turn
            for turn in turns
        ]
        text = _rendered(tokenizer, marked, tools and _renamed(tools, _TOOL))
        missed |= {"tools": text.count(_TOOL) < len(row.tools), "calls of tools": text.count(_CALL) < calls}
    for what, is_missed in missed.items():
        if is_missed:
            raise DataError(
                f"the base model's chat template has no place for {what}, so it would not be shown all of a row; leave "
                "such rows out, or choose a model that was made for them"
            )


def _renamed(functions: Sequence[Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    """Tools, or calls of them, under another name."""
    return [{**one, "function": {**one["function"], "name": name}} for one in functions]


def _rendered(
    tokenizer: Any, turns: Sequence[Mapping[str, Any]], tools: Sequence[Any] | None = None, **options: Any
) -> str:
    try:
        template = _TIMELESS + tokenizer.get_chat_template()
        text: str = tokenizer.apply_chat_template(
            turns, tools=tools, chat_template=template, tokenize=False, date_string="1 January 2025", **options
        )
    except Exception as error:  # the template is the model's own program and may raise anything
        roles = " and ".join(dict.fromkeys(str(turn["role"]) for turn in turns))
        raise OptionsError(f"the base model's chat template fails on turns of {roles}: {error}") from error
    return text


def _cut(text: str) -> tuple[str, str, str]:
    before, user, rest = text.partition(_USER)
    between, assistant, after = rest.partition(_ASSISTANT)
    if not user or not assistant or _USER in rest or _ASSISTANT in before + after:
        raise OptionsError(
            "the base model's chat template must show the user's text once and then the assistant's once, "
            f"found {text!r}"
        )
    return before, between, after
