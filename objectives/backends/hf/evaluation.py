"""Evaluation: what the model makes of every test row, in one pass, and the metrics that follow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from objectives.backends.hf.encoding import Encoded
from objectives.backends.hf.labels import Labels, Question
from objectives.backends.hf.learner import Batch, Learner
from objectives.base import Estimate
from objectives.errors import ObjectiveError
from objectives.metrics import bits_per_byte, labelled, loss, perplexity, rate

MAX_LOSS = 300.0
"""Nats per token from which a perplexity is no use: its square, for the standard error, is near a float's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How test rows are put before the model.

    Attributes:
        max_length: most tokens that the model reads.
        batch_tokens: most tokens in a batch, padding counted; a longer row makes a batch of its own.
        cached: whether the model can keep a prompt for several labels, as `keeps_prompts` finds out.
    """

    max_length: int
    batch_tokens: int
    cached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSet:
    """A domain's test rows.

    Attributes:
        domain: its name.
        rows: at least one.
        sizes: UTF-8 bytes of each row's response, without what ends it, (n_rows,), at least one in all.
        truth: the rows' labels; empty when the domain is not judged by labels.
        labels: the classes; None when the domain is not judged by labels.
    """

    __test__ = False  # the name is the field's, pytest need not look

    domain: str
    rows: Encoded
    sizes: NDArray[np.int64]
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

    def __init__(self, learner: Learner, tests: Sequence[TestSet], reading: Reading) -> None:
        """Begins an evaluation.

        Args:
            learner: the model as it is to be judged.
            tests: the test sets.
            reading: how they are put before it.
        """
        self._learner = learner
        self._tests = tests
        self._reading = reading
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
        for test, scores in zip(self._tests, self._scores, strict=True):
            if test.labels is not None and test.labels.first is None:
                question = Question(
                    learner=self._learner,
                    labels=test.labels,
                    batch_tokens=self._reading.batch_tokens,
                    cached=self._reading.cached,
                )
                for i, answer in question.answers(test.rows, self._reading.max_length):
                    scores.predicted[i] = answer
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
            of_test: dict[str, Estimate] = {
                "perplexity": perplexity(scores.nll, tokens),
                "loss": loss(scores.nll, tokens),
                "bits_per_byte": bits_per_byte(scores.nll, test.sizes),
                "exact_match": rate(scores.exact),
            }
            if test.labels is not None:
                of_test |= labelled(test.truth, scores.predicted, rng)
            found |= {f"{test.domain}/{metric}": estimate for metric, estimate in of_test.items()}
        return found

    def _batches(self) -> Iterator[list[tuple[int, int]]]:
        """All rows as (test set, row), longest first: what does not fit in memory fails at once."""
        sizes = [(int(n), which, i) for which, test in enumerate(self._tests) for i, n in enumerate(test.rows.lengths)]
        sizes.sort(key=lambda entry: (-entry[0], entry[1], entry[2]))
        batch: list[tuple[int, int]] = []
        width = 0
        for length, which, i in sizes:
            width = width or length
            if batch and (len(batch) + 1) * width > self._reading.batch_tokens:
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
