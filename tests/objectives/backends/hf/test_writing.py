from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from objectives.backends.hf import LoraOptions
from objectives.backends.hf.encoding import encode
from objectives.backends.hf.ending import Ending
from objectives.backends.hf.learner import Learner
from objectives.backends.hf.model import Placement, load, prepare
from objectives.backends.hf.template import Template
from objectives.backends.hf.writing import Exam, Writing
from objectives.base import Estimate
from objectives.data import Row
from objectives.metrics import Answer, rouge_l, row_digest, token_f1
from tests.objectives.backends.hf.conftest import rows_of

# Prompts of many lengths, so that batches have something to pad.
ROWS = tuple(
    Row.of(f"{row.instruction} {'please ' * (i % 5)}".strip(), row.output)
    for i, row in enumerate([*rows_of("colours", 9, "test"), *rows_of("echoes", 9, "test")])
)


@pytest.fixture(scope="module")
def learner(base: Path) -> Learner:
    tokenizer, model = load(base, torch.float32, 64)
    return prepare(tokenizer, model, None, Placement(device=torch.device("cpu")))


@pytest.fixture(scope="module")
def adapted(base: Path) -> Learner:
    """With an adapter that changes something."""
    tokenizer, model = load(base, torch.float32, 64)
    made = prepare(tokenizer, model, LoraOptions(), Placement(device=torch.device("cpu")))
    with torch.no_grad(), made.seeded(0):
        for weight in made.trainable.values():
            weight += 0.1 * torch.randn_like(weight)
    return made


def exam(learner: Learner, rows: Sequence[Row] = ROWS, domain: str = "a", most: int = 3) -> Exam:
    template = Template.of(learner.tokenizer)
    return Exam(
        domain=domain,
        rows=tuple(rows),
        encoded=encode(rows, learner.tokenizer, template, 64),
        expected=tuple(row.output for row in rows),
        metrics={"token_f1": "token_f1", "overlap": "rouge_l"},
        ending=Ending.of(learner, template),
        most=most,
    )


def written(
    learner: Learner, *exams: Exam, max_length: int = 64, batch_tokens: int = 256
) -> tuple[list[Answer], dict[str, Estimate]]:
    writing = Writing(learner, exams, max_length=max_length, batch_tokens=batch_tokens)
    done = list(writing.run())
    assert done == sorted(done) and done[-1] == writing.total == sum(len(exam.rows) for exam in exams)
    return list(writing.answers()), writing.metrics()


def greedy(learner: Learner, prompt: Sequence[int], most: int) -> str:
    """What a model writes, one token at a time, without a batch or a cache."""
    tokens = list(map(int, prompt))
    for _ in range(most):
        with torch.no_grad():
            logits = learner.model(input_ids=torch.tensor([tokens])).logits[0, -1]
        tokens.append(int(logits.argmax()))
        if tokens[-1] == learner.tokenizer.eos_token_id:
            tokens.pop()
            break
    text: str = learner.tokenizer.decode(tokens[len(prompt) :])
    return text


@pytest.mark.parametrize("which", ["learner", "adapted"])
@pytest.mark.parametrize("batch_tokens", [1, 100, 10_000])
def test_each_token_is_the_likeliest(which: str, batch_tokens: int, request: pytest.FixtureRequest) -> None:
    subject = request.getfixturevalue(which)
    asked = exam(subject)
    answers, _ = written(subject, asked, batch_tokens=batch_tokens)
    expected = [greedy(subject, asked.encoded.prompt(i), asked.most) for i in range(len(ROWS))]
    assert [answer.generated for answer in answers] == expected
    assert len(set(expected)) > 3
    # Some end by themselves, and some are cut off.
    assert 0 < sum(len(subject.tokenizer(text)["input_ids"]) >= asked.most for text in expected) < len(ROWS)


def test_answers_name_their_rows(learner: Learner) -> None:
    answers, _ = written(learner, exam(learner), exam(learner, ROWS[:3], "b"))
    assert [(answer.domain, answer.row) for answer in answers] == [
        *(("a", i) for i in range(len(ROWS))),
        *(("b", i) for i in range(3)),
    ]
    for answer in answers:
        assert answer.digest == row_digest(ROWS[answer.row])
        assert answer.expected == ROWS[answer.row].output


