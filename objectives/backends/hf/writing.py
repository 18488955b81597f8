"""Answers in words: what the model writes to test rows, for the metrics that judge text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from objectives.backends.hf.encoding import Encoded, without_middle
from objectives.backends.hf.ending import Ending
from objectives.backends.hf.learner import Learner, Tokens
from objectives.base import Estimate
from objectives.data import Row
from objectives.metrics import Answer, OwnMetric, judge, row_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """A domain's test rows, which the model is to answer in words.

    Attributes:
        domain: its name.
        rows: the test rows, at least one.
        encoded: the same as tokens.
        expected: the right answers, (n_rows,).
        metrics: name, without the domain, to one of `TEXTUAL` or the user's own.
        ending: how an answer ends.
        most: tokens of an answer at most.
    """

    domain: str
    rows: tuple[Row, ...]
    encoded: Encoded
    expected: tuple[str, ...]
    metrics: Mapping[str, str | OwnMetric]
    ending: Ending
    most: int


class Writing:
    """The answers of a model to exams, under way; each token is the likeliest one."""

    def __init__(self, learner: Learner, exams: Sequence[Exam], *, max_length: int, batch_tokens: int) -> None:
        """Begins.

        Args:
            learner: the model as it is to be judged.
            exams: what to answer.
            max_length: most tokens of prompt and answer; a prompt that leaves no room loses its middle.
            batch_tokens: most tokens in a batch, padding and answers counted; one row may take more.
        """
        self._learner = learner
        self._exams = exams
        self._max_length = max_length
        self._batch_tokens = batch_tokens
        self._written = [[""] * len(exam.rows) for exam in exams]
        self.total = sum(len(exam.rows) for exam in exams)

    def run(self) -> Iterator[int]:
        """Answers all rows; yields how many are done."""
        done = 0
        for exam, written in zip(self._exams, self._written, strict=True):
            room = self._max_length - exam.most
            prompts = [without_middle(exam.encoded.prompt(i), room) for i in range(len(exam.rows))]
            for batch in self._batches(prompts, exam.most):
                asked = [prompts[i] for i in batch]
                for i, tokens in zip(batch, self._learner.written(asked, exam.most, exam.ending.tokens), strict=True):
                    written[i] = exam.ending.cut(tokens, self._learner.tokenizer)
                done += len(batch)
                yield done

    def answers(self) -> Iterator[Answer]:
        """All answers, once they are written, in the order of the exams and their rows."""
        for exam, written in zip(self._exams, self._written, strict=True):
            for number, (row, expected, generated) in enumerate(zip(exam.rows, exam.expected, written, strict=True)):
                yield Answer(
                    domain=exam.domain,
                    row=number,
                    digest=row_digest(row),
                    expected=expected,
                    generated=generated,
                )

    def metrics(self) -> dict[str, Estimate]:
        """`<domain>/<metric>` to its estimate, once all answers are written.

        Raises:
            ObjectiveError: a function of the user's own fails.
        """
        found: dict[str, Estimate] = {}
        answers = list(self.answers())
        for exam in self._exams:
            own = [answer for answer in answers if answer.domain == exam.domain]
            for name, metric in exam.metrics.items():
                found[f"{exam.domain}/{name}"] = judge(own, metric, exam.rows)
        return found

    def _batches(self, prompts: Sequence[Tokens], most: int) -> Iterator[list[int]]:
        """Row numbers, longest prompts first: what does not fit in memory fails at once."""
        batch: list[int] = []
        for i in sorted(range(len(prompts)), key=lambda i: -len(prompts[i])):
            if batch and (len(batch) + 1) * (len(prompts[batch[0]]) + most) > self._batch_tokens:
                yield batch
                batch = []
            batch.append(i)
        yield batch
