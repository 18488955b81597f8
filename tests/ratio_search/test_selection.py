"""What can be asked for with `--select`, and what is said of everything else."""

from __future__ import annotations

import dataclasses
import string

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from objectives.scorer import Balance, BalanceKind, Scorer
from ratio_search.errors import SelectionError
from ratio_search.selection import FORMS, Balanced, Best, Selection, Single, Spread, Weighted
from tests.ratio_search.trials import gains_of

SCORER = gains_of("support/f1", "support/ppl", "legal/f1", "general/acc", "bleu", guards={"general/acc": 0.1})
NAMES = st.text(string.ascii_letters + string.digits + "/._- ", min_size=1, max_size=12).map(str.strip).filter(bool)
WEIGHTS = st.dictionaries(NAMES, st.floats(0, allow_infinity=False), min_size=1, max_size=5)
SELECTIONS = st.one_of(
    st.builds(Balanced),
    st.builds(Best, metric=NAMES),
    st.builds(Spread, count=st.integers(1, 10**6 - 1)),
    st.builds(Weighted, weights=WEIGHTS.filter(lambda weights: any(weights.values()))),
    st.builds(Single, number=st.integers(0, 10**9 - 1)),
)


def weights(selection: Selection, scorer: Scorer = SCORER) -> dict[str, float]:
    """What each metric weighs for a selection, as far as it does."""
    return {metric.name: metric.weight for metric in selection.judge(scorer).metrics if metric.weight}


class TestText:
    @given(SELECTIONS)
    @example(Weighted(weights={"a/x": 1 / 3, "b": 1e300}))
    def test_is_read_as_it_was_written(self, selection: Selection) -> None:
        assert Selection.parse(str(selection)) == selection

    @given(SELECTIONS)
    def test_is_of_a_known_form(self, selection: Selection) -> None:
        assert str(selection).partition(":")[0] in [form.partition(":")[0] for form in FORMS]

    def test_may_have_spaces_and_trials_by_their_id(self) -> None:
        assert Selection.parse(" weights: support = 3 , legal=1 ") == Weighted(weights={"support": 3, "legal": 1})
        assert Selection.parse("trial:trial-0012") == Single(number=12)
        assert Selection.parse("best: a name: with = and , ") == Best(metric="a name: with = and ,")

    @given(st.text(max_size=30))
    @example("best:")
    @example("weights:a=inf")
    @example("front:\u0661")
    def test_of_any_other_kind_is_refused_or_read_to_something_that_can_be_written(self, text: str) -> None:
        try:
            selection = Selection.parse(text)
        except SelectionError:
            return
        assert Selection.parse(str(selection)) == selection

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "'' is no selection; expected balanced, best:<metric>"),
            ("bset:legal/f1", "'bset:legal/f1' is no selection; did you mean 'best'? expected balanced, best:<metric>"),
            ("balanced:1", "'balanced:1' is no selection; expected balanced"),
            ("best", "'best' is no selection; expected best:<metric>"),
            ("front:", "'front:' is no selection; expected front:<k>"),
            ("front:0", "front:0: expected how many mixtures of the front"),
            ("front:-3", "front:-3: expected how many"),
            ("front:2.5", "front:2.5: expected how many"),
            ("weights:a", "with commas between them, found 'a'"),
            ("weights:a=1,", "found ''"),
            ("weights:a=1,=2", "found '=2'"),
            ("weights:a=-1", "found 'a=-1'"),
            ("weights:a=nan", "found 'a=nan'"),
            ("weights:a=inf", "found 'a=inf'"),
            ("weights:a=1,b=2,a=3", "weights:a=1,b=2,a=3: 'a' stands twice; remove one"),
            ("weights:a=0,b=0", "expected at least one weight above 0"),
            ("trial:last", "trial:last: expected the number of a trial, such as trial:7"),
            ("trial:-1", "trial:-1: expected the number of a trial"),
        ],
    )
    def test_that_is_wrong_is_named_with_what_was_expected(self, text: str, message: str) -> None:
        with pytest.raises(SelectionError) as error:
            Selection.parse(text)
        assert message in str(error.value)