def test_metrics_are_those_of_the_answers(learner: Learner) -> None:
    answers, metrics = written(learner, exam(learner), exam(learner, ROWS[:3], "b"))
    assert set(metrics) == {f"{domain}/{name}" for domain in "ab" for name in ("token_f1", "overlap")}
    for domain in "ab":
        texts = [(answer.expected, answer.generated) for answer in answers if answer.domain == domain]
        expected, generated = (list(side) for side in zip(*texts, strict=True))
        assert metrics[f"{domain}/token_f1"] == token_f1(expected, generated)
        assert metrics[f"{domain}/overlap"] == rouge_l(expected, generated)


def test_a_prompt_that_leaves_no_room_loses_its_middle(learner: Learner) -> None:
    asked = exam(learner, [Row.of("shapes of 2 and " * 8 + "repeat 77", "red"), ROWS[0]])
    prompt = asked.encoded.prompt(0)
    answers, _ = written(learner, asked, max_length=20 + asked.most)
    assert answers[0].generated == greedy(learner, [*prompt[:10], *prompt[-10:]], asked.most)
    assert answers[0].generated != greedy(learner, prompt, asked.most), "the middle makes no difference"


def test_a_models_own_wishes_do_not_count_and_stay(base: Path, learner: Learner) -> None:
    tokenizer, model = load(base, torch.float32, 64)
    wishes = GenerationConfig(do_sample=True, temperature=5.0, repetition_penalty=9.0, min_new_tokens=12)
    model.generation_config = wishes
    wilful = prepare(tokenizer, model, None, Placement(device=torch.device("cpu")))
    asked = exam(learner)
    assert written(wilful, asked)[0] == written(learner, asked)[0]
    assert wilful.model.generation_config is wishes


class TestEnding:
    @pytest.fixture
    def ending(self, learner: Learner) -> Ending:
        return Ending.of(learner, Template.of(learner.tokenizer))

    def test_is_that_of_the_template_and_what_the_model_states(self, learner: Learner, ending: Ending) -> None:
        assert ending == Ending(tokens=frozenset({learner.tokenizer.eos_token_id}), text="</s>")

    def test_of_a_model_that_states_several(self, base: Path) -> None:
        tokenizer, model = load(base, torch.float32, 64)
        model.generation_config = GenerationConfig(eos_token_id=[5, 7])
        several = prepare(tokenizer, model, None, Placement(device=torch.device("cpu")))
        found = Ending.of(several, Template.of(tokenizer))
        assert found.tokens == {5, 7, tokenizer.eos_token_id}

    def test_of_a_template_that_ends_with_a_token_of_its_own(self, learner: Learner) -> None:
        template = dataclasses.replace(Template.of(learner.tokenizer), after="<sep>")
        assert Ending.of(learner, template).tokens == {
            learner.tokenizer.eos_token_id,
            learner.tokenizer.convert_tokens_to_ids("<sep>"),
        }

    @pytest.mark.parametrize(
        ("text", "kept"),
        [
            ("red</s>", "red"),
            ("red</s>green</s>", "red"),
            ("red", "red"),
            ("</s>red", ""),
            ("", ""),
            ("red<sep>green</s>", "red<sep>green"),  # what else it writes is shown
        ],
    )
    def test_cuts_an_answer(self, learner: Learner, ending: Ending, text: str, kept: str) -> None:
        tokens = learner.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert ending.cut(tokens, learner.tokenizer) == kept

    @pytest.mark.parametrize("closing", ["\nend", "\nend</s>"])
    @pytest.mark.parametrize("rest", ["", "green", "\nend"])
    def test_of_several_tokens_cuts_too(self, learner: Learner, closing: str, rest: str) -> None:
        template: Any = dataclasses.replace(Template.of(learner.tokenizer), after=closing)
        found = Ending.of(learner, template)
        tokens = learner.tokenizer(f"red{closing}{rest}", add_special_tokens=False)["input_ids"]
        assert found.cut(tokens, learner.tokenizer) == "red"
