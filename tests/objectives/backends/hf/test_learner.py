from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from torch.nn import functional

from objectives.backends.hf import LoraOptions
from objectives.backends.hf.learner import Batch, Learner
from objectives.backends.hf.model import Placement, load, prepare

CPU = torch.device("cpu")
ON_CPU = Placement(device=CPU)
INPUTS = torch.tensor([[5, 6, 7, 8]])
ROWS = [(np.array(tokens, dtype=np.int32), prompt) for tokens, prompt in [([5, 6, 7, 8, 9], 2), ([9, 8, 7], 1)]]


def learner(base: Path, *, lora: LoraOptions | None, placement: Placement = ON_CPU) -> Learner:
    tokenizer, model = load(base, placement.dtype, 64)
    return prepare(tokenizer, model, lora, placement)


def disturb(subject: Learner, by: float) -> None:
    with torch.no_grad():
        for weight in subject.trainable.values():
            weight += by


def loss(learner: Learner) -> torch.Tensor:
    batch = Batch.of(ROWS, CPU)
    return functional.cross_entropy(learner.logits(batch.inputs, batch.scored), batch.targets)


class TestBatch:
    def test_scores_exactly_the_response_tokens(self) -> None:
        batch = Batch.of(ROWS, CPU)
        assert batch.inputs.tolist() == [[5, 6, 7, 8], [9, 8, 0, 0]]
        assert batch.scored.tolist() == [[False, True, True, True], [True, True, False, False]]
        assert batch.targets.tolist() == [7, 8, 9, 8, 7]
        assert batch.tokens == 8


class TestLogits:
    @pytest.mark.parametrize("lora", [LoraOptions(), None])
    def test_are_the_models_own_at_the_scored_places(self, base: Path, lora: LoraOptions | None) -> None:
        subject = learner(base, lora=lora)
        batch = Batch.of(ROWS, CPU)
        with torch.no_grad():
            whole = subject.model(input_ids=batch.inputs).logits
            assert torch.allclose(subject.logits(batch.inputs, batch.scored), whole[batch.scored], atol=1e-6)

    def test_do_not_depend_on_padding(self, base: Path) -> None:
        subject = learner(base, lora=None)
        together, alone = Batch.of(ROWS, CPU), Batch.of(ROWS[1:], CPU)
        with torch.no_grad():
            expected = subject.logits(alone.inputs, alone.scored)
            assert torch.allclose(subject.logits(together.inputs, together.scored)[3:], expected, atol=1e-6)


class TestReset:
    @pytest.mark.parametrize("lora", [LoraOptions(), None])
    def test_leads_back_to_the_same_weights(self, base: Path, lora: LoraOptions | None) -> None:
        subject = learner(base, lora=lora)
        subject.reset(3)
        before = subject.state()
        disturb(subject, 1.0)
        subject.reset(3)
        assert all(torch.equal(weight, before[name]) for name, weight in subject.state().items())

    def test_draws_another_adapter_for_another_seed(self, base: Path) -> None:
        subject = learner(base, lora=LoraOptions())
        subject.reset(3)
        before = subject.state()
        subject.reset(4)
        assert any(not torch.equal(weight, before[name]) for name, weight in subject.state().items())

    def test_makes_an_adapter_that_changes_nothing(self, base: Path) -> None:
        plain, adapted = learner(base, lora=None), learner(base, lora=LoraOptions())
        disturb(adapted, 1.0)
        adapted.reset(3)
        assert torch.equal(loss(plain), loss(adapted))

    def test_leaves_torchs_generator_alone(self, base: Path) -> None:
        subject = learner(base, lora=LoraOptions())
        before = torch.get_rng_state()
        subject.reset(3)
        assert torch.equal(torch.get_rng_state(), before)


def test_an_adapter_leaves_the_base_model_frozen(base: Path) -> None:
    subject = learner(base, lora=LoraOptions(target_modules=("q_proj",)))
    assert subject.adapted
    assert all("q_proj.lora_" in name for name in subject.trainable)
    assert not learner(base, lora=None).adapted


@pytest.mark.parametrize("lora", [LoraOptions(), None])
def test_half_precision_and_recomputing_give_nearly_the_same_gradient(base: Path, lora: LoraOptions | None) -> None:
    """What a GPU does, on a CPU: bfloat16 and gradient checkpointing, with what is trained in float32."""
    frozen = lora is not None
    exact = learner(base, lora=lora)
    near = learner(
        base,
        lora=lora,
        placement=Placement(
            device=CPU, dtype=torch.bfloat16 if frozen else torch.float32, autocast=not frozen, recompute=True
        ),
    )
    gradients = []
    for subject in (exact, near):
        subject.reset(0)
        subject.model.train()
        loss(subject).backward()  # type: ignore[no-untyped-call]
        assert all(weight.dtype == torch.float32 for weight in subject.trainable.values())
        gradients.append(torch.cat([weight.grad.flatten() for weight in subject.trainable.values()]))
    assert functional.cosine_similarity(*gradients, dim=0) > 0.99
    assert not torch.equal(*gradients)


class TestSave:
    @pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # of peft's own making
    def test_writes_an_adapter_for_the_same_base(self, base: Path, tmp_path: Path) -> None:
        subject = learner(base, lora=LoraOptions())
        disturb(subject, 0.01)
        subject.save(tmp_path)
        adapted = PeftModel.from_pretrained(load(base, torch.float32, 64)[1], str(tmp_path))
        assert torch.equal(adapted(input_ids=INPUTS).logits, subject.model(input_ids=INPUTS).logits)

    def test_writes_a_whole_model_with_its_tokenizer(self, base: Path, tmp_path: Path) -> None:
        subject = learner(base, lora=None)
        disturb(subject, 0.01)
        subject.save(tmp_path)
        tokenizer, model = load(tmp_path, torch.float32, 64)
        assert torch.equal(model(input_ids=INPUTS).logits, subject.model(input_ids=INPUTS).logits)
        assert tokenizer("a b")["input_ids"] == load(base, torch.float32, 64)[0]("a b")["input_ids"]
