from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from objectives.backends.hf.assembly import Placement, load, prepare
from objectives.backends.hf.encoding import Encoded, Template, encode
from objectives.backends.hf.evaluation import Evaluation, Labels, TestSet
from objectives.backends.hf.learner import Learner
from objectives.base import Estimate
from objectives.data import Row
from objectives.errors import ObjectiveError
from tests.objectives.backends.hf.conftest import COLOURS, rows_of

ROWS = rows_of("colours", 20, "test")
TRUTH = tuple(row.label for row in ROWS if row.label is not None)


@pytest.fixture(scope="module")
def loaded(base: Path) -> tuple[Any, Any]:
    return load(base, torch.float32, 64)


@pytest.fixture(scope="module")
def learner(loaded: tuple[Any, Any]) -> Learner:
    tokenizer, model = loaded
    return prepare(tokenizer, model, None, Placement(device=torch.device("cpu")))


@pytest.fixture(scope="module")
def encoded(loaded: tuple[Any, Any]) -> Encoded:
    return encode(ROWS, loaded[0], Template.of(loaded[0]), 64)


def log_probabilities(learner: Learner, tokens: Sequence[int]) -> torch.Tensor:
    """Of every next token, one row at a time and without any cache, (n_tokens, n_vocabulary)."""
    with torch.no_grad():
        logits: torch.Tensor = learner.model(input_ids=torch.tensor([list(tokens)])).logits[0]
    return logits.log_softmax(dim=-1)


def metrics(learner: Learner, *tests: TestSet, batch_tokens: int = 256) -> dict[str, Estimate]:
    evaluation = Evaluation(learner, tests, batch_tokens)
    done = list(evaluation.run())
    assert done[-1] == evaluation.total
    return evaluation.metrics(np.random.default_rng(0))


class TestResponses:
    def test_perplexity_is_that_of_the_response_tokens(self, learner: Learner, encoded: Encoded) -> None:
        nll = tokens = 0.0
        for i in range(len(encoded)):
            row, prompt = encoded.row(i), int(encoded.prompts[i])
            found = log_probabilities(learner, row)
            nll -= sum(float(found[j - 1, row[j]]) for j in range(prompt, len(row)))
            tokens += len(row) - prompt
        estimate = metrics(learner, TestSet(domain="a", rows=encoded))["a/perplexity"]
        assert estimate.value == pytest.approx(math.exp(nll / tokens), rel=1e-5)
        assert estimate.stderr is not None and estimate.stderr > 0
        assert estimate.rows == 20

    def test_exact_match_is_what_greedy_decoding_would_write(self, learner: Learner, loaded: tuple[Any, Any]) -> None:
        tokenizer, _ = loaded
        template = Template.of(tokenizer)
        written = []
        for row in ROWS:
            tokens = tokenizer(template.before + row.instruction + template.between)["input_ids"]
            start = len(tokens)
            while len(tokens) < start + 20 and tokens[-1] != tokenizer.eos_token_id:
                tokens.append(int(log_probabilities(learner, tokens)[-1].argmax()))
            written.append(tokenizer.decode(tokens[start:]).removesuffix("</s>"))
        # Half the references are what the model writes, so that there is something to find.
        rows = [
            Row(row.instruction, text) if i % 2 else row
            for i, (row, text) in enumerate(zip(ROWS, written, strict=True))
        ]
        matches = [row.output == text for row, text in zip(rows, written, strict=True)]
        test = TestSet(domain="a", rows=encode(rows, tokenizer, template, 64))
        assert 10 <= sum(matches) < 20
        assert metrics(learner, test)["a/exact_match"].value == sum(matches) / 20

    @pytest.mark.parametrize("batch_tokens", [1, 40, 10_000])
    def test_do_not_depend_on_the_batches(self, learner: Learner, encoded: Encoded, batch_tokens: int) -> None:
        test = TestSet(domain="a", rows=encoded)
        found, expected = metrics(learner, test, batch_tokens=batch_tokens), metrics(learner, test)
        assert found["a/perplexity"].value == pytest.approx(expected["a/perplexity"].value, rel=1e-5)
        assert found["a/exact_match"] == expected["a/exact_match"]

    def test_of_several_domains_are_kept_apart(self, learner: Learner, loaded: tuple[Any, Any]) -> None:
        tokenizer, _ = loaded
        template = Template.of(tokenizer)
        tests = [
            TestSet(domain=name, rows=encode(rows_of(name, 7, "test"), tokenizer, template, 64))
            for name in ("colours", "echoes")
        ]
        together = metrics(learner, *tests)
        assert set(together) == {
            f"{name}/{metric}" for name in ("colours", "echoes") for metric in ("perplexity", "exact_match")
        }
        for test in tests:
            for name, estimate in metrics(learner, test).items():
                assert together[name].value == pytest.approx(estimate.value, rel=1e-5)

    def test_of_a_model_that_diverged_are_an_error(self, loaded: tuple[Any, Any], base: Path, encoded: Encoded) -> None:
        tokenizer, model = load(base, torch.float32, 64)
        broken = prepare(tokenizer, model, None, Placement(device=torch.device("cpu")))
        with torch.no_grad():
            model.lm_head.weight *= 1e5
        with pytest.raises(ObjectiveError, match=r"test rows of 'a' .* diverged; lower objective\.learning_rate"):
            metrics(broken, TestSet(domain="a", rows=encoded))


