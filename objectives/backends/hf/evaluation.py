"""Evaluation: what the model makes of every test row, in one pass, and the metrics that follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache

from objectives.backends.hf.encoding import Encoded
from objectives.backends.hf.learner import Batch, Learner
from objectives.base import Estimate
from objectives.errors import ObjectiveError
from objectives.metrics import macro_f1, perplexity, rate

MAX_LOSS = 300.0
"""Nats per token from which a perplexity is no use: its square, for the standard error, is near a float's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The classes of a labelled domain, and how the model is asked for one.

    Where every class begins with a token of its own, the prediction is the class whose first token is the
    likeliest after the prompt; the pass that scores the responses has that already. Otherwise each class's
    tokens are scored in full: the probability that the response begins with this class and does not go on
    to a longer one, such as `network` after `net`.

    Attributes:
        names: the classes, sorted.
        tokens: each class's own tokens.
        first: each class's first token, when these tell all classes apart; None otherwise.
    """

    names: tuple[str, ...]
    tokens: tuple[tuple[int, ...], ...]
    first: tuple[int, ...] | None

    @classmethod
    def of(cls, tokens: Mapping[str, Sequence[int]], data: Sequence[tuple[Encoded, Sequence[str | None]]]) -> Labels:
        """Looks at how the classes really begin, since a tokenizer may join a label with what follows it.

        Args:
            tokens: each class's own tokens.
            data: encoded rows with their labels, which all classes come from.
        """
        names = tuple(sorted(tokens))
        begins: dict[str, set[int]] = {name: set() for name in names}
        for encoded, labels in data:
            for i, label in enumerate(labels):
                if label is not None:
                    begins[label].add(int(encoded.response(i)[0]))
        seen = [token for name in names for token in begins[name]]
        apart = len(seen) == len(set(seen)) == len(names)
        return cls(
            names=names,
            tokens=tuple(tuple(tokens[name]) for name in names),
            first=tuple(seen) if apart else None,
        )

    @property
    def longer(self) -> dict[int, frozenset[int]]:
        """Number of a class that longer ones begin with, to the tokens with which those go on."""
        found = {
            k: frozenset(other[len(own)] for other in self.tokens if len(other) > len(own) and other[: len(own)] == own)
            for k, own in enumerate(self.tokens)
        }
        return {k: tokens for k, tokens in found.items() if tokens}

    def padded(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The classes' tokens, padded on the right, and which are no padding, (n_labels, n_places) each."""
        width = max(map(len, self.tokens))
        tokens = torch.tensor([[*own, *[0] * (width - len(own))] for own in self.tokens], device=device)
        lengths = torch.tensor([[len(own)] for own in self.tokens], device=device)
        return tokens, torch.arange(width, device=device) < lengths


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSet:
    """A domain's test rows.

    Attributes:
        domain: its name.
        rows: at least one.
        truth: the rows' labels; empty when the domain is not judged by labels.
        labels: the classes; None when the domain is not judged by labels.
    """

    __test__ = False  # the name is the field's, pytest need not look

    domain: str
    rows: Encoded
    truth: tuple[str, ...] = ()
    labels: Labels | None = None


@dataclass(slots=True, kw_only=True)
class _Scores:
    """What is known of a test set's rows so far, one entry per row."""

    nll: NDArray[np.float64]
    exact: NDArray[np.bool_]
    predicted: list[str] = field(default_factory=list)


