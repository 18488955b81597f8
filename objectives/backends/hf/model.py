"""The base model: loaded, and tried on a few tokens, because much of what can be wrong with one raises no error."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from objectives.backends.hf import HfBackend, LoraOptions, Method
from objectives.backends.hf.encoding import Encoded
from objectives.backends.hf.labels import Labels, Question
from objectives.backends.hf.learner import Learner
from objectives.errors import OptionsError

PROBE = "Which of these 2 lines is right?"
"""Text that any tokenizer of instructions must be able to write and read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a model is kept and computed, and how precisely.

    Attributes:
        device: where.
        dtype: of the weights as they are loaded; an adapter on them is float32 in any case.
        autocast: whether to compute in bfloat16 although the weights are float32.
        recompute: whether to compute activations again in the backward pass instead of keeping them.
    """

    device: torch.device
    dtype: torch.dtype = torch.float32
    autocast: bool = False
    recompute: bool = False

    @classmethod
    def of(cls, settings: HfBackend) -> Placement:
        """Float32 on a CPU; on a GPU bfloat16 where it can, but weights that are trained stay float32.

        Raises:
            OptionsError: a GPU is asked for and there is none.
        """
        if settings.resources.gpus == 0:
            return cls(device=torch.device("cpu"))
        if not torch.cuda.is_available():
            raise OptionsError(
                f"objective.resources.gpus is {settings.resources.gpus:g}, but torch {torch.__version__} finds "
                "no GPU in this process; set it to 0, or install a torch that fits the machine's driver"
            )
        torch.set_float32_matmul_precision("high")
        if settings.resources.gpus < 1:
            # Whoever takes more than its part fails itself, and not the others on the same GPU.
            torch.cuda.set_per_process_memory_fraction(settings.resources.gpus)
        half = torch.cuda.is_bf16_supported(including_emulation=False)
        frozen = settings.method is Method.LORA
        return cls(
            device=torch.device("cuda"),
            dtype=torch.bfloat16 if half and frozen else torch.float32,
            autocast=half and not frozen,
            recompute=True,
        )


def load(source: Path | str, dtype: torch.dtype, max_length: int) -> tuple[Any, Any]:
    """A tokenizer and a model, in main memory.

    Args:
        source: a folder, or a name on the hub.
        dtype: of the weights.
        max_length: most tokens that the model will be given.

    Raises:
        OptionsError: they cannot be loaded, are not complete, or cannot be used for this.
    """
    # A folder is never looked up on the hub, which would be asked again and again for every missing file.
    options = {"local_files_only": isinstance(source, Path), "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
        model, found = AutoModelForCausalLM.from_pretrained(source, dtype=dtype, output_loading_info=True, **options)
    except Exception as error:  # the libraries behind it raise errors of their own, without a common root
        raise OptionsError(
            f"objective.base_model: {source} cannot be loaded as a causal language model: {type(error).__name__}: "
            f"{error}; expected all files of a model of the transformers library, fully downloaded"
        ) from error
    if missing := sorted({*found["missing_keys"], *(str(key) for key, *_ in found["mismatched_keys"])}):
        raise OptionsError(
            f"objective.base_model: {source} lacks {len(missing)} of the model's weights, such as {missing[0]}, "
            "which would be random; expected a complete causal language model, its head included"
        )
    _check_tokenizer(tokenizer, source)
    places = getattr(model.config, "max_position_embeddings", None)
    if places is not None and max_length > places:
        raise OptionsError(f"objective.max_length is {max_length}, but {source} reads at most {places} tokens")
    return tokenizer, model


def _check_tokenizer(tokenizer: Any, source: Path | str) -> None:
    tokens = tokenizer(PROBE, add_special_tokens=False)["input_ids"]
    back = tokenizer.decode(tokens, skip_special_tokens=True)
    if _letters(back) != _letters(PROBE):
        raise OptionsError(
            f"objective.base_model: the tokenizer of {source} reads {PROBE!r} as {back!r}; expected the model's own "
            "tokenizer files beside it"
        )


def _letters(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())


def ready(source: Path | str, settings: HfBackend) -> Learner:
    """A learner for settings, of the base model as it is on disk.

    Args:
        source: a folder, or a name on the hub.
        settings: of a study, or of a job of it.

    Raises:
        OptionsError: the base model cannot be loaded, or cannot be used for this.
    """
    placement = Placement.of(settings)
    tokenizer, model = load(source, placement.dtype, settings.max_length)
    return prepare(tokenizer, model, settings.lora if settings.method is Method.LORA else None, placement)


def prepare(tokenizer: Any, model: Any, lora: LoraOptions | None, placement: Placement) -> Learner:
    """A learner of a loaded model.

    Args:
        tokenizer: the model's.
        model: as `load` gives it; it is changed.
        lora: the adapter to train; None to train all weights.
        placement: where, and how precisely.

    Raises:
        OptionsError: the model has no layer of the adapter's names, or looks at what it should predict.
    """
    if lora is not None:
        model = _adapted(model, lora)
    if placement.recompute and model.supports_gradient_checkpointing:
        # The second is the name in earlier releases of transformers 5.
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    learner = Learner(model, tokenizer, device=placement.device, autocast=placement.autocast)
    _check_causal(learner)
    return learner


def _adapted(model: Any, lora: LoraOptions) -> Any:
    from peft import LoraConfig, TaskType, get_peft_model

    options = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear" if lora.target_modules is None else list(lora.target_modules),
    )
    try:
        with warnings.catch_warnings():
            # peft 0.21 asks transformers 5 for gradient checkpointing by a name that is deprecated there.
            warnings.filterwarnings("ignore", ".*is_gradient_checkpointing.*", FutureWarning)
            # It sets this by itself for layers that keep their weights turned round, such as GPT-2's.
            warnings.filterwarnings("ignore", "fan_in_fan_out is set to", UserWarning)
            return get_peft_model(model, options)
    except ValueError as error:
        raise OptionsError(f"objective.lora.target_modules: {error}") from error


def _check_causal(learner: Learner) -> None:
    """Checks that what a model says at a place does not depend on what stands to its right.

    Raises:
        OptionsError: it does, so it would see what it is asked for.
    """
    inputs = torch.tensor([[0, 1, 2, 1, 0, 1], [0, 1, 2, 1, 0, 2]], device=learner.device)
    everywhere = torch.ones_like(inputs, dtype=torch.bool)
    learner.model.eval()
    with torch.no_grad():
        first, second = learner.logits(inputs, everywhere).reshape(2, 6, -1)[:, :-1]
    if float((first - second).abs().max()) > learner.rounding * float(first.abs().max()):
        raise OptionsError(
            "objective.base_model: this model looks at the words to the right of those that it predicts; expected a "
            "causal language model"
        )


def check_vocabulary(known: int, rows: Encoded) -> None:
    """Checks that the model has a place for every token of the data.

    Args:
        known: tokens that it has a place for.
        rows: of the data.

    Raises:
        OptionsError: the tokenizer has more tokens than the model.
    """
    largest = int(rows.tokens.max())
    if largest >= known:
        raise OptionsError(
            f"objective.base_model: its tokenizer writes token number {largest}, but the model knows only {known}; "
            "expected the model's own tokenizer"
        )


def keeps_prompts(learner: Learner) -> bool:
    """Whether a prompt's keys and values stand for the prompt: some kinds of layers cannot give theirs to others.

    Both ways are tried on a few tokens, and must agree.
    """
    labels = Labels(names=("a", "b"), openings=((1, 2), (2, 1)), owners=(0, 1), first=None)
    prompts = torch.tensor([[0, 1, 2, 2], [2, 1, 0, 1]], device=learner.device)

    def scores(cached: bool) -> torch.Tensor:
        return Question(learner=learner, labels=labels, batch_tokens=1024, cached=cached).scores(prompts)

    learner.model.eval()
    whole = scores(cached=False)
    try:
        return bool((scores(cached=True) - whole).abs().max() < learner.rounding * whole.abs().max())
    except torch.OutOfMemoryError:
        raise
    except Exception:  # whatever the model's own code makes of a cache that is not its own
        return False
