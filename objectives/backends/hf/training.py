"""The training loop: one optimizer step at a time, so that it can be watched, stopped and continued."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from objectives.backends.hf import HfBackend
from objectives.backends.hf.encoding import Encoded
from objectives.backends.hf.learner import Batch, Learner
from objectives.errors import ObjectiveError

_LOG = logging.getLogger(__name__)

MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How a run is trained.

    Attributes:
        steps: optimizer steps.
        batch_size: rows per optimizer step.
        micro_batch_size: most rows in memory at a time; the gradients of a step's parts are added up.
        learning_rate: the peak.
        warmup_steps: steps of linear rise to the peak; from there it falls linearly to 0 at the end.
        weight_decay: AdamW's.
    """

    steps: int
    batch_size: int
    micro_batch_size: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float

    @classmethod
    def of(cls, settings: HfBackend) -> Self:
        """The schedule that settings describe."""
        return cls(
            steps=settings.steps,
            batch_size=settings.batch_size,
            micro_batch_size=settings.micro_batch_size or settings.batch_size,
            learning_rate=settings.peak_learning_rate,
            warmup_steps=settings.steps // 10 if settings.warmup_steps is None else settings.warmup_steps,
            weight_decay=settings.weight_decay,
        )

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        rise = (step + 1) / (self.warmup_steps + 1)
        fall = (self.steps - step) / (self.steps - self.warmup_steps)
        return self.learning_rate * min(rise, fall, 1.0)


class Training:
    """One training run under way.

    Attributes:
        step: optimizer steps done.
        tokens: tokens that were trained on by this object, prompts included.
    """

    def __init__(
        self,
        learner: Learner,
        data: Sequence[Encoded],
        order: NDArray[np.int64],
        schedule: Schedule,
        seed: int,
    ) -> None:
        """Begins a run.

        Args:
            learner: the model, at its beginning.
            data: the data sets.
            order: rows in training order, as (data set, row), (steps x batch_size, 2).
            schedule: how to train.
            seed: of everything that training draws, such as dropout.
        """
        assert len(order) == schedule.steps * schedule.batch_size, len(order)
        self.step = 0
        self.tokens = 0
        self._learner = learner
        self._data = data
        self._order = order
        self._schedule = schedule
        self._seed = seed
        self._weights = list(learner.trainable.values())
        learner.model.train()
        self._identity = _identity(learner, order, schedule, seed)
        self._optimizer = torch.optim.AdamW(
            self._weights, lr=schedule.learning_rate, weight_decay=schedule.weight_decay, fused=True
        )

    @property
    def steps(self) -> int:
        """Optimizer steps in all."""
        return self._schedule.steps

    @property
    def done(self) -> bool:
        """Whether all steps are done."""
        return self.step == self._schedule.steps

    def advance(self) -> float:
        """Takes one optimizer step.

        Returns:
            The step's loss before it: nats per response token.

        Raises:
            ObjectiveError: the loss or its gradient is no longer finite.
        """
        size = self._schedule.batch_size
        rows = [
            (self._data[which].row(i), int(self._data[which].prompts[i]))
            for which, i in self._order[self.step * size : (self.step + 1) * size]
        ]
        # One count for the whole step: a mean of parts' means would weigh rows by their neighbours' lengths.
        targets = sum(len(tokens) - prompt for tokens, prompt in rows)
        rows.sort(key=lambda row: len(row[0]), reverse=True)  # rows of like length share a part: less padding
        loss = torch.zeros((), device=self._learner.device)
        # Every step draws from its own seed, so that a continued run repeats an uninterrupted one.
        with self._learner.seeded(_step_seed(self._seed, self.step)):
            for start in range(0, size, self._schedule.micro_batch_size):
                part = Batch.of(rows[start : start + self._schedule.micro_batch_size], self._learner.device)
                logits = self._learner.logits(part.inputs, part.scored)
                part_loss = functional.cross_entropy(logits, part.targets, reduction="sum") / targets
                part_loss.backward()  # type: ignore[no-untyped-call]
                loss += part_loss.detach()
                self.tokens += part.tokens
        norm = torch.nn.utils.clip_grad_norm_(self._weights, MAX_GRADIENT_NORM)
        if not math.isfinite(float(loss + norm)):
            raise ObjectiveError(
                f"the loss is no longer finite at step {self.step + 1} of {self._schedule.steps} "
                f"(loss {float(loss):g}, gradient norm {float(norm):g}); lower objective.learning_rate "
                f"(now {self._schedule.learning_rate:g}) or raise objective.warmup_steps"
            )
        for group in self._optimizer.param_groups:
            group["lr"] = self._schedule.rate(self.step)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return float(loss)

    def save(self, path: Path) -> None:
        """Writes a checkpoint, complete or not at all: weights, optimizer and step.

        The learning rate and all that is drawn follow from the step.
        """
        state = {
            "run": self._identity,
            "step": self.step,
            "weights": self._learner.state(),
            "optimizer": self._optimizer.state_dict(),
        }
        partial = path.with_name(f"{path.name}.partial")
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    def restore(self, path: Path) -> bool:
        """Continues from a checkpoint of a run with the same rows, settings and seed.

        Returns:
            Whether there is one that can be read.
        """
        if not path.exists():
            return False
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception:  # what torch makes of a damaged file has no common root; without it the run begins anew
            _LOG.warning("%s cannot be read; the run begins anew", path)
            return False
        if state["run"] != self._identity:
            return False
        self._learner.load_state(state["weights"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        return True


def _step_seed(seed: int, step: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}/{step}".encode(), digest_size=7).digest(), "little")


def _identity(learner: Learner, order: NDArray[np.int64], schedule: Schedule, seed: int) -> str:
    """Digest of a run's plan: order of rows, schedule, seed, shapes. Data and base model are its study's affair."""
    settings = dataclasses.replace(schedule, micro_batch_size=schedule.batch_size)
    shapes = [(name, tuple(weight.shape)) for name, weight in learner.trainable.items()]
    digest = hashlib.blake2b(repr((settings, seed, shapes)).encode(), digest_size=16)
    digest.update(order.tobytes())
    return digest.hexdigest()
