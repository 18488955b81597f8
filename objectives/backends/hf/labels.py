"""The classes of a labelled domain, and how a model is asked for one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from objectives.backends.hf.encoding import Encoded, without_middle
from objectives.backends.hf.learner import Learner
from objectives.errors import DataError, OptionsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The classes of a labelled domain.

    Where every class begins with a token of its own, the prediction is the class whose first token is the
    likeliest after the prompt; the pass that scores the responses has that already. Otherwise each class's
    openings are scored in full: the probability that the response begins with one of them and does not go on
    to a longer one of another class, such as `network` after `net`.

    Attributes:
        names: the classes, sorted.
        openings: the token sequences with which responses of a class begin, up to the label's end. A class can
            have several, as a tokenizer may join a label with what follows it.
        owners: the number of the class of each opening.
        first: each class's first token, when these tell all classes apart; None otherwise.
    """

    names: tuple[str, ...]
    openings: tuple[tuple[int, ...], ...]
    owners: tuple[int, ...]
    first: tuple[int, ...] | None

    @classmethod
    def of(cls, tokenizer: Any, data: Sequence[tuple[Encoded, Sequence[str | None]]]) -> Labels:
        """Looks at how responses really begin.

        Args:
            tokenizer: the base model's.
            data: encoded rows with their labels, which all classes come from.

        Raises:
            DataError: responses of two classes begin with the same tokens, up to the end of their labels.
        """
        known: dict[tuple[int, ...], str] = {}
        for encoded, labels in data:
            for i, label in enumerate(labels):
                if label is None:
                    continue
                opening = _opening(tokenizer, tuple(map(int, encoded.response(i))), label, known)
                if known.setdefault(opening, label) != label:
                    raise DataError(
                        f"the labels {known[opening]!r} and {label!r} begin with the same tokens of this model, so it "
                        "cannot be asked which of them it means; let a space or a sign follow each label"
                    )
        names = tuple(sorted(set(known.values())))
        number = {name: i for i, name in enumerate(names)}
        begins = {(number[label], opening[0]) for opening, label in known.items()}
        apart = len(begins) == len(names) == len({token for _, token in begins})
        return cls(
            names=names,
            openings=tuple(known),
            owners=tuple(number[label] for label in known.values()),
            first=tuple(token for _, token in sorted(begins)) if apart else None,
        )

    @property
    def width(self) -> int:
        """Tokens of the longest opening."""
        return max(map(len, self.openings))

    @property
    def longer(self) -> dict[int, frozenset[int]]:
        """Number of an opening that longer ones of other classes begin with, to the tokens with which those go on."""
        number = {opening: k for k, opening in enumerate(self.openings)}
        found: dict[int, set[int]] = {}
        for opening, owner in zip(self.openings, self.owners, strict=True):
            for length in range(1, len(opening)):
                shorter = number.get(opening[:length])
                if shorter is not None and self.owners[shorter] != owner:
                    found.setdefault(shorter, set()).add(opening[length])
        return {k: frozenset(tokens) for k, tokens in found.items()}

    def check_fits(self, max_length: int) -> None:
        """Checks that every opening leaves room for a prompt.

        Raises:
            OptionsError: one does not.
        """
        if self.width >= max_length:
            owner = next(k for k, opening in zip(self.owners, self.openings, strict=True) if len(opening) == self.width)
            raise OptionsError(
                f"objective.max_length: expected more than the {self.width} tokens of the label {self.names[owner]!r}, "
                f"found {max_length}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Asks a model for a class after each of some prompts, by the full openings.

    Attributes:
        learner: the model as it is to be judged.
        labels: the classes.
        batch_tokens: most tokens in a batch, padding and the prompts' copies counted; one prompt with one opening
            may take more.
        cached: whether a prompt is read once for all openings that fit in a batch, by its keys and values.
    """

    learner: Learner
    labels: Labels
    batch_tokens: int
    cached: bool

    def answers(self, rows: Encoded, max_length: int) -> Iterator[tuple[int, str]]:
        """Row numbers, each with the likeliest class.

        Args:
            rows: whose prompts are asked.
            max_length: most tokens that the model reads; a prompt that leaves no room loses its middle.
        """
        prompts = [without_middle(rows.prompt(i), max_length - self.labels.width) for i in range(len(rows))]
        for alike in self._alike(list(map(len, prompts))):
            asked = torch.from_numpy(np.stack([prompts[i] for i in alike]).astype(np.int64))
            best = self.scores(asked.to(self.learner.device)).argmax(dim=-1).tolist()
            yield from zip(alike, (self.labels.names[k] for k in best), strict=True)

    def scores(self, prompts: Tensor) -> Tensor:
        """Log-probability of each class, (n_rows, n_classes).

        Args:
            prompts: token ids, (n_rows, n_places).
        """
        size = max(1, self.batch_tokens // (len(prompts) * (prompts.shape[1] + self.labels.width)))
        numbers = range(len(self.labels.openings))
        with torch.no_grad():
            parts = [self._openings(prompts, numbers[start : start + size]) for start in numbers[::size]]
        scores = torch.cat(parts, dim=1)
        owners = torch.tensor(self.labels.owners, device=scores.device)
        classes = range(len(self.labels.names))
        return torch.stack([scores[:, owners == k].logsumexp(dim=-1) for k in classes], dim=1)

    def _alike(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Row numbers with prompts of one length, as many at a time as all openings leave room for."""
        batch: list[int] = []
        for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
            size = len(self.labels.openings) * (lengths[i] + self.labels.width)
            full = (len(batch) + 1) * size > self.batch_tokens
            if batch and (full or lengths[i] != lengths[batch[0]]):
                yield batch
                batch = []
            batch.append(i)
        yield batch

    def _openings(self, prompts: Tensor, numbers: Sequence[int]) -> Tensor:
        """Log-probability of some openings after each prompt, (n_rows, n_openings)."""
        device = self.learner.device
        own = [self.labels.openings[k] for k in numbers]
        width = max(map(len, own))
        tokens = torch.tensor([[*opening, *[0] * (width - len(opening))] for opening in own], device=device)
        real = torch.arange(width, device=device) < torch.tensor([[len(opening)] for opening in own], device=device)
        read = self._with_cache if self.cached else self._whole
        before, after = read(prompts, tokens)
        wanted = tokens[None, :, 1:, None].expand(len(prompts), -1, -1, 1)
        rest = after[:, :, :-1].gather(-1, wanted).squeeze(-1) * real[:, 1:]
        scores = before.gather(-1, tokens[None, :, 0].expand(len(prompts), -1)) + rest.sum(dim=-1)
        for k, tokens_on in self.labels.longer.items():
            if k in numbers:
                place = numbers.index(k)
                going_on = after[:, place, len(own[place]) - 1, list(tokens_on)].exp().sum(dim=-1)
                scores[:, place] += torch.log1p(-going_on.clamp(max=1 - 1e-6))
        return scores

    def _with_cache(self, prompts: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """What follows the prompts, and each token after them, as `_whole`; each prompt is read once."""
        cache = DynamicCache(config=self.learner.model.config)
        last = torch.zeros_like(prompts, dtype=torch.bool)
        last[:, -1] = True
        before = self.learner.logits(prompts, last, cache).log_softmax(dim=-1)
        cache.batch_repeat_interleave(len(tokens))
        inputs = tokens.repeat(len(prompts), 1)
        after = self.learner.logits(inputs, torch.ones_like(inputs, dtype=torch.bool), cache).log_softmax(dim=-1)
        return before, after.reshape(len(prompts), *tokens.shape, -1)

    def _whole(self, prompts: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """What follows the prompts, and each token after them.

        Returns:
            Log-probabilities, (n_rows, n_vocabulary) and (n_rows, n_openings, n_places, n_vocabulary).
        """
        inputs = torch.cat([prompts.repeat_interleave(len(tokens), dim=0), tokens.repeat(len(prompts), 1)], dim=1)
        scored = torch.zeros_like(inputs, dtype=torch.bool)
        scored[:, prompts.shape[1] - 1 :] = True
        found = self.learner.logits(inputs, scored).log_softmax(dim=-1)
        found = found.reshape(len(prompts), len(tokens), tokens.shape[1] + 1, -1)
        return found[:, 0, 0], found[:, :, 1:]


def _opening(
    tokenizer: Any, response: tuple[int, ...], label: str, known: dict[tuple[int, ...], str]
) -> tuple[int, ...]:
    """The shortest beginning of a response that has all of its label in it."""
    for length in range(1, len(response) + 1):
        begin = response[:length]
        if known.get(begin) == label:
            return begin
        text = tokenizer.decode(begin, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        if text.lstrip().startswith(label.strip()):
            return begin
    # Cut off, or written otherwise by a tokenizer that changes what it reads.
    return tuple(tokenizer(label, add_special_tokens=False)["input_ids"])
