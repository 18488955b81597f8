from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from objectives.backends.hf.encoding import Encoded, encode
from objectives.backends.hf.evaluation import Evaluation, Reading, TestSet
from objectives.backends.hf.labels import Labels
from objectives.backends.hf.learner import Learner
from objectives.backends.hf.model import Placement, load, prepare
from objectives.backends.hf.template import Template
from objectives.base import Estimate
from objectives.data import Row
from objectives.errors import ObjectiveError
from tests.objectives.backends.hf.conftest import rows_of

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


def unlabelled(rows: Encoded, sizes: NDArray[np.int64] | None = None) -> TestSet:
    """A test set without labels; with sizes that do not matter, if none are given."""
    return TestSet(domain="a", rows=rows, sizes=np.ones(len(rows), dtype=np.int64) if sizes is None else sizes)


def metrics(learner: Learner, *tests: TestSet, batch_tokens: int = 256) -> dict[str, Estimate]:
    evaluation = Evaluation(learner, tests, Reading(max_length=64, batch_tokens=batch_tokens, cached=True))
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
        estimate = metrics(learner, unlabelled(encoded))["a/perplexity"]
        assert estimate.value == pytest.approx(math.exp(nll / tokens), rel=1e-5)
        assert estimate.stderr is not None and estimate.stderr > 0
        assert estimate.rows == 20

    def test_bits_per_byte_are_those_of_the_whole_response(self, learner: Learner, encoded: Encoded) -> None:
        sizes = np.array([len(row.output.encode()) for row in ROWS])
        found = metrics(learner, unlabelled(encoded, sizes))
        tokens = int((encoded.lengths - encoded.prompts).sum())
        assert found["a/loss"].value == pytest.approx(math.log(found["a/perplexity"].value))
        bits = found["a/loss"].value * tokens / math.log(2)
        assert found["a/bits_per_byte"].value == pytest.approx(bits / sizes.sum())
        assert (found["a/bits_per_byte"].stderr or 0) > 0

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
            Row.of(row.instruction, text) if i % 2 else row
            for i, (row, text) in enumerate(zip(ROWS, written, strict=True))
        ]
        matches = [row.output == text for row, text in zip(rows, written, strict=True)]
        test = unlabelled(encode(rows, tokenizer, template, 64))
        assert 10 <= sum(matches) < 20
        assert metrics(learner, test)["a/exact_match"].value == sum(matches) / 20

    @pytest.mark.parametrize("batch_tokens", [1, 40, 10_000])
    def test_do_not_depend_on_the_batches(self, learner: Learner, encoded: Encoded, batch_tokens: int) -> None:
        test = unlabelled(encoded)
        found, expected = metrics(learner, test, batch_tokens=batch_tokens), metrics(learner, test)
        assert found["a/perplexity"].value == pytest.approx(expected["a/perplexity"].value, rel=1e-5)
        assert found["a/exact_match"] == expected["a/exact_match"]

    def test_of_several_domains_are_kept_apart(self, learner: Learner, loaded: tuple[Any, Any]) -> None:
        tokenizer, _ = loaded
        template = Template.of(tokenizer)
        tests = [
            dataclasses.replace(unlabelled(encode(rows_of(name, 7, "test"), tokenizer, template, 64)), domain=name)
            for name in ("colours", "echoes")
        ]
        together = metrics(learner, *tests)
        assert set(together) == {
            f"{name}/{metric}"
            for name in ("colours", "echoes")
            for metric in ("perplexity", "loss", "bits_per_byte", "exact_match")
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
            metrics(broken, unlabelled(encoded))


class TestLabelled:
    def test_the_likeliest_first_token_is_predicted(self, learner: Learner, encoded: Encoded, loaded: Any) -> None:
        labels = Labels.of(loaded[0], [(encoded, TRUTH)])
        assert labels.first is not None
        hits = 0
        for i, truth in enumerate(TRUTH):
            after = log_probabilities(learner, encoded.prompt(i))[-1]
            hits += labels.names[int(after[list(labels.first)].argmax())] == truth
        found = metrics(learner, dataclasses.replace(unlabelled(encoded), truth=TRUTH, labels=labels))
        assert found["a/accuracy"].value == hits / 20
        assert found["a/accuracy"].rows == found["a/f1"].rows == found["a/micro_f1"].rows == 20
        # Every class is among the truth, so that no prediction is outside of it.
        assert found["a/micro_f1"].value == pytest.approx(found["a/accuracy"].value)
        assert 0 <= found["a/f1"].value <= 1

    def test_full_labels_are_asked_for_where_first_tokens_do_not_tell(
        self, learner: Learner, encoded: Encoded, loaded: Any
    ) -> None:
        """With labels of one token each, that must come to the same."""
        labels = Labels.of(loaded[0], [(encoded, TRUTH)])
        single = Labels(
            names=labels.names, openings=tuple((t,) for t in labels.first or ()), owners=(0, 1, 2), first=labels.first
        )
        first, full = (
            metrics(learner, dataclasses.replace(unlabelled(encoded), truth=TRUTH, labels=which))
            for which in (single, dataclasses.replace(single, first=None))
        )
        assert full == first
