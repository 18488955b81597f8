"""What is to be judged otherwise, as it is written and as it applies to a study."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.scorer import Balance, BalanceKind
from ratio_search import StudySpec
from ratio_search.change import Change, assigned
from ratio_search.errors import SpecError
from tests.ratio_search.test_rescoring import DOCUMENT
from tests.ratio_search.trials import text_of

SPEC = StudySpec.parse(text_of(DOCUMENT), Path("/data"))


def refusal(change: Change, spec: StudySpec = SPEC) -> str:
    with pytest.raises(SpecError) as error:
        change.applied(spec)
    return str(error.value)


class TestAssigned:
    def test_texts_name_metrics_and_numbers_in_any_number_of_parts(self) -> None:
        assert assigned("weights", ["a/x=3,b/x = 0.5", "c/x=1e-3"]) == {"a/x": 3.0, "b/x": 0.5, "c/x": 0.001}
        assert assigned("weights", []) == {}

    def test_none_takes_away(self) -> None:
        assert assigned("guard", ["d/accuracy=none"]) == {"d/accuracy": None}

    def test_a_name_of_ones_own_may_have_commas_and_signs_in_it(self) -> None:
        assert assigned("weights", ["loss, all=2,p=q=3"]) == {"loss, all": 2.0, "p=q": 3.0}

    @pytest.mark.parametrize("text", ["", "a/x", "a/x=", "=3", "a/x=much", "a/x=nan", "a/x=1,", "a/x=1,b/x"])
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(SpecError) as error:
            assigned("weights", [text])
        assert str(error.value) == (
            f"weights: expected <domain>/<metric>=<number>, with commas between several, found {text!r}"
        )

    def test_a_metric_that_is_there_twice_is_refused(self) -> None:
        with pytest.raises(SpecError, match="target: 'a/x' is there twice"):
            assigned("target", ["a/x=1", "b/x=1,a/x=2"])

    @settings(deadline=None)
    @given(st.dictionaries(st.text("abc/,= ", min_size=1).map(str.strip).filter(bool), st.floats(0, 9), min_size=1))
    def test_what_is_written_is_read_or_refused(self, numbers: dict[str, float]) -> None:
        try:
            found = assigned("weights", [",".join(f"{name}={number!r}" for name, number in numbers.items())])
        except SpecError:
            assert any(set(name) & set(",=") for name in numbers)
        else:
            assert len(found) == len(numbers) or any(set(name) & set(",=") for name in numbers)


class TestChange:
    def test_without_anything_there_is_none(self) -> None:
        assert not Change()
        assert all((Change(mean=0.0), Change(kind=BalanceKind.WORST), Change(weights={"a/x": 1.0})))

    def test_only_what_is_stated_changes(self) -> None:
        found = Change(weights={"a/x": 3.0}, guards={"b/x": 0.2}).applied(SPEC)
        a, b, c, d = found.metrics
        assert (a.weight, a.guard, b.weight, b.guard) == (3.0, None, 1.0, 0.2)
        assert (c, d, found.balance) == (SPEC.metrics[2], SPEC.metrics[3], SPEC.balance)

    def test_a_guard_is_taken_away(self) -> None:
        assert Change(guards={"d/accuracy": None}).applied(SPEC).metrics[3].guard is None

    def test_a_target_asks_for_its_balance(self) -> None:
        found = Change(targets={"a/x": 0.8}).applied(SPEC)
        assert found.balance == Balance(kind=BalanceKind.TARGET)
        assert [metric.target for metric in found.metrics] == [0.8, None, None, None]

    def test_another_balance_leaves_the_studys_targets_behind(self) -> None:
        aiming = Change(targets={"a/x": 0.8, "b/x": 0.7}).applied(SPEC)
        assert [m.target for m in Change(kind=BalanceKind.WORST).applied(aiming).metrics] == [None] * 4
        kept = Change(targets={"a/x": None}).applied(aiming)
        assert [m.target for m in kept.metrics] == [None, 0.7, None, None]

    def test_the_mean_is_kept_where_it_is_added(self) -> None:
        mean = Change(mean=0.05).applied(SPEC)
        assert mean.balance == Balance(mean=0.05)
        assert Change(kind=BalanceKind.PARETO).applied(mean).balance.mean == 0.05
        assert Change(kind=BalanceKind.WEIGHTED).applied(mean).balance.mean == 0.0

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                Change(weights={"a/y": 3.0}),
                "weights: 'a/y' is no metric of study 'elsewhere'; did you mean 'a/x'?",
            ),
            (
                Change(guards={"fluency": 0.1}),
                "guard: 'fluency' is no metric of study 'elsewhere'; known are a/x, b/x, c/x, d/accuracy",
            ),
            (Change(targets={"d/acuracy": 0.9}), "target: 'd/acuracy' is no metric of study 'elsewhere'; did you mean"),
            (Change(weights={"a/x": -1.0}), "weights: expected a number of at least 0 for a/x, found -1"),
            (Change(weights={"a/x": None}), "weights: expected a number of at least 0 for a/x, found none"),
            (Change(guards={"a/x": -1.0}), "guard: expected a number of at least 0 or none for a/x, found -1"),
            (
                Change(weights={"d/accuracy": 1.0}),
                "weights: 'd' has no train files, so d/accuracy can only be guarded",
            ),
            (
                Change(weights=dict.fromkeys(("a/x", "b/x", "c/x"), 0.0)),
                "weights: none is left above 0; leave at least one metric a weight",
            ),
            (
                Change(targets={"d/accuracy": 0.9}),
                "target: d/accuracy has weight 0, which is for guards alone; give it a weight",
            ),
            (Change(kind=BalanceKind.TARGET), "balance.kind: found target, but no metric has one"),
            (
                Change(kind=BalanceKind.WORST, targets={"a/x": 0.9}),
                "target: only the balance target aims at it, found worst; leave out one of both",
            ),
            (
                Change(kind=BalanceKind.WEIGHTED, mean=0.1),
                "mean: is added to the balance worst, found weighted; leave out one of both",
            ),
            (Change(mean=-0.1), "mean: expected a number of at least 0, found -0.1"),
            (Change(mean=math.nan), "mean: expected a number of at least 0, found nan"),
        ],
    )
    def test_what_no_study_file_could_state_is_refused(self, change: Change, message: str) -> None:
        assert refusal(change).startswith(message)

    def test_a_target_that_its_metric_cannot_have_is_refused(self) -> None:
        metrics = [{"name": "a/accuracy"}, {"name": "b/perplexity"}]
        spec = StudySpec.parse(text_of(DOCUMENT, metrics=metrics), Path("/data"))
        assert refusal(Change(targets={"a/accuracy": 85.0}), spec).startswith(
            "target: a/accuracy: expected a value from 0 to 1, found 85"
        )
