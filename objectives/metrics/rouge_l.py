"""ROUGE-L: how many words an answer has in the order of the expected one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from objectives.base import Estimate
from objectives.metrics.rate import rate

_WORDS = re.compile("[\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]|[^\\W_\u2e80-\u9fff\uf900-\ufaff]+")
"""Runs of letters and digits, and each character of Chinese and Japanese, which are written without spaces."""


def rouge_l(expected: Sequence[str], generated: Sequence[str]) -> Estimate:
    """Mean F of the longest common subsequence of words (Lin, ROUGE, 2004), with the standard error of a mean.

    Precision and recall weigh the same, and words are not stemmed, as in Google's rouge-score, whose values these are
    where texts are ASCII; that package sees no other letters. An answer or expected answer without words is worth 0.

    Args:
        expected: the right answer per row, (n_rows,), n_rows >= 1.
        generated: the model's answer per row, (n_rows,).
    """
    return rate([_f(_words(right), _words(answer)) for right, answer in zip(expected, generated, strict=True)])


def _words(text: str) -> list[str]:
    return _WORDS.findall(text.lower())


def _f(expected: Sequence[str], generated: Sequence[str]) -> float:
    from rapidfuzz.distance import LCSseq

    if not expected or not generated:
        return 0.0
    return 2 * LCSseq.similarity(expected, generated) / (len(expected) + len(generated))
