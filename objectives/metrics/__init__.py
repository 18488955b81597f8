"""Metrics of a test set, each with its standard error, and what their names mean. docs/metrics.md is their page.

Standard errors speak of the finite test set: how far the value would move had other rows of the same kind
been drawn. They do not include the luck of a training run.
"""

from objectives.metrics.accuracy import accuracy
from objectives.metrics.answer import ANSWERS, Answer, read_answers, row_digest, write_answers
from objectives.metrics.bits_per_byte import bits_per_byte
from objectives.metrics.exact_match import exact_match
from objectives.metrics.f1 import macro_f1, micro_f1
from objectives.metrics.kind import BENCHMARK, KINDS, Comparison, Goal, MetricKind
from objectives.metrics.labelled import LABELLED, NO_LABEL, WrittenLabels, labelled
from objectives.metrics.loss import loss
from objectives.metrics.own import OwnMetric, source_digest, source_files
from objectives.metrics.perplexity import perplexity
from objectives.metrics.rate import rate
from objectives.metrics.rouge_l import rouge_l
from objectives.metrics.textual import TEXTUAL, judge, remeasured
from objectives.metrics.token_f1 import token_f1

__all__ = [
    "ANSWERS",
    "BENCHMARK",
    "KINDS",
    "LABELLED",
    "NO_LABEL",
    "TEXTUAL",
    "Answer",
    "Comparison",
    "Goal",
    "MetricKind",
    "OwnMetric",
    "WrittenLabels",
    "accuracy",
    "bits_per_byte",
    "exact_match",
    "judge",
    "labelled",
    "loss",
    "macro_f1",
    "micro_f1",
    "perplexity",
    "rate",
    "read_answers",
    "remeasured",
    "rouge_l",
    "row_digest",
    "source_digest",
    "source_files",
    "token_f1",
    "write_answers",
]
