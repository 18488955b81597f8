from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from objectives.backends.hf.encoding import Encoded, encode
from objectives.backends.hf.labels import Labels, Question
from objectives.backends.hf.learner import Learner
from objectives.backends.hf.model import Placement, load, prepare
from objectives.backends.hf.template import Template
from objectives.data import Row
from objectives.errors import DataError, OptionsError
from tests.objectives.backends.hf.conftest import rows_of

ROWS = rows_of("colours", 20, "test")


@pytest.fixture(scope="module")
def loaded(base: Path) -> tuple[Any, Any]:
    return load(base, torch.float32, 64)


@pytest.fixture(scope="module")
def learner(loaded: tuple[Any, Any]) -> Learner:
    made = prepare(*loaded, None, Placement(device=torch.device("cpu")))
    made.model.eval()
    return made


def encoded_of(tokenizer: Any, *rows: Row) -> Encoded:
    return encode(rows, tokenizer, Template.of(tokenizer), 64)


def labels_of(tokenizer: Any, *rows: Row) -> Labels:
    return Labels.of(tokenizer, [(encoded_of(tokenizer, *rows), [row.label for row in rows])])


def log_probabilities(learner: Learner, tokens: Sequence[int]) -> torch.Tensor:
    """Of every next token, one row at a time and without any cache, (n_tokens, n_vocabulary)."""
    with torch.no_grad():
        logits: torch.Tensor = learner.model(input_ids=torch.tensor([list(tokens)])).logits[0]
    return logits.log_softmax(dim=-1)


class TestOpenings:
    def test_first_tokens_do_when_they_tell_all_classes_apart(self, loaded: tuple[Any, Any]) -> None:
        labels = labels_of(loaded[0], *ROWS)
        encoded = encoded_of(loaded[0], *ROWS)
        assert labels.names == ("blue", "green", "red")
        by_name = {row.label: int(encoded.response(i)[0]) for i, row in enumerate(ROWS)}
        assert labels.first == tuple(by_name[name] for name in labels.names)

    def test_first_tokens_do_not_when_two_classes_share_one(self, loaded: tuple[Any, Any]) -> None:
        labels = labels_of(loaded[0], Row.of("a", "xx", "xx"), Row.of("b", "xy", "xy"))
        assert labels.openings[0][0] == labels.openings[1][0]
        assert labels.first is None

    def test_a_class_may_begin_in_several_ways(self, loaded: tuple[Any, Any]) -> None:
        """A tokenizer may join the end of a label with what follows: here `re` with the `d` of `red`."""
        tokenizer, _ = loaded
        labels = labels_of(tokenizer, Row.of("a", "r", "r"), Row.of("b", "red", "r"), Row.of("c", "q", "q"))
        texts = [(labels.names[k], tokenizer.decode(o)) for k, o in zip(labels.owners, labels.openings, strict=True)]
        assert texts == [("r", "r"), ("r", "red"), ("q", "q")]
        assert labels.first is None

    def test_an_opening_is_no_longer_than_its_label(self, loaded: tuple[Any, Any]) -> None:
        tokenizer, _ = loaded
        labels = labels_of(tokenizer, Row.of("a", "!# and more", "!#"), Row.of("b", "!$ and more", "!$"))
        assert [tokenizer.decode(opening) for opening in labels.openings] == ["!#", "!$"]

    def test_classes_that_the_model_cannot_tell_apart_are_refused(self, loaded: tuple[Any, Any]) -> None:
        with pytest.raises(DataError, match="the labels 'r' and 're' begin with the same tokens"):
            labels_of(loaded[0], Row.of("a", "red", "r"), Row.of("b", "red", "re"))

    def test_rows_without_a_label_are_passed_over(self, loaded: tuple[Any, Any]) -> None:
        assert labels_of(loaded[0], *ROWS, Row.of("a", "zebra")).names == ("blue", "green", "red")

    def test_a_label_must_leave_room_for_a_prompt(self, loaded: tuple[Any, Any]) -> None:
        labels = labels_of(loaded[0], Row.of("a", "!#!#!#!#", "!#!#!#!#"), Row.of("b", "q", "q"))
        labels.check_fits(9)
        with pytest.raises(OptionsError, match=r"max_length: expected more than the 8 tokens of the label '!#!#!#!#'"):
            labels.check_fits(8)


