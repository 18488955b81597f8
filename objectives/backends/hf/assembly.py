"""From settings to an objective: loads the base model, reads and encodes the rows."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from objectives.backends.hf import HfBackend, LoraOptions, Method
from objectives.backends.hf.encoding import Encoded, Template, encode
from objectives.backends.hf.evaluation import Labels, TestSet
from objectives.backends.hf.learner import Learner, silence
from objectives.backends.hf.objective import HfObjective
from objectives.backends.hf.tiny import TINY, tiny_model
from objectives.backends.hf.training import Schedule
from objectives.data import Row, read_rows
from objectives.domain import Domain
from objectives.errors import OptionsError

_LOG = logging.getLogger(__name__)


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
        half, frozen = torch.cuda.is_bf16_supported(), settings.method is Method.LORA
        return cls(
            device=torch.device("cuda"),
            dtype=torch.bfloat16 if half and frozen else torch.float32,
            autocast=half and not frozen,
            recompute=True,
        )


def assemble(settings: HfBackend, domains: Sequence[Domain], root: Path) -> HfObjective:
    """Builds the objective of one worker; see `HfBackend.build`."""
    torch.set_num_threads(settings.threads)
    silence()
    train = {d.name: read_rows(root / path for path in d.train) for d in domains if d.train}
    test = {d.name: read_rows(root / path for path in d.test) for d in domains if d.test}
    placement = Placement.of(settings)
    folder = tiny_model() if settings.base_model == TINY else settings.base_folder(root)
    tokenizer, model = load(folder or settings.base_model, placement.dtype, settings.max_length)
    template = Template.of(tokenizer)

    def encoded(name: str, rows: Sequence[Row]) -> Encoded:
        made = encode(rows, tokenizer, template, settings.max_length)
        if made.truncated:
            _LOG.warning(
                "%d of %d rows of %r are cut to %d tokens", made.truncated, len(made), name, settings.max_length
            )
        return made

    learned = {name: encoded(name, rows) for name, rows in train.items()}
    tests = []
    for name, rows in test.items():
        known = [(encoded(name, rows), rows)]
        if name in train:
            known.append((learned[name], train[name]))
        tests.append(_test_set(name, known, tokenizer))
    return HfObjective(
        prepare(tokenizer, model, settings.lora if settings.method is Method.LORA else None, placement),
        learned,
        tests,
        Schedule(
            steps=settings.steps,
            batch_size=settings.batch_size,
            micro_batch_size=settings.micro_batch_size or settings.batch_size,
            learning_rate=settings.peak_learning_rate,
            warmup_steps=settings.steps // 10 if settings.warmup_steps is None else settings.warmup_steps,
            weight_decay=settings.weight_decay,
        ),
        batch_tokens=settings.eval_batch_tokens,
        checkpoint_every=settings.checkpoint_every,
    )


def load(source: Path | str, dtype: torch.dtype, max_length: int) -> tuple[Any, Any]:
    """A tokenizer and a model, in main memory.

    Args:
        source: a folder, or a name on the hub.
        dtype: of the weights.
        max_length: most tokens that the model will be given.

    Raises:
        OptionsError: they cannot be loaded, or the model cannot be used for this.
    """
    # A folder is never looked up on the hub, which would be asked again and again for every missing file.
    local = isinstance(source, Path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=local)
        model = AutoModelForCausalLM.from_pretrained(source, local_files_only=local, dtype=dtype)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise OptionsError(
            f"objective.base_model: {source} cannot be loaded as a causal language model: {error}"
        ) from error
    places = getattr(model.config, "max_position_embeddings", None)
    if places is not None and max_length > places:
        raise OptionsError(f"objective.max_length is {max_length}, but {source} reads at most {places} tokens")
    return tokenizer, model


def prepare(tokenizer: Any, model: Any, lora: LoraOptions | None, placement: Placement) -> Learner:
    """A learner of a loaded model.

    Args:
        tokenizer: the model's.
        model: as `load` gives it; it is changed.
        lora: the adapter to train; None to train all weights.
        placement: where, and how precisely.

    Raises:
        OptionsError: the model has no layer of the adapter's names.
    """
    if lora is not None:
        model = _adapted(model, lora)
    if placement.recompute and model.supports_gradient_checkpointing:
        # The second is the name in earlier releases of transformers 5.
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    return Learner(model, tokenizer, device=placement.device, autocast=placement.autocast)


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
            return get_peft_model(model, options)
    except ValueError as error:
        raise OptionsError(f"objective.lora: {error}") from error


def _test_set(name: str, known: Sequence[tuple[Encoded, Sequence[Row]]], tokenizer: Any) -> TestSet:
    """A domain's test set.

    Args:
        name: the domain.
        known: its encoded test rows and, where there are any, its training rows.
        tokenizer: the base model's.
    """
    judged, rows = known[0]
    truth = tuple(row.label for row in rows if row.label is not None)
    if len(truth) < len(rows):
        return TestSet(domain=name, rows=judged)
    data = [(encoded, [row.label for row in own]) for encoded, own in known]
    names = {label for _, labels in data for label in labels if label is not None}
    tokens = {label: tokenizer(label, add_special_tokens=False)["input_ids"] for label in sorted(names)}
    return TestSet(domain=name, rows=judged, truth=truth, labels=Labels.of(tokens, data))