class TestLabels:
    def own_tokens(self, tokenizer: Any) -> dict[str, list[int]]:
        return {name: tokenizer(name)["input_ids"] for name in COLOURS}

    def test_first_tokens_do_when_they_tell_all_classes_apart(self, loaded: tuple[Any, Any], encoded: Encoded) -> None:
        labels = Labels.of(self.own_tokens(loaded[0]), [(encoded, TRUTH)])
        assert labels.names == ("blue", "green", "red")
        assert labels.first is not None
        by_name = {row.label: int(encoded.response(i)[0]) for i, row in enumerate(ROWS)}
        assert labels.first == tuple(by_name[name] for name in labels.names)

    def test_first_tokens_do_not_when_two_classes_share_one(self, loaded: tuple[Any, Any]) -> None:
        tokenizer, _ = loaded
        rows = [Row("a", "xx", "xx"), Row("b", "xy", "xy")]
        encoded = encode(rows, tokenizer, Template.of(tokenizer), 64)
        tokens = {name: tokenizer(name)["input_ids"] for name in ("xx", "xy")}
        assert encoded.response(0)[0] == encoded.response(1)[0]
        assert Labels.of(tokens, [(encoded, ["xx", "xy"])]).first is None

    def test_first_tokens_do_not_when_one_class_begins_in_two_ways(self, loaded: tuple[Any, Any]) -> None:
        """A tokenizer may join the end of a label with what follows."""
        tokenizer, _ = loaded
        rows = [Row("a", "r", "r"), Row("b", "red", "r"), Row("c", "q", "q")]
        encoded = encode(rows, tokenizer, Template.of(tokenizer), 64)
        assert encoded.response(0)[0] != encoded.response(1)[0]
        tokens = {name: tokenizer(name)["input_ids"] for name in ("r", "q")}
        assert Labels.of(tokens, [(encoded, ["r", "r", "q"])]).first is None

    def test_the_likeliest_first_token_is_predicted(self, learner: Learner, encoded: Encoded, loaded: Any) -> None:
        labels = Labels.of(self.own_tokens(loaded[0]), [(encoded, TRUTH)])
        assert labels.first is not None
        hits = 0
        for i, truth in enumerate(TRUTH):
            after = log_probabilities(learner, encoded.prompt(i))[-1]
            hits += labels.names[int(after[list(labels.first)].argmax())] == truth
        found = metrics(learner, TestSet(domain="a", rows=encoded, truth=TRUTH, labels=labels))
        assert found["a/accuracy"].value == hits / 20
        assert found["a/accuracy"].rows == found["a/f1"].rows == 20
        assert 0 <= found["a/f1"].value <= 1

    @pytest.mark.parametrize("batch_tokens", [1, 400])
    def test_full_labels_are_scored_up_to_their_end(
        self, learner: Learner, loaded: tuple[Any, Any], batch_tokens: int
    ) -> None:
        """Against the definition, computed label by label: begins with it, and does not go on to a longer one."""
        tokenizer, _ = loaded
        rows = [row for name in ("colours", "shapes", "echoes") for row in rows_of(name, 7, "test")]
        encoded = encode(rows, tokenizer, Template.of(tokenizer), 64)
        colour, shape, echo = (list(map(int, encoded.response(i))) for i in (0, 7, 14))
        candidates = {
            "blue": colour[:1],
            "blue indeed": colour[:2],
            "blue red": [colour[0], shape[0]],
            "shape": shape[:3],
            "number": echo[:1],
            "numbers": [echo[0], colour[0], echo[1]],
        }
        labels = Labels(names=tuple(candidates), tokens=tuple(map(tuple, candidates.values())), first=None)
        expected = []
        for i in range(len(encoded)):
            prompt = list(encoded.prompt(i))
            scores = {}
            for name, tokens in candidates.items():
                found = log_probabilities(learner, [*prompt, *tokens])[len(prompt) - 1 :]
                score = sum(float(found[j, token]) for j, token in enumerate(tokens))
                on = {
                    longer[len(tokens)]
                    for longer in candidates.values()
                    if len(longer) > len(tokens) and longer[: len(tokens)] == tokens
                }
                ends = 1 - sum(float(found[len(tokens), token].exp()) for token in on)
                scores[name] = score + math.log(ends)
            expected.append(max(scores, key=scores.__getitem__))
        # Both matter: that a label is longer than one token, and that another one is longer than it.
        assert {"blue indeed", "number"} <= set(expected)
        # Named after what should be predicted, every row must be a hit.
        test = TestSet(domain="a", rows=encoded, truth=tuple(expected), labels=labels)
        assert metrics(learner, test, batch_tokens=batch_tokens)["a/accuracy"].value == 1.0
