"""Fine-tunes Hugging Face causal language models on this machine, from a tiny one to 7 B parameters."""

from __future__ import annotations

import enum
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from objectives.backends.backend import Backend
from objectives.backends.hf.fingerprint import folder_digest, model_files
from objectives.backends.hf.hub import unavailable
from objectives.backends.hf.tiny import TINY, TinyRecipe, base_rows, digest
from objectives.base import Objective, Value
from objectives.data import DEFAULT_POLICY, Capacity, DataPolicy
from objectives.domain import Domain
from objectives.errors import OptionsError
from objectives.metrics import KINDS
from objectives.scorer import Metric

__all__ = ["HfBackend", "LoraOptions", "Method"]

TEMPLATE = "chat-or-plain-2"
"""Names the rule by which rows become text (`template.Template`); another rule gets another name."""


class Method(enum.StrEnum):
    """What is trained."""

    LORA = "lora"
    """A low-rank adapter; the base model's weights stay (Hu et al., arXiv 2106.09685)."""
    FULL = "full"
    """All weights."""


class LoraOptions(BaseModel):
    """The adapter.

    Attributes:
        rank: of the two factors.
        alpha: the adapter's product is multiplied by alpha / rank.
        dropout: on the adapter's input.
        target_modules: names of the layers that get one; None for all linear ones but the head.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(default=8, ge=1)
    alpha: int = Field(default=16, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: tuple[str, ...] | None = Field(default=None, min_length=1)


class HfBackend(Backend):
    """Settings of the `hf` objective.

    On a GPU (`resources.gpus` above 0) the model computes in bfloat16, with gradient checkpointing; what is
    trained, adapter or all weights, is kept in float32. On a CPU everything is float32.

    Attributes:
        base_model: `tiny`, a folder (relative to the study file), or a name on the Hugging Face hub.
        method: what is trained.
        steps: optimizer steps of a job.
        batch_size: rows per optimizer step.
        micro_batch_size: most rows in memory at a time; None for all of a step's. Results depend on it no more than
            on rounding, but for the noise of dropout, where the model or the adapter has any.
        learning_rate: the peak; None for 2e-4 (lora) or 2e-5 (full), and for `tiny` 1e-2 or 2e-3.
        warmup_steps: steps of linear rise; None for a tenth of all. The rate then falls linearly to 0.
        weight_decay: AdamW's.
        lora: the adapter, when one is trained.
        max_length: most tokens of a row. A longer one loses tokens from the middle of its prompt, down to
            half of `max_length`, and then from the end of its output.
        max_new_tokens: most tokens of an answer in words, where a metric judges such; None for twice the longest
            expected answer of the test set, but no more than half of `max_length`.
        eval_batch_tokens: most tokens of an evaluation batch, padding counted.
        checkpoint_every: steps between two checkpoints; None for none, but one when cancelled.
        threads: CPU threads of one job.
    """

    POLICY: ClassVar[frozenset[str]] = Backend.POLICY | {
        "micro_batch_size",
        "eval_batch_tokens",
        "checkpoint_every",
        "threads",
    }

    SEARCHED: ClassVar[frozenset[str] | None] = frozenset(
        {
            "batch_size",
            "learning_rate",
            "lora.alpha",
            "lora.dropout",
            "lora.rank",
            "method",
            "steps",
            "warmup_steps",
            "weight_decay",
        }
    )

    COSTS: ClassVar[frozenset[str]] = frozenset({"wall_seconds", "cpu_seconds", "gpu_seconds", "tokens"})

    ANSWERS: ClassVar[bool] = True

    kind: Literal["hf"]
    base_model: str = Field(default=TINY, min_length=1)
    method: Method = Method.LORA
    steps: int = Field(default=150, ge=1)
    batch_size: int = Field(default=16, ge=1)
    micro_batch_size: int | None = Field(default=None, ge=1)
    learning_rate: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    warmup_steps: int | None = Field(default=None, ge=0)
    weight_decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    lora: LoraOptions = LoraOptions()
    max_length: int = Field(default=512, ge=8)
    max_new_tokens: int | None = Field(default=None, ge=1)
    eval_batch_tokens: int = Field(default=4096, ge=1)
    checkpoint_every: int | None = Field(default=None, ge=1)
    threads: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.warmup_steps is not None and self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps ({self.warmup_steps}) must be less than steps ({self.steps})")
        if self.method is Method.FULL and self.lora != LoraOptions():
            raise ValueError("lora describes an adapter, but method: full trains none; remove one of the two")
        if self.max_new_tokens is not None and self.max_new_tokens > self.max_length // 2:
            raise ValueError(
                f"max_new_tokens ({self.max_new_tokens}) must leave half of max_length ({self.max_length}) to a prompt"
            )
        if self.resources.gpus > 1:
            raise ValueError(f"one job uses at most one GPU, found resources.gpus: {self.resources.gpus:g}")
        return self

    @property
    def train_rows(self) -> int:
        """Rows that one job trains on, repeats counted."""
        return self.steps * self.batch_size

    @property
    def rows_per_step(self) -> int:
        """Rows of one optimizer step."""
        return self.batch_size

    @property
    def peak_learning_rate(self) -> float:
        """The learning rate in force."""
        if self.learning_rate is not None:
            return self.learning_rate
        small = self.base_model == TINY
        return {Method.LORA: 1e-2 if small else 2e-4, Method.FULL: 2e-3 if small else 2e-5}[self.method]

    def _replaced(self, values: Mapping[str, Value]) -> dict[str, Any]:
        data = super()._replaced(values)
        if "method" in values and values["method"] == Method.FULL:
            data["lora"] = LoraOptions().model_dump()  # those of the search's other method
        return data

    def produces(self, labelled: Mapping[str, bool]) -> frozenset[str]:
        """All metrics that are known, but for those of labels where a test row has none.

        Those of answers are reported where they are asked for: it takes time to write answers.
        """
        return frozenset(
            f"{domain}/{metric}"
            for domain, every in labelled.items()
            for metric, kind in KINDS.items()
            if every or not kind.needs_labels
        )

    def capacity(self, root: Path) -> Capacity:
        """Rows are counted with the base model's own tokenizer and template, unless the hub alone has it.

        Raises:
            OptionsError: the base model is a path, and there is no model.
        """
        from objectives.backends.hf.counter import HfCounter

        return Capacity(context=self.max_length, counter=HfCounter.of(self, root))

    def expected_cost(self, *, tuned: bool, row_tokens: float | None) -> dict[str, float]:
        """Tokens, and GPU time where there is none; how long a job takes shows when the first one has ended."""
        found = {} if self.resources.gpus else {"gpu_seconds": 0.0}
        if not tuned:
            return {**found, "tokens": 0.0}
        return found if row_tokens is None else {**found, "tokens": self.train_rows * row_tokens}

    def most_cost(self, *, tuned: bool, row_tokens: float | None) -> dict[str, float]:
        """The same: every run has as many rows as it is to have, and no time limit."""
        return self.expected_cost(tuned=tuned, row_tokens=row_tokens)

    def check(self, root: Path) -> None:
        """Looks for the libraries and the base model, without loading either.

        Raises:
            OptionsError: something is not there, or the hub would have to be asked for it and cannot be.
        """
        missing = [
            name for name in ("torch", "transformers", "peft", "tokenizers") if importlib.util.find_spec(name) is None
        ]
        if missing:
            raise OptionsError(
                f"objective.kind: hf needs {', '.join(missing)}, which this Python does not have; "
                "run: pip install 'ratio-search[hf]'"
            )
        if self.base_model == TINY or self.base_folder(root) is not None:
            return
        if reason := unavailable(self.base_model):
            raise OptionsError(
                f"objective.base_model: {self.base_model!r} is neither a folder under {root} nor in the local Hugging "
                f"Face cache, and {reason}; correct the name, or download the model first"
            )

    def base_folder(self, root: Path) -> Path | None:
        """The folder that `base_model` names; None when it is `tiny` or a name on the hub.

        Raises:
            OptionsError: it is a path, and there is no model.
        """
        if self.base_model == TINY:
            return None
        folder = root / Path(self.base_model).expanduser()
        if not (self.base_model.startswith((".", "/", "~")) or folder.exists()):
            return None
        if not (folder / "config.json").is_file():
            found = "is no folder" if not folder.is_dir() else "has no config.json"
            raise OptionsError(
                f"objective.base_model: {folder} {found}; expected the folder of a Hugging Face model, as "
                "save_pretrained writes it"
            )
        return folder

    def files(self, root: Path) -> tuple[Path, ...]:
        """Those of the base model's folder, where it is one; what the hub has, a worker fetches itself.

        Raises:
            OptionsError: the base model is a path, and there is no model.
        """
        folder = self.base_folder(root)
        return () if folder is None else model_files(folder)

    def moved(self, root: Path, place: Callable[[Path], Path]) -> Self:
        """With the base model's folder where it is there."""
        folder = self.base_folder(root)
        return self if folder is None else self.model_copy(update={"base_model": str(place(folder))})

    def fingerprint(self, root: Path) -> dict[str, str]:
        """The prompt template's rule, the base model's content, and whether a GPU computes, which is less precise.

        The content of a model on the hub is the hub's affair.

        Raises:
            OptionsError: the base model is a path, and there is no model.
        """
        found = {"template": TEMPLATE}
        if self.base_model == TINY:
            found["base_model"] = digest(base_rows(), TinyRecipe())
        elif (folder := self.base_folder(root)) is not None:
            found["base_model"] = folder_digest(folder)
        if self.resources.gpus:
            found["device"] = "gpu"
        return found

    def build(
        self,
        domains: Sequence[Domain],
        root: Path,
        policy: DataPolicy = DEFAULT_POLICY,
        metrics: Sequence[Metric] = (),
    ) -> Objective:
        """Looks through the rows and loads the base model, making the tiny one if it is the first time.

        Raises:
            DataError: a file of rows cannot be used.
            OptionsError: the base model cannot be used, or the machine lacks what the settings ask for.
        """
        from objectives.backends.hf.assembly import assemble

        return assemble(self, domains, root, policy, metrics)
