"""How an answer ends: where a model that writes one has to stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from objectives.backends.hf.learner import Learner
from objectives.backends.hf.template import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What ends an answer.

    Attributes:
        tokens: any of these ends it.
        text: so does this, which is the template's.
    """

    tokens: frozenset[int]
    text: str

    @classmethod
    def of(cls, learner: Learner, template: Template) -> Ending:
        """What ends the answers of a model: the end of the template's last turn, and what the model itself states."""
        stated = getattr(learner.model.generation_config, "eos_token_id", None)
        tokens = set(stated if isinstance(stated, list) else [stated]) | {learner.tokenizer.eos_token_id}
        closing = learner.tokenizer(template.after, add_special_tokens=False)["input_ids"]
        if len(closing) == 1:
            tokens |= set(closing)
        return cls(tokens=frozenset(tokens - {None}), text=template.after)

    def cut(self, tokens: Sequence[int], tokenizer: Any) -> str:
        """The text of an answer, without what ends it and all that comes after.

        Args:
            tokens: as the model wrote them.
            tokenizer: the model's.
        """
        last = next((place for place, token in enumerate(tokens) if token in self.tokens), len(tokens))
        # With the token that ends it, which may be a part of the text that does.
        text, closed, _ = _text(tokens[: last + 1], tokenizer).partition(self.text)
        return text if closed else _text(tokens[:last], tokenizer)


def _text(tokens: Sequence[int], tokenizer: Any) -> str:
    text: str = tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text
