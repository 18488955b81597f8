from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.backends.sagemaker.questions import Questions
from objectives.data import Row
from objectives.errors import ResultError
from tests.objectives.backends.sagemaker.lines import PROMPTS, SUPPORT, VOC, Line, asked, bare, of, whole, written


@pytest.fixture
def questions() -> Questions:
    return asked(voc=VOC, support=SUPPORT)


class TestWithoutMetadata:
    """Answers that a service does not hand the metadata on with."""

    @pytest.mark.parametrize("prompt", PROMPTS)
    def test_are_told_by_their_order(self, questions: Questions, prompt: str) -> None:
        assert of(bare(questions, prompt), questions) == whole(questions)

    @pytest.mark.parametrize("prompt", PROMPTS)
    @pytest.mark.parametrize("seed", range(5))
    def test_are_told_by_their_prompts_in_any_order(self, questions: Questions, prompt: str, seed: int) -> None:
        lines = bare(questions, prompt)
        random.Random(seed).shuffle(lines)
        assert of(lines, questions) == whole(questions)

    def test_may_have_metadata_of_others(self, questions: Questions) -> None:
        strange = ["", "{", 3, None, [1]]
        lines = [{**one, "metadata": other} for one, other in zip(bare(questions), strange, strict=True)]
        assert of(lines, questions) == whole(questions)

    def test_of_the_same_question_in_two_domains_are_shared_out(self) -> None:
        twice = asked(voc=[VOC[0], VOC[1]], again=[VOC[1], VOC[0], VOC[1]])
        lines = bare(twice)
        random.Random(3).shuffle(lines)
        found = of(lines, twice)
        of_row = {(answer.domain, answer.row): answer.generated for own in found.values() for answer in own}
        assert sorted(of_row.values()) == sorted(written(question) for question in twice.asked)
        late = {of_row["again", 0], of_row["again", 2], of_row["voc", 1]}
        assert late == {"to again 0", "to again 2", "to voc 1"}

    def test_of_the_same_query_are_told_by_their_system_texts(self) -> None:
        same = asked(a=[Row.of("q", "x", system="one")], b=[Row.of("q", "x", system="two")], c=[Row.of("q", "x")])
        lines = bare(same)
        assert of(lines[::-1], same) == whole(same)
        with pytest.raises(ResultError, match=r"line 2 of the answers is one too many to row 0 of 'c'"):
            of(bare(same, "query"), same)

    def test_that_only_have_right_answers_are_told_by_order_or_where_these_are_unique(self) -> None:
        many = asked(a=[Row.of(f"q{i}", f"g{i}") for i in range(12)], b=[Row.of("q", "h")])
        lines = [{"inference": one["inference"], "gold": one["gold"]} for one in bare(many)]
        assert of(lines, many) == whole(many)
        assert of(lines[::-1], many) == whole(many)

    def test_with_prompts_that_say_nothing_are_told_by_order_where_that_is_no_accident(self) -> None:
        many = asked(a=[Row.of(f"q{i}", f"g{i}") for i in range(12)], b=[Row.of("q", "h")])
        assert of([{**one, "prompt": "..."} for one in bare(many)], many) == whole(many)
        with pytest.raises(ResultError, match="line 1 of the answers is to nothing that was asked"):
            of([{**one, "prompt": "..."} for one in bare(many)[::-1]], many)
        few = asked(a=[Row.of("one", "yes")] * 9, b=[Row.of("two", "yes")])
        with pytest.raises(ResultError, match="to nothing that was asked"):
            of([{**one, "prompt": "..."} for one in bare(few)], few)
        alone = asked(a=[Row.of("one", "yes"), Row.of("two", "yes")])
        assert of([{**one, "prompt": "..."} for one in bare(alone)], alone) == whole(alone)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda lines: lines[1:], "1 of 5 questions have no answer: row 0 of 'support'"),
            (lambda lines: [*lines, lines[3]], "line 6 of the answers is one too many to row 1 of 'voc'"),
            (lambda lines: [*lines[1:], lines[3]], "line 5 of the answers is one too many to row 1 of 'voc'"),
            (lambda lines: [*lines[1:], {**lines[0], "prompt": "?"}], "line 5 of the answers is to nothing that was"),
            (lambda lines: [*lines[1:], {**lines[0], "gold": "?"}], "line 5 of the answers is to nothing that was"),
            (
                lambda lines: [*lines[1:], {"inference": "a", "gold": "On its way."}],
                "could be to several questions, such as row 0 of 'support', row 1 of 'support'",
            ),
        ],
    )
    def test_that_are_not_all_and_once_are_refused(
        self, questions: Questions, change: Callable[[list[Line]], list[Line]], message: str
    ) -> None:
        with pytest.raises(ResultError, match=message) as caught:
            of(change(bare(questions)), questions)
        assert "objective.evaluate_by: domain" in str(caught.value)

    @given(st.data())
    @settings(deadline=None)
    def test_are_never_put_beside_another_question(self, data: st.DataObject) -> None:
        # Few letters, so that queries contain each other; no system text can contain a query.
        query, gold = st.text("ab\n'\"\u00e9", min_size=1, max_size=4), st.sampled_from(["x", "y"])
        rows = st.builds(Row.of, query.filter(str.strip), gold, system=st.sampled_from([None, "s", "st"]))
        some = asked(a=data.draw(st.lists(rows, min_size=1, max_size=5)), b=data.draw(st.lists(rows, max_size=5)))
        prompt = data.draw(st.sampled_from(list(PROMPTS)))
        lines = data.draw(st.permutations(bare(some, prompt)))
        try:
            found = of(lines, some)
        except ResultError:
            # Told apart by nothing, or a template has the query's letters in it.
            return
        assert set(found) == set(some.domains)
        texts = {written(q): (q.query.strip(), q.response) for q in some.asked}
        of_row = {(q.domain, q.row): (q.query.strip(), q.response) for q in some.asked}
        answers = [answer for own in found.values() for answer in own]
        assert sorted(answer.generated for answer in answers) == sorted(texts)
        for answer in answers:
            assert texts[answer.generated] == of_row[answer.domain, answer.row]
