"""What a model answered in an evaluation job, put beside the questions.

That serverless jobs hand the questions' metadata on is written nowhere in Amazon's documentation: what it does not tell
is found out by order and text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from objectives.backends.sagemaker.inference import Inference
from objectives.backends.sagemaker.matching import Matching, Pairs
from objectives.backends.sagemaker.output import called
from objectives.backends.sagemaker.questions import Question, Questions, named
from objectives.errors import ResultError
from objectives.metrics import Answer


def answer_files(uris: Iterable[str]) -> list[str]:
    """Those of a job's files that hold answers, in order.

    Args:
        uris: of all its files.

    Raises:
        ResultError: none does.
    """
    return called("inference_output*.jsonl", uris)


def answered(lines: Iterable[bytes], questions: Questions) -> dict[str, list[Answer]]:
    """The answers to all questions, by domain and in the order of its rows.

    Where the metadata says whose an answer is, that counts. Otherwise answers belong to the questions in the order that
    they were asked, if their golds and prompts agree with that, and else to those whose texts their prompts contain.

    Args:
        lines: of one or more files of answers.
        questions: all that were asked.

    Raises:
        ResultError: a line is no answer, is to nothing that was asked, or cannot be told whose it is, or some question
            has no answer, or two.
    """
    inferences = [Inference.of(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    try:
        pairs = _joined(inferences, questions.asked)
        _check_each(pairs, questions.asked)
    except ResultError as error:
        if len(questions.domains) < 2:
            raise
        raise ResultError(
            f"{error}; where the service itself does not tell answers apart, objective.evaluate_by: domain asks each "
            "domain's rows in a job of its own"
        ) from error
    found: dict[str, list[Answer]] = {domain: [] for domain in questions.domains}
    for question, inference in sorted(pairs, key=lambda pair: pair[0].row):
        found[question.domain].append(
            Answer(
                domain=question.domain,
                row=question.row,
                digest=question.digest,
                expected=question.response,
                generated=inference.text,
            )
        )
    return found


def _joined(inferences: Sequence[Inference], questions: Sequence[Question]) -> Pairs:
    """Answers with their questions; some of these may be without."""
    left = {question.key: question for question in questions}
    pairs: Pairs = []
    for one in inferences:
        if one.key is None:
            continue
        question = left.pop(one.key, None)
        if question is None:
            asked = any(question.key == one.key for question in questions)
            what = "is a second answer to" if asked else "answers what was not asked:"
            raise ResultError(f"line {one.line} of the answers {what} row {one.key[1]} of {one.key[0]!r}")
        if not one.expects(question):
            raise ResultError(
                f"line {one.line} of the answers is to {named([question])}, whose right answer is "
                f"{question.response!r:.80}, but its gold is {one.gold!r:.80}; so it answers another file"
            )
        pairs.append((question, one))
    bare = [one for one in inferences if one.key is None]
    return pairs + Matching.of(bare, list(left.values())).pairs() if bare else pairs


def _check_each(pairs: Pairs, questions: Sequence[Question]) -> None:
    """Checks that every question has an answer."""
    known = {question.key for question, _ in pairs}
    lacking = [question for question in questions if question.key not in known]
    if lacking:
        raise ResultError(
            f"{len(lacking):,} of {len(questions):,} questions have no answer: {named(lacking)}; the evaluation job "
            "did not write all of its output"
        )
