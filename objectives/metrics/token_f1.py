"""Token F1: how many words an answer shares with the expected one."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

from objectives.base import Estimate
from objectives.metrics.rate import rate

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def token_f1(expected: Sequence[str], generated: Sequence[str]) -> Estimate:
    """Mean F1 of the words that an answer shares with the expected one, with the standard error of a mean.

    As SQuAD has it (Rajpurkar et al., arXiv 1606.05250, section 6.1): words without case, ASCII punctuation and the
    English articles, each counted as often as it stands there. Where one of the two has no words, it is 1 if neither
    has any, and else 0, as for SQuAD 2.0's questions without an answer (arXiv 1806.03822).

    Args:
        expected: the right answer per row, (n_rows,), n_rows >= 1.
        generated: the model's answer per row, (n_rows,).
    """
    return rate([_overlap(_words(right), _words(answer)) for right, answer in zip(expected, generated, strict=True)])


def _words(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def _overlap(expected: Sequence[str], generated: Sequence[str]) -> float:
    if not expected or not generated:
        return float(expected == generated)
    return 2 * (Counter(expected) & Counter(generated)).total() / (len(expected) + len(generated))
