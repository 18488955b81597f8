"""Models of many kinds, made on the spot: those that can be used are, and what is wrong with others is said."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from objectives.backends.hf import LoraOptions
from objectives.backends.hf.encoding import encode
from objectives.backends.hf.labels import Labels, Question
from objectives.backends.hf.model import Placement, check_vocabulary, keeps_prompts, load, prepare
from objectives.backends.hf.template import Template
from objectives.data import Row
from objectives.errors import OptionsError

ON_CPU = Placement(device=torch.device("cpu"))
SIZES: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 3,
}
WITHOUT_GROUPS = {key: value for key, value in SIZES.items() if key != "num_key_value_heads"}
LINEAR = {
    "layer_types": ["linear_attention", "full_attention"],
    "head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}

KEEPERS: dict[str, Any] = {
    "gpt2": transformers.GPT2Config(
        vocab_size=320, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=0, eos_token_id=1
    ),
    "qwen2": transformers.Qwen2Config(**SIZES, tie_word_embeddings=True),
    "gemma3": transformers.Gemma3TextConfig(**SIZES, head_dim=8, sliding_window=8),
    "mistral": transformers.MistralConfig(**SIZES, sliding_window=8),
    "neox": transformers.GPTNeoXConfig(**WITHOUT_GROUPS),
}
"""Models whose layers can give the keys and values of a prompt to several continuations."""

OTHERS: dict[str, Any] = {
    "qwen3.5": transformers.Qwen3_5TextConfig(**SIZES, **LINEAR),
    "lfm2": transformers.Lfm2Config(**SIZES, layer_types=["conv", "full_attention"]),
    "rwkv": transformers.RwkvConfig(
        vocab_size=320, hidden_size=32, num_hidden_layers=2, attention_hidden_size=32, context_length=64
    ),
}
"""Models with layers that cannot, or that do not heed the keys and values which they are given."""


def saved(config: Any, tokenizer: Any, folder: Path) -> Path:
    """The folder of a new model with large random weights, so that all that it reads shows."""
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(3)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(base: Path) -> Any:
    return load(base, torch.float32, 64)[0]


@pytest.mark.parametrize("kind", [*KEEPERS, *OTHERS])
def test_a_prompt_is_kept_only_where_that_changes_no_answer(kind: str, tokenizer: Any, tmp_path: Path) -> None:
    config = copy.deepcopy({**KEEPERS, **OTHERS}[kind])
    learner = prepare(*load(saved(config, tokenizer, tmp_path), torch.float32, 64), None, ON_CPU)
    learner.model.eval()
    cached = keeps_prompts(learner)
    assert cached == (kind in KEEPERS)
    labels = Labels(names=("a", "b"), openings=((5, 6, 7), (5, 8)), owners=(0, 1), first=None)
    prompts = torch.tensor([[0, 9, 10, 11, 12], [0, 12, 9, 9, 10]])
    question = Question(learner=learner, labels=labels, batch_tokens=400, cached=cached)
    for prompt, scores in zip(prompts, question.scores(prompts), strict=True):
        for opening, score in zip(labels.openings, scores.tolist(), strict=True):
            with torch.no_grad():
                logits = learner.model(input_ids=torch.tensor([[*prompt.tolist(), *opening]]), use_cache=False).logits
            found = logits[0, len(prompt) - 1 :].log_softmax(dim=-1)
            assert score == pytest.approx(sum(float(found[j, token]) for j, token in enumerate(opening)), rel=1e-4)


class TestWhatIsRefused:
    def test_a_model_without_its_head(self, tokenizer: Any, tmp_path: Path) -> None:
        transformers.Qwen2Model(transformers.Qwen2Config(**SIZES, tie_word_embeddings=False)).save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        with pytest.raises(OptionsError, match=r"lacks 1 of the model's weights, such as lm_head\.weight"):
            load(tmp_path, torch.float32, 64)

    def test_a_model_without_its_tokenizer(self, tokenizer: Any, tmp_path: Path) -> None:
        for name in ("qwen2", "gemma3"):
            folder = saved(copy.deepcopy(KEEPERS[name]), tokenizer, tmp_path / name)
            for path in folder.glob("*token*"):
                path.unlink()
            with pytest.raises(OptionsError, match=r"expected the model's own tokenizer|cannot be loaded"):
                load(folder, torch.float32, 64)

    def test_weights_that_were_not_downloaded(self, tokenizer: Any, tmp_path: Path) -> None:
        folder = saved(copy.deepcopy(KEEPERS["qwen2"]), tokenizer, tmp_path)
        (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
        with pytest.raises(OptionsError, match=r"cannot be loaded .*SafetensorError.*fully downloaded"):
            load(folder, torch.float32, 64)

    def test_weights_of_another_shape(self, tokenizer: Any, tmp_path: Path) -> None:
        folder = saved(copy.deepcopy(KEEPERS["qwen2"]), tokenizer, tmp_path)
        config = (folder / "config.json").read_text()
        (folder / "config.json").write_text(config.replace('"intermediate_size": 48', '"intermediate_size": 64'))
        with pytest.raises(OptionsError, match=r"objective\.base_model: .* (cannot be loaded|lacks)"):
            load(folder, torch.float32, 64)

    def test_a_model_that_looks_to_the_right(self, tokenizer: Any, tmp_path: Path) -> None:
        folder = saved(transformers.BertConfig(**WITHOUT_GROUPS), tokenizer, tmp_path)
        with pytest.raises(OptionsError, match="looks at the words to the right"):
            prepare(*load(folder, torch.float32, 64), None, ON_CPU)
        config = transformers.BertConfig(**WITHOUT_GROUPS, is_decoder=True)
        prepare(*load(saved(config, tokenizer, tmp_path / "decoder"), torch.float32, 64), None, ON_CPU)

    def test_a_tokenizer_with_more_tokens_than_the_model(self, tokenizer: Any, tmp_path: Path) -> None:
        config = transformers.Qwen2Config(**{**SIZES, "vocab_size": 100})
        learner = prepare(*load(saved(config, tokenizer, tmp_path), torch.float32, 64), None, ON_CPU)
        rows = encode([Row.of("any text", "at all")], tokenizer, Template.of(tokenizer), 64)
        with pytest.raises(OptionsError, match=r"writes token number \d+, but the model knows only 100"):
            check_vocabulary(learner.vocabulary, rows)

    def test_a_sequence_longer_than_the_model_reads(self, tokenizer: Any, base: Path) -> None:
        with pytest.raises(OptionsError, match=r"max_length is 65, but .* reads at most 64 tokens"):
            load(base, torch.float32, 65)


def test_an_adapter_on_layers_that_are_stored_turned_round_warns_of_nothing(tokenizer: Any, tmp_path: Path) -> None:
    loaded = load(saved(copy.deepcopy(KEEPERS["gpt2"]), tokenizer, tmp_path), torch.float32, 64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert prepare(*loaded, LoraOptions(), ON_CPU).adapted
