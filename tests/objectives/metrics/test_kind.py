from __future__ import annotations

from objectives.metrics import KINDS, TEXTUAL, Comparison, Goal


def test_rates_grow_to_one_and_losses_shrink_to_a_ratio() -> None:
    rates = {"accuracy", "f1", "micro_f1", "exact_match", "token_f1", "rouge_l"}
    for name, kind in KINDS.items():
        if name in rates:
            assert (kind.goal, kind.comparison, kind.upper) == (Goal.MAXIMIZE, Comparison.DIFFERENCE, 1.0)
        else:
            assert (kind.goal, kind.comparison, kind.upper) == (Goal.MINIMIZE, Comparison.LOG_RATIO, None)
    assert rates | {"perplexity", "loss", "bits_per_byte"} == set(KINDS)


def test_only_judgements_of_classes_need_labels() -> None:
    assert {name for name, kind in KINDS.items() if kind.needs_labels} == {"accuracy", "f1", "micro_f1"}


def test_what_needs_answers_can_be_told_from_answers() -> None:
    assert {name for name, kind in KINDS.items() if kind.needs_answers} == set(TEXTUAL) - {"exact_match"}
