"""The model of a worker: loaded once, fine-tuned again and again, each time from the same beginning."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import GenerationConfig
from transformers.utils import logging as transformers_logging

Tokens = NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Some rows, padded on the right, with the places where the next token is scored.

    No attention mask goes with it: a causal model never looks at what stands to the right.

    Attributes:
        inputs: token ids, (n_rows, n_places).
        scored: places whose next token is a response token, (n_rows, n_places); n_scored of them are True.
        targets: those next tokens, row after row, (n_scored,).
        tokens: tokens of the rows, padding not counted.
    """

    inputs: Tensor
    scored: Tensor
    targets: Tensor
    tokens: int

    @classmethod
    def of(cls, rows: Sequence[tuple[Tokens, int]], device: torch.device) -> Batch:
        """Puts rows together.

        Args:
            rows: each row's tokens and how many of them are prompt, at least 1.
            device: where the model is.
        """
        width = max(len(tokens) for tokens, _ in rows) - 1
        inputs = np.zeros((len(rows), width), dtype=np.int64)
        scored = np.zeros((len(rows), width), dtype=np.bool_)
        for i, (tokens, prompt) in enumerate(rows):
            inputs[i, : len(tokens) - 1] = tokens[:-1]
            scored[i, prompt - 1 : len(tokens) - 1] = True
        targets = np.concatenate([tokens[prompt:] for tokens, prompt in rows]).astype(np.int64)
        return cls(
            inputs=torch.from_numpy(inputs).to(device),
            scored=torch.from_numpy(scored).to(device),
            targets=torch.from_numpy(targets).to(device),
            tokens=sum(len(tokens) for tokens, _ in rows),
        )


class Learner:
    """A causal language model with its trainable part, which can be put back to its beginning.

    The rest of the model is never written to, so it is loaded once for all jobs.

    Attributes:
        model: the Hugging Face model, or the peft model around it.
        tokenizer: the model's.
        device: where it is.
        trainable: name to weight of what is trained.
        adapted: whether an adapter is trained, and not the model's own weights.
    """

    def __init__(self, model: Any, tokenizer: Any, *, device: torch.device, autocast: bool = False) -> None:
        """Takes over a loaded model.

        Args:
            model: a Hugging Face causal language model, or a peft one around it; what requires a gradient is
                what is trained.
            tokenizer: the model's, kept to be saved with it.
            device: where to put it.
            autocast: whether to compute in bfloat16 although the weights are kept in float32.
        """
        self.model = model.to(device)
        self.tokenizer = tokenizer
        self.device = device
        self.trainable: dict[str, torch.nn.Parameter] = {
            name: weight for name, weight in model.named_parameters() if weight.requires_grad
        }
        self._autocast = autocast
        self.adapted = hasattr(model, "peft_config")
        self._beginning = {} if self.adapted else self.state()
        self._scored: Tensor | None = None
        # Logits at the scored places alone: the head is the widest layer, and most places are prompt. Done
        # in front of the head, so that whatever a model does to its logits afterwards is still done.
        model.get_output_embeddings().register_forward_pre_hook(self._select)

    @property
    def vocabulary(self) -> int:
        """Tokens that the model has a place for."""
        return int(self.model.get_input_embeddings().weight.shape[0])

    @property
    def rounding(self) -> float:
        """How far two ways to compute the same logits may differ, relative to the largest."""
        exact = self.model.get_input_embeddings().weight.dtype is torch.float32 and not self._autocast
        return 1e-3 if exact else 0.05

    def reset(self, seed: int) -> None:
        """Puts the trainable part back to its beginning.

        Args:
            seed: of a new adapter's random initialisation.
        """
        if self.adapted:
            from peft.tuners.lora import LoraLayer

            with self.seeded(seed):
                for module in self.model.modules():
                    if isinstance(module, LoraLayer):
                        module.reset_lora_parameters("default", True)
        else:
            self.load_state(self._beginning)
        self.model.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """A copy of the trainable part, in main memory."""
        return {name: weight.detach().cpu().clone() for name, weight in self.trainable.items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Puts a trainable part that `state` copied in place."""
        with torch.no_grad():
            for name, weight in self.trainable.items():
                weight.copy_(state[name])

    def logits(self, inputs: Tensor, scored: Tensor, cache: Any = None) -> Tensor:
        """Logits at the scored places, row after row, float32, (n_scored, n_vocabulary).

        Args:
            inputs: token ids, (n_rows, n_places).
            scored: places that are wanted, (n_rows, n_places).
            cache: keys and values of the tokens before `inputs`, which are added to it; None for none.
        """
        self._scored = scored
        try:
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._autocast):
                output = self.model(input_ids=inputs, past_key_values=cache, use_cache=cache is not None)
        finally:
            self._scored = None
        logits: Tensor = output.logits
        return logits.float()

    def written(self, prompts: Sequence[Tokens], most: int, ends: Collection[int]) -> list[list[int]]:
        """What the model writes after each prompt, always the likeliest token next; some may follow after an end.

        Args:
            prompts: tokens of each, at least one.
            most: tokens of an answer at most.
            ends: tokens that end an answer.
        """
        width = max(map(len, prompts))
        inputs = np.zeros((len(prompts), width), dtype=np.int64)
        real = np.zeros((len(prompts), width), dtype=np.int64)
        for i, prompt in enumerate(prompts):
            inputs[i, width - len(prompt) :], real[i, width - len(prompt) :] = prompt, 1
        # In place of the model's own wishes, such as a temperature or a penalty on repeats.
        greedy = GenerationConfig(
            max_new_tokens=most, do_sample=False, eos_token_id=sorted(ends), pad_token_id=min(ends, default=0)
        )
        usual, self.model.generation_config = self.model.generation_config, greedy
        self.model.eval()
        try:
            with torch.no_grad(), torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._autocast):
                found: Tensor = self.model.generate(
                    input_ids=torch.from_numpy(inputs).to(self.device),
                    attention_mask=torch.from_numpy(real).to(self.device),
                )
        finally:
            self.model.generation_config = usual
        answers: list[list[int]] = found[:, width:].tolist()
        return answers

    def _select(self, _head: torch.nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return arguments if self._scored is None else (arguments[0][self._scored],)

    @contextlib.contextmanager
    def seeded(self, seed: int) -> Iterator[None]:
        """Makes torch's own generators draw from a seed, and leaves them as they were."""
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield

    def save(self, folder: Path) -> None:
        """Writes the adapter, or the model when all of it is trained, as a folder that others can load."""
        if self.adapted:
            # Left to find out for itself whether the embeddings changed, peft may call the hub.
            self.model.save_pretrained(folder, save_embedding_layers=False)
        else:
            self.model.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)


def silence() -> None:
    """Keeps transformers from writing progress bars and hints; its errors are raised, not logged."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