class Evaluation:
    """One evaluation of a model under way."""

    def __init__(self, learner: Learner, tests: Sequence[TestSet], batch_tokens: int) -> None:
        """Begins an evaluation.

        Args:
            learner: the model as it is to be judged.
            tests: the test sets.
            batch_tokens: most tokens in a batch, padding counted; a longer row makes a batch of its own.
        """
        self._learner = learner
        self._tests = tests
        self._batch_tokens = batch_tokens
        self._scores = [
            _Scores(
                nll=np.zeros(len(test.rows)),
                exact=np.zeros(len(test.rows), dtype=np.bool_),
                predicted=[""] * len(test.truth),
            )
            for test in tests
        ]
        self.total = sum(len(test.rows) for test in tests)

    def run(self) -> Iterator[int]:
        """Scores all rows; yields how many are done."""
        done = 0
        self._learner.model.eval()
        for batch in self._batches():
            with torch.no_grad():
                self._score(batch)
            done += len(batch)
            yield done
        for which, test in enumerate(self._tests):
            if test.labels is not None and test.labels.first is None:
                for alike in self._alike(test.rows, test.labels):
                    with torch.no_grad():
                        self._choose(which, test.labels, alike)
                    yield done

    def metrics(self, rng: np.random.Generator) -> dict[str, Estimate]:
        """`<domain>/<metric>` to its estimate, once all rows are scored.

        Args:
            rng: draws the resamples of F1's standard error.

        Raises:
            ObjectiveError: the model's probabilities are not finite.
        """
        found: dict[str, Estimate] = {}
        for test, scores in zip(self._tests, self._scores, strict=True):
            tokens = test.rows.lengths - test.rows.prompts
            mean = float(scores.nll.sum()) / int(tokens.sum())
            if not mean < MAX_LOSS:
                raise ObjectiveError(
                    f"the loss on the test rows of {test.domain!r} is {mean:g} per token, so the model has "
                    "diverged; lower objective.learning_rate"
                )
            found[f"{test.domain}/perplexity"] = perplexity(scores.nll, tokens)
            found[f"{test.domain}/exact_match"] = rate(scores.exact)
            if test.labels is not None:
                hits = np.array([a == b for a, b in zip(test.truth, scores.predicted, strict=True)])
                found[f"{test.domain}/accuracy"] = rate(hits)
                found[f"{test.domain}/f1"] = macro_f1(test.truth, scores.predicted, rng)
        return found

    def _batches(self) -> Iterator[list[tuple[int, int]]]:
        """All rows as (test set, row), longest first: what does not fit in memory fails at once."""
        sizes = [(int(n), which, i) for which, test in enumerate(self._tests) for i, n in enumerate(test.rows.lengths)]
        sizes.sort(key=lambda entry: (-entry[0], entry[1], entry[2]))
        batch: list[tuple[int, int]] = []
        width = 0
        for length, which, i in sizes:
            width = width or length
            if batch and (len(batch) + 1) * width > self._batch_tokens:
                yield batch
                batch, width = [], length
            batch.append((which, i))
        if batch:
            yield batch

    def _score(self, batch: list[tuple[int, int]]) -> None:
        """Judges the responses of some (test set, row) and, where first tokens tell them apart, the class."""
        data = [(self._tests[which].rows.row(i), int(self._tests[which].rows.prompts[i])) for which, i in batch]
        made = Batch.of(data, self._learner.device)
        logits = self._learner.logits(made.inputs, made.scored)
        nll = functional.cross_entropy(logits, made.targets, reduction="none").double().cpu().numpy()
        right = (logits.argmax(dim=-1) == made.targets).cpu().numpy()
        starts = np.cumsum([0, *(len(tokens) - prompt for tokens, prompt in data[:-1])])
        nll_rows, exact_rows = np.add.reduceat(nll, starts), np.logical_and.reduceat(right, starts)
        begins = logits[torch.from_numpy(starts).to(logits.device)].cpu().numpy()
        for place, (which, i) in enumerate(batch):
            scores, labels = self._scores[which], self._tests[which].labels
            scores.nll[i], scores.exact[i] = nll_rows[place], exact_rows[place]
            if labels is not None and labels.first is not None:
                scores.predicted[i] = labels.names[int(begins[place, list(labels.first)].argmax())]

    def _alike(self, rows: Encoded, labels: Labels) -> Iterator[list[int]]:
        """Row numbers with prompts of one length, as many at a time as all labels leave room for."""
        width = max(map(len, labels.tokens))
        batch: list[int] = []
        for i in map(int, np.argsort(-rows.prompts, kind="stable")):
            size = len(labels.names) * (int(rows.prompts[i]) + width)
            full = (len(batch) + 1) * size > self._batch_tokens
            if batch and (full or rows.prompts[i] != rows.prompts[batch[0]]):
                yield batch
                batch = []
            batch.append(i)
        yield batch

    def _choose(self, which: int, labels: Labels, alike: list[int]) -> None:
        """Scores each label after each prompt, which is read once: its keys and values serve all labels."""
        device, rows = self._learner.device, self._tests[which].rows
        prompts = torch.from_numpy(np.stack([rows.prompt(i) for i in alike]).astype(np.int64)).to(device)
        last = torch.zeros_like(prompts, dtype=torch.bool)
        last[:, -1] = True
        cache = DynamicCache(config=self._learner.model.config)
        before = self._learner.logits(prompts, last, cache).log_softmax(dim=-1)
        cache.batch_repeat_interleave(len(labels.names))
        tokens, own = labels.padded(device)
        inputs = tokens.repeat(len(alike), 1)
        after = self._learner.logits(inputs, torch.ones_like(inputs, dtype=torch.bool), cache)
        # (n_rows, n_labels, n_places, n_vocabulary): what follows each of a label's tokens
        after = after.log_softmax(dim=-1).reshape(len(alike), *tokens.shape, -1)
        wanted = tokens[None, :, 1:, None].expand(len(alike), -1, -1, 1)
        rest = after[:, :, :-1].gather(-1, wanted).squeeze(-1) * own[:, 1:]
        scores = before[:, tokens[:, 0]] + rest.sum(dim=-1)
        for k, longer in labels.longer.items():
            going_on = after[:, k, len(labels.tokens[k]) - 1, list(longer)].exp().sum(dim=-1)
            scores[:, k] += torch.log1p(-going_on.clamp(max=1 - 1e-6))
        for i, best in zip(alike, scores.argmax(dim=-1).tolist(), strict=True):
            self._scores[which].predicted[i] = labels.names[best]