class TestJudge:
    @pytest.mark.parametrize("selection", [Balanced(), Spread(count=2), Single(number=0)])
    def test_is_the_studys_own_unless_something_else_is_asked_for(self, selection: Selection) -> None:
        assert selection.judge(SCORER) is SCORER

    def test_of_the_best_in_a_metric_looks_at_it_alone_and_at_the_guards(self) -> None:
        balance = Balance(kind=BalanceKind.WORST, mean=3)
        selection = Best(metric="legal/f1")
        judge = selection.judge(dataclasses.replace(SCORER, balance=balance))
        assert judge.guarded == SCORER.guarded
        gains = np.array([[-9.0, 3.0], [-9.0, 3.0], [0.5, 0.2], [0.0, -0.2], [-9.0, 3.0]])
        first, second = judge.utility(gains)
        assert first == pytest.approx(0.5, rel=0.01)
        assert second < 0.2 - 0.5, "it breaks a guard by 0.1"

    def test_of_the_best_may_be_of_a_metric_that_is_only_guarded(self) -> None:
        assert weights(Best(metric="general/acc")) == {"general/acc": 1}

    def test_of_weights_is_their_mean(self) -> None:
        judge = Weighted(weights={"legal/f1": 3, "bleu": 1}).judge(SCORER)
        gains = np.array([-9.0, -9.0, 0.4, 0.0, 0.8])
        assert judge.utility(gains) == pytest.approx((3 * 0.4 + 0.8) / 4, rel=0.01)

    def test_a_domain_stands_for_all_of_its_metrics_that_share_its_weight(self) -> None:
        found = weights(Weighted(weights={"support": 3, "legal": 1, "bleu": 2}))
        assert found == {"support/f1": 1.5, "support/ppl": 1.5, "legal/f1": 1, "bleu": 2}

    def test_metrics_without_a_weight_stand_for_their_domain_only_where_it_has_no_other(self) -> None:
        metrics = [m if m.name != "support/ppl" else dataclasses.replace(m, weight=0) for m in SCORER.metrics]
        scorer = dataclasses.replace(SCORER, metrics=metrics)
        assert weights(Weighted(weights={"support": 3, "general": 1}), scorer) == {"support/f1": 3, "general/acc": 1}

    def test_a_metric_that_is_named_itself_has_its_own_weight(self) -> None:
        for order in (["support", "support/f1"], ["support/f1", "support"]):
            asked = {"support": 4.0, "support/f1": 1.0}
            assert weights(Weighted(weights={name: asked[name] for name in order})) == {
                "support/f1": 1,
                "support/ppl": 2,
            }

    @pytest.mark.parametrize(
        ("selection", "message"),
        [
            (Best(metric="legal/f2"), "best:legal/f2: 'legal/f2' is no metric of the study; did you mean 'legal/f1'"),
            (Best(metric="zzz"), "known are support/f1, support/ppl, legal/f1, general/acc, bleu"),
            (Best(metric="support"), "'support' is a domain; choose one of its metrics: support/f1, support/ppl"),
            (Weighted(weights={"legl": 1}), "'legl' is no metric of the study, and no domain that it judges; did you"),
            (Weighted(weights={"legal": 1, "zzz": 0}), "known are support, legal, general, bleu, support/f1"),
            (Weighted(weights={"legal": 2, "legal/f1": 0}), "leaves every metric with a weight of 0; raise one"),
        ],
    )
    def test_of_what_the_study_does_not_have_there_is_none(self, selection: Selection, message: str) -> None:
        with pytest.raises(SelectionError) as error:
            selection.judge(SCORER)
        assert message in str(error.value)
        assert str(error.value).startswith(f"{selection}: ")