class TestQuestion:
    @pytest.mark.parametrize("cached", [True, False])
    @pytest.mark.parametrize("batch_tokens", [1, 100, 4000])
    def test_scores_are_those_of_the_definition(
        self, learner: Learner, loaded: tuple[Any, Any], batch_tokens: int, cached: bool
    ) -> None:
        """Label by label: the response begins with one of its openings, and does not go on to another class's."""
        tokenizer, _ = loaded
        rows = [row for name in ("colours", "shapes", "echoes") for row in rows_of(name, 7, "test")]
        encoded = encoded_of(tokenizer, *rows)
        colour, shape, echo = (tuple(map(int, encoded.response(i))) for i in (0, 7, 14))
        openings = {
            colour[:1]: "blue",
            colour[:2]: "blue indeed",
            (colour[0], shape[0]): "other",
            shape[:3]: "other",
            echo[:1]: "number",
            (echo[0], colour[0], echo[1]): "numbers",
        }
        names = tuple(sorted(set(openings.values())))
        labels = Labels(
            names=names, openings=tuple(openings), owners=tuple(map(names.index, openings.values())), first=None
        )
        question = Question(learner=learner, labels=labels, batch_tokens=batch_tokens, cached=cached)
        expected = []
        for i in range(len(encoded)):
            prompt = list(map(int, encoded.prompt(i)))
            sums = dict.fromkeys(names, 0.0)
            for opening, name in openings.items():
                found = log_probabilities(learner, [*prompt, *opening])[len(prompt) - 1 :]
                on = {
                    longer[len(opening)]
                    for longer, other in openings.items()
                    if other != name and len(longer) > len(opening) and longer[: len(opening)] == opening
                }
                ends = 1 - sum(float(found[len(opening), token].exp()) for token in on)
                sums[name] += ends * math.exp(sum(float(found[j, token]) for j, token in enumerate(opening)))
            scores = question.scores(torch.tensor([prompt]))[0]
            assert scores.tolist() == pytest.approx([math.log(sums[name]) for name in names], rel=1e-4)
            expected.append(max(sums, key=sums.__getitem__))
        # It matters that a class has two openings, that one is longer than a token, and that one begins another.
        assert {"blue indeed", "number"} <= set(expected)
        assert dict(question.answers(encoded, 64)) == dict(enumerate(expected))

    def test_a_batch_never_holds_more_than_it_may(self, learner: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
        openings = tuple(itertools.islice(itertools.product(range(5, 30), repeat=2), 40))
        labels = Labels(names=tuple(map(str, range(40))), openings=openings, owners=tuple(range(40)), first=None)
        sizes = []
        before = Learner.logits

        def watched(self: Learner, inputs: torch.Tensor, *arguments: Any) -> torch.Tensor:
            sizes.append(inputs.numel())
            return before(self, inputs, *arguments)

        monkeypatch.setattr(Learner, "logits", watched)
        question = Question(learner=learner, labels=labels, batch_tokens=60, cached=False)
        assert question.scores(torch.tensor([[1, 2, 3, 4]])).shape == (1, 40)
        assert max(sizes) <= 60

    def test_a_long_prompt_loses_its_middle_so_that_the_longest_label_fits(
        self, learner: Learner, loaded: tuple[Any, Any]
    ) -> None:
        tokenizer, _ = loaded
        rows = [Row.of("!#" * 40, "red", "red"), Row.of("!#" * 40, "red blue green indeed", "red blue green indeed")]
        encoded = encoded_of(tokenizer, *rows)
        labels = Labels.of(tokenizer, [(encoded, [row.label for row in rows])])
        assert int(encoded.prompts.max()) + labels.width > 64
        question = Question(learner=learner, labels=labels, batch_tokens=400, cached=True)
        answers = dict(question.answers(encoded, 64))
        short = encoded.prompt(0)
        kept = np.concatenate(
            [short[: (64 - labels.width) // 2], short[-(64 - labels.width - (64 - labels.width) // 2) :]]
        )
        scores = question.scores(torch.from_numpy(kept.astype(np.int64))[None])
        assert answers[0] == labels.names[int(scores.argmax())]
